"""The Redis store: its verbs, on one server or a cluster."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError, SchemaError
from ...scope import Scope
from ..again import again
from ..base import All, Due, Near, Order, Put, Record, Store, Where, Write
from ..everybody import everybody
from ..kinds import KINDS
from ..pages import page
from ..sql.nearest import Matrices
from ..tags import tags_of
from .batches import Batches
from .content import record_of
from .layout import INDEXES, WHOLE, Keys, claim, narrowed, ranged, score, tag, time_of
from .server import Server
from .steps import Note, Place, notes_for, place_of, planned, removal

if TYPE_CHECKING:
    from .server import Client

log = logging.getLogger("ltm_core")

SCHEMA = 3  # 2: facts by their tags; 3: every batch stamps its subjects
TAGS = 2
MOST_STAMPS = 16  # more are not worth their calls
AT_ONCE = 500
LATELY = 60  # seconds for which a write that was announced may still be under way
Found = dict[bytes, bytes]


class RedisStore(Store):
    """Records in Redis 7 or newer, or in Valkey, on one server or a cluster. No module is needed.

    A write is durable on return as far as the server is: with `appendonly yes` and `appendfsync always` at once, with
    `everysec` up to a second later. Any number of processes may use one database.

    Args:
        url: `redis://`, `rediss://`, `valkey://`, `unix://`, or `redis+cluster://`; or a client of `redis.asyncio`,
            which is never closed. A node of a cluster is recognised by itself.
        prefix: What all keys begin with. Memories of different prefixes do not see each other.
    """

    def __init__(self, url: str | Client, *, prefix: str = "ltm") -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.:-]+", prefix):
            raise ConfigurationError(f"{prefix!r} cannot begin a key. Use letters, digits, and any of . _ : - in it.")
        self._server = Server(url)
        self._keys = Keys(prefix)
        self._batches = Batches(self._server, self._keys)
        self._matrices = Matrices()
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and check the schema."""
        async with self._opening:
            if not await self._server.connect():
                return
            try:
                await self._check_schema()
                await self._warn_if_forgetful()
                await self._batches.finish_left()
            except BaseException:
                await self._server.close()
                raise

    async def close(self) -> None:
        """Close the connections, unless the client was handed in."""
        await self._server.close()

    def forget_connections(self) -> None:
        """Drop the connections of the parent process, unclosed."""
        self._server.forget()
        self._opening = asyncio.Lock()

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none."""
        if not writes:
            return
        claims = await self._announce(notes_for(self._keys, writes))
        known = {place_of(write): _split(found) for write, found in zip(writes, claims, strict=True)}
        steps = planned(writes, await self._places(known))
        if steps:
            await self._batches.do(steps)

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        if limit is not None and after is None and self._is_indexed(where, order):
            return await self._walk(where, order, limit)
        return page(await self._all(where), order, limit, after)

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        if where.test != All() or where.ids is not None or (where.scopes and where.subject is not None):
            return len(await self._all(where))
        sources = await self._sources(where)
        return sum(await asyncio.gather(*(self._size(where.kind, *source) for source in sources)))

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits."""
        gone = 0
        async for attempt in again():
            with attempt:
                for some in _by_subject(await self._all(where)):
                    await self._batches.do([removal(record) for record in some])
                    gone += len(some)
        return gone

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """Records whose due time has come, the earliest first."""
        if KINDS[kind].due is None:
            return []
        until, found = score(before), list[tuple[float, str, str]]()
        subjects = await self._server.do("ZRANGEBYSCORE", self._keys.due_subjects(kind), "-inf", until)
        for some in _chunks([token.decode() for token in subjects], AT_ONCE):
            for earliest in await asyncio.gather(*(self._due_of(one, kind, until, limit) for one in some)):
                found += earliest
        ready = sorted(found)[:limit]
        whose = await self._names({subject for _, _, subject in ready})
        return [Due(kind, one, whose[subject], time_of(at)) for at, one, subject in ready if subject in whose]

    async def subjects(self, after: Scope | None = None, limit: int = 100) -> list[Scope]:
        """Who has any record here, by token."""
        found, start = list[Scope](), f"({after.token}" if after is not None else "-"
        while len(found) < limit:
            tokens = await self._server.do(
                "ZRANGEBYLEX", self._keys.subjects, start, "+", "LIMIT", 0, max(limit - len(found), 16)
            )
            if not tokens:
                break
            known = await self._names({token.decode() for token in tokens})
            found += [known[token] for token in sorted(known)]
            start = f"({tokens[-1].decode()}"
        return found[:limit]

    async def whose(self, kind: str, record_id: str) -> Scope | None:
        """Whom the record of this id is about, by what was noted of where it lies."""
        note = ("claim", self._keys.claims(kind, record_id), claim(kind, record_id), "")
        [known] = await self._announce([note])
        there = [subject for subject in _split(known) if await self._is_there((kind, record_id), subject)]
        return next(iter((await self._names(there[:1])).values()), None)

    async def search_text(self, where: Where, terms: Sequence[str], limit: int) -> list[Record]:
        """At most `limit` records that `where` admits and that share a term, those with most of the terms first."""
        wanted = sorted(set(terms))
        if not wanted or not KINDS[where.kind].words:
            return []
        if where.ids is not None or (where.subject is not None and not INDEXES[where.kind].by_subject):
            return await super().search_text(where, wanted, limit)
        found = list[Record]()
        for source in await self._sources(where):
            async for record in self._worded(where, source, wanted, limit):
                found.append(record)
        found.sort(key=lambda record: (-len(set(wanted).intersection(record.terms)), record.id))
        return found[:limit]

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first."""
        matrix = await self._matrices.of(self, where, space)
        return await matrix.nearest(self, where, vector, limit)

    async def stamps(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> Mapping[str, Hashable]:
        """The last batches that changed anything of the subjects among which these owners have records, of any kind."""
        sources = await self._sources(Where("fact", tuple(scopes))) if scopes else []
        subjects = sorted({subject for subject, _ in sources})
        if len(subjects) > MOST_STAMPS:
            return {}
        changed = (self._server.do("HGET", self._keys.about(subject), "changed") for subject in subjects)
        return dict.fromkeys(kinds, (*subjects, *await asyncio.gather(*changed)))

    async def vector_stamp(self, where: Where) -> tuple[Any, ...]:
        """What changes whenever the vectors that `where` admits do."""
        subjects = sorted({subject for subject, _ in await self._sources(where)})
        stamps = (self._server.do("HGET", self._keys.about(subject), "vectors") for subject in subjects)
        return (*subjects, *await asyncio.gather(*stamps))

    async def packed_vectors(self, where: Where) -> Sequence[Sequence[Any]]:
        """Targets and packed floats of the vectors that `where` admits."""
        return [(record.fields["target"], record.fields["embedding"]) for record in await self._all(where)]

    # Writing

    async def _announce(self, notes: Sequence[Note]) -> list[bytes]:
        """Note where records will lie; gives the claims in order."""
        groups = defaultdict[str, list[int]](list)
        for number, note in enumerate(notes):
            groups[tag(note[1]) if self._server.is_cluster else ""].append(number)
        claims = dict[int, bytes]()
        for numbers, replies in await asyncio.gather(*(self._note(notes, group) for group in groups.values())):
            claims.update(zip(numbers, replies, strict=True))
        return [claims[number] for number in sorted(claims)]

    async def _note(self, notes: Sequence[Note], group: Sequence[int]) -> tuple[list[int], list[bytes]]:
        keys = sorted({notes[number][1] for number in group})
        arguments = [part for number in group for part in notes[number]]
        replies = await self._server.run("announce", keys, arguments)
        return [number for number in group if notes[number][0] == "claim"], replies

    async def _places(self, known: Mapping[Place, Sequence[str]]) -> dict[Place, str]:
        """The subjects where the records lie, as far as they are there, or may be where only one is known."""
        unsure = [(place, subject) for place, subjects in known.items() if len(subjects) > 1 for subject in subjects]
        there = await asyncio.gather(*(self._is_there(*one) for one in unsure))
        sure = {place: subjects[0] for place, subjects in known.items() if len(subjects) == 1}
        return sure | {place: subject for (place, subject), is_there in zip(unsure, there, strict=True) if is_there}

    async def _is_there(self, place: Place, subject: str) -> bool:
        return bool(await self._server.do("HEXISTS", self._keys.records(subject, place[0]), place[1]))

    # Reading

    async def _sources(self, where: Where) -> list[tuple[str, str]]:
        """The subjects to look into, each with the wall to look behind."""
        if where.subject is not None:
            walls = [scope.token for scope in dict.fromkeys(where.scopes)] or [WHOLE]
            return [(where.subject.token, wall) for wall in walls]
        owners = [scope.token for scope in dict.fromkeys(where.scopes)]
        elsewhere = await asyncio.gather(*(self._server.do("SMEMBERS", self._keys.inside(owner)) for owner in owners))
        return [
            (subject, owner)
            for owner, others in zip(owners, elsewhere, strict=True)
            for subject in (owner, *(other.decode() for other in others))
        ]

    async def _all(self, where: Where) -> list[Record]:
        if where.ids is not None:
            return await self._by_ids(where)
        equal = narrowed(where.kind, where.test)
        reads = [self._of(where, source, equal) for source in await self._sources(where)]
        return _admitted(where, await asyncio.gather(*reads))

    async def _by_ids(self, where: Where) -> list[Record]:
        ids = list(dict.fromkeys(where.ids or ()))
        if where.subject is not None:
            places = {where.subject.token: ids}
        else:
            places = await self._places_of(where, ids)
        reads = [
            self._read(where.kind, subject, [], "ids", *some)
            for subject, here in places.items()
            for some in _chunks(here, AT_ONCE)
        ]
        return _admitted(where, await asyncio.gather(*reads))

    async def _places_of(self, where: Where, ids: Sequence[str]) -> dict[str, list[str]]:
        """Where the records of these ids may lie."""
        notes = [("claim", self._keys.claims(where.kind, one), claim(where.kind, one), "") for one in ids]
        places = defaultdict[str, list[str]](list)
        for one, found in zip(ids, await self._announce(notes) if notes else [], strict=True):
            for subject in _split(found):
                places[subject].append(one)
        return places

    async def _of(self, where: Where, source: tuple[str, str], equal: frozenset[tuple[str, str]] | None) -> Found:
        subject, wall = source
        kind, index = where.kind, INDEXES[where.kind]
        if wall == WHOLE and not index.by_subject:
            return await self._read(kind, subject, [], "all")
        among = ranged(kind, where.test) if equal is None else None
        if among is not None:
            key = self._keys.ordered(subject, kind, among.column, wall)
            return await self._read(kind, subject, [key], "scores", among.least, among.most)
        if equal is None:
            return await self._read(
                kind, subject, [self._keys.ordered(subject, kind, index.order[0], wall)], "range", "asc", 0, -1
            )
        valued = [self._keys.valued(subject, kind, column, value, wall) for column, value in sorted(equal)]
        return await self._read(kind, subject, valued, "words", 0, 2**31) if valued else {}

    async def _read(self, kind: str, subject: str, keys: Sequence[str], *arguments: str | int) -> Found:
        flat = await self._server.run("read", [self._keys.records(subject, kind), *keys], arguments)
        return {one: content for one, content in zip(flat[::2], flat[1::2], strict=True) if content}

    async def _size(self, kind: str, subject: str, wall: str) -> int:
        index = INDEXES[kind]
        if wall == WHOLE:
            return int(await self._server.do("HLEN", self._keys.records(subject, kind)))
        return int(await self._server.do("ZCARD", self._keys.ordered(subject, kind, index.order[0], wall)))

    def _is_indexed(self, where: Where, order: Order) -> bool:
        index = INDEXES[where.kind]
        ordered = bool(order) and order[0][0] in index.order
        behind = bool(where.scopes) or index.by_subject
        return ordered and behind and where.ids is None and narrowed(where.kind, where.test) is None

    async def _walk(self, where: Where, order: Order, limit: int) -> list[Record]:
        """The first `limit`, read along an index."""
        walks = [self._first(where, source, order, limit) for source in await self._sources(where)]
        found = [record for records in await asyncio.gather(*walks) for record in records]
        return page(found, order, limit, None)

    async def _first(self, where: Where, source: tuple[str, str], order: Order, limit: int) -> list[Record]:
        """At least the first `limit` of one source, with all that tie with the last."""
        subject, wall = source
        column, direction = order[0]
        key, size = self._keys.ordered(subject, where.kind, column, wall), max(limit + 1, 16)
        while True:
            found = await self._read(where.kind, subject, [key], "range", direction, 0, size)
            records = [record_of(where.kind, *pair) for pair in found.items()]
            admitted = [record for record in records if where.admits(record)]
            if len(records) < size or _is_enough(records, admitted, order, limit):
                return admitted
            size *= 4

    async def _worded(
        self, where: Where, source: tuple[str, str], terms: Sequence[str], limit: int
    ) -> AsyncIterator[Record]:
        """At most `limit` of one source that have a term, those with most first."""
        subject, wall = source
        keys = [self._keys.worded(subject, where.kind, term, wall) for term in terms]
        wanted, left, start, size = set(terms), limit, 0, max(limit, 16)
        while left > 0:
            found = await self._read(where.kind, subject, keys, "words", start, size)
            for record in _admitted(where, [found]):
                if left and wanted.intersection(record.terms):
                    left -= 1
                    yield record
            start += size
            if len(found) < size:
                break

    # For workers

    async def _due_of(self, subject: str, kind: str, until: str, limit: int) -> list[tuple[float, str, str]]:
        key = self._keys.due(subject, kind)
        ready = await self._server.do("ZRANGEBYSCORE", key, "-inf", until, "WITHSCORES", "LIMIT", 0, limit)
        pairs = _pairs(ready)
        if not pairs:
            await self._settle(subject, kind)
        return [(at, one, subject) for one, at in pairs]

    async def _settle(self, subject: str, kind: str) -> None:
        """Correct what is noted of a subject that has nothing due yet."""
        earliest = _pairs(await self._server.do("ZRANGE", self._keys.due(subject, kind), 0, 0, "WITHSCORES"))
        at = repr(earliest[0][1]) if earliest else ""
        subjects = self._keys.due_subjects(kind)
        await self._server.run("settle", [subjects, f"{subjects}:announced"], [subject, at, LATELY])

    async def _names(self, subjects: Iterable[str]) -> dict[str, Scope]:
        tokens = sorted(subjects)
        found = await asyncio.gather(*(self._server.do("HGET", self._keys.about(one), "names") for one in tokens))
        return {token: Scope(*json.loads(told)) for token, told in zip(tokens, found, strict=True) if told}

    # Opening

    async def _check_schema(self) -> None:
        await self._server.do("SET", self._keys.schema, SCHEMA, "NX")
        stored = int(await self._server.do("GET", self._keys.schema))
        if stored > SCHEMA:
            raise SchemaError(
                f"Redis holds records of layout {stored}, this version of ltm-core knows {SCHEMA}. Upgrade ltm-core, "
                "or give another prefix."
            )
        if stored < TAGS:
            await self._fill_tags()
        if stored < SCHEMA:
            await self._server.do("SET", self._keys.schema, SCHEMA)

    async def _fill_tags(self) -> None:
        """Write the tags of facts that an earlier version wrote; twice is harmless."""
        async for subject in everybody(self):
            for some in _by_subject(await self._all(Where("fact", subject=subject))):
                made = [Put(tag) for one in some for tag in tags_of(one)]
                await self.apply(made)

    async def _warn_if_forgetful(self) -> None:
        if not await self._server.is_persistent():
            log.warning(
                "Redis keeps no append-only file: what was acknowledged can be lost when it stops. "
                "Set appendonly yes, and appendfsync always or everysec."
            )


def _split(subjects: bytes) -> list[str]:
    text = subjects.decode()
    return [text[start : start + 32] for start in range(0, len(text), 32)]


def _chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _pairs(reply: Sequence[Any]) -> list[tuple[str, float]]:
    """Members and scores, from a flat list or from one of pairs."""
    flat = [part for pair in reply for part in pair] if reply and isinstance(reply[0], list | tuple) else reply
    return [(one.decode(), float(at)) for one, at in zip(flat[::2], flat[1::2], strict=True)]


def _admitted(where: Where, found: Iterable[Found]) -> list[Record]:
    records = {one: record_of(where.kind, one, content) for some in found for one, content in some.items()}
    return [record for record in records.values() if where.admits(record)]


def _by_subject(records: Iterable[Record]) -> Iterable[Sequence[Record]]:
    whose = defaultdict[str, list[Record]](list)
    for record in records:
        whose[record.subject.token].append(record)
    return (some[start : start + AT_ONCE] for some in whose.values() for start in range(0, len(some), AT_ONCE))


def _is_enough(records: Sequence[Record], admitted: Sequence[Record], order: Order, limit: int) -> bool:
    """Whether nothing behind the last of `records` can come before the last that is wanted."""
    if limit == 0 or len(admitted) < limit:
        return limit == 0
    column, direction = order[0]
    last, wanted = records[-1].get(column), admitted[limit - 1].get(column)
    if last == wanted:
        # An index gives ties by id, in the direction for which it is made.
        return len(order) == 1 and direction == "desc"
    return score(last) != score(wanted)
