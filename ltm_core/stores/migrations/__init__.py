"""The schema over time, as Alembic revisions. New columns of `KINDS` come with a new revision in `versions/`."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from ...errors import SchemaError
from ..sql.tables import METADATA

HEAD = "0002"
VERSION_TABLE = "ltm_version"


def stored_version(connection: Connection) -> str | None:
    """The revision of the database's schema; None where there is none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def migrate(connection: Connection, to: str = HEAD) -> None:
    """Bring the schema up to date, or up `to` a revision, in the transaction that `connection` is in.

    Raises `SchemaError` for a schema of the future, or tables that are not ours.
    """
    version = stored_version(connection)
    if version == to:
        return
    if version is None:
        _check_room(connection)
    # Takes a while to import, and is seldom needed.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    package, _, folder = __name__.rpartition(".")
    config.set_main_option("script_location", f"{package}:{folder}")
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise SchemaError(
            f"The database has schema {version!r}, which this version does not know. Upgrade ltm-core."
        ) from error


def _check_room(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names())
    taken = METADATA.tables.keys() & there
    # The table of versions is made first: where it is there and empty, somebody of ours began and did not finish.
    if taken and VERSION_TABLE not in there:
        raise SchemaError(
            f"Another program has a table {min(taken)!r} here. Give the memory a database, or a file, of its own."
        )
