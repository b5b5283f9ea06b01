"""Questions about a place in a JSON document, as each database asks them.

Every expression made here is true or false, never NULL, so that it can be turned around. A place is named by the column
and the steps into it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Text,
    and_,
    case,
    cast,
    collate,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from ...errors import InvalidInput
from .tables import dumps
from .types import escaped, escaped_json

Sql = ColumnElement[Any]
Test = ColumnElement[bool]
Compares = Callable[[Any, Any], Any]


class Documents(ABC):
    """How a database looks into documents.

    Attributes:
        constants: The sorts of values that `same` and `has` need to know when a statement is built.
    """

    constants: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def parameter(self, value: Any) -> Any:
        """A value as `same` and `has` take it."""

    def bare(self, value: Any) -> Any:
        """A number or text as `compares` takes it."""
        return value

    def placed(self, value: Any) -> Any:
        """A value as `sortable` is compared with it."""
        return value

    @abstractmethod
    def same(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """Whether the value there equals a JSON value of that sort, deeply and strictly."""

    @abstractmethod
    def missing(self, document: Sql, steps: Sequence[str]) -> Test:
        """Whether there is no value, or null."""

    @abstractmethod
    def has(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """Whether there is a list with an element that equals a JSON value of that sort."""

    @abstractmethod
    def compares(self, document: Sql, steps: Sequence[str], sort: str, compare: Compares, wanted: Sql) -> Test:
        """Whether there is a number, or a text, for which `compare` holds."""

    @abstractmethod
    def is_text(self, document: Sql, steps: Sequence[str]) -> Test:
        """Whether there is a text."""

    @abstractmethod
    def sortable(self, document: Sql, steps: Sequence[str]) -> Sql:
        """The value, so that numbers or texts sort; NULL where it is missing."""


class SqliteDocuments(Documents):
    """JSON as SQLite reads it. It has no JSON values, only types and scalars: lists and objects are taken apart."""

    constants = frozenset({"null", "bool", "list", "dict"})

    def parameter(self, value: Any) -> Any:
        """Numbers as they are; texts twice in a list: see `_spelled`."""
        return dumps([value, value]) if isinstance(value, str) else _bindable(value)

    def bare(self, value: Any) -> Any:
        """The nearest float where no integer of the database is as large."""
        return _bindable(value)

    def same(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """By its type, and then as a scalar or part by part."""
        return _at(document, steps).same(sort, wanted)

    def missing(self, document: Sql, steps: Sequence[str]) -> Test:
        """By its type."""
        return _at(document, steps).type == "null"

    def has(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """By looking at each element."""
        place = _at(document, steps)
        each = func.json_each(document, place.path).table_valued("key")
        element = _Place(document, place.path + "[" + each.c.key + "]")
        found = select(literal(1)).select_from(each).where(element.same(sort, wanted)).exists()
        return and_(place.type == "array", found)

    def compares(self, document: Sql, steps: Sequence[str], sort: str, compare: Compares, wanted: Sql) -> Test:
        """By its type and value."""
        place = _at(document, steps)
        return and_(place.is_a(sort), compare(place.value, wanted))

    def is_text(self, document: Sql, steps: Sequence[str]) -> Test:
        """By its type."""
        return _at(document, steps).is_a("text")

    def sortable(self, document: Sql, steps: Sequence[str]) -> Sql:
        """The value itself."""
        return _at(document, steps).value


class _Place:
    """A place in a document of SQLite."""

    def __init__(self, document: Sql, path: Sql) -> None:
        self.document = document
        self.path = path
        self.value: Sql = func.json_extract(document, path)
        self.type: Sql = func.coalesce(func.json_type(document, path), "null")

    def is_a(self, sort: str) -> Test:
        return self.type == "text" if sort == "text" else or_(self.type == "integer", self.type == "real")

    def same(self, sort: str, wanted: Any) -> Test:
        match sort:
            case "null":
                return self.type == "null"
            case "bool":
                return self.type == ("true" if wanted else "false")
            case "list":
                return self._same_list(wanted)
            case "dict":
                return self._same_dict(wanted)
        return and_(self.is_a(sort), self._spelled() == wanted if sort == "text" else self.value == wanted)

    def _spelled(self) -> Sql:
        # Two paths give the JSON text of both, where one would give a text cut off at a NUL character.
        return func.json_extract(self.document, self.path, self.path)

    def _same_list(self, wanted: Sequence[Any]) -> Test:
        size = func.json_array_length(self.document, self.path)
        elements = [self._inner(f"[{place}]")._equals(value) for place, value in enumerate(wanted)]
        return and_(self.type == "array", size == len(wanted), *elements)

    def _same_dict(self, wanted: dict[str, Any]) -> Test:
        each = func.json_each(self.document, self.path).table_valued("key")
        size = select(func.count()).select_from(each).scalar_subquery()
        inner = [(self._inner(_step(key)), value) for key, value in wanted.items()]
        present = [func.json_type(place.document, place.path).is_not(None) for place, _ in inner]
        return and_(
            self.type == "object", size == len(wanted), *present, *(place._equals(value) for place, value in inner)
        )

    def _equals(self, value: Any) -> Test:
        scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
        return self.same(_SORTS[type(value)], SqliteDocuments().parameter(value) if scalar else value)

    def _inner(self, step: str) -> _Place:
        return _Place(self.document, self.path + step)


_SORTS = {
    type(None): "null",
    bool: "bool",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "dict",
}


def _at(document: Sql, steps: Sequence[str]) -> _Place:
    return _Place(document, literal("$" + "".join(map(_step, steps))))


def _step(key: str) -> str:
    # SQLite before 3.45 has no way to write a quotation mark inside a path.
    if '"' in key:
        raise InvalidInput("A filter cannot look under a name with a quotation mark. Rename that field.")
    return f'."{dumps(key)[1:-1]}"'


def _bindable(value: Any) -> Any:
    """`value`, or the nearest float where no SQL integer is as large."""
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


class PostgresDocuments(Documents):
    """JSON as PostgreSQL compares it: `jsonb` is equal deeply and strictly. Values go there as JSON texts."""

    def parameter(self, value: Any) -> str:
        """Its JSON."""
        return escaped_json(dumps(value))

    def bare(self, value: Any) -> str:
        """A text as it is stored, a number as decimals, since a float is none."""
        if isinstance(value, str):
            return escaped(value)
        return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}1e400"

    def placed(self, value: Any) -> str:
        """Its JSON."""
        return self.parameter(value)

    def same(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """By `=` of `jsonb`."""
        return _or_null(document, steps) == _as_jsonb(wanted)

    def missing(self, document: Sql, steps: Sequence[str]) -> Test:
        """By its type."""
        return _type_at(document, steps) == "null"

    def has(self, document: Sql, steps: Sequence[str], sort: str, wanted: Any) -> Test:
        """By looking at each element."""
        is_list = _type_at(document, steps) == "array"
        elements = case((is_list, _jsonb_at(document, steps)), else_=literal_column("'[]'::jsonb", JSONB()))
        each: Any = func.jsonb_array_elements(elements).column_valued("element")
        return select(literal(1)).where(each == _as_jsonb(wanted)).exists()

    def compares(self, document: Sql, steps: Sequence[str], sort: str, compare: Compares, wanted: Sql) -> Test:
        """As decimals or as text."""
        value = _jsonb_at(document, steps)
        if sort == "text":
            test, held = "string", compare(collate(_text_of(value), "C"), cast(wanted, Text))
        else:
            test, held = "number", compare(cast(value, Numeric), cast(cast(wanted, Text), Numeric))
        return case((_type_at(document, steps) == test, held), else_=false())

    def is_text(self, document: Sql, steps: Sequence[str]) -> Test:
        """By its type."""
        return _type_at(document, steps) == "string"

    def sortable(self, document: Sql, steps: Sequence[str]) -> Sql:
        """The `jsonb` itself."""
        return func.nullif(_jsonb_at(document, steps), literal_column("'null'::jsonb", JSONB()))


def _jsonb_at(document: Sql, steps: Sequence[str]) -> Sql:
    place: Sql = cast(document, JSONB)
    for step in steps:
        # Not `#>`, for which "0" is also the first element of a list.
        place = place.op("->", return_type=JSONB())(cast(literal(escaped(step), Text), Text))
    return place


def _or_null(document: Sql, steps: Sequence[str]) -> Sql:
    return func.coalesce(_jsonb_at(document, steps), literal_column("'null'::jsonb", JSONB()))


def _type_at(document: Sql, steps: Sequence[str]) -> Sql:
    return func.coalesce(func.jsonb_typeof(_jsonb_at(document, steps)), "null")


def _as_jsonb(wanted: Any) -> Sql:
    return cast(cast(wanted, Text), JSONB)


def _text_of(value: Sql) -> Sql:
    return value.op("#>>", return_type=Text())(literal_column("'{}'"))
