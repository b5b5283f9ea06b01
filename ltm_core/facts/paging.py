"""Facts page by page, so that a page costs by what is on it and not by how much there is.

Where tags are asked for, pages are read along the records of one of these (`ltm_core.stores.tags`): these are few, and
each names its fact. Otherwise they are read along an index of the facts themselves. A page goes on behind the last fact
of the one before it, and not at a number: what is written in between moves nothing to another page.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from ..errors import InvalidInput
from ..model import Fact
from ..records import fact_of
from ..scope import digest
from ..stores.base import All, AnyOf, Compare, Condition, Order, Record, Store, Where
from ..stores.kinds import KINDS, Type
from ..stores.tags import short_tag

ORDERS = ("key", "created_at", "updated_at", "importance", "confidence", "memory_type")
_Place = tuple[Any, str]  # where a fact stands: the value that it is sorted by, and its id
_OF_TAGS = frozenset(KINDS["tag"].columns) - {"fact_id", "tag"}
MOST = 1000
LEAST = 50  # tags read at once: facts that pass no other test cost a place on the page


class Page(list[Fact]):
    """A list of facts, and where the next page begins.

    Attributes:
        next: What to pass as `after=` for the next page; None where there is none.
    """

    next: str | None = None


@dataclass(frozen=True, slots=True)
class Sorting:
    """The order of pages: by a field, then by id."""

    name: str
    direction: Literal["asc", "desc"]

    @classmethod
    def of(cls, order: str) -> Sorting:
        """`created_at`, or `-created_at` for the newest first. Raises `InvalidInput` for what is no order."""
        name = order.removeprefix("-")
        if name not in ORDERS:
            raise InvalidInput(f"Facts cannot be ordered by {order!r}. Use one of {', '.join(ORDERS)}, or -created_at.")
        return cls(name, "desc" if order.startswith("-") else "asc")

    @property
    def order(self) -> Order:
        """The same for a store."""
        return ((self.name, self.direction),)

    def cursor(self, record: Record) -> str:
        """Where `record` stands, as a text."""
        value = record.get(self.name)
        told = value.isoformat() if isinstance(value, datetime) else value
        return urlsafe_b64encode(json.dumps([self.name, self.direction, told, record.id]).encode()).decode()

    def sorted(self, places: Iterable[_Place]) -> list[_Place]:
        """Places in this order."""
        by_id = sorted(places, key=lambda place: place[1])
        return sorted(by_id, key=lambda place: (place[0] is not None, place[0]), reverse=self.direction == "desc")

    def behind(self, cursor: str) -> _Place:
        """The place that a cursor of this order tells. Raises `InvalidInput` for any other text."""
        try:
            name, direction, value, one = json.loads(urlsafe_b64decode(cursor))
        except ValueError as error:
            raise InvalidInput("after= is no cursor. Pass the .next of the page before.") from error
        if (name, direction) != (self.name, self.direction):
            raise InvalidInput(f"This cursor goes by {name}. Ask for all pages in the same order.")
        return (datetime.fromisoformat(value) if value and _is_time(name) else value, one)


async def page_of(store: Store, where: Where, sorting: Sorting, limit: int | None, after: str | None) -> Page:
    """The first `limit` facts that `where` admits behind `after`, or all."""
    behind = None if after is None else sorting.behind(after)
    more = None if limit is None else limit + 1
    tags = _tags_in(where.test)
    if more is None or not tags or sorting.name not in _OF_TAGS:
        found = await store.scan(_beyond(where, sorting, behind), order=sorting.order, limit=more, after=behind)
    else:
        found = await _by_tags(store, where, tags, sorting, more, behind)
    page = Page(map(fact_of, found[:limit]))
    if limit is not None and 0 < limit < len(found):
        page.next = sorting.cursor(found[limit - 1])
    return page


async def _by_tags(
    store: Store, where: Where, tags: Sequence[str], sorting: Sorting, count: int, behind: _Place | None
) -> list[Record]:
    """The first `count` facts that have one of `tags` and that `where` admits, read along their tags."""
    found: list[Record] = []
    size = max(count, LEAST)
    while len(found) < count:
        places, more = await _next_places(store, where, tags, sorting, size, behind)
        if places:
            ids = tuple(one for _, one in places)
            there = {record.id: record for record in await store.scan(replace(where, ids=ids))}
            found += [there[one] for one in ids if one in there]
            behind = places[-1]
        if not more:
            break
        size = min(size * 2, MOST)
    return found[:count]


async def _next_places(
    store: Store, where: Where, tags: Sequence[str], sorting: Sorting, size: int, behind: _Place | None
) -> tuple[list[_Place], bool]:
    """The places of facts behind one, in order, and whether there may be more behind the last."""
    found: dict[_Place, None] = {}
    ends: list[_Place] = []
    for tag in tags:
        rows = await _tagged(store, where, tag, sorting, size, behind)
        places = [(row.get(sorting.name), row.fields["fact_id"]) for row in rows]
        found |= dict.fromkeys(places)
        ends += places[-1:] if len(rows) == size else []
    places = sorting.sorted(found)
    if not ends:
        return places, False
    # Behind the first end of a list there may be others of that list before those that are known.
    return places[: places.index(sorting.sorted(ends)[0]) + 1], True


async def _tagged(
    store: Store, where: Where, tag: str, sorting: Sorting, size: int, behind: _Place | None
) -> list[Record]:
    shared = [test for test in _parts(where.test) if isinstance(test, Compare) and test.path in _OF_TAGS]
    rows = Where("tag", where.scopes, where.subject, All(Compare("tag", "eq", short_tag(tag)), *shared))
    after = None if behind is None else (*behind, digest("tag", behind[1], tag))
    order: Order = (*sorting.order, ("fact_id", "asc"))
    return await store.scan(_beyond(rows, sorting, behind), order=order, limit=size, after=after)


def _beyond(where: Where, sorting: Sorting, behind: _Place | None) -> Where:
    """`where` from a place on, said as a range too, at which an index can begin."""
    if behind is None or behind[0] is None:
        return where
    return where.also(Compare(sorting.name, "gte" if sorting.direction == "asc" else "lte", behind[0]))


def _tags_in(test: Condition) -> list[str] | None:
    """Tags of which every admitted fact has one; None where the test says none."""
    every = [tags for part in _parts(test) if (tags := _tags_of(part)) is not None]
    return min(every, key=len, default=None)


def _tags_of(test: Condition) -> list[str] | None:
    if isinstance(test, Compare) and test.path in ("tags", ("tags",)) and test.operator == "contains":
        return [test.value] if isinstance(test.value, str) else []
    if isinstance(test, AnyOf):
        each = [_tags_of(part) for part in test.conditions]
        return [one for tags in each if tags for one in tags] if all(tags is not None for tags in each) else None
    return None


def _parts(test: Condition) -> Iterator[Condition]:
    """The conditions that must all hold."""
    if isinstance(test, All):
        for part in test.conditions:
            yield from _parts(part)
    else:
        yield _plainly(test)


def _plainly(test: Condition) -> Condition:
    """A path of one step as the name that it is."""
    if isinstance(test, Compare) and isinstance(test.path, tuple) and len(test.path) == 1:
        return replace(test, path=test.path[0])
    return test


def _is_time(name: str) -> bool:
    return KINDS["fact"].columns[name] is Type.TIME
