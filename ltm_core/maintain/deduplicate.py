"""Deduplicate: of facts that say the same, one stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..knowledge.lifecycle import changed, joined, outlives, put_aside
from ..knowledge.statements import statement_of
from ..model import Fact, FactUpdate, slug
from ..policies import Maintaining


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Archives facts that say the same of the same person or thing in the same words.

    Where the text of a fact is but made of its value, its attribute must be the same too.

    The one that stays is pinned, lasts longest, is surest or oldest, in this order; tags and sources of the others are
    added to it, and its confidence grows by theirs. Two cats are two: where a fact names its item in its key alone,
    it has no duplicate.
    """

    name: ClassVar[str] = "deduplicate"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """An update for each fact that stays and grows, or goes."""
        groups: defaultdict[tuple[object, ...], list[Fact]] = defaultdict(list)
        for fact in given.facts:
            said = statement_of(fact)
            if said.words and not said.label[1]:
                groups[slug(fact.about), fact.schema_type, said.words, said.label[0]].append(fact)
        return [update for group in groups.values() for update in _updates(group, given)]


def _updates(group: Iterable[Fact], given: Maintaining) -> Iterator[FactUpdate]:
    kept, *others = sorted(group, key=_worth)
    gone = [fact for fact in others if not fact.pinned and not outlives(fact, kept)]
    if not gone:
        return
    grown = joined(kept, gone, given.now, f"deduplicate: {len(gone)} more say the same")
    if grown is not kept:
        yield changed(kept, grown)
    for fact in gone:
        yield changed(fact, put_aside(fact, given.now, f"deduplicate: {kept.key} says the same", kept))


def _worth(fact: Fact) -> tuple[object, ...]:
    """The best first: pinned, without an end, surest, weightiest, oldest."""
    ends = min((end.timestamp() for end in (fact.expires_at, fact.valid_to) if end), default=float("inf"))
    return (not fact.pinned, -ends, -fact.confidence, -fact.importance, fact.created_at, fact.key)
