"""Filters as callers write them, read into conditions.

`{"category": "work", "importance": {"gte": 0.5}, "metadata.team": ["red", "blue"], "tags": ["ui"]}` asks for facts of
that category and weight, of one of the two teams, with that tag. All of them must hold. `and` and `or` take a list of
filters, `not` takes filters; `tags` also take `{"any": […]}` and `{"all": […]}`; times may be ISO texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from ..errors import InvalidInput
from ..model import Fact, in_utc
from ..stores.base import All, AnyOf, Compare, Condition, Not, Operator
from ..stores.kinds import KINDS, Type

_OPERATORS = frozenset(get_args(Operator))
_LISTS = frozenset({"tags", "sources"})
_FIELDS = frozenset(Fact.model_fields) - {"scope", "scope_id", "tenant", "score", "relevance", "parts", "signals"}
_TIMES = frozenset(name for name, typed in KINDS["fact"].columns.items() if typed is Type.TIME)


def condition(filters: Mapping[str, Any] | None) -> Condition | None:
    """The condition that `filters` describe; None for none. Raises `InvalidInput` for a name that facts lack."""
    if not filters:
        return None
    return All(*(test for name, asked in filters.items() for test in _tests(name, asked)))


def _joined(name: str, asked: Any) -> Condition:
    """`and`, `or` and `not`."""
    if name == "not":
        return Not(_inner(asked))
    if not isinstance(asked, list | tuple) or not asked:
        raise InvalidInput(f"{name!r} takes a list of filters, not {asked!r}. Write {{{name!r}: [{{…}}, {{…}}]}}.")
    return (All if name == "and" else AnyOf)(*map(_inner, asked))


def _inner(asked: Any) -> Condition:
    found = condition(asked) if isinstance(asked, Mapping) else None
    if found is None:
        raise InvalidInput(f"Filters are a dict that is not empty, not {asked!r}. Write {{'category': 'work'}}.")
    return found


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
    if name in ("and", "or", "not"):
        yield _joined(name, asked)
        return
    path = _path(name)
    if path[0] in _TIMES:
        asked = _times(name, asked)
    if path[0] in _LISTS and not isinstance(asked, Mapping):
        for one in [asked] if isinstance(asked, str) else asked:
            yield Compare(path, "contains", one)
    elif isinstance(asked, Mapping):
        for operator, value in asked.items():
            yield _compared(path, operator, value)
    elif isinstance(asked, list | tuple | set | frozenset):
        yield Compare(path, "in", tuple(_value(value) for value in asked))
    else:
        yield Compare(path, "eq", _value(asked))


def _compared(path: tuple[str, ...], operator: str, value: Any) -> Condition:
    if operator in ("any", "all"):
        each = [Compare(path, "contains", one) for one in _listed(operator, value)]
        return AnyOf(*each) if operator == "any" else All(*each)
    return Compare(path, _operator(operator), tuple(_listed(operator, value)) if operator == "in" else _value(value))


def _listed(operator: str, value: Any) -> list[Any]:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidInput(f"{operator!r} takes a list of values, not {value!r}. Put it into a list.")
    return [_value(one) for one in value]


def _times(name: str, asked: Any) -> Any:
    """`asked` with the texts in it read as times."""
    if isinstance(asked, str):
        try:
            return datetime.fromisoformat(asked)
        except ValueError as error:
            raise InvalidInput(f"{name}: {asked!r} is no time. Write it as 2026-05-01 or 2026-05-01T12:00Z.") from error
    if isinstance(asked, Mapping):
        return {operator: _times(name, value) for operator, value in asked.items()}
    return [_times(name, one) for one in asked] if isinstance(asked, list | tuple) else asked


def _path(name: str) -> tuple[str, ...]:
    path = tuple(name.split("."))
    if path[0] not in _FIELDS:
        raise InvalidInput(f"Facts have no field {path[0]!r}. Filter by one of {', '.join(sorted(_FIELDS))}.")
    return path


def _operator(name: str) -> Operator:
    if name not in _OPERATORS:
        known = ", ".join(sorted({*_OPERATORS, "any", "all"}))
        raise InvalidInput(f"There is no operator {name!r}. Use one of {known}.")
    return name  # type: ignore[return-value]


def _value(value: Any) -> Any:
    return in_utc(value) if isinstance(value, datetime) else value
