"""The wall a second time, in the database: policies that show a transaction only those whose names it has said.

A transaction says whose records it is about by two settings that end with it. One that says nothing sees nothing and
writes nothing, so a condition that was forgotten, or a query by hand, shows no record. Ids of everybody, which workers
need, are given by functions that run as their owner and give ids only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    column,
    func,
    select,
    text,
)

from ..base import Where
from ..kinds import KINDS, Type
from ..migrations import VERSION_TABLE
from ..sql.queries import LIMIT
from ..sql.tables import TABLES
from ..sql.types import SQL_TYPES
from .queries import PostgresQueries

OWNERS, SUBJECT, IDS = "ltm.owners", "ltm.subject", "ltm.ids"
WALL = "ltm_wall"
_DUE = {name: kind.due for name, kind in KINDS.items() if kind.due is not None}
# Scalar queries, because they are run once and not for each row.
_MINE = f"owner = ANY ((SELECT string_to_array(nullif(current_setting('{OWNERS}', true), ''), ','))::text[])"
_ABOUT = f"subject = (SELECT nullif(current_setting('{SUBJECT}', true), ''))"


def settings_of(where: Where) -> dict[str, str]:
    """What a transaction says that reads or removes what `where` admits."""
    if where.scopes:
        return said(scope.token for scope in where.scopes)
    return said((), where.subject.token if where.subject is not None else "")


def said(owners: Iterable[str], subject: str = "") -> dict[str, str]:
    """The settings that let a transaction at the records of `owners`, and those about `subject`."""
    return {OWNERS: ",".join(owners), SUBJECT: subject}


def has_walls(connection: Connection) -> bool:
    """Whether the tables are behind policies of ours."""
    query = text("SELECT 1 FROM pg_policy WHERE polrelid = to_regclass('fact') AND polname = :name")
    return connection.execute(query, {"name": WALL}).first() is not None


def is_bound(connection: Connection) -> bool:
    """Whether the role that is logged in is bound by policies: superusers are not."""
    query = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    return not connection.execute(query).scalar_one()


def build_walls(connection: Connection, role: str | None = None) -> None:
    """Put every table behind policies, and grant `role`, or whoever had it before, what a memory needs.

    Done again it makes the same. The tables' owner is bound as well.
    """
    roles = {role} if role is not None else _writers(connection)
    for statement in _walls(connection):
        connection.execute(text(statement))
    for one in sorted(roles):
        for statement in _grants(connection, one):
            connection.execute(text(statement))


def _writers(connection: Connection) -> set[str]:
    """Who may write facts."""
    query = text(
        "SELECT pg_get_userbyid(grantee) FROM pg_class, aclexplode(relacl)"
        " WHERE oid = to_regclass('fact') AND privilege_type = 'INSERT' AND grantee <> 0"
    )
    return set(connection.execute(query).scalars())


def _walls(connection: Connection) -> Iterable[str]:
    schema = _schema(connection)
    for table in TABLES.values():
        for name in [table.name, *_partitions(connection, table.name)]:
            yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
            yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
        yield f"DROP POLICY IF EXISTS {WALL} ON {table.name}"
        yield f"CREATE POLICY {WALL} ON {table.name} USING ({_MINE} OR {_ABOUT}) WITH CHECK ({_MINE})"
        yield f"DROP POLICY IF EXISTS ltm_ids ON {table.name}"
        yield (
            f"CREATE POLICY ltm_ids ON {table.name} FOR SELECT TO CURRENT_USER"
            f" USING (current_setting('{IDS}', true) = 'on')"
        )
    for signature, (returns, body) in _functions().items():
        yield (
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS TABLE ({returns}) LANGUAGE plpgsql SECURITY DEFINER"
            f" SET search_path = {schema}, pg_temp AS $$ {_opened(body)} $$"
        )
        yield f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC"


def _functions() -> dict[str, tuple[str, str]]:
    """By signature, what the functions return and do: they give ids, owners and times, never content."""
    made = {"ltm_subjects(text, integer)": ("subject text, subject_name text, tenant text", _everybody())}
    for kind, due in _DUE.items():
        made[f"ltm_due_{kind}(timestamptz, integer)"] = (
            "id text, subject_name text, tenant text, at timestamptz",
            f"SELECT id, subject_name, tenant, {due} FROM {TABLES[kind].name}"
            f" WHERE {due} <= $1 ORDER BY {due}, id LIMIT $2",
        )
    for table in TABLES.values():
        made[f"ltm_stored_{table.name}(text[])"] = (
            "id text, owner text, version bigint, seq bigint",
            f"SELECT id, owner, version, seq FROM {table.name} WHERE id = ANY ($1)",
        )
    return made


def _opened(query: str) -> str:
    """`query` with the policy for ids open meanwhile: only superusers may write a setting into a function's head."""
    return (
        f"#variable_conflict use_column\nBEGIN PERFORM set_config('{IDS}', 'on', true); RETURN QUERY {query};"
        f" PERFORM set_config('{IDS}', '', true); END"
    )


def _everybody() -> str:
    columns = "subject, subject_name, tenant"
    pages = " UNION ".join(
        f"(SELECT DISTINCT {columns} FROM {table.name} WHERE subject > $1 ORDER BY subject LIMIT $2)"
        for table in TABLES.values()
    )
    return f"SELECT {columns} FROM ({pages}) everybody ORDER BY subject LIMIT $2"


def _grants(connection: Connection, role: str) -> Iterable[str]:
    quoted = connection.dialect.identifier_preparer.quote(role).replace(":", "\\:")
    tables = ", ".join(table.name for table in TABLES.values())
    sequences = [
        connection.execute(text(f"SELECT pg_get_serial_sequence('{table.name}', 'seq')")).scalar_one()
        for table in TABLES.values()
    ]
    yield f"GRANT USAGE ON SCHEMA {_schema(connection)} TO {quoted}"
    yield f"GRANT SELECT ON {VERSION_TABLE} TO {quoted}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {quoted}"
    yield f"GRANT USAGE ON SEQUENCE {', '.join(sequences)} TO {quoted}"
    yield f"GRANT EXECUTE ON FUNCTION {', '.join(_functions())} TO {quoted}"


def _schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one())


def _partitions(connection: Connection, table: str) -> Iterable[str]:
    query = text(
        "SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits WHERE inhparent = to_regclass(:name)"
    )
    return connection.execute(query, {"name": table}).scalars().all()


def stored_rows(table: Table, ids: ColumnElement[Any]) -> FromClause:
    """Id, owner, version and seq of the rows that have one of `ids`, whoever owns them."""
    types = {"id": Type.TOKEN, "owner": Type.TOKEN, "version": Type.INTEGER, "seq": Type.INTEGER}
    return _rows_of(f"ltm_stored_{table.name}", types, ids)


def _rows_of(function: str, types: Mapping[str, Type], *arguments: ColumnElement[Any]) -> FromClause:
    columns = [column(name, SQL_TYPES[typed]) for name, typed in types.items()]
    called: Any = getattr(func, function)(*arguments)
    return called.table_valued(*columns)  # type: ignore[no-any-return]


class WalledQueries(PostgresQueries):
    """Asks functions for what is about everybody."""

    def _build_due(self, kind: str, column: str) -> Select[Any]:
        types = {"id": Type.TOKEN, "subject_name": Type.TEXT, "tenant": Type.TEXT, "at": Type.TIME}
        before = bindparam("before", type_=SQL_TYPES[Type.TIME])
        ready = _rows_of(f"ltm_due_{kind}", types, before, LIMIT)
        return select(*ready.c).order_by(ready.c.at, ready.c.id)

    def _build_subjects(self) -> Select[Any]:
        types = {"subject": Type.TOKEN, "subject_name": Type.TEXT, "tenant": Type.TEXT}
        found = _rows_of("ltm_subjects", types, bindparam("after", type_=Text()), LIMIT)
        return select(*found.c).order_by(found.c.subject)
