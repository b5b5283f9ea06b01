"""Pages of records, as the dict store makes them, and stores whose database cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .base import Order, Record, place


def page(records: Iterable[Record], order: Order, limit: int | None, after: Sequence[Any] | None) -> list[Record]:
    """The first `limit` of `records` behind `after`, by `order` and then by id; None sorts first."""
    found = sorted(records, key=lambda record: record.id)
    for name, direction in reversed(order):
        found.sort(key=lambda record: _sortable(record.get(name)), reverse=direction == "desc")
    if after is not None:
        found = [record for record in found if _is_behind(place(record, order), after, order)]
    return found[:limit]


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)


def _is_behind(here: Sequence[Any], after: Sequence[Any], order: Order) -> bool:
    directions = [direction for _, direction in order] + ["asc"]
    for mine, theirs, direction in zip(here, after, directions, strict=True):
        if mine != theirs:
            return (_sortable(mine) > _sortable(theirs)) == (direction == "asc")
    return False
