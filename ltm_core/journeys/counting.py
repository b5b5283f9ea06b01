"""Accesses and answers as they are stored: each counted once beside its fact, however many processes count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from ..errors import InvalidInput, NotFound
from ..model import Access, Usage
from ..records import access_of, access_record, record_fields, usage_id, usage_of, usage_record
from ..scope import Identity, MemoryScope, Scope, scope_of
from ..stores.again import again
from ..stores.base import Compare, Put, Record, Store, Where, Write


async def count(store: Store, accesses: Iterable[tuple[Access, Scope]]) -> None:
    """Write accesses to facts of these owners, and count each once; those of facts that are gone are left out.

    May be done again where nobody knows whether it was done. Raises what the store raises.
    """
    given = list(accesses)
    if not given:
        return
    async for attempt in again():
        with attempt:
            await store.apply(await _writes(store, given))


async def tell(store: Store, recall_id: str, fact_id: str, who: Identity, *, useful: bool) -> None:
    """Write down whether a fact that `who` was given by a recall was of use, in the place of what was said before.

    Raises `NotFound` where they had no such recall, `InvalidInput` where it did not give the fact.
    """
    async for attempt in again():
        with attempt:
            access = await _given(store, recall_id, fact_id, who)
            if access.fields.get("useful") is not useful:
                await store.apply(await _told(store, access, useful=useful))


async def counted(store: Store, owner: Scope, fact_id: str) -> Usage:
    """How a fact was used."""
    found = await store.scan(Where("usage", (owner,), ids=(usage_id(fact_id),)))
    return usage_of(found[0]) if found else Usage()


async def _writes(store: Store, accesses: Sequence[tuple[Access, Scope]]) -> list[Write]:
    owners = tuple(dict.fromkeys(owner for _, owner in accesses))
    ids = tuple(dict.fromkeys(access.fact_id for access, _ in accesses))
    facts = await _by_id(store, Where("fact", owners, ids=ids))
    new = await _unknown(store, owners, list(_records(accesses, facts)))
    stored = await _by_id(store, Where("usage", owners, ids=tuple(map(usage_id, ids))))
    ordered = sorted(new, key=_fact_id)
    uses = {one: [record.fields["at"] for record in some] for one, some in groupby(ordered, key=_fact_id)}
    counts = (_counted(stored.get(usage_id(one)), facts[one], times) for one, times in uses.items())
    return [*(Put(record, expect=0) for record in new), *counts]


def _records(accesses: Iterable[tuple[Access, Scope]], facts: Mapping[str, Record]) -> Iterator[Record]:
    for access, _ in accesses:
        fact = facts.get(access.fact_id)
        if fact is not None:
            yield access_record(access, fact.scope, _asker(access, fact))


def _asker(access: Access, fact: Record) -> Scope:
    """Whom an access is about: of what several people share, who asked; it is their question."""
    if fact.scope.level in (MemoryScope.USER, MemoryScope.SESSION):
        return fact.subject
    for level, one in ((MemoryScope.USER, access.user_id), (MemoryScope.SESSION, access.session_id)):
        if one is not None:
            return scope_of(level, one, fact.scope.tenant)
    return fact.subject


async def _unknown(store: Store, owners: tuple[Scope, ...], made: Sequence[Record]) -> list[Record]:
    known = await _by_id(store, Where("access", owners, ids=tuple(record.id for record in made)))
    return [record for record in made if record.id not in known]


def _counted(stored: Record | None, fact: Record, times: Sequence[datetime]) -> Put:
    usage = Usage() if stored is None else usage_of(stored)
    last = max(filter(None, [usage.last_accessed_at, *times]))
    more = {"access_count": usage.access_count + len(times), "last_accessed_at": last}
    usage = usage.model_copy(update=more)
    if stored is None:
        return Put(usage_record(usage, fact), expect=0)
    return _changed(replace(stored, subject=fact.subject), record_fields(usage, "usage"))


def _changed(stored: Record, fields: Mapping[str, object]) -> Put:
    new = replace(stored, version=stored.version + 1, fields={**stored.fields, **fields})
    return Put(new, expect=stored.version)


async def _given(store: Store, recall_id: str, fact_id: str, who: Identity) -> Record:
    """The access by which a recall of `who` gave a fact."""
    of_recall = Where("access", who.scopes, test=Compare("recall_id", "eq", recall_id))
    found = [record for record in await store.scan(of_recall) if _is_of(access_of(record), who)]
    if not found:
        raise NotFound(
            f"No recall {recall_id!r} is logged for these ids. It may be too long ago (access_retention=), or its log "
            "was lost. Pass recalled.recall_id and the ids that you recalled with."
        )
    access = next((record for record in found if record.fields["fact_id"] == fact_id), None)
    if access is None:
        raise InvalidInput(f"Recall {recall_id!r} did not give a fact {fact_id!r}. Pass the id of one of its facts.")
    return access


def _is_of(access: Access, who: Identity) -> bool:
    """Whether somebody of these ids asked; ids that are not named may be any."""
    pairs = ((who.user_id, access.user_id), (who.session_id, access.session_id), (who.agent_id, access.agent_id))
    return all(named is None or named == asked for named, asked in pairs)


async def _told(store: Store, access: Record, *, useful: bool) -> list[Write]:
    fact_id, before = access.fields["fact_id"], access.fields.get("useful")
    found = await store.scan(Where("usage", (access.scope,), ids=(usage_id(fact_id),)))
    if not found:
        raise NotFound(f"The fact {fact_id!r} is gone. There is nothing left to be told of.")
    usage = usage_of(found[0])
    counts = {
        "useful": usage.useful + (useful is True) - (before is True),
        "not_useful": usage.not_useful + (useful is False) - (before is False),
    }
    return [_changed(access, {"useful": useful}), _changed(found[0], counts)]


async def _by_id(store: Store, where: Where) -> dict[str, Record]:
    return {record.id: record for record in await store.scan(where)} if where.ids else {}


def _fact_id(record: Record) -> str:
    return str(record.fields["fact_id"])
