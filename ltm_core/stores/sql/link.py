"""A connection that runs statements which were built before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Executable, Select
from sqlalchemy.ext.asyncio import AsyncConnection

Rows = Sequence[Sequence[Any]]
Values = Mapping[str, Any]
Processor = Callable[[Any], Any]
L = TypeVar("L", bound="Link")


class Link:
    """Runs statements through SQLAlchemy. What is slow there, a database runs through its driver in a subclass."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def fetch(self, statement: Executable, values: Values) -> Rows:
        """The rows of a query."""
        return (await self.connection.execute(statement, values)).all()

    async def run(self, statement: Executable, rows: Sequence[Values]) -> int:
        """Run a statement for each of `rows`; returns how many rows of the database it touched."""
        return (await self.connection.execute(statement, list(rows))).rowcount

    async def settle(self, settings: Mapping[str, str]) -> None:
        """Make settings that end with the transaction, by name, where a database has such."""

    async def do(self, command: str) -> None:
        """Run a command without parameters or result."""
        await self.connection.exec_driver_sql(command)


class Raw:
    """A statement as a driver takes it: its text, its parameters in their order, and how to read its cells."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.text = str(compiled)
        self._names = compiled.positiontup or ()
        binds = [compiled.binds[name] for name in self._names]
        self._own = {name: bind.value for name, bind in compiled.binds.items() if bind.value is not None}
        self._write = _processors(bind.type.dialect_impl(dialect).bind_processor(dialect) for bind in binds)
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self._read = _processors(
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        )

    def arguments(self, values: Values) -> Sequence[Any]:
        """The parameters of one call; those that the statement itself holds are there already."""
        given = {**self._own, **values} if self._own else values
        return _processed([given[name] for name in self._names], self._write)

    def rows(self, found: Sequence[Sequence[Any]]) -> Rows:
        """What the driver gave, as SQLAlchemy would give it."""
        return [_processed(list(row), self._read) for row in found] if self._read else found


def _processors(each: Iterable[Processor | None]) -> Sequence[tuple[int, Processor]]:
    """Those that there are, with their places."""
    return [(place, process) for place, process in enumerate(each) if process is not None]


def _processed(cells: list[Any], processors: Sequence[tuple[int, Processor]]) -> Sequence[Any]:
    for place, process in processors:
        if cells[place] is not None:
            cells[place] = process(cells[place])
    return cells


class Raws:
    """The statements of one database as its driver takes them, made when they are first run."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Executable, Raw] = WeakKeyDictionary()

    def of(self, statement: Executable, dialect: Dialect) -> Raw:
        """`statement` for the driver."""
        made = self._made.get(statement)
        if made is None:
            made = self._made[statement] = Raw(statement, dialect)
        return made
