"""The statements that write, built once for each table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Executable, Table, bindparam, delete, select, update

from ...scope import Scope
from ..base import Put, Record, Write
from .tables import LAYOUTS, TABLES, kind_in


@dataclass(frozen=True, slots=True)
class Step:
    """One write as a statement and its parameters; it should touch exactly one row."""

    statement: Executable
    parameters: Mapping[str, Any]
    write: Write


class Statements(ABC):
    """How one table is written in one database."""

    def __init__(self, table: Table) -> None:
        self.layout = LAYOUTS[kind_in(table)]
        filled = {name: bindparam(name, type_=table.c[name].type) for name in self.layout.names}
        self.filled: Mapping[str, Any] = {**filled, **self.beside()}
        changed = {name: value for name, value in self.filled.items() if name not in ("id", "owner")}
        mine = (table.c.id == bindparam("its_id")) & (table.c.owner == bindparam("its_owner"))
        at_version = mine & (table.c.version == bindparam("its_version"))
        self.insert = counted(self.inserting(table))
        self.put = counted(self.putting(table))
        self.update = counted(update(table).where(at_version).values(changed))
        self.delete = counted(delete(table).where(mine))
        self.delete_at = counted(delete(table).where(at_version))
        self.stored = select(table.c.owner, table.c.version).where(table.c.id == bindparam("its_id"))

    @abstractmethod
    def inserting(self, table: Table) -> Executable:
        """Writes a row where there is none of that id, or nothing."""

    @abstractmethod
    def putting(self, table: Table) -> Executable:
        """Writes a row, or writes over that of the same id and owner, or nothing."""

    def beside(self) -> Mapping[str, Any]:
        """Columns that this database alone has, with what fills them."""
        return {}

    def row(self, record: Record) -> dict[str, Any]:
        """The parameters of one record."""
        return self.layout.row(record)

    def step(self, write: Write) -> Step:
        """How `write` is done."""
        if isinstance(write, Put):
            return self._put(write)
        wall = _wall(write.id, write.scope, write.expect)
        return Step(self.delete if write.expect is None else self.delete_at, wall, write)

    def _put(self, write: Put) -> Step:
        row = self.row(write.record)
        if write.expect is None:
            return Step(self.put, row, write)
        if write.expect == 0:
            return Step(self.insert, row, write)
        wall = _wall(row.pop("id"), write.record.scope, write.expect)
        del row["owner"]
        return Step(self.update, row | wall, write)


S = TypeVar("S", bound=Statements)


class OnConflict(Statements):
    """With `INSERT … ON CONFLICT`, as SQLite and PostgreSQL have it; subclasses name whose `insert`.

    Attributes:
        key: The columns of the unique index.
    """

    key: Sequence[str] = ("id",)

    @staticmethod
    @abstractmethod
    def into(table: Table) -> Any:
        """An insert of that database."""

    def inserting(self, table: Table) -> Executable:
        """Do nothing where the id is taken."""
        return self._all(table).on_conflict_do_nothing(index_elements=self.key)  # type: ignore[no-any-return]

    def putting(self, table: Table) -> Executable:
        """Update where the id is taken by the same owner."""
        insert = self._all(table)
        return insert.on_conflict_do_update(  # type: ignore[no-any-return]
            index_elements=self.key,
            set_={name: insert.excluded[name] for name in self.filled if name not in ("id", "owner")},
            where=table.c.owner == insert.excluded.owner,
        )

    def _all(self, table: Table) -> Any:
        return self.into(table).values(self.filled)


def every_table(statements: Callable[[Table], S], tables: Mapping[str, Table] = TABLES) -> Mapping[str, S]:
    """The statements of all tables, by kind."""
    return {name: statements(table) for name, table in tables.items()}


def counted(statement: Any) -> Any:
    """`statement`, which will tell how many rows it touched."""
    return statement.execution_options(preserve_rowcount=True)


def _wall(record_id: str, scope: Scope, version: int | None) -> dict[str, Any]:
    wall = {"its_id": record_id, "its_owner": scope.token}
    return wall if version is None else wall | {"its_version": version}


def kind_of(write: Write) -> str:
    """The kind of record that is written."""
    return write.record.kind if isinstance(write, Put) else write.kind


def scope_of(write: Write) -> Scope:
    """Whose record is written."""
    return write.record.scope if isinstance(write, Put) else write.scope
