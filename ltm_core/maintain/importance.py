"""Dynamic importance: how much a fact matters now.

    dynamic importance = base * recency * frequency * confidence          each from 0 to 1

base        `Fact.importance`. That memories differ in weight from the start, and that this is combined with recency,
            is the scheme of Park et al., Generative Agents (2023), section 4.1.
recency     0.5 ^ (age / half-life); age counts from when the fact was told or last used, whichever is later, as there.
            Forgetting as a decay from the last rehearsal is Ebbinghaus (1885); one half-life for all is a
            simplification, and half of it is the least that is left: an old fact is not a false one.
frequency   (uses + 1) / (uses + 2), Laplace's rule of succession (1814) on whether the next recall is a use. It grows
            ever more slowly, as practice does (Newell and Rosenbloom, 1981). A use that was found of no use takes two
            back, one that was found useful adds one.
confidence  `Fact.confidence`: the expected weight of what may be wrong.

What was never used starts at frequency 0.5, so a sure, fresh fact has half of its base.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..model import Fact, Usage

HALF_LIFE = timedelta(days=90)
LEAST = 0.5


def dynamic_importance(fact: Fact, usage: Usage, now: datetime, half_life: timedelta = HALF_LIFE) -> float:
    """How much `fact` matters at `now`, from 0 to 1."""
    return fact.importance * recency(fact, usage, now, half_life) * frequency(usage) * fact.confidence


def recency(fact: Fact, usage: Usage, now: datetime, half_life: timedelta = HALF_LIFE) -> float:
    """1 for what was told or used now; `LEAST` for what is very old."""
    since = last_touched(fact, usage)
    age = max((now - since) / half_life, 0.0)
    return LEAST + (1 - LEAST) * float(0.5**age)


def frequency(usage: Usage) -> float:
    """0.5 for what was never used, near 1 for what is used often."""
    uses = max(usage.access_count + usage.useful - 2 * usage.not_useful, 0)
    return (uses + 1) / (uses + 2)


def last_touched(fact: Fact, usage: Usage) -> datetime:
    """When a fact was told or used last."""
    used = usage.last_accessed_at
    return fact.told_at if used is None else max(used, fact.told_at)
