"""PostgreSQL, for memories that many processes share.

Needs PostgreSQL 14 or newer. Where the database has the extension pgvector, vectors are compared there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    ColumnElement,
    Double,
    Executable,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    func,
    literal_column,
    make_url,
    select,
    text,
)
from sqlalchemy import Delete as SqlDelete
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR, Insert
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.types import UserDefinedType

from ..errors import ConfigurationError, InvalidInput, LTMError, MissingExtra, SchemaError, StoreError, StoreUnavailable
from ..scope import digest
from ..vectors import unpack
from .base import Near, Record, Where
from .kinds import KINDS
from .migrations import HEAD, migrate, stored_version
from .sql.documents import PostgresDocuments
from .sql.link import Link, Values
from .sql.queries import LIMIT, Queries, Query, Wall, columns_of, text_parameters
from .sql.shapes import Every
from .sql.statements import OnConflict, every_table
from .sql.store import SqlStore
from .sql.tables import LAYOUTS, TABLES, kind_in
from .sql.types import escaped

READERS = 8
LONGEST_LEXEME = 2000  # bytes; PostgreSQL refuses words of 2 kB

_DRIVERS = {"asyncpg": "postgres", "psycopg": "psycopg"}
# By SQLSTATE, or its class: https://www.postgresql.org/docs/current/errcodes-appendix.html
_TROUBLES: tuple[tuple[tuple[str, ...], type[LTMError], str], ...] = (
    (("40001", "40P01", "55P03"), StoreUnavailable, "{place} is busy with others' changes ({error}). Retry."),
    (("28",), StoreUnavailable, "{place} refused the login ({error}). Check user and password in the URL."),
    (("3D",), StoreUnavailable, "{place} does not exist. Create it (createdb), or check the URL."),
    (("08", "57P", "53"), StoreUnavailable, "{place} cannot serve now ({error}). Check that it runs, then retry."),
    (("42501",), StoreError, "{place}: this role may not do that ({error}). Grant it, or use another role."),
    (("22", "54"), InvalidInput, "PostgreSQL cannot hold a value ({error}). Shorten or clean it first."),
    (("42P01",), SchemaError, "{place} lacks tables ({error}). Create them with: ltm migrate URL"),
)
_PASSING = ("40001", "40P01", "55P03")


class _PostgresStatements(OnConflict):
    """Tells how many rows it wrote by returning one for each: asyncpg does not count for many at once."""

    into = Insert

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.insert = self.insert.returning(table.c.seq)
        self.put = self.put.returning(table.c.seq)

    def beside(self) -> Mapping[str, Any]:
        """The text vector, computed here and not by the database, so that none needs our analysis."""
        if not self.layout.kind.words:
            return {}
        return {"words": func.array_to_tsvector(bindparam("words", type_=ARRAY(Text)))}

    def row(self, record: Record) -> dict[str, Any]:
        """The parameters of one record."""
        row = super().row(record)
        return row | {"words": _lexemes(record)} if self.layout.kind.words else row


def _with_words(table: Table) -> Table:
    """The table as it is here, with its text vector."""
    here = table.to_metadata(MetaData())
    if KINDS[kind_in(table)].words:
        here.append_column(Column("words", TSVECTOR))
    return here


def _lexemes(record: Record) -> list[str]:
    words = {_word(term) for term in record.terms}
    return [_owner(record.scope.token), _subject(record.subject.token), *words]


def _owner(token: str) -> str:
    return f"o{token}"


def _subject(token: str) -> str:
    return f"s{token}"


def _word(term: str) -> str:
    word = f"w{escaped(term)}"
    return word if len(word.encode()) < LONGEST_LEXEME else f"h{digest(term)}"


class _PostgresQueries(Queries):
    """Words by a GIN index over text vectors, which have the wall inside."""

    documents = PostgresDocuments()
    nulls_sort_first = False

    def text_values(self, where: Where, terms: Sequence[str]) -> dict[str, Any]:
        """The expression."""
        parts = [_any_of(map(_word, terms))]
        if where.scopes:
            parts.append(_any_of(_owner(scope.token) for scope in where.scopes))
        if where.subject is not None:
            parts.append(_any_of([_subject(where.subject.token)]))
        return {"expression": " & ".join(parts)}

    def matching(self, rows: Table, wall: Wall, terms: int) -> ColumnElement[bool]:
        """By the text vector."""
        expression = cast(cast(bindparam("expression"), Text), TSQUERY)
        return literal_column(f"{wall.kind}.words").op("@@", is_comparison=True)(expression)

    def near(self, where: Where, space: str, vector: bytes, limit: int) -> Query:
        """The rows that `where` admits and the cosine of each, compared by pgvector inside the wall."""
        wall, values = self._wall(where)
        numbers = unpack(vector)
        asked = {"space": space, "length": len(numbers), "vector": f"[{','.join(map(repr, numbers))}]", "limit": limit}
        return Query(self._built("near", wall), values | asked)

    def _build_near(self, wall: Wall) -> Select[Any]:
        rows, vectors = TABLES[wall.kind], TABLES["vector"].c
        wanted = cast(cast(bindparam("vector"), Text), _Vector())
        distance: Any = cast(vectors.embedding, _Vector()).op("<=>", return_type=Double())(wanted)
        comparable = (vectors.space == bindparam("space", type_=vectors.space.type)) & (
            func.cardinality(vectors.embedding) == bindparam("length", type_=Integer())
        )
        behind = self.inside(Wall("vector", wall.owners, wall.subject, -1, Every()))
        best = select(vectors.target, (1 - func.min(distance)).label("cosine")).where(behind, comparable)
        nearest = best.group_by(vectors.target).subquery()
        found = select(*columns_of(wall.kind), nearest.c.cosine).join(nearest, nearest.c.target == rows.c.id)
        return found.where(self.inside(wall)).order_by(nearest.c.cosine.desc(), rows.c.id).limit(LIMIT)

    def shared(self, rows: Table, terms: int) -> ColumnElement[int]:
        """By the JSON list of terms."""
        each: Any = func.json_array_elements_text(rows.c.terms).column_valued("term")
        wanted = [cast(parameter, Text) for parameter in text_parameters(terms)]
        return select(func.count(each.distinct())).where(each.in_(wanted)).scalar_subquery()


class _Vector(UserDefinedType[str]):
    """The type that pgvector brings."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Its name."""
        return "VECTOR"


def _any_of(words: Iterable[str]) -> str:
    return "(" + " | ".join("'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words) + ")"


class PostgresLink(Link):
    """Counts the rows that were written."""

    async def run(self, statement: Executable, rows: Sequence[Values]) -> int:
        """Run a statement for each of `rows`; returns how many rows of the database it touched."""
        if not isinstance(statement, Update | SqlDelete):
            return len((await self.connection.execute(statement, list(rows))).all())
        return sum([(await self.connection.execute(statement, row)).rowcount for row in rows])


class PostgresStore(SqlStore):
    """Records in a PostgreSQL database, each write committed before it is acknowledged.

    The tables are made at the first opening; a newer version of this library brings them up to date with `ltm migrate`.

    Args:
        url: `postgresql://user@host/database`, with `+asyncpg` or `+psycopg` to choose the driver.
        patience: Seconds to try again where others' transactions are in the way, before `StoreUnavailable`.
        readers: Most connections for reading; one more writes.
    """

    link = PostgresLink
    queries = _PostgresQueries()
    statements = every_table(_PostgresStatements, {name: _with_words(table) for name, table in TABLES.items()})
    errors = (DBAPIError, OSError)

    def __init__(self, url: str | URL, *, patience: float = 15.0, readers: int = READERS) -> None:
        super().__init__(patience)
        self._url = _parsed(url)
        self._readers = readers
        self._has_pgvector = False

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first."""
        if not self._has_pgvector:
            return await super().search_vector(where, space, vector, limit)
        layout = LAYOUTS[where.kind]
        rows = await self._rows(self.queries.near(where, space, vector, limit))
        return [Near(layout.record(cells), cosine) for *cells, cosine in rows]

    async def _connect(self) -> None:
        self._writer = self._engine(pool_size=1)
        self._reader = self._engine(pool_size=self._readers)
        self._has_pgvector = await self._find_pgvector()
        version = await self._version()
        if version is None:
            await self._create()
        elif version != HEAD:
            raise SchemaError(
                f"{self._place} has schema {version!r}, and this version needs {HEAD!r}. Run: ltm migrate URL"
            )

    async def _version(self) -> str | None:
        async with self._reading() as link:
            return await link.connection.run_sync(stored_version)

    async def _find_pgvector(self) -> bool:
        """Whether the database has the extension; where the server has it and this role may, it is made."""
        async with self._reading() as link:
            with suppress(DBAPIError):
                await link.do("CREATE EXTENSION IF NOT EXISTS vector")
            return bool(await link.fetch(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'"), {}))

    async def _create(self) -> None:
        """Make the tables. Of several processes that begin at once, one does, and the others see it."""
        try:
            async with self._transaction() as link:
                await link.connection.run_sync(migrate)
        except StoreError:
            if await self._version() != HEAD:
                raise

    def _engine(self, **options: Any) -> AsyncEngine:
        return create_async_engine(
            self._url,
            max_overflow=0,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            json_serializer=str,
            json_deserializer=_verbatim,
            **options,
        )

    @property
    def _place(self) -> str:
        return f"PostgreSQL database {self._url.database!r} at {self._url.host or 'the local socket'}"

    def _may_pass(self, error: BaseException | None) -> bool:
        return _state(error).startswith(_PASSING)

    def _translate(self, error: BaseException | None) -> LTMError:
        state = _state(error)
        for states, kind, message in _TROUBLES:
            if state.startswith(states):
                return kind(message.format(place=self._place, error=_first_line(error)))
        if isinstance(error, OSError):
            return StoreUnavailable(f"{self._place} cannot be reached ({error}). Check that it runs, and the URL.")
        return StoreError(f"{self._place} refused: {_first_line(error)}. If it is sound, please report this.")


def _verbatim(json: str | bytes) -> str:
    return json if isinstance(json, str) else json.decode()


def _state(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("That is no database URL. Write postgresql://user@host/database.") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"PostgreSQL is not reached by {parsed.drivername!r}. Write postgresql://….")
    return parsed.set(drivername=f"postgresql+{_driver(parsed.drivername.partition('+')[2])}")


def _driver(wanted: str) -> str:
    """The driver that the URL names, else the first that is installed."""
    if wanted and wanted not in _DRIVERS:
        raise ConfigurationError(f"{wanted} is no asynchronous driver. Write postgresql+asyncpg:// or +psycopg://.")
    for name in [wanted] if wanted else _DRIVERS:
        if find_spec(name) is not None:
            return name
    raise MissingExtra(f"The driver {wanted or 'asyncpg'}", _DRIVERS[wanted or "asyncpg"])
