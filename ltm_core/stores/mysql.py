"""MariaDB, for memories that many processes share.

Needs MariaDB 10.10 or newer, and is proven with 10.11. MySQL itself is untested.

The database answers conditions on columns, and finds words by looking at each record inside the wall. Conditions on
places in documents are checked here, on the records that the other conditions leave.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from importlib.util import find_spec
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Delete,
    Executable,
    Integer,
    Table,
    Update,
    bindparam,
    func,
    make_url,
    null,
    or_,
    text,
)
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..errors import ConfigurationError, InvalidInput, LTMError, MissingExtra, SchemaError, StoreError, StoreUnavailable
from .base import All, Compare, Condition, Direction, Not, Order, Reached, Record, Store, Where
from .kinds import FIXED, KINDS, Type
from .migrations import HEAD, holds_records, migrate, stored_version
from .pages import page
from .sql.documents import Compares, Documents, Sql, Test
from .sql.link import Link, Values
from .sql.queries import Queries, Wall
from .sql.shapes import padded
from .sql.statements import Statements, Step, every_table
from .sql.store import SqlStore
from .sql.tables import LAYOUTS, dumps

READERS = 8
IDS = 500  # removed by one statement
TERMS = 64  # looked for by one statement, whose sum must fit into a stack of the server

_MARKS = re.compile(r'[",\\]')
_TAKEN = 1062
_NOT_NULL = 1048
_PASSING = (1205, 1213, 1305)  # a lock, a deadlock, and the savepoint that was lost with it
# By number: https://mariadb.com/kb/en/mariadb-error-code-reference/
_TROUBLES: tuple[tuple[tuple[int, ...], type[LTMError], str], ...] = (
    (_PASSING, StoreUnavailable, "{place} is busy with others' changes ({error}). Retry."),
    ((1044, 1045, 1698), StoreUnavailable, "{place} refused the login ({error}). Check user and password in the URL."),
    ((1049,), StoreUnavailable, "{place} does not exist. Create it (CREATE DATABASE), or check the URL."),
    (
        (1040, 1053, 1203, 2002, 2003, 2006, 2013),
        StoreUnavailable,
        "{place} cannot serve now ({error}). Check that it runs, and the URL, then retry.",
    ),
    ((1142, 1227), StoreError, "{place}: this user may not do that ({error}). Grant it, or use another user."),
    ((1153, 1264, 1292, 1366, 1367, 1406), InvalidInput, "MariaDB cannot hold a value ({error}). Shorten or clean it."),
    ((1146,), SchemaError, "{place} lacks tables ({error}). Create them with: ltm migrate URL"),
)


class _MysqlStatements(Statements):
    """A row that may not be written is an error: there is no condition on what a conflict does."""

    def inserting(self, table: Table) -> Executable:
        """Fails where the id is taken."""
        return insert(table).values(self.filled)

    def putting(self, table: Table) -> Executable:
        """Fails where the id is taken by another owner: no owner may be NULL."""
        new = insert(table).values(self.filled)
        mine = func.IF(table.c.owner == new.inserted.owner, table.c.owner, null())
        changed = {name: new.inserted[name] for name in self.filled if name not in ("id", "owner")}
        return new.on_duplicate_key_update([("owner", mine), *changed.items()])


class _NoDocuments(Documents):
    """Nothing in a document is asked of the database: see `MysqlStore.scan`."""

    def parameter(self, value: Any) -> Any:
        """Not asked."""
        raise NotImplementedError

    def same(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """Not asked."""
        raise NotImplementedError

    def missing(self, document: Sql, steps: Sequence[str]) -> Test:
        """Not asked."""
        raise NotImplementedError

    def has(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """Not asked."""
        raise NotImplementedError

    def compares(self, document: Sql, steps: Sequence[str], sort: str, compare: Compares, wanted: Sql) -> Test:
        """Not asked."""
        raise NotImplementedError

    def is_text(self, document: Sql, steps: Sequence[str]) -> Test:
        """Not asked."""
        raise NotImplementedError

    def sortable(self, document: Sql, steps: Sequence[str]) -> Sql:
        """Not asked."""
        raise NotImplementedError


class _MysqlQueries(Queries):
    """Words by the JSON list of terms, as a text in which each stands in quotes behind a comma."""

    documents = _NoDocuments()

    def text_values(self, where: Where, terms: Sequence[str]) -> dict[str, Any]:
        """How each term stands in the list; what is padded is found nowhere, since JSON holds no NUL."""
        wanted = [f",{dumps(term)}" for term in terms]
        absent = ["\0"] * (len(padded(wanted)) - len(wanted))
        return {f"quoted{number}": one for number, one in enumerate([*wanted, *absent])}

    def matching(self, table: Table, wall: Wall, terms: int) -> ColumnElement[bool]:
        """By looking at each row inside the wall."""
        return or_(*(place > 0 for place in _places(table, terms)))

    def shared(self, table: Table, terms: int) -> ColumnElement[int]:
        """How many are found."""
        return reduce(operator.add, (func.sign(place, type_=Integer()) for place in _places(table, terms)))


def _places(table: Table, terms: int) -> list[ColumnElement[int]]:
    """Where each term begins in the list; 0 where it is not there."""
    listed = func.concat(",", func.substr(table.c.terms, 2))
    wanted = [bindparam(f"quoted{number}", type_=table.c.terms.type) for number in range(terms)]
    return [func.locate(one, listed, type_=Integer()) for one in wanted]


def _is_plain(term: str) -> bool:
    """Whether a term stands in a JSON list as itself, so that it can be told from a part of another."""
    return not _MARKS.search(dumps(term)[1:-1])


class MysqlLink(Link):
    """Counts the rows that were written, and none where one was refused."""

    async def run(self, statement: Executable, rows: Sequence[Values]) -> int:
        """Run a statement for each of `rows`; returns how many rows of the database it touched."""
        if isinstance(statement, Update | Delete):
            return sum([(await self.connection.execute(statement, row)).rowcount for row in rows])
        try:
            await self.connection.execute(statement, list(rows))
        except DBAPIError as error:
            if _number(error.orig) not in (_TAKEN, _NOT_NULL):
                raise
            return 0
        return len(rows)


class MysqlStore(SqlStore):
    """Records in a MariaDB database, each write committed before it is acknowledged.

    The tables are made at the first opening; a newer version of this library brings them up to date with `ltm migrate`.

    Args:
        url: `mysql://user@host/database`, or `mariadb://…`, which is the same.
        patience: Seconds to try again where others' transactions are in the way, before `StoreUnavailable`.
        readers: Most connections for reading; one more writes.
    """

    link = MysqlLink
    queries = _MysqlQueries()
    statements = every_table(_MysqlStatements)
    errors = (DBAPIError, OSError)

    def __init__(self, url: str | URL, *, patience: float = 15.0, readers: int = READERS) -> None:
        super().__init__(patience)
        self._url = _parsed(url)
        self._readers = readers

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        if _is_sayable(where.kind, where.test) and _is_sortable(where.kind, order):
            return await super().scan(where, order=order, limit=limit, after=after)
        found = await super().scan(_narrowed(where))
        return page(filter(where.admits, found), order, limit, after)

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        return await super().count(where) if _is_sayable(where.kind, where.test) else len(await self.scan(where))

    async def tally(self, where: Where, by: str) -> dict[Any, int]:
        """How many records `where` admits for each value of the column `by`."""
        if _is_sayable(where.kind, where.test):
            return await super().tally(where, by)
        return await Store.tally(self, where, by)

    async def search_text(self, where: Where, terms: Sequence[str], limit: int) -> list[Record]:
        """At most `limit` records that `where` admits and that share a term, those with most of the terms first."""
        if len(terms) <= TERMS and _is_sayable(where.kind, where.test) and all(map(_is_plain, terms)):
            return await super().search_text(where, terms, limit)
        return await Store.search_text(self, where, terms, limit)

    async def walk(
        self,
        where: Where,
        start: Sequence[str],
        depth: int,
        types: Sequence[str] | None = None,
        direction: Direction = "out",
    ) -> list[Reached]:
        """What `where` admits and links lead to from the records `start`: in one query, unless both ways are asked."""
        if direction != "both" and _is_sayable(where.kind, where.test):
            return await super().walk(where, start, depth, types, direction)
        return await Store.walk(self, where, start, depth, types, direction)  # it finds no index for an OR

    async def _alone(self, link: Link, unit: Sequence[Step]) -> Exception | None:
        error = await super()._alone(link, unit)
        if isinstance(error, StoreUnavailable):
            raise error  # a deadlock has undone the units before too: all must be tried again
        return error

    async def _purge(self, where: Where) -> int:
        if _is_sayable(where.kind, where.test):
            return await super()._purge(where)
        async with self._transaction() as link:
            return sum([await self._remove(link, part) for part in _parts(where, await self._locked(link, where))])

    async def _locked(self, link: Link, where: Where) -> list[str]:
        """The ids of what `where` admits, which stays so until the transaction ends."""
        layout, query = LAYOUTS[where.kind], self.queries.scan(_narrowed(where))
        statement: Any = query.statement
        rows = await link.fetch(statement.with_for_update(), query.parameters)
        return [record.id for record in map(layout.record, rows) if where.admits(record)]

    async def _remove(self, link: Link, where: Where) -> int:
        query = self.queries.purge(where)
        return await link.run(query.statement, [query.parameters])

    async def _connect(self) -> None:
        self._writer = self._engine(pool_size=1)
        self._reader = self._engine(pool_size=self._readers)
        async with self._reading() as link:
            version = await link.connection.run_sync(stored_version)
        if version != HEAD:
            await self._create()

    async def _create(self) -> None:
        """Make the tables where nothing is stored yet; else raise `SchemaError`.

        Of several processes that begin at once one does, and the others wait. No DDL rolls back, so another one's, also
        that of a killed process, may be half done.
        """
        name = {"name": f"ltm.{self._url.database}"[:64], "patience": self._patience}
        async with self._on_writer() as link:
            if await link.fetch(text("SELECT GET_LOCK(:name, :patience)"), name) != [(1,)]:
                raise StoreUnavailable(f"Another process makes the tables in {self._place}. Retry in a while.")
            try:
                await link.connection.run_sync(self._make_tables)
            finally:
                await link.fetch(text("SELECT RELEASE_LOCK(:name)"), name)

    def _make_tables(self, connection: Connection) -> None:
        version = stored_version(connection)
        if version not in (None, HEAD) and holds_records(connection):
            raise SchemaError(
                f"{self._place} has schema {version!r}, and this version needs {HEAD!r}. Run: ltm migrate URL"
            )
        migrate(connection)

    def _engine(self, **options: Any) -> AsyncEngine:
        return create_async_engine(
            self._url,
            max_overflow=0,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            connect_args={
                "charset": "utf8mb4",
                "sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
                "init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            },
            **options,
        )

    @property
    def _place(self) -> str:
        return f"MariaDB database {self._url.database!r} at {self._url.host or 'the local host'}"

    def _may_pass(self, error: BaseException | None) -> bool:
        return _number(error) in _PASSING

    def _translate(self, error: BaseException | None) -> LTMError:
        number = _number(error)
        for numbers, kind, message in _TROUBLES:
            if number in numbers:
                return kind(message.format(place=self._place, error=_told(error)))
        if isinstance(error, OSError):
            return StoreUnavailable(f"{self._place} cannot be reached ({error}). Check that it runs, and the URL.")
        if number == 0:
            return InvalidInput(f"MariaDB cannot hold a value ({_told(error)}). Shorten or clean it.")
        return StoreError(f"{self._place} refused: {_told(error)}. If it is sound, please report this.")


def _is_sayable(kind: str, condition: Condition) -> bool:
    """Whether the database can answer a condition: it looks into no document, and has no infinite number."""
    if isinstance(condition, Compare):
        head = condition.path if isinstance(condition.path, str) else condition.path[0]
        values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        return _typed(kind, head) is not Type.JSON and all(map(_is_finite, values))
    if isinstance(condition, Not):
        return _is_sayable(kind, condition.condition)
    return all(_is_sayable(kind, part) for part in condition.conditions)


def _is_finite(value: Any) -> bool:
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:
        return False


def _is_sortable(kind: str, order: Order) -> bool:
    """Whether the database can sort so: of long texts it looks at the beginning only."""
    return all(_typed(kind, name) not in (Type.JSON, Type.TEXT) for name, _ in order)


def _typed(kind: str, name: str) -> Type:
    return FIXED.get(name) or KINDS[kind].columns.get(name, Type.JSON)


def _narrowed(where: Where) -> Where:
    """`where` with what the database can say of its test."""
    conditions = where.test.conditions if isinstance(where.test, All) else (where.test,)
    return replace(where, test=All(*(one for one in conditions if _is_sayable(where.kind, one))))


def _parts(where: Where, ids: Sequence[str]) -> Iterable[Where]:
    for start in range(0, len(ids), IDS):
        yield replace(where, test=All(), ids=tuple(ids[start : start + IDS]))


def _number(error: BaseException | None) -> int:
    """The number of an error; 0 for one that the driver raises by itself."""
    first = error.args[0] if error is not None and error.args else 0
    return first if isinstance(first, int) else 0


def _told(error: BaseException | None) -> str:
    return str(error.args[-1] if error is not None and error.args else error).partition("\n")[0]


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("That is no database URL. Write mysql://user@host/database.") from error
    if parsed.get_backend_name() not in ("mysql", "mariadb"):
        raise ConfigurationError(f"MariaDB is not reached by {parsed.drivername!r}. Write mysql://….")
    if parsed.drivername.partition("+")[2] not in ("", "aiomysql"):
        raise ConfigurationError(f"{parsed.drivername} is not supported. Write mysql://… or mysql+aiomysql://….")
    if not parsed.database:
        raise ConfigurationError("The URL names no database. Write mysql://user@host/database.")
    if find_spec("aiomysql") is None:
        raise MissingExtra("The driver aiomysql", "mysql")
    return parsed.set(drivername="mysql+aiomysql")
