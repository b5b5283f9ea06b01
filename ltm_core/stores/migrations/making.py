"""Tables, spelled as revisions spell them: `number:integer` is a column of that type, a bare name is a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import TSVECTOR

from ..kinds import Type
from ..sql.types import SQL_TYPES

INDEXED_CHARACTERS = 64
SHORT = ("id", "owner", "subject", "fact_id", "target")

FIXED = "id owner subject subject_name tenant scope scope_id"


def create(name: str, columns: str, indexes: Sequence[str], *, words: bool = False) -> None:
    """Make the table of a kind with its indexes; with `words`, also what finds its records by their terms."""
    dialect, partitions = op.get_bind().dialect.name, context.config.attributes["partitions"]
    split: dict[str, Any] = {"postgresql_partition_by": "HASH (owner)"} if partitions else {}
    op.create_table(
        name,
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        *(_column(one, nullable=False, primary_key=bool(partitions) and one == "owner") for one in FIXED.split()),
        _column("version:integer", nullable=False),
        *(_column(column) for column in columns.split()),
        *([_column("terms:json", nullable=False)] if words else []),
        _column("body:json", nullable=False),
        *([sa.Column("words", TSVECTOR())] if words and dialect == "postgresql" else []),
        sqlite_autoincrement=name == "embedding",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
        if_not_exists=_may_be_half_made(),
        **split,
    )
    for number in range(partitions):
        _partition(name, number, partitions)
    named = ["id", "owner"] if partitions else ["id"]
    op.create_index(f"ix_{name}_id", name, named, unique=True, if_not_exists=_may_be_half_made())
    for index in indexes:
        _index(name, index.split(), columns)
    if words and dialect == "postgresql":
        op.create_index(f"ix_{name}_words", name, ["words"], postgresql_using="gin")
    if words and dialect == "sqlite":
        _text_index(name)


def rows(name: str, columns: str) -> sa.TableClause:
    """The table of a kind as statements of a revision name it."""
    every = [_column(one) for one in f"{FIXED} version:integer {columns} body".split()]
    return sa.table(name, *(sa.column(one.name, one.type) for one in every), sa.column("seq", sa.BigInteger()))


def index(table: str, names: str, columns: str) -> None:
    """One more index of a table that is there, in whose order pages are read: None comes first in these."""
    _index(table, names.split(), columns, none_first=True)


def drop_index(table: str, names: str) -> None:
    """An index that nothing needs any more."""
    op.drop_index(f"ix_{table}_{names.replace(' ', '_')}", table, if_exists=_may_be_half_made())


def _partition(table: str, number: int, of: int) -> None:
    op.execute(f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES WITH (MODULUS {of}, REMAINDER {number})")


def _column(spelled: str, *, nullable: bool = True, primary_key: bool = False) -> sa.Column[object]:
    name, _, typed = spelled.partition(":")
    usual = Type.TOKEN if name in SHORT else Type.TEXT
    return sa.Column(name, SQL_TYPES[Type(typed) if typed else usual], nullable=nullable, primary_key=primary_key)


def _index(table: str, names: list[str], columns: str, *, none_first: bool = False) -> None:
    texts = [name for name in names if name in columns.split() and name not in SHORT]
    length = dict.fromkeys(texts, INDEXED_CHARACTERS)
    name = f"ix_{table}_{'_'.join(names)}"
    parts: list[str | sa.TextClause] = [*names]
    if none_first and op.get_bind().dialect.name == "postgresql":
        parts[-1] = sa.text(f"{names[-1]} NULLS FIRST")
    op.create_index(name, table, parts, mysql_length=length, if_not_exists=_may_be_half_made())


def _may_be_half_made() -> bool:
    """Whether a process that was killed leaves a part of the tables: there, no DDL rolls back."""
    return op.get_bind().dialect.name in ("mysql", "mariadb")


def _text_index(kind: str) -> None:
    script = Path(__file__).with_name("text_index.sqlite.sql").read_text(encoding="utf-8")
    for statement in Template(script).substitute(kind=kind).split("\n\n"):
        op.get_bind().exec_driver_sql(statement)
