"""The schema of a database, seen from outside: which one it has, and bringing it up to date."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, MissingExtra, StoreError, StoreUnavailable
from .urls import open_store

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncConnection

_SQLITE = "sqlite"
# By scheme: how servers are reached here, and the extra that brings the driver.
_SERVERS = {
    "postgres": ("postgresql+asyncpg", "postgres"),
    "postgresql": ("postgresql+asyncpg", "postgres"),
    "mysql": ("mysql+aiomysql", "mysql"),
    "mariadb": ("mysql+aiomysql", "mysql"),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """Which schema a database has (None for none yet), and which one this code needs."""

    stored: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return self.stored == self.needed


async def schema_of(url: str) -> Schema:
    """The schema of the database that `url` names; nothing is changed or created."""
    from .migrations import HEAD, stored_version

    parsed = _parsed(url)
    if parsed.get_backend_name() == _SQLITE:
        return Schema(_version_of_file(parsed), HEAD)
    async with _connected(parsed) as connection:
        return Schema(await connection.run_sync(stored_version), HEAD)


async def bring_up_to_date(url: str) -> None:
    """Create or migrate the tables. Raises `SchemaError` where that cannot be."""
    from .migrations import migrate

    parsed = _parsed(url)
    if parsed.get_backend_name() == _SQLITE:
        async with open_store(url):
            return  # a store on a file does it whenever it is opened
    async with _connected(parsed) as connection, connection.begin():
        await connection.run_sync(migrate)


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url

    scheme, separator, _ = url.partition("://")
    name = scheme.partition("+")[0].lower()
    if not separator:
        open_store(url)  # raises for what is no path either
        return make_url(f"{_SQLITE}:///{url}")
    if name == _SQLITE:
        open_store(url)
        return make_url(url).set(drivername=_SQLITE)
    if name not in _SERVERS:
        open_store(url)
        raise ConfigurationError(f"A {name} store has no schema: there is nothing to migrate.")
    parsed = make_url(url)
    return parsed if "+" in scheme else parsed.set(drivername=_SERVERS[name][0])


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
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.ext.asyncio import create_async_engine

    try:
        engine = create_async_engine(url, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "the driver", _SERVERS[url.get_backend_name()][1]) from error
    try:
        async with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(
            f"{url.host or 'The database'} refused ({type(error).__name__}). "
            "Check that it runs, and host, user, password and database of the URL."
        ) from error
    finally:
        await engine.dispose()
