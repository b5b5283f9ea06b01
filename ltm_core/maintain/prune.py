"""Prune: what matters least goes, until the rest fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..errors import ConfigurationError
from ..knowledge.lifecycle import changed, put_aside
from ..model import Fact, FactUpdate
from ..policies import Maintaining


@dataclass(frozen=True, slots=True)
class Prune:
    """Archives the facts of least dynamic importance until the rest is within its bounds.

    Pinned facts count, and are never archived. Raises `ConfigurationError` where no bound is given.

    Attributes:
        max_tokens: Most tokens of all facts together, as they stand in a prompt.
        max_facts: Most facts.
    """

    max_tokens: int | None = None
    max_facts: int | None = None
    name: ClassVar[str] = "prune"

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.max_tokens, self.max_facts) if bound is not None]
        if not bounds or min(bounds) < 0:
            raise ConfigurationError("Prune needs a bound that is not negative. Pass max_tokens= or max_facts=.")

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """An update for each fact that goes."""
        sizes = {fact.id: given.tokens(fact) for fact in given.facts}
        tokens, count = sum(sizes.values()), len(given.facts)
        updates: list[FactUpdate] = []
        for fact in sorted((fact for fact in given.facts if not fact.pinned), key=lambda fact: _rank(fact, given)):
            if self._fits(tokens, count):
                break
            tokens, count = tokens - sizes[fact.id], count - 1
            updates.append(self._archived(fact, given))
        return updates

    def _fits(self, tokens: int, count: int) -> bool:
        few = self.max_facts is None or count <= self.max_facts
        return few and (self.max_tokens is None or tokens <= self.max_tokens)

    def _archived(self, fact: Fact, given: Maintaining) -> FactUpdate:
        bounds = {"tokens": self.max_tokens, "facts": self.max_facts}
        most = " and ".join(f"{bound} {what}" for what, bound in bounds.items() if bound is not None)
        reason = f"prune: of dynamic importance {given.importance(fact):.3f}, beyond {most}"
        return changed(fact, put_aside(fact, given.now, reason))


def _rank(fact: Fact, given: Maintaining) -> tuple[object, ...]:
    """The least important first; of equals what was used longest ago."""
    return (given.importance(fact), given.used_at(fact), fact.key)
