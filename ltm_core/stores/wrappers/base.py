"""A store around a store that changes nothing: what every wrapper begins with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from ...scope import Scope
from ..base import Direction, Due, Near, Order, Put, Reached, Record, Scan, Store, Where, Write

R = TypeVar("R")


class Wrapper(Store):
    """Passes every verb on to `inner`. Subclasses override a verb, or `_through`, which all of them go through."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def in_memory(self) -> bool:
        """Whether the records end with `close`, as far as the wrapped store says so."""
        return bool(getattr(self.inner, "in_memory", False))

    async def _through(self, verb: str, kind: str | None, call: Callable[[], Awaitable[R]]) -> R:
        """Do `call`, a `verb` on records of `kind` (None for several kinds or none)."""
        return await call()

    async def open(self) -> None:
        """Open the wrapped store."""
        await self._through("open", None, self.inner.open)

    async def close(self) -> None:
        """Close the wrapped store."""
        await self._through("close", None, self.inner.close)

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none."""
        await self._through("apply", kind_of(writes), lambda: self.inner.apply(writes))

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        return await self._through(
            "scan", where.kind, lambda: self.inner.scan(where, order=order, limit=limit, after=after)
        )

    async def scans(self, asked: Sequence[Scan]) -> list[list[Record]]:
        """Several scans at once, in this order."""
        return await self._through("scans", None, lambda: self.inner.scans(asked))

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        return await self._through("count", where.kind, lambda: self.inner.count(where))

    async def stamps(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> Mapping[str, Hashable]:
        """For each of `kinds`, what stays equal only while nobody writes to these owners or about these subjects."""
        return await self._through("stamps", None, lambda: self.inner.stamps(scopes, kinds))

    async def tally(self, where: Where, by: str) -> dict[Any, int]:
        """How many records `where` admits for each value of the column `by`."""
        return await self._through("tally", where.kind, lambda: self.inner.tally(where, by))

    async def search_text(self, where: Where, terms: Sequence[str], limit: int) -> list[Record]:
        """At most `limit` records that `where` admits and that share a term with `terms`."""
        return await self._through("search_text", where.kind, lambda: self.inner.search_text(where, terms, limit))

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first."""
        return await self._through(
            "search_vector", where.kind, lambda: self.inner.search_vector(where, space, vector, limit)
        )

    async def walk(
        self,
        where: Where,
        start: Sequence[str],
        depth: int,
        types: Sequence[str] | None = None,
        direction: Direction = "out",
    ) -> list[Reached]:
        """What `where` admits and links lead to from the records `start`."""
        return await self._through("walk", where.kind, lambda: self.inner.walk(where, start, depth, types, direction))

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits."""
        return await self._through("purge", where.kind, lambda: self.inner.purge(where))

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """Records whose due time has come, the earliest first."""
        return await self._through("due", kind, lambda: self.inner.due(kind, before, limit))

    async def subjects(self, after: Scope | None = None, limit: int = 100) -> list[Scope]:
        """Who has any record here, by token."""
        return await self._through("subjects", None, lambda: self.inner.subjects(after, limit))

    async def whose(self, kind: str, record_id: str) -> Scope | None:
        """Whom the record of this id is about."""
        return await self._through("whose", kind, lambda: self.inner.whose(kind, record_id))

    def forget_connections(self) -> None:
        """Drop what belongs to the parent process, unclosed."""
        self.inner.forget_connections()


def kind_of(writes: Sequence[Write]) -> str | None:
    """The kind of record that `writes` are about, if it is one."""
    kinds = {write.record.kind if isinstance(write, Put) else write.kind for write in writes}
    return kinds.pop() if len(kinds) == 1 else None
