"""Filters as callers write them, read into conditions.

`{"category": "work", "importance": {"gte": 0.5}, "metadata.team": ["red", "blue"], "tags": ["ui"]}` asks for facts of
that category and weight, of one of the two teams, with that tag. All of them must hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from .errors import InvalidInput
from .model import Fact, in_utc
from .stores.base import All, Compare, Condition, Operator

_OPERATORS = frozenset(get_args(Operator))
_LISTS = frozenset({"tags", "sources"})
_FIELDS = frozenset(Fact.model_fields) - {"scope", "scope_id", "tenant", "score", "parts"}


def condition(filters: Mapping[str, Any] | None) -> Condition | None:
    """The condition that `filters` describe; None for none. Raises `InvalidInput` for a name that facts lack."""
    if not filters:
        return None
    return All(*(test for name, asked in filters.items() for test in _tests(name, asked)))


def fact_filters(
    tags: Sequence[str] | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    updated_after: datetime | None = None,
    updated_before: datetime | None = None,
    min_importance: float | None = None,
    **equal: Any,
) -> dict[str, Any]:
    """The named filters of `PersistentFacts.filter` in the form that `condition` reads."""
    asked: dict[str, Any] = {name: value for name, value in equal.items() if value is not None}
    ranges: dict[str, dict[str, Any]] = {
        "created_at": {"gte": created_after, "lt": created_before},
        "updated_at": {"gte": updated_after, "lt": updated_before},
        "importance": {"gte": min_importance},
    }
    for name, bounds in ranges.items():
        given = {operator: bound for operator, bound in bounds.items() if bound is not None}
        if given:
            asked[name] = given
    return asked | ({"tags": list(tags)} if tags else {})


def _tests(name: str, asked: Any) -> Iterator[Condition]:
    path = _path(name)
    if path[0] in _LISTS and not isinstance(asked, Mapping):
        for one in [asked] if isinstance(asked, str) else asked:
            yield Compare(path, "contains", one)
    elif isinstance(asked, Mapping):
        for operator, value in asked.items():
            yield Compare(path, _operator(operator), _value(value))
    elif isinstance(asked, list | tuple | set | frozenset):
        yield Compare(path, "in", tuple(_value(value) for value in asked))
    else:
        yield Compare(path, "eq", _value(asked))


def _path(name: str) -> tuple[str, ...]:
    path = tuple(name.split("."))
    if path[0] not in _FIELDS:
        raise InvalidInput(f"Facts have no field {path[0]!r}. Filter by one of {', '.join(sorted(_FIELDS))}.")
    return path


def _operator(name: str) -> Operator:
    if name not in _OPERATORS:
        raise InvalidInput(f"There is no operator {name!r}. Use one of {', '.join(sorted(_OPERATORS))}.")
    return name  # type: ignore[return-value]


def _value(value: Any) -> Any:
    return in_utc(value) if isinstance(value, datetime) else value
