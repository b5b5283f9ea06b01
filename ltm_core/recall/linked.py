"""What is linked with the best that was found takes its place among the ranked, by how strongly it is linked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..model import Fact
from ..policies import Item, Ranked
from ..stores.base import Reached

BEST = 5  # facts whose links are gone along
FADES = 0.5  # what is left of a score after one link of full strength


def starts(ranked: Sequence[Ranked]) -> list[str]:
    """The ids of the best facts: of few, and none that is not half as good as the best."""
    best = [each for each in ranked if isinstance(each.item.content, Fact)][:BEST]
    return [str(each.item.content.id) for each in best if each.score >= best[0].score / 2]


def with_linked(ranked: Sequence[Ranked], reached: Sequence[Reached], items: Mapping[str, Item]) -> list[Ranked]:
    """`ranked` with what was reached from it, by score; what was found by itself stays where it would be better.

    The score of a fact that links lead to is that of the one before it, times half the strength of the link.
    """
    known = {each.item.content.id or "": each for each in ranked}
    for step in sorted(reached, key=lambda step: step.depth):
        ends = {str(step.link.get(end)) for end in ("source", "target")} - {step.record.id}
        before, item = next((known[end] for end in ends if end in known), None), items.get(step.record.id)
        if before is None or item is None:
            continue
        share = FADES * float(step.link.get("strength") or 0.0)
        score = before.score * share
        found = known.get(step.record.id)
        if found is None or found.score < score:
            made = replace(before, item=item, score=score, relevance=before.relevance * share, parts={"link": score})
            known[step.record.id] = made
    return sorted(known.values(), key=lambda each: -each.score)
