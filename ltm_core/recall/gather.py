"""Gather: what may matter for a query, proposed by the indexes and read from the database under its wall."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from ..index.contents import Reading, Seen
from ..index.entries import WITHDRAWN, entry_of
from ..index.memories import Memories, indexed
from ..model import Fact, Message
from ..policies import Item
from ..records import fact_id
from ..scope import Identity, Scope
from ..stores.base import All, AnyOf, Compare, Condition, Order, Record, Store, Where

_ENDS = ("deleted_at", "archived_at", "expires_at", "valid_to")
_LATEST: dict[str, Order] = {
    "fact": (("updated_at", "desc"),),
    "message": (("created_at", "desc"),),
    "summary": (("created_at", "desc"),),
}
_IMPORTANT: Order = (("importance", "desc"),)
MOST_STABLE = 100
MOST_IDS = 500  # in one query
MORE = 4  # times as many are read where too few of the best may be shown, or say anything of their own


class Viewer(Protocol):
    """Who may see these scopes, the most specific first: an `Identity`, or a part of one."""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that may be seen."""
        ...


class Proposed(Protocol):
    """All memories of one kind, scored."""

    def best(self, count: int) -> Sequence[tuple[int, int]]:
        """The indexes and rows of the best, best first."""
        ...

    def signals(self, places: Sequence[tuple[int, int]]) -> Sequence[dict[str, float]]:
        """What speaks for some of them, in their order."""
        ...


def visible_facts(viewer: Viewer, namespace: str, now: datetime) -> Where:
    """The facts that `viewer` may see and that hold at `now`."""
    return Where("fact", viewer.scopes, test=All(Compare("namespace", "eq", namespace), *current_at(now)))


def visible_messages(identity: Identity, now: datetime) -> Where:
    """The messages of the identity's subject. Raises `ScopeError` where it names neither a user nor a session."""
    test = All(_open_at("deleted_at", now), Compare(WITHDRAWN, "exists", False))
    return Where("message", subject=identity.subject, test=test)


def visible_summaries(identity: Identity, now: datetime) -> Where:
    """The present summaries of the subject's sessions. Raises `ScopeError` where nobody is named."""
    return Where("summary", subject=identity.subject, test=_open_at("stale_at", now))


def current_at(now: datetime) -> list[Condition]:
    """What a fact must meet to hold at `now`: `Fact.is_current` as a query."""
    return [_open_at(end, now) for end in _ENDS]


@dataclass(frozen=True, slots=True)
class Found:
    """A record that was proposed and is there, and what speaks for it."""

    record: Record
    signals: Mapping[str, float]


async def read_best(
    store: Reading,
    visible: Where,
    filters: Condition | None,
    parts: Sequence[Memories],
    proposed: Proposed,
    count: int,
) -> list[Found]:
    """The best `count` of what was proposed, as the database has them now, visible and admitted by `filters`.

    Where some are not, more are read, until there are enough or no more.
    """
    wanted = visible.also(filters) if filters else visible
    found: list[Found] = []
    asked, most = 0, count
    while len(found) < count:
        places = proposed.best(most)
        ids = {parts[number].entries[row].id: (number, row) for number, row in places[asked:]}
        if not ids:
            break
        records = await _those(store, wanted, ids)
        there = {record.id: record for record in await unshadowed(store, visible, records)}
        shown = {one: place for one, place in ids.items() if one in there}
        signals = proposed.signals(list(shown.values()))
        found += [Found(there[one], said) for one, said in zip(shown, signals, strict=True)]
        asked, most = len(places), most * MORE
    return found[:count]


async def _those(store: Reading, where: Where, ids: Collection[str]) -> list[Record]:
    """The records of these ids; where they are many, out of all."""
    if len(ids) <= MOST_IDS:
        return await store.scan(replace(where, ids=tuple(sorted(ids))))
    return [record for record in await store.scan(where) if record.id in ids]


async def candidates(
    store: Store, where: Where, terms: Sequence[str], near: tuple[str, bytes] | None, now: datetime, *, limit: int
) -> list[Memories]:
    """An index of what the database itself finds, for scopes that are too large to be held: those that share most
    words, the nearest by vector, the latest and the most important, up to `limit` each."""
    found = [*await store.scan(where, order=_LATEST[where.kind], limit=limit)]
    found += await store.search_text(where, terms, limit) if terms else []
    if near is not None:
        found += [each.record for each in await store.search_vector(where, *near, limit)]
    if where.kind == "fact":
        found += await store.scan(where, order=_IMPORTANT, limit=max(limit // MORE, 1))
    scopes = where.scopes or (where.subject,)
    layers: dict[Scope | None, list[Record]] = {scope: [] for scope in scopes}
    for record in {record.id: record for record in found}.values():
        layers[record.scope if where.scopes else where.subject].append(record)
    return [_index(records, now) for records in layers.values()]


def _index(records: Iterable[Record], now: datetime) -> Memories:
    entries = [entry for record in records if (entry := entry_of(record, now)) is not None]
    return indexed(sorted(entries, key=lambda entry: (entry.thread, entry.place)))


async def unshadowed(store: Reading, visible: Where, found: Sequence[Record]) -> list[Record]:
    """Those of `found` whose key no more specific scope holds, be that fact found or not."""
    above = {record.id: _ids_above(record, visible.scopes) for record in found} if visible.kind == "fact" else {}
    ids = {over for overs in above.values() for over in overs}
    if not ids:
        return list(found)
    held = {record.id for record in await store.scan(replace(visible, ids=tuple(sorted(ids))))}
    return [record for record in found if held.isdisjoint(above[record.id])]


def items_of(
    reads: Reading, found: Sequence[Found], scopes: Sequence[Scope], now: datetime, session: Scope | None
) -> list[Item]:
    """What was found as ranking sees it; what was said in the present session is layer 0."""
    layers = {scope: layer for layer, scope in enumerate(scopes)}
    items = []
    for each in found:
        seen, record = reads.seen(each.record), each.record
        layer = layers[record.scope] if record.kind == "fact" else int(record.scope != session)
        items.append(_item(seen, each, layer, now))
    return items


def _item(seen: Seen, found: Found, layer: int, now: datetime) -> Item:
    content, record = seen.content, found.record
    told: dict[str, Any] = {"layer": layer, "signals": found.signals, "wording": seen.wording}
    if isinstance(content, Fact):
        told |= {"importance": content.importance, "confidence": content.confidence}
        return Item(content, record.terms, content.told_at, **told)
    if isinstance(content, Message):
        told |= {"thread": record.scope, "number": record.fields["number"]}
    return Item(content, record.terms, content.created_at or now, **told)


def _open_at(end: str, now: datetime) -> Condition:
    return AnyOf(Compare(end, "exists", False), Compare(end, "gt", now))


def _ids_above(record: Record, scopes: Sequence[Scope]) -> list[str]:
    """The ids that the key of `record` would have in the scopes before its own."""
    closer = scopes[: scopes.index(record.scope)]
    return [fact_id(scope, record.fields["namespace"], record.fields["key"]) for scope in closer]
