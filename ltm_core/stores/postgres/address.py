"""Where a PostgreSQL database is, and how it is reached: URL, driver and schema."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ...errors import ConfigurationError, MissingExtra

_DRIVERS = {"asyncpg": "postgres", "psycopg": "psycopg"}
_SWITCH = {"on": True, "off": False}
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SCHEMA_EXISTS = text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")


@dataclass(frozen=True, slots=True)
class Address:
    """A database with the options of ours that stood in its URL.

    Attributes:
        url: As a driver takes it.
        schema: The schema that holds the tables; None for the one that the database chooses.
        row_security: Whether to refuse a database whose rows are not behind policies.
    """

    url: URL
    schema: str | None = None
    row_security: bool = False

    def __str__(self) -> str:
        return f"PostgreSQL database {self.url.database!r} at {self.url.host or 'the local socket'}"

    def engine(self, **options: Any) -> AsyncEngine:
        """An engine whose connections see the schema first."""
        return create_async_engine(self.url, hide_parameters=True, connect_args=self._arguments(), **options)

    async def has_schema(self, *, make: bool = False) -> bool:
        """Whether there is a schema of that name; with `make` it is created if there is none."""
        if self.schema is None:
            return True
        engine = create_async_engine(self.url, isolation_level="AUTOCOMMIT", hide_parameters=True)
        try:
            async with engine.connect() as connection:
                exists = (await connection.execute(_SCHEMA_EXISTS, {"schema": self.schema})).first() is not None
                if not exists and make:
                    await connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
                return exists or make
        finally:
            await engine.dispose()

    def _arguments(self) -> dict[str, Any]:
        if self.schema is None:
            return {}
        path = f"{self.schema},public"  # public, because extensions live there
        if self.url.get_driver_name() == "asyncpg":
            return {"server_settings": {"search_path": path}}
        return {"options": f"{self.url.query.get('options', '')} -c search_path={path}".strip()}


def address_of(url: str | URL) -> Address:
    """`postgresql://user@host/database?schema=…&row_security=on`, taken apart. Raises `ConfigurationError`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("That is no database URL. Write postgresql://user@host/database.") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"PostgreSQL is not reached by {parsed.drivername!r}. Write postgresql://….")
    driver = f"postgresql+{_driver(parsed.drivername.partition('+')[2])}"
    bare = parsed.difference_update_query(["schema", "row_security"]).set(drivername=driver)
    return Address(bare, _schema(_option(parsed, "schema")), _switched(_option(parsed, "row_security")))


def _option(url: URL, name: str) -> str | None:
    given = url.query.get(name)
    return given if given is None or isinstance(given, str) else given[-1]


def _schema(name: str | None) -> str | None:
    if name is None or _IDENTIFIER.fullmatch(name):
        return name
    raise ConfigurationError(f"schema={name!r} is no plain name. Use small letters, digits and _, such as ltm_memory.")


def _switched(value: str | None) -> bool:
    if value is None:
        return False
    if value not in _SWITCH:
        raise ConfigurationError(f"row_security={value!r} says nothing. Write row_security=on, or leave it out.")
    return _SWITCH[value]


def _driver(wanted: str) -> str:
    """The driver that the URL names, else the first that is installed."""
    if wanted and wanted not in _DRIVERS:
        raise ConfigurationError(f"{wanted} is no asynchronous driver. Write postgresql+asyncpg:// or +psycopg://.")
    for name in [wanted] if wanted else _DRIVERS:
        if find_spec(name) is not None:
            return name
    raise MissingExtra(f"The driver {wanted or 'asyncpg'}", _DRIVERS[wanted or "asyncpg"])
