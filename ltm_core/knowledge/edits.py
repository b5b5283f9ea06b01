"""Facts as people edit them: made, changed and deleted by hand. Nothing is stored here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InvalidInput, NotFound
from ..model import Fact, Upkeep, in_utc, split_key, valid_json
from ..records import fact_id
from ..scope import Scope
from .attributes import attribute

MAX_KEY = 512

_OWN = frozenset(Fact.model_fields) - {
    *("id", "key", "value", "version", "scope", "scope_id", "tenant", "score", "parts", "upkeep", "replaced_by")
}


def missing(key: str) -> NotFound:
    """What to raise where there is no fact under `key`."""
    return NotFound(f"There is no fact {key!r} here. Store it with add().")


def checked_key(key: object) -> str:
    """`key` as it is. Raises `InvalidInput` where it can name no fact."""
    if not isinstance(key, str) or not key.strip():
        raise InvalidInput(f"A key is a text that is not empty, not {key!r}. Pass a name such as 'timezone'.")
    if "\0" in key or len(key) > MAX_KEY:
        raise InvalidInput(f"A key has at most {MAX_KEY} characters and no NUL. Pass a shorter name.")
    return key


def made(owner: Scope, namespace: str, key: str, value: Any, given: dict[str, Any], now: datetime) -> Fact:
    """A fact as it is before it is ever stored. Raises `InvalidInput` for what cannot be stored."""
    about, name, item = split_key(key)
    row = attribute(name)
    data = valid_json(value)
    usual = {
        "text": row.sentence(data, item, about),
        "memory_type": row.type,
        "category": row.category,
        "importance": row.importance,
        "schema_type": type(value).__name__ if isinstance(value, BaseModel) else None,
        "about": about,
        "attribute": name,
        "item": item,
        "valid_from": None if _is_over(given, now) else now,
        "reason": "written by hand",
    }
    fixed = {"id": fact_id(owner, namespace, key), "key": key, "value": data, "namespace": namespace}
    whose = {"scope": owner.level, "scope_id": owner.id, "tenant": owner.tenant}
    times = {"created_at": now, "updated_at": now}
    try:
        return Fact.model_validate({**usual, **times, **_chosen(given), **fixed, **whose})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}. Correct it and try again.") from error


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    unknown = given.keys() - _OWN
    if unknown:
        raise InvalidInput(f"A fact has no field {min(unknown)!r} to set. Use one of {', '.join(sorted(_OWN))}.")
    return {name: value for name, value in given.items() if value is not None}


def _is_over(given: dict[str, Any], now: datetime) -> bool:
    """Whether a fact is told that has ended already: nobody said since when it was so."""
    end = given.get("valid_to")
    return isinstance(end, datetime) and in_utc(end) <= now


def successor(old: Fact, fresh: Fact, given: dict[str, Any], now: datetime) -> Fact:
    """The next version of `old`: the fresh value, and of the other fields those that were given.

    `old` itself where nothing would change.
    """
    chosen = _chosen(given)
    same = fresh.value == old.value and all(getattr(fresh, name) == getattr(old, name) for name in chosen)
    if same and old.is_current(now):
        return old
    taken = {"value", "text", "schema_type", "valid_from", "reason", "created_by", *chosen}
    changed = {name: getattr(fresh, name) for name in taken}
    ends = {
        "deleted_at": None,
        "archived_at": None,
        "valid_to": None,
        "replaced_by": None,
        "expires_at": fresh.expires_at,
    }
    open_again = {} if old.is_current(now) else ends
    return old.model_copy(
        update={
            **open_again,
            **changed,
            "version": old.version + 1,
            "updated_at": now,
            "source_type": fresh.source_type,
        }
    )


def deleted(old: Fact, key: str, now: datetime) -> Fact:
    """The next version of `old`, which says that it is deleted. Raises `NotFound` where it was before.

    What is archived, has expired or holds no more can be deleted as well: whoever forgets means all of it.
    """
    if old.deleted_at is not None and old.deleted_at <= now:
        raise missing(key)
    by_hand = {"reason": "deleted by hand", "created_by": "user"}
    return old.model_copy(update={**by_hand, "version": old.version + 1, "deleted_at": now, "updated_at": now})


def restored(present: Fact, wanted: Fact, now: datetime, reason: str) -> Fact:
    """The next version of `present`: everything as `wanted`, an earlier version as it was stored, said it."""
    made = {"version": present.version + 1, "updated_at": now, "reason": reason, "job_id": None}
    return wanted.model_copy(update=made)


def following(present: Fact, told: Fact, now: datetime) -> list[Fact]:
    """What must follow `told`, where that tells of a time that has ended: `present` again, which is true now.

    "I lived in Lisbon until May", told when Berlin is known, leaves Berlin the present, from May on at the earliest.
    """
    ended = told.valid_to
    if told.deleted_at or ended is None or ended > now or not present.is_current(now):
        return []
    since = ended if present.valid_from is None else max(present.valid_from, ended)
    return [present.model_copy(update={"version": told.version + 1, "updated_at": now, "valid_from": since})]


def archived(old: Fact, key: str, reason: str, now: datetime) -> Fact:
    """The next version of `old`, put aside. Raises `NotFound` where it is not current."""
    if not old.is_current(now):
        raise missing(key)
    return _noted(old, now, reason, archived_at=now)


def unarchived(old: Fact, key: str, reason: str, now: datetime) -> Fact:
    """The next version of `old`, back again; itself where it is not put aside. Raises `NotFound` if it is deleted."""
    if old.deleted_at:
        raise missing(key)
    return old if old.archived_at is None else _noted(old, now, reason, archived_at=None, replaced_by=None, told_at=now)


def pinned(old: Fact, key: str, pin: bool, now: datetime) -> Fact:
    """The next version of `old`, pinned or not; itself where it is so. Raises `NotFound` where it is not current."""
    if not old.is_current(now):
        raise missing(key)
    return old if old.pinned is pin else _noted(old, now, "pinned" if pin else "unpinned", pinned=pin)


def _noted(old: Fact, now: datetime, reason: str, **changed: Any) -> Fact:
    """The next version of `old`, which says the same of the world."""
    return upkept(old, now, reason=reason, created_by="user", **changed)


def upkept(fact: Fact, now: datetime, **fields: Any) -> Fact:
    """The next version of `fact`, changed but not told anew.

    `told_at` and `told_confidence` may be among what is `fields`; a new confidence counts as told otherwise.
    """
    told_at = fields.pop("told_at", fact.told_at)
    confidence = fields.pop("told_confidence", fields.get("confidence", fact.told_confidence))
    upkeep = Upkeep(version=fact.version + 1, told_at=told_at, confidence=confidence)
    return fact.model_copy(update={**fields, "version": upkeep.version, "updated_at": now, "upkeep": upkeep})
