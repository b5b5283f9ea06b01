"""Tables made from `KINDS`, and records turned into rows and back. What every SQL store shares.

Each kind has a table of its own: the fixed columns, its typed columns, and `body`, the JSON of all other fields.
A field that is None rides in `body` too where its column could not tell None from absent, so that fields come back
exactly as they went in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table
from sqlalchemy.types import TypeEngine

from ...errors import InvalidInput, ScopeError
from ...scope import scope_named, scope_of
from ..base import FIXED_VALUES, Record
from ..kinds import FIXED, KINDS, VECTOR, Kind, Type
from .types import SQL_TYPES

METADATA = MetaData()
INDEXED_CHARACTERS = 64  # of a long text, where a database indexes no whole one

# SQLite gives numbers by itself to a column of exactly this type.
_SEQ: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")

# A table is named as its kind. But a table is also a type, and pgvector brings one that is called vector.
_NAMES = {VECTOR.name: "embedding"}


def _table(kind: Kind) -> Table:
    columns: list[Column[Any]] = [Column("seq", _SEQ, primary_key=True, autoincrement=True)]
    columns += [Column(name, SQL_TYPES[typed], nullable=False) for name, typed in FIXED.items()]
    columns += [Column(name, SQL_TYPES[typed]) for name, typed in kind.columns.items()]
    if kind.words:
        columns.append(Column("terms", SQL_TYPES[Type.JSON], nullable=False))
    columns.append(Column("body", SQL_TYPES[Type.JSON], nullable=False))
    # What stands at the place of a deleted vector must not look like it: see the stamps of `Queries`.
    table = Table(_NAMES.get(kind.name, kind.name), METADATA, *columns, sqlite_autoincrement=kind is VECTOR)
    table.info["kind"] = kind.name
    Index(f"ix_{table.name}_id", table.c.id, unique=True)
    for names in _indexes(kind):
        part = {name: INDEXED_CHARACTERS for name in names if kind.columns.get(name) is Type.TEXT}
        Index(f"ix_{table.name}_{'_'.join(names)}", *(table.c[name] for name in names), mysql_length=part)
    return table


def kind_in(table: Table) -> str:
    """The name of the kind that a table keeps."""
    return str(table.info["kind"])


def _indexes(kind: Kind) -> list[tuple[str, ...]]:
    """The declared indexes, and one for each side of the wall that no declared index leads with."""
    leading = {names[0] for names in kind.indexes}
    return [*kind.indexes, *((side,) for side in ("owner", "subject") if side not in leading)]


TABLES: Mapping[str, Table] = MappingProxyType({name: _table(kind) for name, kind in KINDS.items()})

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


_decode = json.JSONDecoder().raw_decode


def loads(text: Any) -> Any:
    """What `dumps` wrote, as a text or as bytes; without looking for space around it, which `json.loads` spends most
    of its time on."""
    return _decode(text)[0] if isinstance(text, str) else json.loads(text)


def dumps(value: Any) -> str:
    """Compact JSON that people can read in the database."""
    try:
        return _encode(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"A field is not JSON data ({error}). Convert it first, for example to a str.") from error


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the fields of a kind stand in a row. `names` are all columns but `seq`, in their order."""

    kind: Kind
    names: tuple[str, ...]
    plain: tuple[str, ...]
    documents: frozenset[str]
    columns: frozenset[str]

    def row(self, record: Record) -> dict[str, Any]:
        """A value for each of `names`. Raises `InvalidInput` where JSON cannot hold a field."""
        scope, subject, fields = record.scope, record.subject, record.fields
        if subject.tenant != scope.tenant:
            raise ScopeError("A record and its subject are of two tenants. Make both scopes with the same tenant.")
        row = {name: read(record) for name, read in FIXED_VALUES.items()}
        for name in self.plain:
            row[name] = fields.get(name)
        for name in self.documents:
            row[name] = dumps(fields[name]) if name in fields else None
        if self.kind.words:
            row["terms"] = dumps(record.terms)
        elif record.terms:
            raise InvalidInput(f"A {self.kind.name} has no text index. Leave terms= out.")
        row["body"] = dumps({name: value for name, value in fields.items() if name not in self.columns
                             or (value is None and name not in self.documents)})  # fmt: skip
        return row

    def record(self, cells: Sequence[Any]) -> Record:
        """The record whose row holds these cells, in the order of `names`."""
        record_id, _, _, subject, tenant, level, scope_id, version = cells[: len(FIXED)]
        fields = {name: cell for name, cell in zip(self.names, cells, strict=True) if cell is not None}
        for name in FIXED:
            del fields[name]
        terms = tuple(loads(fields.pop("terms"))) if self.kind.words else ()
        body = loads(fields.pop("body"))
        for name in self.documents & fields.keys():
            fields[name] = loads(fields[name])
        scope = scope_of(level, scope_id, tenant)
        return Record(
            self.kind.name, record_id, scope, scope_named(subject, tenant), version, {**fields, **body}, terms
        )


def _layout(kind: Kind) -> Layout:
    documents = frozenset(name for name, typed in kind.columns.items() if typed is Type.JSON)
    plain = tuple(name for name in kind.columns if name not in documents)
    names = tuple(column.name for column in TABLES[kind.name].c if column.name != "seq")
    return Layout(kind, names, plain, documents, frozenset(kind.columns))


LAYOUTS: Mapping[str, Layout] = MappingProxyType({name: _layout(kind) for name, kind in KINDS.items()})
