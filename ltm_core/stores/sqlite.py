"""SQLite: one file, no server. The store that works everywhere, and the default."""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakSet

import aiosqlite
from sqlalchemy import (
    URL,
    ColumnElement,
    Executable,
    Table,
    UnaryExpression,
    bindparam,
    column,
    event,
    func,
    literal_column,
    make_url,
    select,
    table,
)
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.sql import operators

from ..errors import ConfigurationError, LTMError, StoreError, StoreUnavailable
from ..scope import Scope
from .base import Record, Scan, Where
from .changes import Changes
from .kinds import KINDS
from .migrations import HEAD, migrate, stored_version
from .sql.documents import SqliteDocuments
from .sql.link import Link, Raw, Raws, Rows, Values
from .sql.queries import Queries, Query, Wall, text_parameters
from .sql.statements import OnConflict, Step, every_table
from .sql.store import Refused, SqlStore, connected, runs
from .sql.tables import LAYOUTS, dumps

Result = TypeVar("Result")

BUSY_SECONDS = 5.0  # how long SQLite itself waits for a lock, then we ask again
READERS = 4
_DRIVER = "sqlite+aiosqlite"

# What SQLite keeps aside to take a statement back goes to memory: a file for it costs a fifth of a write, and would
# hold what is remembered.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY")
_TROUBLES: tuple[tuple[tuple[str, ...], type[StoreError], str], ...] = (
    (
        ("SQLITE_BUSY", "SQLITE_LOCKED"),
        StoreUnavailable,
        "{file} stayed locked by another connection. Retry, or end the long transaction there.",
    ),
    (
        ("SQLITE_CANTOPEN",),
        StoreUnavailable,
        "{file} cannot be opened. Check that its directory exists and that this user may read and write there.",
    ),
    (("SQLITE_READONLY", "SQLITE_PERM"), StoreError, "{file} is read-only. Make file and directory writable."),
    (("SQLITE_NOTADB",), StoreError, "{file} is not a SQLite database. Give another path, or move that file away."),
    (("SQLITE_CORRUPT",), StoreError, "{file} is damaged. Restore a backup, or try: sqlite3 {file} .recover"),
    (("SQLITE_FULL", "SQLITE_IOERR"), StoreError, "{file} cannot be written ({error}). Check the disk and its space."),
)


# A connection that was never closed must neither be closed nor complained of when the interpreter ends.
_OPEN: WeakSet[Any] = WeakSet()


class _SqliteStatements(OnConflict):
    into = Insert


class _SqliteQueries(Queries):
    """Words by FTS5, which stands beside the table and has the wall inside the expression that is matched."""

    documents = SqliteDocuments()

    def text_values(self, where: Where, terms: Sequence[str]) -> dict[str, Any]:
        """The expression."""
        parts = ["terms : " + _any_of(map(dumps, terms))]
        if where.scopes:
            parts.append("owner : " + _any_of(scope.token for scope in where.scopes))
        if where.subject is not None:
            parts.append("subject : " + _any_of([where.subject.token]))
        return {"expression": " AND ".join(parts)}

    def matching(self, rows: Table, wall: Wall, terms: int) -> ColumnElement[bool]:
        """By row number."""
        index = table(f"{wall.kind}_words", column("rowid"))
        found = select(index.c.rowid).where(literal_column(index.name).op("MATCH")(bindparam("expression")))
        return rows.c.seq.in_(found)

    def beside_ids(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """With a plus, which keeps SQLite from going through all of an owner: it does not know how many that is."""
        return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)

    def shared(self, rows: Table, terms: int) -> ColumnElement[int]:
        """By the JSON list of terms."""
        each = func.json_each(rows.c.terms).table_valued("value")
        counted = select(func.count(each.c.value.distinct())).where(each.c.value.in_(text_parameters(terms)))
        return counted.scalar_subquery()


def _any_of(words: Iterable[str]) -> str:
    return "(" + " OR ".join('"' + word.replace('"', '""') + '"' for word in words) + ")"


class SqliteLink(Link):
    """Goes to the driver itself: SQLAlchemy changes threads five times for a query, and this once."""

    _raws = Raws()

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection)
        self._driver: aiosqlite.Connection | None = None

    async def find_driver(self) -> None:
        """Ask for the driver's own connection, which stays the same."""
        self._driver = (await self.connection.get_raw_connection()).driver_connection

    async def fetch(self, statement: Executable, values: Values) -> Rows:
        """The rows of a query."""
        raw = self._raw(statement)
        return raw.rows(await self._its_driver.execute_fetchall(raw.text, raw.arguments(values)))  # type: ignore[arg-type]

    async def run(self, statement: Executable, rows: Sequence[Values]) -> int:
        """Run a statement for each of `rows`; returns how many rows of the database it touched."""
        raw = self._raw(statement)
        cursor = await self._its_driver.executemany(raw.text, [raw.arguments(row) for row in rows])
        return cursor.rowcount

    async def do(self, command: str) -> None:
        """Run a command without parameters or result."""
        await self._its_driver.execute(command)

    async def fetch_each(self, queries: Sequence[Query]) -> list[Rows]:
        """The rows of several queries, one after the other, in one change of threads."""
        raws = [(self._raw(query.statement), query.parameters) for query in queries]
        calls = [(raw.text, raw.arguments(values)) for raw, values in raws]
        found = await self._on_its_thread(lambda connection: [connection.execute(*call).fetchall() for call in calls])
        return [raw.rows(rows) for (raw, _), rows in zip(raws, found, strict=True)]

    async def transact(self, begin: str, groups: Iterable[Sequence[Step]]) -> None:
        """Do all steps in one transaction and one change of threads. Raises `Refused` where one fails."""
        calls = [
            (raw.text, [raw.arguments(step.parameters) for step in steps])
            for steps in groups
            for raw in [self._raw(steps[0].statement)]
        ]
        await self._on_its_thread(lambda connection: _transacted(connection, begin, calls))

    def _raw(self, statement: Executable) -> Raw:
        return self._raws.of(statement, self.connection.dialect)

    async def _on_its_thread(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Let `work` have the connection where it lives."""
        driver = self._its_driver
        execute: Callable[..., Awaitable[Result]] = driver._execute  # the driver has no public word for it
        return await execute(work, driver._conn)

    async def version(self) -> int:
        """What changes whenever another connection, of any process, commits."""
        [(number,)] = await self._its_driver.execute_fetchall("PRAGMA data_version")
        return int(number)

    @property
    def _its_driver(self) -> aiosqlite.Connection:
        assert self._driver is not None
        return self._driver


def _transacted(connection: sqlite3.Connection, begin: str, calls: Sequence[tuple[str, Sequence[Any]]]) -> None:
    connection.execute(begin)
    try:
        for text, rows in calls:
            if connection.executemany(text, rows).rowcount != len(rows):
                raise Refused
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a disk that is full has ended the transaction already
            connection.execute("ROLLBACK")
        raise


class SqliteStore(SqlStore):
    """Records in one SQLite file, in WAL mode, each write synced to disk before it is acknowledged.

    Any number of processes may use the file at once, on a local disk (not on a network share).

    Args:
        url: A path, or a URL such as `sqlite:///ltm.db`. Without one, the records live in memory and end with `close`.
        patience: Seconds to wait for a lock that somebody else holds, before `StoreUnavailable`.
    """

    queries = _SqliteQueries()
    statements = every_table(_SqliteStatements)
    begin = "BEGIN IMMEDIATE"
    errors = (DBAPIError, sqlite3.Error)

    def __init__(self, url: str | os.PathLike[str] | URL = "sqlite://", *, patience: float = 15.0) -> None:
        super().__init__(patience)
        self._url = _absolute(_parsed(url))
        self._connections: WeakSet[Any] = WeakSet()

    @property
    def in_memory(self) -> bool:
        """Whether the records end with `close`."""
        return _is_memory(self._url)

    def _start_anew(self) -> None:
        super()._start_anew()
        self._held: list[SqliteLink] = []
        self._opened = 0
        self._pen: SqliteLink | None = None
        self._readers: asyncio.LifoQueue[SqliteLink] = asyncio.LifoQueue()
        self._changes = Changes()
        self._opening_id = uuid4().hex

    def forget_connections(self) -> None:
        """Drop every connection without closing it, and be as before `open`.

        For the child of a `fork`, where closing would disturb the parent. Touches neither file nor event loop.
        """
        _keep_for_ever([*self._connections, *self._held])
        self._connections = WeakSet()
        self._start_anew()

    async def _connect(self) -> None:
        self._writer = self._engine(pool_size=1)
        await asyncio.to_thread(self._try, self._writer)
        # An in-memory database exists in one connection only: there, reads take turns with writes.
        self._reader = self._writer if self.in_memory else self._engine(pool_size=READERS + 2)
        if await self._patiently(self._version) != HEAD:
            await asyncio.to_thread(import_module, "alembic.command")  # slow: not on the loop, not under the lock
            async with self._transaction() as link:
                await link.connection.run_sync(migrate)

    def _try(self, engine: AsyncEngine) -> None:
        """Open and close the file: where that fails, the asynchronous driver would leave a thread behind."""
        arguments, options = engine.dialect.create_connect_args(self._url)
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        try:
            connect(*arguments, **options).close()
        except sqlite3.Error as error:
            raise self._translate(error) from error

    async def _version(self) -> str | None:
        async with connected(self._reader).connect() as connection:
            return await connection.run_sync(stored_version)

    async def _disconnect(self) -> None:
        for held in self._held:
            await held.connection.close()
        self._held, self._opened, self._pen, self._readers = [], 0, None, asyncio.LifoQueue()
        self._opening_id = uuid4().hex
        if self._reader is not None and not self.in_memory:
            await self._checkpoint(self._reader, patience=0.1)
        await super()._disconnect()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[SqliteLink]:
        if self.in_memory:
            async with self._writing, self._on_writer() as link:
                yield link
            return
        engine = connected(self._reader)
        if self._readers.empty() and self._opened < READERS:
            self._opened += 1
            await self._undisturbed(self._add_reader(engine))
        link = await self._readers.get()
        try:
            yield link
        finally:
            self._readers.put_nowait(link)

    async def _add_reader(self, engine: AsyncEngine) -> None:
        try:
            self._readers.put_nowait(await self._hold(engine))
        except BaseException:
            self._opened -= 1
            raise

    async def stamps(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> Mapping[str, Hashable]:
        """What this store wrote, and the number that SQLite changes when anybody else commits.

        That number is the one of the connection that writes, since it does not change with its own commits. While that
        is at work there are no stamps: nobody waits for them.
        """
        own = self._changes.of(scopes, kinds)
        if self.in_memory:
            return {kind: (self._opening_id, stamp) for kind, stamp in own.items()}
        if self._writing.locked():
            return {}
        with self._translated():
            others = await self._committed_by_others()
        return {kind: (self._opening_id, others, stamp) for kind, stamp in own.items()}

    async def _committed_by_others(self) -> int:
        if self._pen is not None:
            return await self._pen.version()
        async with self._writing, self._on_writer() as link:
            return await link.version()

    @asynccontextmanager
    async def _on_writer(self) -> AsyncIterator[SqliteLink]:
        if self._pen is None:
            self._pen = await self._hold(connected(self._writer))
        yield self._pen

    async def scans(self, asked: Sequence[Scan]) -> list[list[Record]]:
        """Several scans, one after the other on one connection. Who is cancelled leaves its thread to end them."""
        queries = [self.queries.scan(one.where, one.order, one.limit) for one in asked]
        with self._translated():
            async with self._reading() as link:
                found = await link.fetch_each(queries)
        layouts = [LAYOUTS[one.where.kind] for one in asked]
        return [list(map(layout.record, rows)) for layout, rows in zip(layouts, found, strict=True)]

    async def _together(self, units: Sequence[Sequence[Step]]) -> None:
        async with self._writing:
            with self._translated():
                async with self._on_writer() as link:
                    await self._patiently(lambda: link.transact(self.begin, runs(units)))

    async def _commit(self, units: Sequence[Sequence[Step]]) -> Sequence[Exception | None]:
        try:
            return await super()._commit(units)
        finally:
            self._changes.note([step.write for unit in units for step in unit])

    async def _hold(self, engine: AsyncEngine) -> SqliteLink:
        """A connection that stays checked out, which spares every call the way to the pool and back."""
        link = SqliteLink(await engine.connect())
        self._held.append(link)
        await link.find_driver()
        return link

    async def _checkpoint(self, engine: AsyncEngine, patience: float | None = None) -> None:
        """Move what the write-ahead log holds into the file and empty the log, if nobody is in the way."""
        with suppress(DBAPIError):
            async with engine.connect() as connection:
                if patience is not None:
                    await connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * patience:.0f}")
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _purge(self, where: Where) -> int:
        try:
            gone = await super()._purge(where)
        finally:
            self._changes.note_purge(where.kind)
        if gone and not self.in_memory:
            await self._checkpoint(connected(self._reader))
        return gone

    async def _purged(self, link: Link, kind: str) -> None:
        # The text index keeps words of deleted rows in old segments until these are merged.
        if KINDS[kind].words:
            await link.do(f"INSERT INTO {kind}_words ({kind}_words) VALUES ('optimize')")

    def _engine(self, **options: Any) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            poolclass=AsyncAdaptedQueuePool,
            max_overflow=0,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            **options,
        )
        event.listen(engine.sync_engine, "connect", self._prepare)
        return engine

    def _prepare(self, connection: Any, _: object) -> None:
        for register in (self._connections, _OPEN):
            register.add(connection.driver_connection)
        connection.isolation_level = None  # or the driver begins transactions of its own
        busy = round(min(self._patience, BUSY_SECONDS) * 1000)
        try:
            cursor = connection.cursor()
            for pragma in (f"busy_timeout={busy}", *_PRAGMAS):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()
            raise

    def _may_pass(self, error: BaseException | None) -> bool:
        return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))

    def _translate(self, error: BaseException | None) -> LTMError:
        file = self._url.database or ":memory:"
        for names, kind, message in _TROUBLES:
            if _name(error).startswith(names):
                return kind(message.format(file=file, error=error))
        return StoreError(f"SQLite refused: {error}. If {file} is sound, please report this.")


def _parsed(url: str | os.PathLike[str] | URL) -> URL:
    if (isinstance(url, str) and "://" not in url) or isinstance(url, os.PathLike):
        return URL.create(_DRIVER, database=os.fspath(url))
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("That is not a database URL. Write sqlite:///ltm.db, for example.") from error
    if parsed.drivername not in ("sqlite", _DRIVER):
        raise ConfigurationError(f"SQLite is not reached by {parsed.drivername!r}. Write sqlite:///ltm.db.")
    if parsed.host:
        raise ConfigurationError(
            f"A file has no host. Write three slashes: sqlite:///{parsed.host}, or sqlite:///ltm.db."
        )
    return parsed.set(drivername=_DRIVER)


def _absolute(url: URL) -> URL:
    """The same file, whatever the working directory is later."""
    if _is_memory(url) or str(url.database).startswith("file:"):
        return url
    return url.set(database=os.path.abspath(str(url.database)))


def _is_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _name(error: BaseException | None) -> str:
    return getattr(error, "sqlite_errorname", "")


@atexit.register
def _keep_open() -> None:
    _keep_for_ever(_OPEN)


def _keep_for_ever(connections: Iterable[Any]) -> None:
    """Take a reference that is never given back, so that nothing is finalised, closed or warned about."""
    for connection in connections:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
