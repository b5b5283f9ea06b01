"""The filters and rankings that LangGraph's stores know, over plain values."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal, Protocol, TypeVar

from langgraph.store.base import MatchCondition

Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte"]
Test = tuple[str, Operator, Any]

_NAME = re.compile(r"[\w.-]+")
_SAME: Mapping[str, Operator] = {"$eq": "eq", "$ne": "ne", "$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
_NUMERIC: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def checked(wanted: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A filter with names that may stand in one. Raises `ValueError` for others."""
    for name in wanted or {}:
        if not _NAME.fullmatch(name):
            raise ValueError(f"Invalid filter key: {name!r}. Use letters, digits, '_', '-', and '.' between names.")
    return wanted or {}


def split(wanted: Mapping[str, Any]) -> tuple[list[Test], dict[str, Any]]:
    """A filter as tests that a database does alike, and what is left of it for `passes`."""
    found = {name: _tests(name, one) for name, one in wanted.items()}
    tests = [test for some in found.values() if some is not None for test in some]
    return tests, {name: wanted[name] for name, some in found.items() if some is None}


def passes(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a value has everything that a filter asks for. Raises `ValueError` for operators unknown."""
    return all(_holds(_at(value, name), one) for name, one in wanted.items())


def matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    """Whether a namespace begins or ends with a path, in which `*` is any label."""
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    if condition.match_type not in ("prefix", "suffix"):
        raise ValueError(f"Unsupported match type: {condition.match_type}. Use 'prefix' or 'suffix'.")
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))


def beginning(conditions: Iterable[MatchCondition]) -> tuple[str, ...]:
    """Labels with which every namespace begins that meets the conditions."""
    prefixes = (takewhile(lambda label: label != "*", one.path) for one in conditions if one.match_type == "prefix")
    return max(map(tuple, prefixes), key=len, default=())


class HasVectors(Protocol):
    """What can be ranked."""

    @property
    def vectors(self) -> Sequence[Sequence[float]]:
        """One vector for each text that was embedded."""
        ...


V = TypeVar("V", bound=HasVectors)


def ranked(items: Sequence[V], query: Sequence[float]) -> list[tuple[V, float | None]]:
    """Items by the best of their vectors, then those that have none."""
    scored = [(item, max(_cosine(query, vector) for vector in item.vectors)) for item in items if item.vectors]
    scored.sort(key=lambda pair: -pair[1])
    return [*scored, *((item, None) for item in items if not item.vectors)]


def _tests(name: str, wanted: Any) -> list[Test] | None:
    if "." in name:  # a name with a period, or a path
        return None
    if not isinstance(wanted, Mapping):
        return [(name, "eq", wanted)] if _is_plain(wanted) else None
    tests = [(name, _SAME[one], value) for one, value in wanted.items() if one in _SAME and _is_testable(one, value)]
    return tests if tests and len(tests) == len(wanted) else None


def _is_testable(name: str, value: Any) -> bool:
    return _is_plain(value) if name in ("$eq", "$ne") else _is_number(value) and _is_plain(value)


def _is_plain(value: Any) -> bool:
    """Whether a float holds it, since LangGraph compares numbers as floats, and databases do not."""
    return value is None or isinstance(value, str | bool) or (_is_number(value) and abs(value) < 2**53)


def _at(value: Any, name: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    head, _, rest = name.partition(".")
    return _at(value.get(head), rest) if rest and isinstance(value, Mapping) else None


def _holds(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return _equal(found, wanted)
    if any(str(name).startswith("$") for name in wanted):
        return all(_operate(found, name, value) for name, value in wanted.items())
    return isinstance(found, Mapping) and all(_holds(found.get(name), value) for name, value in wanted.items())


def _operate(found: Any, name: str, value: Any) -> bool:
    if name in ("$eq", "$ne"):
        return _equal(found, value) is (name == "$eq")
    if name not in _NUMERIC:
        raise ValueError(f"Unsupported operator: {name}. Use $eq, $ne, $gt, $gte, $lt or $lte.")
    return _is_number(found) and _NUMERIC[name](float(found), float(value))


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        same = isinstance(found, list | tuple) and len(found) == len(wanted)
        return same and all(map(_equal, found, wanted))
    return isinstance(found, bool) is isinstance(wanted, bool) and bool(found == wanted)


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    size = math.hypot(*left) * math.hypot(*right)
    return sum(map(operator.mul, left, right)) / size if size else 0.0
