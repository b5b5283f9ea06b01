"""The store on a PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import URL, Connection, Delete, Update, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import ConfigurationError, LTMError, SchemaError, StoreError
from ...scope import Scope, scope_named
from ..base import Near, Where
from ..migrations import HEAD, migrate, partitions_of, stored_version
from ..sql.link import Link, Rows
from ..sql.nearest import MORE
from ..sql.queries import Query
from ..sql.statements import Step, kind_of, scope_of
from ..sql.store import SqlStore, ended
from ..sql.tables import LAYOUTS
from .address import address_of
from .link import PostgresLink
from .queries import PostgresQueries
from .row_security import WalledQueries, build_walls, has_walls, is_bound, said, settings_of
from .statements import PostgresStatements, statements_of
from .troubles import PASSING, state_of, translated
from .vector_index import ASKING, index_name, known_indexes

READERS = 8
_QUERIES = {False: PostgresQueries(), True: WalledQueries()}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a database turned out to have."""

    version: str | None = None
    has_pgvector: bool = False
    is_partitioned: bool = False
    is_walled: bool = False
    is_bound: bool = True
    vector_indexes: frozenset[str] = frozenset()

    @classmethod
    def on(cls, connection: Connection) -> _Found:
        """By looking."""
        vector = connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")).first() is not None
        return cls(
            stored_version(connection),
            vector,
            partitions_of(connection) > 0,
            has_walls(connection),
            is_bound(connection),
            known_indexes(connection) if vector else frozenset(),
        )


class PostgresStore(SqlStore):
    """Records in a PostgreSQL database, each write committed before it is acknowledged.

    The tables are made at the first opening; a newer version of this library brings them up to date with `ltm migrate`.

    Args:
        url: `postgresql://user@host/database`, with `+asyncpg` or `+psycopg` to choose the driver. `?schema=NAME` keeps
            the tables in that schema; `?row_security=on` refuses a database whose rows are not behind policies, and a
            role that policies do not bind.
        patience: Seconds to try again where others' transactions are in the way, before `StoreUnavailable`.
        readers: Most connections for reading; one more writes.
        index_threshold: From how many vectors of a scope on a vector index is asked, if there is one for the space.
            None weighs the scope against the index.
    """

    link = PostgresLink
    queries: PostgresQueries
    statements: Mapping[str, PostgresStatements]
    errors = (DBAPIError, OSError)

    def __init__(
        self,
        url: str | URL,
        *,
        patience: float = 15.0,
        readers: int = READERS,
        index_threshold: int | None = None,
    ) -> None:
        super().__init__(patience)
        self._address = address_of(url)
        self._readers = readers
        self._index_threshold = index_threshold
        self._suit(_Found())

    def _suit(self, found: _Found) -> None:
        """Take the statements that suit the database."""
        self._found = found
        self.queries = _QUERIES[found.is_walled]
        self.statements = statements_of(partitioned=found.is_partitioned, walled=found.is_walled)

    # Nearness

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first.

        Where an index is asked, these are nearly always the nearest.
        """
        if not self._found.has_pgvector:
            return await super().search_vector(where, space, vector, limit)
        if await self._is_indexed(where, space, vector):
            query = self.queries.near_by_index(where, space, vector, limit, max(limit, 1) * MORE)
            found = await self._near(where.kind, replace(query, settings=ASKING))
            if len(found) == limit:
                return found
        return await self._near(where.kind, self.queries.near(where, space, vector, limit))

    async def _near(self, kind: str, query: Query) -> list[Near]:
        return [Near(LAYOUTS[kind].record(cells), cosine) for *cells, cosine in await self._rows(query)]

    async def _is_indexed(self, where: Where, space: str, vector: bytes) -> bool:
        """Whether there is an index, and so many vectors inside the wall that it is quicker than comparing each."""
        name = index_name(space, len(vector) // 4)
        if name not in self._found.vector_indexes:
            return False
        [(is_large,)] = await self._rows(self.queries.is_large(where, space, name, self._index_threshold))
        return bool(is_large)

    # Whose records a transaction is about

    async def whose(self, kind: str, record_id: str) -> Scope | None:
        """Whom the record of this id is about; behind policies its owner is asked for first, and then as that."""
        if not self._found.is_walled:
            return await super().whose(kind, record_id)
        asked = {"its_id": record_id}
        owners = [owner for owner, _ in await self._rows(Query(self.statements[kind].stored, asked))]
        if not owners:
            return None
        rows = await self._rows(Query(self.queries.whose(kind), asked, settings=said(owners)))
        return next((scope_named(name, tenant) for name, tenant in rows), None)

    async def _admit(self, link: Link, about: Where | Sequence[Sequence[Step]]) -> None:
        if self._found.is_walled:
            await link.settle(settings_of(about) if isinstance(about, Where) else said(_owners(about)))

    async def _fetch(self, query: Query) -> Rows:
        settings = dict(query.settings)
        if self._found.is_walled and query.where is not None:
            settings |= settings_of(query.where)
        if not settings:
            return await super()._fetch(query)
        async with self._settled(settings) as link:
            return await link.fetch(query.statement, query.parameters)

    @asynccontextmanager
    async def _settled(self, settings: Mapping[str, str]) -> AsyncIterator[Link]:
        """A connection to read on, in a transaction with these settings."""
        async with self._reading() as link:
            await link.do("BEGIN")
            async with ended(link):
                await link.settle(settings)
                yield link

    # Writing

    async def _run(self, link: Link, steps: Sequence[Step]) -> int:
        """Where tables are partitioned, a row whose id another owner has does not count: its transaction fails."""
        written = await super()._run(link, steps)
        if not self._found.is_partitioned or isinstance(steps[0].statement, Update | Delete):
            return written
        ids = [step.parameters["id"] for step in steps]
        return written - len(await link.fetch(self.statements[kind_of(steps[0].write)].doubles, {"ids": ids}))

    # Opening

    async def _connect(self) -> None:
        await self._address.has_schema(make=True)
        self._writer = self._engine(pool_size=1)
        self._reader = self._engine(pool_size=self._readers)
        found = await self._look()
        if found.version is None:
            await self._create()
            found = await self._look()
        self._check(found)
        self._suit(found)

    def _check(self, found: _Found) -> None:
        """Raise where the database is not what is needed, or what was asked for."""
        if found.version != HEAD:
            raise SchemaError(
                f"{self._address} has schema {found.version!r}, and this version needs {HEAD!r}. Run: ltm migrate URL"
            )
        if self._address.row_security and not found.is_walled:
            raise SchemaError(f"{self._address} has no row-level security. Run: ltm migrate URL --row-security ROLE")
        if self._address.row_security and not found.is_bound:
            raise ConfigurationError(
                f"{self._address}: row-level security does not bind this role. Log in as one that is neither superuser "
                "nor has BYPASSRLS."
            )

    async def _look(self) -> _Found:
        """What the database has; where the server has pgvector and this role may, the extension is made."""
        async with self._reading() as link:
            with suppress(DBAPIError):
                await link.do("CREATE EXTENSION IF NOT EXISTS vector")
            return await link.connection.run_sync(_Found.on)

    async def _create(self) -> None:
        """Make the tables. Of several processes that begin at once, one does, and the others see it."""
        try:
            async with self._transaction() as link:
                await link.connection.run_sync(migrate)
                if self._address.row_security:
                    await link.connection.run_sync(build_walls)
        except StoreError:
            if (await self._look()).version != HEAD:
                raise

    def _engine(self, **options: Any) -> AsyncEngine:
        return self._address.engine(
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            json_serializer=str,
            json_deserializer=_verbatim,
            **options,
        )

    def _may_pass(self, error: BaseException | None) -> bool:
        return state_of(error).startswith(PASSING)

    def _translate(self, error: BaseException | None) -> LTMError:
        return translated(self._address, error)


def _verbatim(json: str | bytes) -> str:
    return json if isinstance(json, str) else json.decode()


def _owners(units: Sequence[Sequence[Step]]) -> set[str]:
    return {scope_of(step.write).token for unit in units for step in unit}
