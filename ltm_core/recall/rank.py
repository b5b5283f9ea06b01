"""Rank: what matters for a query, as a sum of a few readable signals.

Words decide: the bonus for sharing any word with the query outweighs all that does not depend on the query. Among
what matches, and where nothing does, recency, importance, confidence and the scope's layer order the rest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..model import Fact, Message
from ..policies import Item, Ranked, Ranking, Strategy

# Each signal is 0 to 1 before it is weighed. `match` must stay above the sum of the last four. Recency is small on
# purpose: with 0.2 and more, evidence that lies weeks back is lost to yesterday's chatter.
WEIGHTS: Mapping[str, float] = {
    "match": 1.0,
    "words": 2.0,
    "recency": 0.1,
    "importance": 0.2,
    "confidence": 0.1,
    "layer": 0.1,
}

# Days after which half of the freshness is gone, by memory_type.
HALF_LIVES: Mapping[str, float] = {
    "event": 14,
    "plan": 14,
    "message": 30,
    "goal": 90,
    "pattern": 90,
    "note": 180,
    "preference": 180,
    "fact": 365,
    "relationship": 365,
    "instruction": 365,
}
OTHER_HALF_LIFE = 180.0

# Okapi BM25 with the parameters that need no tuning: S. Robertson and H. Zaragoza, "The Probabilistic Relevance
# Framework: BM25 and Beyond", Foundations and Trends in Information Retrieval 3(4), 2009, section 3.2.
K1 = 1.2
B = 0.75


def rank(given: Ranking) -> list[Ranked]:
    """The items by score, best first; equal scores by key or id, so the order never depends on the order given."""
    bm25 = Bm25.over(given)
    matches = [bm25.match(item) for item in given.items]
    best = max((match.score for match in matches), default=0.0) or 1.0
    ranked = [
        _ranked(item, match.coverage, _signals(item, match.score / best, given.now))
        for item, match in zip(given.items, matches, strict=True)
    ]
    return sorted(ranked, key=lambda each: (-each.score, _name(each.item)))


def recent(given: Ranking) -> list[Ranked]:
    """The newest first, whatever was asked."""
    bm25 = Bm25.over(given)
    newest = sorted(given.items, key=_name)
    newest.sort(key=lambda item: item.at, reverse=True)
    return [
        _scored(item, bm25.match(item).coverage, {"recency": _freshness(item.at, given.now, 30)}) for item in newest
    ]


def everything(given: Ranking) -> list[Ranked]:
    """By layer, then importance, then key: the same order for the same memories, whatever was asked and when."""
    bm25 = Bm25.over(given)
    ordered = sorted(given.items, key=lambda item: (item.layer, -item.importance, _name(item)))
    return [
        _scored(item, bm25.match(item).coverage, {"layer": -2.0 * item.layer, "importance": item.importance})
        for item in ordered
    ]


relevant = rank

STRATEGIES: Mapping[str, Strategy] = {"relevant": relevant, "recent": recent, "all": everything}


@dataclass(frozen=True, slots=True)
class Match:
    """How well one text fits the query's words.

    Attributes:
        coverage: The share of the query's weight whose words the text has: 1 where it has all, however long it is.
        score: BM25; only comparable within one query.
    """

    coverage: float = 0.0
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Bm25:
    """Word statistics of one query over the items that are ranked, never over other people's.

    Attributes:
        idf: Weight of each word of the query, the rarer the higher.
        mean_length: Mean number of terms of an item.
    """

    idf: Mapping[str, float]
    mean_length: float

    @classmethod
    def over(cls, given: Ranking) -> Bm25:
        """Read the statistics from the items; `given.total` says how many they were chosen from."""
        query = frozenset(given.terms)
        holders = Counter(term for item in given.items for term in query.intersection(item.terms))
        total = max(given.total, len(given.items))
        mean = sum(len(item.terms) for item in given.items) / max(len(given.items), 1)
        # A word that no item has weighs as much as one that a single item has, no more.
        return cls({term: _idf(max(holders[term], 1), total) for term in sorted(query)}, mean or 1.0)

    def match(self, item: Item) -> Match:
        """Compare one of the items with the query."""
        found = self.idf.keys() & set(item.terms)
        if not found:
            return Match()
        length = K1 * (1 - B + B * len(item.terms) / self.mean_length)
        counts = {term: item.terms.count(term) for term in found}
        return Match(
            coverage=math.fsum(self.idf[term] for term in found) / math.fsum(self.idf.values()),
            score=math.fsum(self.idf[term] * (K1 + 1) * count / (count + length) for term, count in counts.items()),
        )


def _idf(holders: int, total: int) -> float:
    return math.log(1 + (max(total - holders, 0) + 0.5) / (holders + 0.5))


def _signals(item: Item, words: float, now: datetime) -> dict[str, float]:
    return {
        "match": float(words > 0),
        "words": words,
        "recency": recency(item, now),
        "importance": item.importance,
        "confidence": item.confidence,
        "layer": 1 / (1 + item.layer),
    }


def recency(item: Item, now: datetime) -> float:
    """1 for what was said just now, half of it after the half-life of its type, towards 0."""
    return _freshness(item.at, now, half_life(item.content))


def half_life(content: Fact | Message) -> float:
    """In days."""
    return HALF_LIVES.get("message" if isinstance(content, Message) else content.memory_type, OTHER_HALF_LIFE)


def _freshness(at: datetime, now: datetime, half_life_days: float) -> float:
    age = max((now - at) / timedelta(days=1), 0.0)
    return float(0.5 ** (age / half_life_days))


def _ranked(item: Item, relevance: float, signals: Mapping[str, float]) -> Ranked:
    return _scored(item, relevance, {name: WEIGHTS[name] * signal for name, signal in signals.items()})


def _scored(item: Item, relevance: float, parts: Mapping[str, float]) -> Ranked:
    return Ranked(item, sum(parts.values()), relevance, parts)


def _name(item: Item) -> tuple[str, str, str]:
    content = item.content
    key = content.key if isinstance(content, Fact) else ""
    return (key, content.id or "", content.text)
