"""The schema of a database, seen from outside: which one it has, and bringing it up to date."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, LTMError, MissingExtra, StoreError, StoreUnavailable
from .urls import open_store

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_SQLITE, _POSTGRES = "sqlite", ("postgres", "postgresql")
_MYSQL = ("mysql", "mariadb")


@dataclass(frozen=True, slots=True)
class Schema:
    """Which schema a database has (None for none yet), and which one this code needs."""

    stored: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return self.stored == self.needed


@dataclass(frozen=True, slots=True)
class Extras:
    """What a PostgreSQL database may have besides the tables.

    Attributes:
        partitions: Into how many parts each table is split by its owner; None as it is, or whole.
        row_security: The role that memories log in as, for which each table gets policies.
        vector_index: The space and the number of dimensions of vectors that are to be indexed.
    """

    partitions: int | None = None
    row_security: str | None = None
    vector_index: tuple[str, int] | None = None


async def schema_of(url: str) -> Schema:
    """The schema of the database that `url` names; nothing is changed or created."""
    from .migrations import HEAD, stored_version

    parsed = _parsed(url)
    if parsed.get_backend_name() == _SQLITE:
        return Schema(_version_of_file(parsed), HEAD)
    if not await _has_place(parsed):
        return Schema(None, HEAD)
    async with _connected(parsed) as connection:
        return Schema(await connection.run_sync(stored_version), HEAD)


async def bring_up_to_date(url: str, extras: Extras | None = None) -> None:
    """Create or migrate the tables, and add `extras`. Raises `SchemaError` where that cannot be."""
    from .migrations import migrate

    parsed = _parsed(url)
    if parsed.get_backend_name() in _POSTGRES:
        await _bring_postgres(parsed, extras or Extras())
    elif extras not in (None, Extras()):
        raise ConfigurationError(
            "Partitions, row-level security and vector indexes are PostgreSQL's. Leave them out here."
        )
    elif parsed.get_backend_name() == _SQLITE:
        async with open_store(url):
            return  # a store on a file does it whenever it is opened
    else:
        async with _connected(parsed) as connection, connection.begin():
            await connection.run_sync(migrate)


async def _bring_postgres(url: URL, extras: Extras) -> None:
    await _has_place(url, make=True)
    async with _connected(url) as connection, connection.begin():
        await connection.run_sync(_with_extras, extras)


async def _has_place(url: URL, *, make: bool = False) -> bool:
    """Whether the place for the tables is there: on PostgreSQL a schema may be named that is not."""
    if url.get_backend_name() not in _POSTGRES:
        return True
    from .postgres.address import address_of

    with _translated(url):
        return await address_of(url).has_schema(make=make)


def _with_extras(connection: Connection, extras: Extras) -> None:
    from .migrations import migrate
    from .postgres.row_security import build_walls, has_walls
    from .postgres.vector_index import create_index

    migrate(connection, partitions=extras.partitions)
    if extras.row_security is not None or has_walls(connection):
        build_walls(connection, extras.row_security)
    if extras.vector_index is not None:
        create_index(connection, *extras.vector_index)


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url

    scheme, separator, _ = url.partition("://")
    name = scheme.partition("+")[0].lower()
    if not separator:
        open_store(url)  # raises for what is no path either
        return make_url(f"{_SQLITE}:///{url}")
    open_store(url)  # raises for what no store takes
    if name == _SQLITE:
        return make_url(url).set(drivername=_SQLITE)
    if name in _POSTGRES:
        return make_url(url.replace("postgres://", "postgresql://", 1))
    if name not in _MYSQL:
        raise ConfigurationError(f"A {name} store has no schema: there is nothing to migrate.")
    return make_url(url).set(drivername="mysql+aiomysql")


def _version_of_file(url: URL) -> str | None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError

    from .migrations import stored_version

    if url.database in (None, "", ":memory:") or not os.path.exists(str(url.database)):
        return None
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return stored_version(connection)
    except DBAPIError as error:
        raise StoreError(
            f"{url.database} cannot be read ({error.orig}). Check the path and its permissions."
        ) from error
    finally:
        engine.dispose()


@asynccontextmanager
async def _connected(url: URL) -> AsyncIterator[AsyncConnection]:
    engine = _engine(url)
    try:
        with _translated(url):
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise _refused(url, error.orig if isinstance(error, DBAPIError) else error) from error


def _engine(url: URL) -> AsyncEngine:
    from sqlalchemy.ext.asyncio import create_async_engine

    if url.get_backend_name() in _POSTGRES:
        from .postgres.address import address_of

        return address_of(url).engine()
    try:
        return create_async_engine(url, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "the driver", "mysql") from error


def _refused(url: URL, error: BaseException | None) -> LTMError:
    if url.get_backend_name() in _POSTGRES:
        from .postgres.address import address_of
        from .postgres.troubles import translated

        return translated(address_of(url), error)
    return StoreUnavailable(
        f"{url.host or 'The database'} refused ({type(error).__name__}). "
        "Check that it runs, and host, user, password and database of the URL."
    )
