"""Shapes as SQL that means the same as `Where.admits`.

Every expression made here is true or false, never NULL, so that it can be turned around.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, false, not_, or_, true

from ..base import Order
from ..kinds import FIXED, KINDS, Type
from .documents import Documents
from .shapes import Every, Leaf, Opposite, Shape
from .tables import TABLES

Sql = ColumnElement[Any]
Test = ColumnElement[bool]

_ORDERED: Mapping[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def parameter(number: int) -> str:
    """The name of a parameter of a shape."""
    return f"p{number}"


class Filters:
    """The shapes of conditions on one kind, as SQL of one database."""

    def __init__(self, kind: str, documents: Documents) -> None:
        self.table: Table = TABLES[kind]
        self._types: Mapping[str, Type] = {**FIXED, **KINDS[kind].columns}
        self._documents = documents

    def test(self, shape: Shape) -> Test:
        """A shape as SQL."""
        if isinstance(shape, Leaf):
            return self._leaf(shape)
        if isinstance(shape, Opposite):
            return not_(self.test(shape.part))
        parts = [self.test(part) for part in shape.parts]
        return and_(true(), *parts) if isinstance(shape, Every) else or_(false(), *parts)

    def ordering(self, order: Order, *, nulls_sort_first: bool) -> list[Sql]:
        """`order` and then the id, None first, for a database where NULL does so by itself, or not."""
        directed = [_directed(self.sortable(name), direction, named=not nulls_sort_first) for name, direction in order]
        return [*directed, self.table.c.id.asc()]

    def behind(self, order: Order, present: Sequence[bool]) -> Test:
        """What stands behind a place whose values are the parameters `after0`, …; `present` says which are not None."""
        same: list[Test] = []
        either: list[Test] = []
        for number, ((name, direction), here) in enumerate(zip([*order, ("id", "asc")], present, strict=True)):
            column = self.sortable(name)
            value = bindparam(f"after{number}", type_=column.type)
            either.append(and_(true(), *same, _past(column, direction, value if here else None)))
            same.append(and_(column.is_not(None), column == value) if here else column.is_(None))
        return or_(*either)

    def is_document(self, name: str) -> bool:
        """Whether a field is a place in a document."""
        return self._types.get(name, Type.JSON) is Type.JSON

    def sortable(self, name: str) -> Sql:
        """What sorts by a field."""
        if not self.is_document(name):
            return self.table.c[name]
        return self._documents.sortable(*self._place((name,)))

    def _place(self, path: tuple[str, ...]) -> tuple[Sql, tuple[str, ...]]:
        if path[0] in self._types:
            return self.table.c[path[0]], path[1:]
        return self.table.c.body, path

    def _leaf(self, leaf: Leaf) -> Test:
        if self.is_document(leaf.path[0]):
            return self._in_document(leaf)
        column = self.table.c[leaf.path[0]]
        values = [bindparam(parameter(leaf.first + place), type_=column.type) for place in range(leaf.count)]
        match leaf.verb:
            case "missing":
                return column.is_(None)
            case "text":
                return column.is_not(None)
            case "same":
                return and_(column.is_not(None), column == values[0])
            case "in":
                return and_(column.is_not(None), column.in_(values))
        return and_(column.is_not(None), _ORDERED[leaf.verb](column, values[0]))

    def _in_document(self, leaf: Leaf) -> Test:
        document, steps = self._place(leaf.path)
        constant = leaf.constant is not None
        wanted = json.loads(leaf.constant) if leaf.constant is not None else bindparam(parameter(leaf.first))
        assert constant or leaf.count or leaf.verb in ("missing", "text")
        match leaf.verb:
            case "missing":
                return self._documents.missing(document, steps)
            case "text":
                return self._documents.is_text(document, steps)
            case "same":
                return self._documents.same(document, steps, leaf.sort, wanted)
            case "has":
                return self._documents.has(document, steps, leaf.sort, wanted)
        return self._documents.compares(document, steps, leaf.sort, _ORDERED[leaf.verb], wanted)


def _directed(column: Sql, direction: str, *, named: bool) -> Sql:
    directed = column.asc() if direction == "asc" else column.desc()
    if not named:
        return directed
    return directed.nulls_first() if direction == "asc" else directed.nulls_last()


def _past(here: Sql, direction: str, value: Any) -> Test:
    if direction == "asc":
        return here.is_not(None) if value is None else and_(here.is_not(None), here > value)
    return false() if value is None else or_(here.is_(None), here < value)
