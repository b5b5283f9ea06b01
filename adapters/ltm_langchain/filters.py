"""The filters and rankings that LangGraph's stores know, over plain values."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.store.base import MatchCondition

_NAME = re.compile(r"[\w.-]+")
_NUMERIC: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def passes(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether a value has everything that a filter asks for. Raises `ValueError` for names and operators unknown."""
    for name in wanted or {}:
        if not _NAME.fullmatch(name):
            raise ValueError(f"Invalid filter key: {name!r}. Use letters, digits, '_', '-', and '.' between names.")
    return all(_holds(_at(value, name), one) for name, one in (wanted or {}).items())


def matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    """Whether a namespace begins or ends with a path, in which `*` is any label."""
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    if condition.match_type not in ("prefix", "suffix"):
        raise ValueError(f"Unsupported match type: {condition.match_type}. Use 'prefix' or 'suffix'.")
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))


def ranked(items: Sequence[Any], query: Sequence[float]) -> list[tuple[Any, float | None]]:
    """Items by the best of their vectors, then those that have none."""
    scored = [(item, max(_cosine(query, vector) for vector in item.vectors)) for item in items if item.vectors]
    scored.sort(key=lambda pair: -pair[1])
    return [*scored, *((item, None) for item in items if not item.vectors)]


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
