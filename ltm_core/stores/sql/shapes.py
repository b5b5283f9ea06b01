"""Conditions without their values: what queries that differ only in values have in common.

A statement is built once for each shape (building one costs several times what running it does), and run with the
values as its parameters. `shaped` also says in few words what `Compare` says in many, so that little is left to build.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ..base import All, Compare, Condition, Not
from ..kinds import FIXED, KINDS, Type
from .documents import Documents
from .tables import dumps

Verb = Literal["same", "in", "missing", "text", "has", "gt", "gte", "lt", "lte"]

_SORTS = {
    Type.TOKEN: "text",
    Type.TEXT: "text",
    Type.INTEGER: "number",
    Type.REAL: "number",
    Type.BOOLEAN: "bool",
    Type.TIME: "time",
}
_LARGEST = 2**63 - 1
_TO_WHOLE: Mapping[str, Callable[[float], int]] = {
    "gt": math.floor,
    "gte": math.ceil,
    "lt": math.ceil,
    "lte": math.floor,
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A question about one field. Its values are the parameters `first` to `first + count - 1`.

    Attributes:
        sort: What kind of value is compared with, as `sort_of` names it.
        constant: A value that the statement itself holds, as JSON; then there is no parameter.
    """

    path: tuple[str, ...]
    verb: Verb
    sort: str = ""
    first: int = 0
    count: int = 0
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class Every:
    """All of some shapes."""

    parts: tuple[Shape, ...] = ()


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of some shapes; nothing at all where there are none."""

    parts: tuple[Shape, ...] = ()


@dataclass(frozen=True, slots=True)
class Opposite:
    """Whatever a shape is not."""

    part: Shape


Shape = Leaf | Every | Some | Opposite
NEVER = Some()


@dataclass(slots=True)
class Shaping:
    """Takes conditions on one kind apart into shapes and `values`."""

    kind: str
    documents: Documents
    values: list[Any] = field(default_factory=list)

    def shape(self, condition: Condition) -> Shape:
        """The shape of a condition; its values are appended."""
        if isinstance(condition, Compare):
            return self._compare(condition)
        if isinstance(condition, Not):
            return Opposite(self.shape(condition.condition))
        parts = tuple(map(self.shape, condition.conditions))
        return Every(parts) if isinstance(condition, All) else Some(parts)

    def column(self, path: tuple[str, ...]) -> Type | None:
        """The type of the column that a path names; None for a place in a document."""
        typed = FIXED.get(path[0]) or KINDS[self.kind].columns.get(path[0])
        return None if typed is Type.JSON else typed

    def add(self, *values: Any) -> int:
        """Append parameters; returns the number of the first."""
        self.values += values
        return len(self.values) - len(values)

    def _compare(self, asked: Compare) -> Shape:
        path = (asked.path,) if isinstance(asked.path, str) else asked.path
        if self.column(path) is not None and len(path) > 1:
            return NEVER if asked.operator not in _OF_NOTHING else _OF_NOTHING[asked.operator](asked.value)
        match asked.operator:
            case "eq":
                return self._same(path, asked.value)
            case "ne":
                return Opposite(self._same(path, asked.value))
            case "exists":
                missing = Leaf(path, "missing")
                return Opposite(missing) if asked.value else missing
            case "in":
                return self._one_of(path, asked.value)
            case "contains":
                return self._has(path, asked.value)
            case "under":
                return self._under(path, asked.value)
        return self._ordered(path, asked.operator, asked.value)

    def _same(self, path: tuple[str, ...], value: Any) -> Shape:
        typed, sort = self.column(path), sort_of(value)
        if value is None:
            return Leaf(path, "missing")
        if typed is None:
            return self._in_document(path, "same", value, sort)
        if _SORTS.get(typed) != sort or not _fits(typed, value):
            return NEVER
        return Leaf(path, "same", sort, self.add(_cell(typed, value)), 1)

    def _one_of(self, path: tuple[str, ...], values: Iterable[Any]) -> Shape:
        typed = self.column(path)
        if typed is None:
            return Some(tuple(self._same(path, value) for value in values))
        given = list(values)
        cells = [_cell(typed, one) for one in given if sort_of(one) == _SORTS.get(typed) and _fits(typed, one)]
        missing = (Leaf(path, "missing"),) if None in given else ()
        if not cells:
            return Some(missing)
        cells = padded(cells)
        return Some((*missing, Leaf(path, "in", _SORTS[typed], self.add(*cells), len(cells))))

    def _has(self, path: tuple[str, ...], value: Any) -> Shape:
        return NEVER if self.column(path) is not None else self._in_document(path, "has", value, sort_of(value))

    def _under(self, path: tuple[str, ...], prefix: str) -> Shape:
        typed = self.column(path)
        if typed is not None and _SORTS.get(typed) != "text":
            return NEVER
        if not prefix:
            return Leaf(path, "text")
        # '0' is the character behind '/': a range instead of LIKE, since a prefix may hold wildcards.
        inside = Every((self._ordered(path, "gte", f"{prefix}/"), self._ordered(path, "lt", f"{prefix}0")))
        return Some((self._same(path, prefix), inside))

    def _ordered(self, path: tuple[str, ...], verb: Any, value: Any) -> Shape:
        typed, sort = self.column(path), sort_of(value)
        if typed is None:
            if sort not in ("number", "text"):
                return NEVER
            return Leaf(path, verb, sort, self.add(self.documents.bare(value)), 1)
        if _SORTS.get(typed) != sort or sort == "bool":
            return NEVER
        return Leaf(path, verb, sort, self.add(_bound(typed, verb, value)), 1)

    def _in_document(self, path: tuple[str, ...], verb: Verb, value: Any, sort: str) -> Shape:
        if sort in ("other", "time", "nan"):
            return NEVER
        if sort in self.documents.constants:
            return Leaf(path, verb, sort, constant=dumps(value))
        return Leaf(path, verb, sort, self.add(self.documents.parameter(value)), 1)


# What a path into a column that is no document leads to is missing.
_OF_NOTHING: Mapping[str, Callable[[Any], Shape]] = {
    "eq": lambda value: Every() if value is None else NEVER,
    "ne": lambda value: NEVER if value is None else Every(),
    "exists": lambda value: NEVER if value else Every(),
    "in": lambda values: Every() if None in values else NEVER,
}


def sort_of(value: Any) -> str:
    """What kind of value it is: values of different sorts are unequal and not ordered."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number" if value == value else "nan"
    return {str: "text", datetime: "time", list: "list", tuple: "list", dict: "dict"}.get(type(value), "other")


def padded(values: Sequence[Any]) -> list[Any]:
    """`values` with the last one repeated up to a power of two, so that lists of all lengths make few shapes."""
    return [*values, *[values[-1]] * ((1 << (len(values) - 1).bit_length()) - len(values))]


def _fits(typed: Type, value: Any) -> bool:
    """Whether a column of this type can equal a value of its sort."""
    return typed is not Type.INTEGER or (math.isfinite(value) and value == int(value) and abs(value) <= _LARGEST)


def _cell(typed: Type, value: Any) -> Any:
    if typed is Type.INTEGER:
        return int(value)
    return _real(value) if typed is Type.REAL else value


def _bound(typed: Type, verb: str, value: Any) -> Any:
    """The value that a column of this type is compared with in the place of `value`."""
    if typed is not Type.INTEGER:
        return _cell(typed, value)
    if not -_LARGEST <= value <= _LARGEST:
        return _LARGEST if value > 0 else -_LARGEST
    return _TO_WHOLE[verb](value)


def _real(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
