"""A store with a cache in front: what was found is kept until somebody writes to its owner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

from ...scope import Scope, digest
from ..base import All, AnyOf, Compare, Condition, Delete, Near, Order, Put, Record, Store, Where, Write
from ..portable import from_json, to_json
from .base import Wrapper
from .stamps import Stamps

R = TypeVar("R")

KINDS_KEPT = frozenset({"fact", "message", "session"})
KINDS_UNSEEN = frozenset({"access", "usage"})  # written after nearly each recall, and told by no answer that is kept
MAX_AGE = timedelta(seconds=10)
MOST_RECORDS = 1000  # in one answer; more are not worth their place


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a kind of result is written as JSON, read back, and which records are in it."""

    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]
    records: Callable[[Any], Sequence[Record]]


class Cached(Wrapper):
    """Answers from Redis what was asked before, as long as nobody wrote to any of the owners that were asked about.

    Facts, messages and session heads are kept, for questions that name owners. Each answer is stored with the stamps
    that its owners had *before* the database was asked, and each write gives its owners new stamps, so whoever writes
    through a cache of the same `name` is never shown what was there before. Conflicts give new stamps too: whoever
    reads again after a `ConflictError` reads from the database.

    What is written past the cache, or by a process that dies between its commit and the new stamps, shows after
    `max_age` at the latest. A cache that cannot be reached costs a call at most `patience`, once in a while, and is
    counted in `stamps.counts`; the answer then comes from the database.

    Args:
        inner: The store in which the records are.
        url: Redis, such as `redis://localhost:6379/0` (extra `redis`).
        name: Names the database. All processes that use it say the same name, and no other database has it.
        max_age: How old an answer may become, by `clock`.
        patience: Seconds to wait for Redis.
    """

    def __init__(
        self,
        inner: Store,
        url: str,
        *,
        name: str,
        max_age: timedelta = MAX_AGE,
        patience: float = 0.25,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(inner)
        self.redis = Stamps(url, name=name, keep=max_age, patience=patience)
        self._max_age = max_age
        self._clock = clock
        self._under_way: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for writes under way, and close the wrapped store and the connection to Redis."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self.inner.close()
        await self.redis.close()

    def forget_connections(self) -> None:
        """Drop what belongs to the parent process, unclosed."""
        self.inner.forget_connections()
        self.redis.forget()
        self._under_way = set()

    # Writing

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none."""
        owners = {place.scope.token for place in map(_place, writes) if place.kind not in KINDS_UNSEEN}
        await self._restamped(owners, lambda: self.inner.apply(writes))

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits."""
        if where.kind in KINDS_UNSEEN:
            return await self.inner.purge(where)
        owners = {scope.token for scope in where.scopes}  # by subject alone: nobody knows whose, so everybody's
        return await self._restamped(owners or None, lambda: self.inner.purge(where))

    async def _restamped(self, owners: set[str] | None, write: Callable[[], Awaitable[R]]) -> R:
        """Do `write`, and give its owners new stamps before anybody hears of it, whatever came of it.

        A caller who is cancelled leaves both going: the write may be done later, and the stamps must follow it.
        """

        async def both() -> R:
            try:
                return await write()
            finally:
                await self.redis.renew(owners)

        task = asyncio.create_task(both())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    # Reading

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        ask = partial(self.inner.scan, where, order=order, limit=limit, after=after)
        return await self._kept(where, ("scan", tuple(order), limit, after), _RECORDS, ask)

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        return await self._kept(where, ("count",), _NUMBER, partial(self.inner.count, where))

    async def search_text(self, where: Where, terms: Sequence[str], limit: int) -> list[Record]:
        """At most `limit` records that `where` admits and that share a term with `terms`."""
        ask = partial(self.inner.search_text, where, terms, limit)
        return await self._kept(where, ("search_text", tuple(terms), limit), _RECORDS, ask)

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first."""
        ask = partial(self.inner.search_vector, where, space, vector, limit)
        return await self._kept(where, ("search_vector", space, vector, limit), _NEAR, ask)

    async def stamps(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> Mapping[str, Hashable]:
        """None: what the database says is new may not show here yet."""
        return {}

    async def _kept(self, where: Where, how: tuple[Any, ...], shape: _Shape, ask: Callable[[], Awaitable[R]]) -> R:
        """What `ask` answers, from the cache if it is there."""
        if where.kind not in KINDS_KEPT or not where.scopes:
            return await ask()
        question = _asked(where, how, self._clock(), exact=shape is _NUMBER)
        found = await self.redis.look(question.key, [scope.token for scope in where.scopes])
        if found is None:
            return await ask()
        if found.answer is not None:
            known = _read(found.answer, found.stamps, question, shape, self._max_age)
            if known is not None:
                self.redis.counts.hits += 1
                return cast("R", known[0])
        self.redis.counts.misses += 1
        answer = await ask()
        written = _written(answer, found.stamps, question, shape)
        if written is not None:
            await self.redis.keep(question.key, written)
        return answer


def _place(write: Write) -> Record | Delete:
    return write.record if isinstance(write, Put) else write


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: its key in the cache, when it was asked, and the times that its key leaves out."""

    key: str
    where: Where
    now: datetime
    times: list[datetime]


def _asked(where: Where, how: tuple[Any, ...], now: datetime, *, exact: bool) -> _Asked:
    """The question whose key leaves out the times that something must be later than.

    Nearly every question asks what holds at this microsecond, and no two were alike. As such a time moves on, records
    only leave the answer; so an answer stays right as long as all that is in it is still admitted. Where records are
    only counted that cannot be seen, and the key has the times too.
    """
    times: list[datetime] = []
    test = where.test if exact else _timeless(where.test, times)
    return _Asked(digest(repr(replace(where, test=test)), repr(how)), where, now, times)


def _timeless(condition: Condition, times: list[datetime]) -> Condition:
    if isinstance(condition, All):
        return All(*(_timeless(inner, times) for inner in condition.conditions))
    if isinstance(condition, AnyOf):
        return AnyOf(*(_timeless(inner, times) for inner in condition.conditions))
    if isinstance(condition, Compare) and condition.operator in ("gt", "gte") and isinstance(condition.value, datetime):
        times.append(condition.value)
        return replace(condition, value=None)
    return condition


def _written(answer: Any, stamps: list[str], asked: _Asked, shape: _Shape) -> bytes | None:
    """An answer as it is stored, with all that must still hold when it is used; None for what is not stored."""
    if len(shape.records(answer)) > MOST_RECORDS:
        return None
    try:
        times = [time.isoformat() for time in asked.times]
        kept = {"stamps": stamps, "at": asked.now.isoformat(), "times": times, "answer": shape.to_json(answer)}
        return json.dumps(kept, allow_nan=False).encode()
    except (TypeError, ValueError, AttributeError):
        return None


def _read(stored: bytes, stamps: list[str], asked: _Asked, shape: _Shape, max_age: timedelta) -> tuple[Any] | None:
    """The answer, in a tuple, if it is still right."""
    kept = json.loads(stored)
    if kept["stamps"] != stamps or abs(asked.now - datetime.fromisoformat(kept["at"])) > max_age:
        return None
    times = [datetime.fromisoformat(time) for time in kept["times"]]
    if len(times) != len(asked.times) or any(now < then for now, then in zip(asked.times, times, strict=True)):
        return None
    answer = shape.from_json(kept["answer"])
    return (answer,) if all(map(asked.where.admits, shape.records(answer))) else None


_RECORDS = _Shape(
    to_json=lambda found: [to_json(record) for record in found],
    from_json=lambda kept: [from_json(record) for record in kept],
    records=lambda found: found,
)
_NEAR = _Shape(
    to_json=lambda found: [[to_json(near.record), near.cosine] for near in found],
    from_json=lambda kept: [Near(from_json(record), cosine) for record, cosine in kept],
    records=lambda found: [near.record for near in found],
)
_NUMBER = _Shape(to_json=int, from_json=int, records=lambda _: ())
