"""Neighbours: what was said right before and after a recalled message, brought along with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..policies import Item, Ranked
from ..records import message_id, message_of
from ..scope import Scope
from ..stores.base import Record

Place = tuple[Scope | None, int]


def ids_around(item: Item, reach: int) -> list[str]:
    """The ids that the records of up to `reach` messages before and after a message have."""
    if item.thread is None:
        return []
    return [message_id(item.thread, number) for _, number in _around(item, reach) if number > 0]


def with_neighbours(ranked: Sequence[Ranked], found: Sequence[Record], reach: int) -> list[Ranked]:
    """`ranked`, each message followed by those around it, the nearest first, which count as much as it does."""
    there: dict[Place, Record] = {(record.scope, record.fields["number"]): record for record in found}
    taken: set[Place] = set()
    result: list[Ranked] = []
    for each in ranked:
        if each.item.thread is None:
            result.append(each)
            continue
        near = [place for place in _around(each.item, reach) if place in there and place not in taken]
        result += [] if _place(each.item) in taken else [each]
        result += [_brought(there[place], each) for place in near]
        taken |= {_place(each.item), *near}
    return result


def in_groups(ranked: Sequence[Ranked], reach: int) -> list[Ranked]:
    """Messages that are no farther than `reach` apart side by side, as they were said; the best group first."""
    if not reach:
        return list(ranked)
    groups: list[list[Ranked]] = []
    for each in ranked:
        near = set(_around(each.item, reach))
        group = next((group for group in groups if any(_place(other.item) in near for other in group)), None)
        if group is None:
            groups.append([each])
        else:
            group.append(each)
    return [each for group in groups for each in sorted(group, key=lambda one: one.item.number)]


def _around(item: Item, reach: int) -> Iterator[Place]:
    for distance in range(1, reach + 1):
        yield item.thread, item.number - distance
        yield item.thread, item.number + distance


def _place(item: Item) -> Place:
    return item.thread, item.number


def _brought(record: Record, by: Ranked) -> Ranked:
    message, place = message_of(record), {"thread": record.scope, "number": record.fields["number"]}
    item = Item(message, record.terms, message.created_at or by.item.at, by.item.layer, **place)
    return Ranked(item, by.score, by.relevance, {"neighbour": by.score})
