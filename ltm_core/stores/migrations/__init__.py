"""The schema over time, as Alembic revisions. New columns of `KINDS` come with a new revision in `versions/`."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, literal, select, text

from ...errors import SchemaError
from ..sql.tables import METADATA

HEAD = "0003"
VERSION_TABLE = "ltm_version"


def stored_version(connection: Connection) -> str | None:
    """The revision of the database's schema; None where there is none yet."""
    if not inspect(connection).has_table(VERSION_TABLE, connection.dialect.default_schema_name):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def holds_records(connection: Connection) -> bool:
    """Whether anything is stored in our tables, as far as they are there."""
    there = inspect(connection).get_table_names(connection.dialect.default_schema_name)
    ours = [table for name, table in METADATA.tables.items() if name in there]
    return any(connection.execute(select(literal(1)).select_from(table).limit(1)).first() for table in ours)


def partitions_of(connection: Connection) -> int:
    """Into how many parts each table is split; 0 where they are whole, or where there are none yet."""
    if connection.dialect.name != "postgresql":
        return 0
    found = connection.execute(text("SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('fact')"))
    return int(found.scalar_one())


def migrate(connection: Connection, to: str = HEAD, *, partitions: int | None = None) -> None:
    """Bring the schema up to date, or up `to` a revision, in the transaction that `connection` is in.

    `partitions` splits each table by its owner, on PostgreSQL. Raises `SchemaError` for a schema of the future, tables
    that are not ours, or tables that are not split so.
    """
    version = stored_version(connection)
    found = (partitions or 0) if version is None else partitions_of(connection)
    if version is None:
        _check_room(connection)
    elif partitions not in (None, found):
        raise SchemaError(
            f"The tables have {found} partitions, which cannot be changed. Split an empty database, and use ltm copy."
        )
    if version != to:
        _upgrade(connection, version, to, found)


def _upgrade(connection: Connection, version: str | None, to: str, partitions: int) -> None:
    # Takes a while to import, and is seldom needed.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection, "partitions": partitions})
    package, _, folder = __name__.rpartition(".")
    config.set_main_option("script_location", f"{package}:{folder}")
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise SchemaError(
            f"The database has schema {version!r}, which this version does not know. Upgrade ltm-core."
        ) from error


def _check_room(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names(connection.dialect.default_schema_name))
    taken = METADATA.tables.keys() & there
    # The table of versions is made first: where it is there and empty, somebody of ours began and did not finish.
    if taken and VERSION_TABLE not in there:
        raise SchemaError(
            f"Another program has a table {min(taken)!r} here. Give the memory a database, or a file, of its own."
        )
