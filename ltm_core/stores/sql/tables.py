"""Tables made from `KINDS`, and records turned into rows and back. What every SQL store shares.

Each kind has a table of its own: the fixed columns, its typed columns, and `body`, the JSON of all other fields.
A field that is None rides in `body` too where its column could not tell None from absent, so that fields come back
exactly as they went in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

from ...errors import InvalidInput, ScopeError
from ...model import in_utc
from ...scope import MemoryScope, Scope
from ..base import Record
from ..kinds import FIXED, KINDS, Kind, Type


class Time(TypeDecorator[datetime]):
    """UTC as text of fixed width with microseconds: readable, and in order when sorted as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """From Python to the database."""
        return None if value is None else in_utc(value).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """From the database to Python."""
        return None if value is None else datetime.fromisoformat(value)


SQL_TYPES: Mapping[Type, type[TypeEngine[Any]]] = MappingProxyType(
    {
        Type.TOKEN: Text,
        Type.TEXT: Text,
        Type.INTEGER: BigInteger,
        Type.REAL: Double,
        Type.BOOLEAN: Boolean,
        Type.TIME: Time,
        Type.JSON: Text,
        Type.VECTOR: LargeBinary,
    }
)
METADATA = MetaData()


def _table(kind: Kind) -> Table:
    columns: list[Column[Any]] = [Column("seq", Integer, primary_key=True)]
    columns += [Column(name, SQL_TYPES[typed](), nullable=False) for name, typed in FIXED.items()]
    columns += [Column(name, SQL_TYPES[typed]()) for name, typed in kind.columns.items()]
    if kind.words:
        columns.append(Column("terms", Text, nullable=False))
    columns.append(Column("body", Text, nullable=False))
    table = Table(kind.name, METADATA, *columns)
    Index(f"ix_{kind.name}_id", table.c.id, unique=True)
    for names in _indexes(kind):
        Index(f"ix_{kind.name}_{'_'.join(names)}", *(table.c[name] for name in names))
    return table


def _indexes(kind: Kind) -> list[tuple[str, ...]]:
    """The declared indexes, and one for each side of the wall that no declared index leads with."""
    leading = {names[0] for names in kind.indexes}
    return [*kind.indexes, *((side,) for side in ("owner", "subject") if side not in leading)]


TABLES: Mapping[str, Table] = MappingProxyType({name: _table(kind) for name, kind in KINDS.items()})


def row_of(record: Record) -> dict[str, Any]:
    """A value for each column but `seq`. Raises `InvalidInput` where JSON cannot hold a field."""
    kind = KINDS[record.kind]
    if record.subject.tenant != record.scope.tenant:
        raise ScopeError("A record and its subject are of two tenants. Make both scopes with the same tenant.")
    row = {name: record.get(name) for name in FIXED}
    row |= {name: _cell(typed, record.fields, name) for name, typed in kind.columns.items()}
    if kind.words:
        row["terms"] = dumps(record.terms)
    elif record.terms:
        raise InvalidInput(f"A {kind.name} has no text index. Leave terms= out.")
    row["body"] = dumps({name: value for name, value in record.fields.items() if _rides(kind, name, value)})
    return row


def _cell(typed: Type, fields: Mapping[str, Any], name: str) -> Any:
    if typed is Type.JSON:
        return dumps(fields[name]) if name in fields else None
    return fields.get(name)


def _rides(kind: Kind, name: str, value: Any) -> bool:
    typed = kind.columns.get(name)
    return typed is None or (value is None and typed is not Type.JSON)


def record_of(kind: Kind, row: Row[Any]) -> Record:
    """The record that `row_of` turned into this row."""
    cells = row._mapping
    fields = {name: cells[name] for name in kind.columns if cells[name] is not None}
    for name, typed in kind.columns.items():
        if typed is Type.JSON and name in fields:
            fields[name] = json.loads(fields[name])
    return Record(
        kind.name,
        cells["id"],
        _scope(cells["scope"], cells["scope_id"], cells["tenant"]),
        scope_named(cells["subject_name"], cells["tenant"]),
        cells["version"],
        fields | json.loads(cells["body"]),
        tuple(json.loads(cells["terms"])) if kind.words else (),
    )


@lru_cache(maxsize=4096)
def _scope(level: str, scope_id: str, tenant: str) -> Scope:
    return Scope(MemoryScope(level), scope_id, tenant)


@lru_cache(maxsize=4096)
def scope_named(name: str, tenant: str) -> Scope:
    """The scope of a `subject_name` column."""
    return Scope.parse(name, tenant)


def dumps(value: Any) -> str:
    """Compact JSON that people can read in the database."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"A field is not JSON data ({error}). Convert it first, for example to a str.") from error
