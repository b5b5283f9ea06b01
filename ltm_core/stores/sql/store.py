"""The verbs of the seam on SQLAlchemy Core."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Executable, Select, Table, delete, func, select, union
from sqlalchemy.exc import DBAPIError, TimeoutError  # noqa: A004
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ...errors import ConflictError, InvalidInput, LTMError, StoreError, StoreUnavailable, UsageError
from ...scope import Scope
from ..base import Delete, Due, Order, Put, Record, Store, Where, Write
from ..kinds import KINDS
from .batch import GroupCommit
from .filters import behind, inside, ordering
from .statements import STATEMENTS, Step, counted, kind_of
from .tables import TABLES, record_of, scope_named

Result = TypeVar("Result")
PAUSE = 0.02  # seconds between two tries for a lock


class SqlStore(Store):
    """A store on SQLAlchemy Core. Subclasses open the engines and translate errors.

    `_writer` is an engine of one connection whose transactions hold the write lock from their start; `_reader` has
    connections that commit by themselves. `patience` is how many seconds to wait for somebody else's lock.
    """

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
                await self._group.idle()
                await asyncio.gather(*self._under_way, return_exceptions=True)
                await self._disconnect()

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

    # Writing

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none, durable on return, in one transaction with whatever else is waiting."""
        connected(self._writer)
        steps = [STATEMENTS[kind_of(write)].step(write) for write in writes]
        if steps:
            await self._group.add(steps)

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits."""
        return await self._undisturbed(self._purge(where))

    async def _purge(self, where: Where) -> int:
        async with self._transaction() as connection:
            statement = counted(delete(TABLES[where.kind]).where(inside(where)))
            gone = (await connection.execute(statement)).rowcount
            if gone:
                await self._purged(connection, where.kind)
        return gone

    async def _purged(self, connection: AsyncConnection, kind: str) -> None:
        """What else must go, in the same transaction."""

    async def _commit(self, units: Sequence[Sequence[Step]]) -> Sequence[Exception | None]:
        """All units in as few statements as can be; if any is refused, one by one instead."""
        try:
            async with self._transaction() as connection:
                await self._together(connection, units)
        except (_Refused, StoreError, InvalidInput) as error:
            if isinstance(error, StoreUnavailable):
                raise
        else:
            return [None] * len(units)
        async with self._transaction() as connection:
            return [await self._alone(connection, unit) for unit in units]

    async def _together(self, connection: AsyncConnection, units: Sequence[Sequence[Step]]) -> None:
        steps = [step for unit in units for step in unit]
        for _, run in groupby(steps, key=lambda step: id(step.statement)):
            alike = list(run)
            if await self._touched(connection, alike) != len(alike):
                raise _Refused

    async def _touched(self, connection: AsyncConnection, alike: Sequence[Step]) -> int:
        """Do steps of one and the same statement; how many rows they touched.

        A database whose driver does not count the rows of many parameter sets overrides this.
        """
        result = await connection.execute(alike[0].statement, [step.parameters for step in alike])
        return result.rowcount

    async def _alone(self, connection: AsyncConnection, unit: Sequence[Step]) -> Exception | None:
        try:
            with self._translated():
                async with connection.begin_nested():
                    for step in unit:
                        await _one(connection, step)
        except LTMError as error:
            return error
        return None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._writing:
            with self._translated():
                engine = connected(self._writer)
                connection = await self._patiently(lambda: _begun(engine))
                async with aclosing(connection), _ended(connection):
                    yield connection

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
            except DBAPIError as error:
                if not self._may_pass(error.orig) or now() >= last:
                    raise
            await asyncio.sleep(PAUSE)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._translate(error.orig) from error
        except TimeoutError as error:
            raise StoreUnavailable("All connections are busy. Send fewer requests at once, or retry.") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise InvalidInput(f"The database cannot hold a value ({error}). Shorten or clean it first.") from error

    # Reading

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        statement = select(TABLES[where.kind]).where(inside(where)).order_by(*ordering(where.kind, order)).limit(limit)
        if after is not None:
            statement = statement.where(behind(where.kind, order, after))
        kind = KINDS[where.kind]
        return [record_of(kind, row) for row in await self._rows(statement)]

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        statement = select(func.count()).select_from(TABLES[where.kind]).where(inside(where))
        [(number,)] = await self._rows(statement)
        return int(number)

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """Records whose due time has come, the earliest first."""
        column = KINDS[kind].due
        if column is None:
            return []
        table = TABLES[kind].c
        statement = select(table.id, table.subject_name, table.tenant, table[column])
        ready = statement.where(table[column] <= before).order_by(table[column], table.id).limit(limit)
        rows = await self._rows(ready)
        return [Due(kind, id_, scope_named(name, tenant), at) for id_, name, tenant, at in rows]

    async def subjects(self, after: Scope | None = None, limit: int = 100) -> list[Scope]:
        """Who has any record here, by token."""
        token = after.token if after is not None else ""
        pages = (_subjects(table, token, limit) for table in TABLES.values())
        everyone = union(*(select(page.subquery()) for page in pages)).subquery()
        rows = await self._rows(select(everyone).order_by(everyone.c.subject).limit(limit))
        return [scope_named(name, tenant) for _, name, tenant in rows]

    async def _rows(self, statement: Executable) -> Sequence[Any]:
        return await self._undisturbed(self._read(statement))

    async def _read(self, statement: Executable) -> Sequence[Any]:
        with self._translated():
            async with connected(self._reader).connect() as connection:
                return (await connection.execute(statement)).all()


class _Refused(Exception):
    """Some statement of a group did not touch the rows it should."""


async def _one(connection: AsyncConnection, step: Step) -> None:
    result = await connection.execute(step.statement, step.parameters)
    if result.rowcount == 1:
        return
    write, kind = step.write, kind_of(step.write)
    record_id, scope = (write.record.id, write.record.scope) if isinstance(write, Put) else (write.id, write.scope)
    stored = (await connection.execute(STATEMENTS[kind].stored, {"its_id": record_id})).first()
    if stored is None and isinstance(write, Delete) and not write.expect:
        return
    if stored is not None and stored.owner != scope.token:
        raise ConflictError(f"Record {record_id} belongs to another owner. Use ids made for this scope.")
    version = 0 if stored is None else stored.version
    raise ConflictError(f"A {kind} is at version {version}, not {write.expect}. Read it again and retry the change.")


def connected(engine: AsyncEngine | None) -> AsyncEngine:
    """`engine`, or `UsageError` where the store is not open."""
    if engine is None:
        raise UsageError("The store is closed. Call open() first, or use it as 'async with store:'.")
    return engine


async def _begun(engine: AsyncEngine) -> AsyncConnection:
    connection = await engine.connect()
    try:
        await connection.begin()
    except BaseException:
        await connection.close()
        raise
    return connection


@asynccontextmanager
async def _ended(connection: AsyncConnection) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await connection.rollback()
        raise
    await connection.commit()


def _subjects(table: Table, token: str, limit: int) -> Select[Any]:
    columns = (table.c.subject, table.c.subject_name, table.c.tenant)
    return select(*columns).where(table.c.subject > token).distinct().order_by(table.c.subject).limit(limit)
