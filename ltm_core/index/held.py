"""The indexes of the scopes used last: brought up to date before each use, given up when they take too much room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any
from weakref import WeakValueDictionary

from ..scope import Scope
from ..stores.base import All, AnyOf, Compare, Order, Record, Store, Where, place
from .contents import Contents, Kept
from .embedded import Embedded
from .entries import entry_of
from .memories import Memories

MOST_BYTES = 256 * 2**20
# Beyond this a scope is not held: the database's own indexes give the candidates. Some 50 ms for a recall, measured.
MOST_ROWS = 200_000
MOST_ROWS_PLAINLY = 50_000  # without numpy
# How far the clocks of those who write may be apart, and how long a write may take from its time to its commit.
SLACK = timedelta(seconds=5)
PAGE = 5_000
FEW = 200  # vectors that are asked for by name

_IN_ORDER: dict[str, Order] = {"fact": (("created_at", "asc"),), "message": (("number", "asc"),)}

# Which kinds of record tell an index what has changed.
_MADE_OF: Mapping[str, Sequence[str]] = {"fact": ("fact",), "message": ("message", "session")}
NO_STAMPS: Mapping[str, Hashable] = {}

Wall = tuple[str, str, str]  # kind, token of the scope or subject, namespace


@dataclass(slots=True)
class Held:
    """One index, and up to when it is known to be true."""

    where: Where
    memories: Memories
    seen_at: datetime
    stamp: Hashable | None = None  # of the store, before it was last looked into
    is_new: bool = True
    vectors_at: datetime | None = None
    numbers: dict[str, int] = field(default_factory=dict)  # the last message of each conversation


class Indexes:
    """Indexes by wall. All recalls of a process share them; nothing in one comes from behind another wall.

    An index only proposes. Whoever recalls reads what was proposed from the database, under the wall and with every
    condition; so whatever was deleted, archived, ended, moved or erased a moment ago is not recalled, be an index as
    old as it may. Where the stamp of the store says that nobody has written, an index is as young as it can be. Else
    two short queries bring it up to date:

    - facts: those changed since the last look (by `updated_at`, with slack for clocks and commits), and how many;
    - messages: conversations that went on or were edited since (by their heads), what is new or edited in them, and how
      many there are.

    Where the count does not agree (something was removed for good, or moved in from elsewhere), the index is made anew.
    A change that leaves the count as it was and bears an older time than it should ranks by its old words until then.
    """

    def __init__(
        self,
        store: Store,
        vectors: Embedded | None = None,
        *,
        most_bytes: int = MOST_BYTES,
        most_rows: int | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._store = store
        self._vectors = vectors
        self._contents = contents
        self._most_bytes = most_bytes
        if most_rows is None:
            most_rows = MOST_ROWS if find_spec("numpy") else MOST_ROWS_PLAINLY
        self._most_rows = most_rows
        self._held: OrderedDict[Wall, Held] = OrderedDict()
        self._locks: WeakValueDictionary[Wall, asyncio.Lock] = WeakValueDictionary()
        self.reads = 0  # records read to make or renew an index

    def forget(self) -> None:
        """In a forked child: what is locked is locked in the parent."""
        self._locks = WeakValueDictionary()

    async def facts(
        self, scopes: Sequence[Scope], namespace: str, now: datetime, stamps: Mapping[str, Hashable] = NO_STAMPS
    ) -> list[Memories] | None:
        """The facts of each scope; None where they are too many to be held.

        `stamps` are those of the store, taken before.
        """
        wheres = [facts_in(scope, namespace) for scope in scopes]
        found = [self._held.get(_wall(where)) for where in wheres]
        known = [held for held in found if held is not None]
        if not await self._agrees(known, stamps, now, lambda: self._facts_changed(known, now)):
            for held in known:
                self._held.pop(_wall(held.where), None)
        return await self._all(wheres, now, stamps)

    async def messages(
        self, subject: Scope, now: datetime, stamps: Mapping[str, Hashable] = NO_STAMPS
    ) -> list[Memories] | None:
        """The messages of a subject; None where they are too many to be held. `stamps` as in `facts`."""
        where = messages_of(subject)
        held = self._held.get(_wall(where))
        if held and not await self._agrees([held], stamps, now, lambda: self._messages_changed(held, now)):
            self._held.pop(_wall(where), None)
        return await self._all([where], now, stamps)

    async def _agrees(
        self,
        known: Sequence[Held],
        stamps: Mapping[str, Hashable],
        now: datetime,
        changed: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Whether indexes and database agree; asked again where somebody wrote in between."""
        if _is_quiet(known, stamps, now):
            return True
        if not (await changed() or await changed()):
            return False
        for held in known:
            held.stamp = _stamp(held.where, stamps)
        return True

    async def _all(
        self, wheres: Sequence[Where], now: datetime, stamps: Mapping[str, Hashable]
    ) -> list[Memories] | None:
        found = []
        for where in wheres:
            held = self._held.get(_wall(where)) or await self._load(where, now, stamps)
            if held is None:
                return None
            if self._held.setdefault(_wall(where), held) is held:
                self._held.move_to_end(_wall(where))
            found.append(held)
            if self._vectors is not None and held.memories.bare:
                await self._find_vectors(self._vectors, held, now)
        if any(held.is_new for held in found):
            self._make_room(len(wheres))
        return [held.memories for held in found]

    async def _load(self, where: Where, now: datetime, stamps: Mapping[str, Hashable]) -> Held | None:
        async with self._locks.setdefault(_wall(where), asyncio.Lock()):
            held = self._held.get(_wall(where))
            if held is not None:
                return held
            if await self._store.count(where) > self._most_rows:
                return None
            held = Held(where, Memories(), now, _stamp(where, stamps))
            async for record in self._every(where, _IN_ORDER[where.kind]):
                self._take(held, record, now)
                if self._contents is not None and record.kind in stamps:
                    self._contents.keep((record.kind, record.id), Kept(record, stamps[record.kind]))
            return held

    async def _every(self, where: Where, order: Order = ()) -> AsyncIterator[Record]:
        """All records, a few thousand in memory at a time."""
        after: tuple[Any, ...] | None = None
        while True:
            page = await self._store.scan(where, order=order, limit=PAGE, after=after)
            for record in page:
                yield record
            if len(page) < PAGE:
                return
            after = place(page[-1], order)

    async def _facts_changed(self, known: Sequence[Held], now: datetime) -> bool:
        """Take in what has changed; False where something is amiss."""
        since = min(held.seen_at for held in known) - SLACK
        scopes = tuple(held.where.scopes[0] for held in known)
        every = Where("fact", scopes, test=known[0].where.test)
        owners = {held.where.scopes[0]: held for held in known}
        changed = every.also(Compare("updated_at", "gte", since))
        records, count = await asyncio.gather(self._store.scan(changed), self._store.count(every))
        for record in records:
            self._take(owners[record.scope], record, now)
        if count != sum(held.memories.known for held in known):
            return False
        for held in known:
            held.seen_at = now
        return not any(held.memories.is_worn for held in known)

    async def _messages_changed(self, held: Held, now: datetime) -> bool:
        """Take in what is new; False where something is amiss."""
        since = held.seen_at - SLACK
        heads = Where("session", subject=held.where.subject, test=Compare("updated_at", "gte", since))
        for head in await self._store.scan(heads):
            for record in await self._store.scan(_changed(held, head, since), order=[("number", "asc")]):
                self._take(held, record, now)
        if await self._store.count(held.where) != held.memories.known:
            return False
        held.seen_at = now
        return not held.memories.is_worn

    async def _find_vectors(self, vectors: Embedded, held: Held, now: datetime) -> None:
        """Take in the vectors that were made since, and have made those that are missing."""
        test = [Compare("space", "eq", vectors.embedder.space)]
        if len(held.memories.bare) <= FEW:
            test.append(Compare("target", "in", tuple(held.memories.bare)))
        elif held.vectors_at is not None:
            test.append(Compare("created_at", "gte", held.vectors_at - SLACK))
        async for record in self._every(Where("vector", held.where.scopes, held.where.subject, All(*test))):
            fields = record.fields
            held.memories.put_vector(fields["target"], fields.get("content", ""), fields["embedding"])
        held.vectors_at = now
        vectors.want(replace(held.where, test=All()), tuple(held.memories.bare))

    def _take(self, held: Held, record: Record, now: datetime) -> None:
        self.reads += 1
        held.memories.put(record.id, entry_of(record, now))
        if record.kind == "message":
            thread = record.scope.token
            held.numbers[thread] = max(held.numbers.get(thread, 0), record.fields["number"])

    def _make_room(self, used: int) -> None:
        total = 0
        for held in self._held.values():
            held.is_new = False
            total += held.memories.weight
        while total > self._most_bytes and len(self._held) > used:
            _, held = self._held.popitem(last=False)
            total -= held.memories.weight


def _stamp(where: Where, stamps: Mapping[str, Hashable]) -> Hashable | None:
    """Of all that an index is made of; None where the store cannot tell."""
    kinds = _MADE_OF[where.kind]
    return tuple(stamps[kind] for kind in kinds) if all(kind in stamps for kind in kinds) else None


def _is_quiet(known: Sequence[Held], stamps: Mapping[str, Hashable], now: datetime) -> bool:
    """Whether nobody has written since these were looked at; then they hold `now` too."""
    if any(held.stamp is None or held.stamp != _stamp(held.where, stamps) for held in known):
        return False
    for held in known:
        held.seen_at = now
    return True


def facts_in(scope: Scope, namespace: str) -> Where:
    """All facts of a namespace of a scope, whatever has become of them."""
    return Where("fact", (scope,), test=Compare("namespace", "eq", namespace))


def messages_of(subject: Scope) -> Where:
    """All messages of a subject, whatever has become of them."""
    return Where("message", subject=subject)


def _changed(held: Held, head: Record, since: datetime) -> Where:
    """What is new in a conversation, and what was edited."""
    is_new = Compare("number", "gt", held.numbers.get(head.scope.token, 0))
    if not head.fields.get("revision"):
        return Where("message", (head.scope,), held.where.subject, is_new)
    is_edited = Compare("edited_at", "gte", since.isoformat())
    return Where("message", (head.scope,), held.where.subject, AnyOf(is_new, is_edited))


def _wall(where: Where) -> Wall:
    if where.subject is not None:
        return where.kind, where.subject.token, ""
    assert isinstance(where.test, Compare)
    return where.kind, where.scopes[0].token, where.test.value
