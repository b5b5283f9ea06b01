"""The life of a fact under maintenance: when it ends, put aside, joined. Nothing is stored here.

None of these tells a fact anew: `Fact.told_at` stays what it was, so that recall takes nothing for fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import InvalidInput
from ..model import Fact, FactUpdate
from .edits import upkept
from .values import union

_NEVER = datetime.max.replace(tzinfo=UTC)


def timed(given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What a caller gave, with the end that its `ttl` (seconds or a timedelta) puts, as `expires_at`."""
    ttl = given.get("ttl")
    rest = {name: value for name, value in given.items() if name != "ttl"}
    if ttl is None:
        return rest
    if given.get("expires_at") is not None:
        raise InvalidInput("ttl= and expires_at= both say when the fact ends. Pass one of them.")
    return {**rest, "expires_at": now + lifetime(ttl, "ttl")}


def lifetime(given: object, name: str) -> timedelta:
    """Seconds or a timedelta, above 0, or `InvalidInput`."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    try:
        time = timedelta(seconds=given) if is_number else given  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        time = None
    if not isinstance(time, timedelta) or time <= timedelta(0):
        raise InvalidInput(f"{name}={given!r} is no time to live. Pass seconds above 0, such as 3600, or a timedelta.")
    return time


def changed(previous: Fact, fact: Fact) -> FactUpdate:
    """That `previous` became `fact`, whose reason is the reason."""
    return FactUpdate(operation="UPDATE", fact=fact, previous=previous, reason=fact.reason)


def put_aside(fact: Fact, now: datetime, reason: str, replaced_by: Fact | None = None) -> Fact:
    """The next version of `fact`, archived; `replaced_by` is what says it now."""
    by = replaced_by.id if replaced_by is not None else None
    return upkept(fact, now, archived_at=now, replaced_by=by, reason=reason)


def is_archived(fact: Fact, now: datetime) -> bool:
    """Whether `fact` is out of sight because it was archived, and for no other reason."""
    return fact.archived_at is not None and fact.model_copy(update={"archived_at": None}).is_current(now)


def outlives(one: Fact, other: Fact) -> bool:
    """Whether `one` would still hold when `other` has ended."""
    return _end(one) > _end(other)


def _end(fact: Fact) -> datetime:
    return min((end for end in (fact.valid_to, fact.expires_at) if end is not None), default=_NEVER)


def joined(kept: Fact, gone: Sequence[Fact], now: datetime, reason: str) -> Fact:
    """`kept` with what `gone`, which say the same, add to it; itself where that is nothing, or where it is pinned.

    Independent reports of one thing add up: what remains of doubt is the product of their doubts.
    """
    if kept.pinned:
        return kept
    every = [kept, *gone]
    doubt = 1.0
    for fact in {_report(fact): fact for fact in every}.values():
        doubt *= 1.0 - fact.confidence
    new = {
        "tags": united(every, "tags"),
        "sources": united(every, "sources"),
        "importance": max(fact.importance for fact in every),
        "confidence": max(1.0 - doubt, kept.confidence),
        "told_at": max(fact.told_at for fact in every),
    }
    same = all(getattr(kept, name) == value for name, value in new.items())
    return kept if same else upkept(kept, now, reason=reason, **new)


def _report(fact: Fact) -> str:
    """What tells reports apart: facts out of the same messages are one."""
    return " ".join(sorted(fact.sources)) or fact.id


def united(facts: Sequence[Fact], name: str) -> list[str]:
    """What stands in a list of these facts (`tags`, `sources`), each once."""
    every: list[str] = []
    for fact in facts:
        every = union(every, getattr(fact, name))
    return every
