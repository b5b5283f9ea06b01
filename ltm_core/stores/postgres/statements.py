"""How PostgreSQL writes records, in tables as they come or partitioned, before policies or behind them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import ARRAY, Column, MetaData, Select, Table, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import TSVECTOR, Insert, array

from ..base import Record
from ..kinds import KINDS
from ..sql.statements import OnConflict, every_table
from ..sql.tables import TABLES, kind_in
from .queries import lexemes
from .row_security import stored_rows


class PostgresStatements(OnConflict):
    """Tells how many rows it wrote by returning one for each: asyncpg does not count for many at once."""

    into = Insert

    def __init__(self, table: Table, *, partitioned: bool = False, walled: bool = False) -> None:
        if partitioned:
            self.key = ("id", "owner")  # no unique index without the column that partitions
        super().__init__(table)
        self.insert = self.insert.returning(table.c.seq)
        self.put = self.put.returning(table.c.seq)
        self.stored = _stored(table, walled)
        self.doubles = _doubles(table, walled)

    def beside(self) -> Mapping[str, Any]:
        """The text vector, computed here and not by the database, so that none needs our analysis."""
        if not self.layout.kind.words:
            return {}
        return {"words": func.array_to_tsvector(bindparam("words", type_=ARRAY(Text)))}

    def row(self, record: Record) -> dict[str, Any]:
        """The parameters of one record."""
        row = super().row(record)
        return row | {"words": lexemes(record)} if self.layout.kind.words else row


def _with_words(table: Table) -> Table:
    """The table as it is here, with its text vector."""
    here = table.to_metadata(MetaData())
    if KINDS[kind_in(table)].words:
        here.append_column(Column("words", TSVECTOR))
    return here


def _stored(table: Table, walled: bool) -> Select[Any]:
    """Owner and version of what has the id `its_id`, the first that was stored first."""
    wanted = bindparam("its_id", type_=Text())
    found = stored_rows(table, array([wanted])) if walled else table
    return select(found.c.owner, found.c.version).where(found.c.id == wanted).order_by(found.c.seq)


def _doubles(table: Table, walled: bool) -> Select[Any]:
    """Those of `ids` that more than one owner has."""
    wanted = bindparam("ids", type_=ARRAY(Text()))
    found = stored_rows(table, wanted) if walled else table
    return select(found.c.id).where(found.c.id == any_(wanted)).group_by(found.c.id).having(func.count() > 1)


@lru_cache
def statements_of(*, partitioned: bool, walled: bool) -> Mapping[str, PostgresStatements]:
    """The statements of all tables, by kind."""
    made = partial(PostgresStatements, partitioned=partitioned, walled=walled)
    return every_table(made, {name: _with_words(table) for name, table in TABLES.items()})
