"""`Where` turned into SQL that means the same as `Where.admits`.

Every expression made here is true or false, never NULL, so that `Not` is safe. JSON is read with `json_type` and
`json_extract`, as SQLite has them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, null, or_, select, true

from ...errors import InvalidInput
from ..base import All, Compare, Condition, Not, Order, Where
from ..kinds import FIXED, KINDS, Type
from .tables import TABLES, dumps

Sql = ColumnElement[Any]
Test = ColumnElement[bool]

_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_MAX_INTEGER = 2**63
_CLASSES = {
    Type.TOKEN: "text",
    Type.TEXT: "text",
    Type.INTEGER: "number",
    Type.REAL: "number",
    Type.BOOLEAN: "bool",
    Type.TIME: "time",
    Type.VECTOR: "vector",
}
_JSON_TYPES = {"text": ("text",), "number": ("integer", "real")}


def inside(where: Where) -> Test:
    """The wall and the test of `where`."""
    table = TABLES[where.kind]
    parts = [test_of(where.kind, where.test)]
    if where.scopes:
        parts.append(_one_of(table.c.owner, [scope.token for scope in where.scopes]))
    if where.subject is not None:
        parts.append(table.c.subject == where.subject.token)
    if where.ids is not None:
        parts.append(_one_of(table.c.id, where.ids))
    return and_(*parts)


def _one_of(column: Sql, values: Sequence[str]) -> Test:
    return column == values[0] if len(values) == 1 else column.in_(values)  # the first is quicker to prepare


def test_of(kind: str, condition: Condition) -> Test:
    """A condition as SQL."""
    if isinstance(condition, Compare):
        return _field(kind, condition.path).holds(condition.operator, condition.value)
    if isinstance(condition, Not):
        return not_(test_of(kind, condition.condition))
    inner = [test_of(kind, part) for part in condition.conditions]
    return and_(true(), *inner) if isinstance(condition, All) else or_(false(), *inner)


def ordering(kind: str, order: Order) -> list[Sql]:
    """`order` and then the id, None first."""
    sorts = [_field(kind, name).value for name, _ in order]
    directed = [
        sort.asc().nulls_first() if direction == "asc" else sort.desc().nulls_last()
        for sort, (_, direction) in zip(sorts, order, strict=True)
    ]
    return [*directed, TABLES[kind].c.id.asc()]


def behind(kind: str, order: Order, after: Sequence[Any]) -> Test:
    """What stands behind the place `after` in `order`."""
    same: list[Test] = []
    either: list[Test] = []
    for (name, direction), value in zip([*order, ("id", "asc")], after, strict=True):
        here = _field(kind, name).value
        either.append(and_(*same, _past(here, direction, value)))
        same.append(here.is_(None) if value is None else and_(here.is_not(None), here == value))
    return or_(*either)


def _past(here: Sql, direction: str, value: Any) -> Test:
    if direction == "asc":
        return here.is_not(None) if value is None else and_(here.is_not(None), here > value)
    return false() if value is None else or_(here.is_(None), here < value)


@dataclass(frozen=True)
class _Field:
    """Something that a record has and that SQL can name; subclasses say how it is tested."""

    def holds(self, name: str, wanted: Any) -> Test:
        match name:
            case "eq":
                return self.equals(wanted)
            case "ne":
                return not_(self.equals(wanted))
            case "in":
                return self.equals_any(wanted)
            case "exists":
                return not_(self.equals(None)) if wanted else self.equals(None)
            case "contains":
                return self.contains(wanted)
            case "under":
                return self.under(wanted)
        return self.compares(_ORDERED[name], wanted)

    @property
    def value(self) -> Sql:
        raise NotImplementedError

    def equals(self, wanted: Any) -> Test:
        raise NotImplementedError

    def is_a(self, what: str) -> Test:
        raise NotImplementedError

    def equals_any(self, wanted: Iterable[Any]) -> Test:
        return or_(false(), *(self.equals(value) for value in wanted))

    def contains(self, wanted: Any) -> Test:
        return false()

    def compares(self, compare: Callable[[Any, Any], Any], wanted: Any) -> Test:
        what = class_of(wanted)
        if what not in ("number", "text", "time"):
            return false()
        return and_(self.is_a(what), compare(self.value, _bindable(wanted)))

    def under(self, wanted: Any) -> Test:
        if not wanted:
            return self.is_a("text")
        # '0' is the character behind '/': a range instead of LIKE, since a prefix may hold wildcards.
        children = and_(self.value >= f"{wanted}/", self.value < f"{wanted}0")
        return and_(self.is_a("text"), or_(self.equals(wanted), children))


@dataclass(frozen=True)
class _Column(_Field):
    """A typed column."""

    column: Sql
    what: str

    @property
    def value(self) -> Sql:
        return self.column

    def is_a(self, what: str) -> Test:
        return self.column.is_not(None) if what == self.what else false()

    def equals(self, wanted: Any) -> Test:
        if wanted is None:
            return self.column.is_(None)
        return and_(self.is_a(class_of(wanted)), self.column == _bindable(wanted)) if self._can_be(wanted) else false()

    def equals_any(self, wanted: Iterable[Any]) -> Test:
        values = list(wanted)
        alike = [_bindable(value) for value in values if value is not None and self._can_be(value)]
        nothing = self.column.is_(None) if any(value is None for value in values) else false()
        return or_(nothing, and_(self.column.is_not(None), self.column.in_(alike)))

    def compares(self, compare: Callable[[Any, Any], Any], wanted: Any) -> Test:
        return super().compares(compare, wanted) if self._can_be(wanted) else false()

    def under(self, wanted: Any) -> Test:
        return super().under(wanted) if self.what == "text" else false()

    def _can_be(self, wanted: Any) -> bool:
        return class_of(wanted) == self.what


@dataclass(frozen=True)
class _Json(_Field):
    """A place in a JSON document."""

    document: Sql
    path: Sql

    @property
    def value(self) -> Sql:
        return func.json_extract(self.document, self.path)

    @property
    def _type(self) -> Sql:
        return func.coalesce(func.json_type(self.document, self.path), "null")

    def is_a(self, what: str) -> Test:
        return self._type.in_(_JSON_TYPES.get(what, ()))

    def equals(self, wanted: Any) -> Test:
        match class_of(wanted):
            case "null":
                return self._type == "null"
            case "bool":
                return self._type == ("true" if wanted else "false")
            case "number":
                return and_(self.is_a("number"), self.value == _bindable(wanted))
            case "text":
                return and_(self.is_a("text"), self._spelled(wanted))
            case "list":
                return self._equals_list(wanted)
            case "dict":
                return self._equals_dict(wanted)
        return false()

    def _spelled(self, text: str) -> Test:
        # Two paths give the JSON text of both, where one would give a string cut off at a NUL character.
        return func.json_extract(self.document, self.path, self.path) == dumps([text, text])

    def contains(self, wanted: Any) -> Test:
        each = func.json_each(self.document, self.path).table_valued("key")
        element = _Json(self.document, self.path + "[" + each.c.key + "]")
        found = select(literal(1)).select_from(each).where(element.equals(wanted)).exists()
        return and_(self._type == "array", found)

    def _equals_list(self, wanted: list[Any]) -> Test:
        size = func.json_array_length(self.document, self.path)
        elements = [self._at(f"[{place}]").equals(value) for place, value in enumerate(wanted)]
        return and_(self._type == "array", size == len(wanted), *elements)

    def _equals_dict(self, wanted: dict[str, Any]) -> Test:
        each = func.json_each(self.document, self.path).table_valued("key")
        size = select(func.count()).select_from(each).scalar_subquery()
        inner = [(self._at(_step(key)), value) for key, value in wanted.items()]
        present = [func.json_type(place.document, place.path).is_not(None) for place, _ in inner]
        values = [place.equals(value) for place, value in inner]
        return and_(self._type == "object", size == len(wanted), *present, *values)

    def _at(self, step: str) -> _Json:
        return _Json(self.document, self.path + step)


def _field(kind: str, path: str | tuple[str, ...]) -> _Field:
    head, *rest = (path,) if isinstance(path, str) else path
    table, typed = TABLES[kind], {**FIXED, **KINDS[kind].columns}.get(head)
    if typed is None:
        return _json(table.c.body, [head, *rest])
    if typed is Type.JSON:
        return _json(table.c[head], rest)
    return _json(null(), []) if rest else _Column(table.c[head], _CLASSES[typed])


def _json(document: Sql, steps: Sequence[str]) -> _Json:
    return _Json(document, literal("$" + "".join(map(_step, steps))))


def _step(key: str) -> str:
    # SQLite before 3.45 has no way to write a quotation mark inside a path.
    if '"' in key:
        raise InvalidInput("A filter cannot look under a name with a quotation mark. Rename that field.")
    return f'."{dumps(key)[1:-1]}"'


def class_of(value: Any) -> str:
    """What kind of value it is: values of different classes are unequal and not ordered."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number" if value == value else "nan"
    return {str: "text", datetime: "time", list: "list", tuple: "list", dict: "dict"}.get(type(value), "other")


def _bindable(value: Any) -> Any:
    """`value`, or the nearest float where no SQL integer is as large."""
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        return float(value)
    return value
