"""Decay: what was only gathered, and never told again, is believed less and less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from ..knowledge.edits import upkept
from ..knowledge.lifecycle import changed, lifetime
from ..model import Fact, FactUpdate
from ..policies import Maintaining

STEPS = 20  # of confidence, from 0 to 1: so many versions a fact gets at most


@dataclass(frozen=True, slots=True)
class Decay:
    """Halves the confidence of inferred facts with every half-life since they were told.

    It is always reckoned from what it was when the fact was told, and rounded to twentieths: so it is the same
    whether this runs every hour or once a year, and a second run at the same time changes nothing.

    Left alone are pinned facts, what people wrote by hand, what several messages say, and what was told with at least
    `sure`, as extractors give to what was said outright: that does not become doubtful by itself.

    Attributes:
        half_life: A timedelta or seconds.
        sure: The confidence from which on nothing fades.
        least: Below which confidence nothing fades.
    """

    half_life: timedelta | float = timedelta(days=90)
    sure: float = 0.8
    least: float = 0.05
    name: ClassVar[str] = "decay"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """An update for each fact that faded by a step or more."""
        faded = [(fact, self._faded(fact, given)) for fact in given.facts if self._fades(fact)]
        return [_update(fact, confidence, given) for fact, confidence in faded if confidence < fact.confidence]

    def _fades(self, fact: Fact) -> bool:
        by_hand = fact.source_type == "manual"
        return not (fact.pinned or by_hand or len(fact.sources) > 1 or fact.told_confidence >= self.sure)

    def _faded(self, fact: Fact, given: Maintaining) -> float:
        age = max((given.now - fact.told_at) / lifetime(self.half_life, "half_life"), 0.0)
        faded = fact.told_confidence * float(0.5**age)
        return max(round(faded * STEPS) / STEPS, self.least)


def _update(fact: Fact, confidence: float, given: Maintaining) -> FactUpdate:
    days = (given.now - fact.told_at).days
    reason = f"decay: {confidence:.2f} sure, {days} days after it was told with {fact.told_confidence:.2f}"
    faded = upkept(fact, given.now, confidence=confidence, told_confidence=fact.told_confidence, reason=reason)
    return changed(fact, faded)
