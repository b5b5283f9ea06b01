"""How sure we are of a fact, once others have repeated or contradicted it.

The mean of a Beta distribution, as in *The Beta Reputation System* (Jøsang and Ismail, 2002): what was sure at first
counts as two observations, each repetition as one for it, each contradiction as one against it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Fact
from .values import same

PRIOR = 2.0
"""Observations that the first confidence is worth: the weight of the prior in subjective logic."""


def believed(confidence: float, repeated: int, contradicted: int) -> float:
    """`confidence` after as many repetitions and contradictions.

    >>> believed(0.8, 0, 0), believed(0.8, 2, 0), round(believed(0.8, 0, 1), 2)
    (0.8, 0.9, 0.53)
    """
    return (PRIOR * confidence + repeated) / (PRIOR + repeated + contradicted)


def contradictions(versions: Sequence[Fact]) -> int:
    """How many versions, all of one fact, said something else than the present one, the last."""
    return sum(not same(one.value, versions[-1].value) for one in versions if not one.deleted_at)
