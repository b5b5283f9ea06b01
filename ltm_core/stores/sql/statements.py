"""The write statements of each table, built once, and each write as one of them with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, Table, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import Insert

from ...scope import Scope
from ..base import Put, Write
from .tables import TABLES, row_of


@dataclass(frozen=True, slots=True)
class Step:
    """One write as a statement and its parameters; it should touch exactly one row."""

    statement: Executable
    parameters: Mapping[str, Any]
    write: Write


class Statements:
    """The write statements of one table, built once."""

    def __init__(self, table: Table) -> None:
        kept = ("seq", "id", "owner")
        content = [column for column in table.c if column.name not in kept]
        mine = (table.c.id == bindparam("its_id")) & (table.c.owner == bindparam("its_owner"))
        at_version = mine & (table.c.version == bindparam("its_version"))
        insert = Insert(table).values({c.name: bindparam(c.name) for c in table.c if c.name != "seq"})
        self.insert = counted(insert.on_conflict_do_nothing(index_elements=["id"]))
        self.put = counted(
            insert.on_conflict_do_update(
                index_elements=["id"],
                set_={column.name: insert.excluded[column.name] for column in content},
                where=table.c.owner == insert.excluded.owner,
            )
        )
        self.update = counted(update(table).where(at_version).values({c.name: bindparam(c.name) for c in content}))
        self.delete = counted(delete(table).where(mine))
        self.delete_at = counted(delete(table).where(at_version))
        self.stored = select(table.c.owner, table.c.version).where(table.c.id == bindparam("its_id"))

    def step(self, write: Write) -> Step:
        """How `write` is done."""
        if isinstance(write, Put):
            return self._put(write)
        wall = _wall(write.id, write.scope, write.expect)
        return Step(self.delete if write.expect is None else self.delete_at, wall, write)

    def _put(self, write: Put) -> Step:
        row = row_of(write.record)
        if write.expect is None:
            return Step(self.put, row, write)
        if write.expect == 0:
            return Step(self.insert, row, write)
        wall = _wall(row.pop("id"), write.record.scope, write.expect)
        del row["owner"]
        return Step(self.update, row | wall, write)


def counted(statement: Any) -> Any:
    """`statement`, which will tell how many rows it touched."""
    return statement.execution_options(preserve_rowcount=True)


def _wall(record_id: str, scope: Scope, version: int | None) -> dict[str, Any]:
    wall = {"its_id": record_id, "its_owner": scope.token}
    return wall if version is None else wall | {"its_version": version}


STATEMENTS = {name: Statements(table) for name, table in TABLES.items()}


def kind_of(write: Write) -> str:
    """The kind of record that is written."""
    return write.record.kind if isinstance(write, Put) else write.kind
