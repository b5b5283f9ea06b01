"""Rank: what matters for a query, as a sum of a few readable signals (`recall.signals` says what each is).

Signals that count words or compare meanings are z-scores over all that the query may see; the others are 0 to 1. How
the weights were found, what each brings and what was tried without use: docs/reference/recall.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..model import Fact
from ..policies import Item, Ranked, Ranking, Strategy
from ..text.small_talk import is_small_talk

# What was said. Chosen on two kinds of conversation at once, after a search that held out each conversation in turn.
MESSAGES: Mapping[str, float] = {
    "body": 0.3,
    "window": 0.3,
    "phrase": 0.2,
    "session": 0.2,
    "best_words": 0.3,
    "other_speaker": -3.0,
    "date": 3.0,
    "answers_when": 0.2,
    "asks": -0.2,
}
# The same with vectors: meaning takes over from single words, the setting and the conversation keep their weight.
WITH_VECTORS: Mapping[str, float] = {
    **MESSAGES,
    "body": 0.1,
    "window": 0.2,
    "best_words": 0.1,
    "vector": 0.4,
    "best_vector": 0.2,
}
# Facts are short, and many say nearly the same. So what says something particular comes first, and what all have in
# common is taken off the vectors. Among messages both mislead: a pasted page is the most particular of all.
# The bonus for any shared word outweighs all that does not depend on the query's words, which decides where nothing
# matches. Recency is small on purpose: evidence weeks back must not be lost to yesterday's chatter.
FACTS: Mapping[str, float] = {
    "body": 0.3,
    "window": 0.3,
    "phrase": 0.2,
    "session": 0.2,
    "best_words": 0.3,
    "specific": 0.2,
    "date": 3.0,
    "answers_when": 0.2,
    "match": 1.5,
    "about": 0.8,
    "importance": 0.2,
    "recency": 0.1,
    "confidence": 0.1,
    "layer": 0.1,
}
FACTS_WITH_VECTORS: Mapping[str, float] = {
    **FACTS,
    "body": 0.1,
    "window": 0.2,
    "best_words": 0.1,
    "specific": 0.3,
    "centred": 0.6,
    "best_centred": 0.3,
}
WEIGHTS: Mapping[tuple[str, bool], Mapping[str, float]] = {
    ("message", False): MESSAGES,
    ("message", True): WITH_VECTORS,
    ("fact", False): FACTS,
    ("fact", True): FACTS_WITH_VECTORS,
}
MONTH = timedelta(days=30)
# Read for `relevance`, and no part of the score.
ALSO = ("coverage", "whose_words")


def weights(kind: str, *, vectors: bool) -> Mapping[str, float]:
    """What each signal counts, for `fact` or `message`, with or without vectors."""
    return WEIGHTS[kind, vectors]


def rank(given: Ranking) -> list[Ranked]:
    """The items by score, best first; equal scores by key or id, so the order never depends on the order given."""
    ranked = [_scored(item, given) for item in given.items]
    return sorted(ranked, key=lambda each: (-each.score, *_name(each.item)))


def recent(given: Ranking) -> list[Ranked]:
    """The newest first, whatever was asked."""
    ranked = [_scored(item, given, {"recency": _freshness(item, given)}) for item in given.items]
    ranked.sort(key=lambda each: _name(each.item))
    return sorted(ranked, key=lambda each: each.item.at, reverse=True)


def everything(given: Ranking) -> list[Ranked]:
    """By layer, then importance, then key: the same order for the same memories, whatever was asked and when."""
    ranked = [_scored(item, given, {"layer": -2.0 * item.layer, "importance": item.importance}) for item in given.items]
    return sorted(ranked, key=lambda each: (-each.score, *_name(each.item)))


STRATEGIES: Mapping[str, Strategy] = {"relevant": rank, "recent": recent, "all": everything}


@dataclass(frozen=True, slots=True)
class Odds:
    """The logarithm of the odds that an item is of use: a sum over its score and the share of the query it covers.

    Attributes:
        size: Times the logarithm of how many memories there are: among more of them each is less likely the one.
        whose: Times how far the words of the query are those of the speaker whom it names (`signals.whose_words`).
    """

    base: float
    score: float
    coverage: float
    size: float
    whose: float = 0.0

    def probability(self, score: float, coverage: float, total: int, whose: float = 0.0) -> float:
        """From 0 to 1."""
        odds = self.base + self.score * score + self.coverage * coverage + self.size * math.log(max(total, 1))
        odds += self.whose * whose
        return 1 / (1 + math.exp(-max(min(odds, 50.0), -50.0)))


# Logistic regression, rounded, on the best fifteen of each question, over scopes of five to some hundred memories; a
# third of the questions were asked of another conversation, and a third was small talk. How often what was given a
# probability was of use, in conversations that were held out: docs/explanation/recall.md.
ODDS: Mapping[str, Odds] = {
    "fact": Odds(base=-2.5, score=0.64, coverage=2.5, size=-1.15),
    "message": Odds(base=-1.4, score=0.47, coverage=2.3, size=-0.85, whose=6.0),
}


def relevance(item: Item, score: float, given: Ranking) -> float:
    """How probable it is that an item is of use for the query, from 0 to 1; for small talk none is."""
    if is_small_talk(given.query, item.terms):
        return 0.0
    coverage, whose = item.signals.get("coverage", 0.0), item.signals.get("whose_words", 0.0)
    return ODDS[_kind(item)].probability(score, coverage, given.total, whose)


def _kind(item: Item) -> str:
    return "fact" if isinstance(item.content, Fact) else "message"


def _signalled(item: Item, given: Ranking) -> Mapping[str, float]:
    """What each signal adds to the score."""
    counts, signals = weights(_kind(item), vectors=given.has_vectors), item.signals
    return {name: weight * signals[name] for name, weight in counts.items() if signals.get(name)}


def _scored(item: Item, given: Ranking, parts: Mapping[str, float] | None = None) -> Ranked:
    """An item with the sum of its signals, or of `parts` where a strategy goes by something else."""
    by_signals = _signalled(item, given)
    score = math.fsum(by_signals.values())
    total = score if parts is None else math.fsum(parts.values())
    return Ranked(item, total, relevance(item, score, given), by_signals if parts is None else parts)


def _freshness(item: Item, given: Ranking) -> float:
    """1 for now, 1/2 a month ago, whatever it is."""
    return float(0.5 ** (max((given.now - item.at) / MONTH, 0.0)))


def _name(item: Item) -> tuple[str, str]:
    key = item.content.key if isinstance(item.content, Fact) else ""
    return (key, item.content.id or "")
