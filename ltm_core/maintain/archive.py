"""Archive: what nobody used or told for long, and what matters little, goes out of sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from ..knowledge.lifecycle import changed, lifetime, put_aside
from ..model import Fact, FactUpdate
from ..policies import Maintaining


@dataclass(frozen=True, slots=True)
class Archive:
    """Archives facts that were neither used nor told for a time and are of low dynamic importance. Pinned ones stay.

    Attributes:
        unused_for: That time; a timedelta or seconds.
        below: The dynamic importance from which on a fact stays.
    """

    unused_for: timedelta | float = timedelta(days=180)
    below: float = 0.1
    name: ClassVar[str] = "archive"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """An update for each fact that goes."""
        stale = given.now - lifetime(self.unused_for, "unused_for")
        return [
            self._archived(fact, given)
            for fact in given.facts
            if not fact.pinned and given.used_at(fact) <= stale and given.importance(fact) < self.below
        ]

    def _archived(self, fact: Fact, given: Maintaining) -> FactUpdate:
        since = f"{given.used_at(fact):%Y-%m-%d}"
        reason = f"archive: neither used nor told since {since}, of dynamic importance {given.importance(fact):.3f}"
        return changed(fact, put_aside(fact, given.now, reason))
