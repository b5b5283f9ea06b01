"""The verbs of the seam on SQLAlchemy Core."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from itertools import groupby
from typing import Any, ClassVar, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError  # noqa: A004
from sqlalchemy.ext.asyncio import AsyncEngine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from ...errors import ConflictError, InvalidInput, LTMError, StoreError, StoreUnavailable, UsageError
from ...scope import Scope, scope_named
from ..base import Delete, Direction, Due, Near, Order, Put, Reached, Record, Store, Where, Write, strength_of
from ..kinds import KINDS
from .batch import GroupCommit
from .link import Link, Rows
from .nearest import Matrices
from .queries import Queries, Query, has_words
from .statements import Statements, Step, kind_of
from .tables import LAYOUTS

Result = TypeVar("Result")
PAUSE = 0.02  # seconds between two tries for a lock


class SqlStore(Store):
    """A store on SQLAlchemy Core. Subclasses open the engines, begin transactions and translate errors.

    Both engines commit by themselves; transactions are commands. `_writer` has one connection, `_reader` some.
    `patience` is how many seconds to wait for somebody else's lock.
    """

    link: ClassVar[type[Link]] = Link
    queries: Queries
    statements: Mapping[str, Statements]
    begin: ClassVar[str] = "BEGIN"
    errors: ClassVar[tuple[type[Exception], ...]] = (DBAPIError,)

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._start_anew()

    def _start_anew(self) -> None:
        self._writer: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._group: GroupCommit[Sequence[Step]] = GroupCommit(self._commit)
        self._matrices = Matrices()

    async def open(self) -> None:
        """Connect, and bring the tables up to date."""
        async with self._opening:
            if self._writer is not None:
                return
            try:
                with self._translated():
                    await self._connect()
            except BaseException:
                await self._disconnect()
                raise

    async def close(self) -> None:
        """Wait for writes under way and give back the connections."""
        async with self._opening:
            if self._writer is not None:
                await asyncio.gather(*self._under_way, return_exceptions=True)
                await self._group.idle()
                await self._disconnect()

    def forget_connections(self) -> None:
        """Drop every connection without closing it, and be as before `open`; for the child of a `fork`."""
        for engine in (self._writer, self._reader):
            if engine is not None:
                engine.sync_engine.dispose(close=False)
        self._start_anew()

    @abstractmethod
    async def _connect(self) -> None:
        """Make `_writer` and `_reader`, and migrate."""

    @abstractmethod
    def _translate(self, error: BaseException | None) -> LTMError:
        """An error of the driver as one of ours, with a remedy."""

    @abstractmethod
    def _may_pass(self, error: BaseException | None) -> bool:
        """Whether to try again may help."""

    async def _disconnect(self) -> None:
        engines, self._writer, self._reader = (self._writer, self._reader), None, None
        for engine in engines:
            if engine is not None:
                await engine.dispose()

    # Connections

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Link]:
        """A connection to read on."""
        async with connected(self._reader).connect() as connection:
            yield self.link(connection)

    @asynccontextmanager
    async def _on_writer(self) -> AsyncIterator[Link]:
        """The connection to write on."""
        async with connected(self._writer).connect() as connection:
            yield self.link(connection)

    # Writing

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none, durable on return, in one transaction with whatever else is waiting.

        Where too much is waiting already, this waits for room first.
        """
        connected(self._writer)
        if writes:
            await self._group.add(lambda: [self.statements[kind_of(write)].step(write) for write in writes])

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits."""
        return await self._undisturbed(self._purge(where))

    async def _purge(self, where: Where) -> int:
        query = self.queries.purge(where)
        async with self._transaction() as link:
            await self._admit(link, where)
            gone = await link.run(query.statement, [query.parameters])
            if gone:
                await self._purged(link, where.kind)
        return gone

    async def _admit(self, link: Link, about: Where | Sequence[Sequence[Step]]) -> None:
        """Tell the database whose records the transaction is about, where it wants to know."""

    async def _purged(self, link: Link, kind: str) -> None:
        """What else must go, in the same transaction."""

    async def _commit(self, units: Sequence[Sequence[Step]]) -> Sequence[Exception | None]:
        """Write units in one transaction; again, as long as others' transactions are in the way."""
        try:
            return await self._write(units)
        except StoreUnavailable as error:
            if not self._was_in_the_way(error):
                raise
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(self._was_in_the_way),
            wait=wait_random_exponential(multiplier=PAUSE, max=1),
            stop=stop_after_delay(self._patience),
            reraise=True,
        ):
            with attempt:
                return await self._write(units)
        raise AssertionError("unreachable")

    def _was_in_the_way(self, error: BaseException) -> bool:
        cause = error.__cause__
        return isinstance(error, StoreUnavailable) and isinstance(cause, Exception) and self._may_pass(_cause(cause))

    async def _write(self, units: Sequence[Sequence[Step]]) -> Sequence[Exception | None]:
        """All units in as few statements as can be; if any is refused, one by one instead."""
        try:
            await self._together(units)
        except (Refused, StoreError, InvalidInput) as error:
            if isinstance(error, StoreUnavailable):
                raise
        else:
            return [None] * len(units)
        async with self._transaction() as link:
            await self._admit(link, units)
            return [await self._alone(link, unit) for unit in units]

    async def _together(self, units: Sequence[Sequence[Step]]) -> None:
        """All units in one transaction. Raises `Refused` where a statement did not touch the rows it should."""
        async with self._transaction() as link:
            await self._admit(link, units)
            for alike in runs(units):
                if await self._run(link, alike) != len(alike):
                    raise Refused

    async def _alone(self, link: Link, unit: Sequence[Step]) -> Exception | None:
        try:
            with self._translated():
                async with _savepoint(link):
                    for step in unit:
                        await self._one(link, step)
        except StoreUnavailable:
            raise  # all of the group is tried again
        except LTMError as error:
            return error
        return None

    async def _one(self, link: Link, step: Step) -> None:
        if await self._run(link, [step]) == 1:
            return
        write, kind = step.write, kind_of(step.write)
        record_id, scope = (write.record.id, write.record.scope) if isinstance(write, Put) else (write.id, write.scope)
        found = await link.fetch(self.statements[kind].stored, {"its_id": record_id})
        if not found and isinstance(write, Delete) and not write.expect:
            return
        owner, version = found[0] if found else (scope.token, 0)
        if owner != scope.token:
            raise ConflictError(f"Record {record_id} belongs to another owner. Use ids made for this scope.")
        raise ConflictError(
            f"A {kind} is at version {version}, not {write.expect}. Read it again and retry the change."
        )

    async def _run(self, link: Link, steps: Sequence[Step]) -> int:
        """Do steps that have one statement; returns how many did what they should."""
        return await link.run(steps[0].statement, [step.parameters for step in steps])

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Link]:
        async with self._writing:
            with self._translated():
                async with self._on_writer() as link:
                    await self._patiently(lambda: self._begun(link))
                    async with ended(link):
                        yield link

    async def _begun(self, link: Link) -> None:
        try:
            await link.do(self.begin)
        except DBAPIError as error:
            if error.connection_invalidated:
                await link.connection.rollback()  # then the next try connects anew
            raise

    async def _undisturbed(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Finish `work` even if the caller is cancelled: a connection that is cut off in the middle is lost."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _patiently(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        now = asyncio.get_running_loop().time
        last = now() + self._patience
        while True:
            try:
                return await attempt()
            except self.errors as error:
                lost = isinstance(error, DBAPIError) and error.connection_invalidated
                if not (lost or self._may_pass(_cause(error))) or now() >= last:
                    raise
            await asyncio.sleep(PAUSE)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self.errors as error:
            raise self._translate(_cause(error)) from error
        except TimeoutError as error:
            raise StoreUnavailable("All connections are busy. Send fewer requests at once, or retry.") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise InvalidInput(f"The database cannot hold a value ({error}). Shorten or clean it first.") from error

    # Reading

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        layout = LAYOUTS[where.kind]
        return [layout.record(row) for row in await self._rows(self.queries.scan(where, order, limit, after))]

    async def search_text(self, where: Where, terms: Sequence[str], limit: int) -> list[Record]:
        """At most `limit` records that `where` admits and that share a term, those with most of the terms first."""
        wanted, layout = sorted(set(terms)), LAYOUTS[where.kind]
        if not has_words(where.kind, wanted):
            return []
        rows = await self._rows(self.queries.text(where, wanted, limit))
        # An index may fold case or look for phrases: a hit may share no term exactly.
        return [layout.record(cells) for *cells, shared in rows if shared]

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first."""
        matrix = await self._matrices.of(self, where, space)
        return await matrix.nearest(self, where, vector, limit)

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        [(number,)] = await self._rows(self.queries.count(where))
        return int(number)

    async def tally(self, where: Where, by: str) -> dict[Any, int]:
        """How many records `where` admits for each value of the column `by`."""
        return {value: int(number) for value, number in await self._rows(self.queries.tally(where, by))}

    async def walk(
        self,
        where: Where,
        start: Sequence[str],
        depth: int,
        types: Sequence[str] | None = None,
        direction: Direction = "out",
    ) -> list[Reached]:
        """What `where` admits and links lead to from the records `start`, in one query."""
        rows = await self._rows(self.queries.walk(where, start, depth, types, direction))
        node, link = LAYOUTS[where.kind], LAYOUTS["link"]
        width = len(node.names)
        best: dict[str, tuple[Sequence[Any], Record]] = {}
        for row in rows:
            arrives, one = link.record(row[width + 1 :]), row[0]
            if one not in best or strength_of(best[one][1]) < strength_of(arrives):
                best[one] = (row, arrives)
        return [Reached(node.record(row[:width]), row[width], arrives) for row, arrives in best.values()]

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """Records whose due time has come, the earliest first."""
        column = KINDS[kind].due
        if column is None:
            return []
        rows = await self._rows(Query(self.queries.due(kind, column), {"before": before, "limit": limit}))
        return [Due(kind, id_, scope_named(name, tenant), at) for id_, name, tenant, at in rows]

    async def subjects(self, after: Scope | None = None, limit: int = 100) -> list[Scope]:
        """Who has any record here, by token."""
        token = after.token if after is not None else ""
        rows = await self._rows(Query(self.queries.subjects(), {"after": token, "limit": limit}))
        return [scope_named(name, tenant) for _, name, tenant in rows]

    async def whose(self, kind: str, record_id: str) -> Scope | None:
        """Whom the record of this id is about, by the index of ids."""
        rows = await self._rows(Query(self.queries.whose(kind), {"its_id": record_id}))
        return next((scope_named(name, tenant) for name, tenant in rows), None)

    async def vector_stamp(self, where: Where) -> tuple[Any, ...]:
        """What changes whenever the vectors that `where` admits do."""
        [stamp] = await self._rows(self.queries.stamp(where))
        return tuple(stamp)

    async def packed_vectors(self, where: Where) -> Rows:
        """Targets and packed floats of the vectors that `where` admits."""
        return await self._rows(self.queries.vectors(where))

    async def _rows(self, query: Query) -> Rows:
        return await self._undisturbed(self._read(query))

    async def _read(self, query: Query) -> Rows:
        with self._translated():
            try:
                return await self._fetch(query)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The server has ended the connection meanwhile, and perhaps is back.
            return await self._fetch(query)

    async def _fetch(self, query: Query) -> Rows:
        async with self._reading() as link:
            return await link.fetch(query.statement, query.parameters)


class Refused(Exception):
    """Some statement of a group did not touch the rows it should."""


def runs(units: Sequence[Sequence[Step]]) -> Iterator[list[Step]]:
    """The steps of all units, in order: those that follow each other and have one statement together."""
    steps = [step for unit in units for step in unit]
    for _, run in groupby(steps, key=lambda step: id(step.statement)):
        yield list(run)


def connected(engine: AsyncEngine | None) -> AsyncEngine:
    """`engine`, or `UsageError` where the store is not open."""
    if engine is None:
        raise UsageError("The store is closed. Call open() first, or use it as 'async with store:'.")
    return engine


def _cause(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


@asynccontextmanager
async def ended(link: Link) -> AsyncIterator[None]:
    """Commit the transaction that was begun, or roll it back after an error."""
    try:
        yield
    except BaseException:
        with suppress(SQLAlchemyError):  # a connection that was lost took its transaction along
            await link.do("ROLLBACK")
        raise
    await link.do("COMMIT")


@asynccontextmanager
async def _savepoint(link: Link) -> AsyncIterator[None]:
    await link.do("SAVEPOINT one")
    try:
        yield
    except BaseException:
        await link.do("ROLLBACK TO SAVEPOINT one")
        raise
    await link.do("RELEASE SAVEPOINT one")
