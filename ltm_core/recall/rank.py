"""Rank: what matters for a query, as a sum of a few readable signals.

Words decide: the bonus for sharing any word with the query outweighs all that does not depend on the query. Among
what matches, and where nothing does, the speaker, importance, recency, confidence and the scope's layer decide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..model import Fact, Message
from ..policies import Item, Ranked, Ranking, Strategy
from ..words import words

# Each signal is 0 to 1 before it is weighed. `match` must stay above the sum of all after `words`. Recency is small on
# purpose: at twice this weight, evidence that lies weeks back begins to be lost to yesterday's chatter.
WEIGHTS: Mapping[str, float] = {
    "match": 1.5,
    "words": 2.0,
    "speaker": 0.8,
    "importance": 0.2,
    "recency": 0.1,
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

# Okapi BM25 with usual parameters: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and
# Beyond", Foundations and Trends in Information Retrieval 3(4), 2009.
K1 = 1.2
B = 0.75


def rank(given: Ranking) -> list[Ranked]:
    """The items by score, best first; equal scores by key or id, so the order never depends on the order given."""
    found = matches(given)
    best = max((match.bm25 for match in found), default=0.0) or 1.0
    named = _named(given)
    ranked = [
        _weighed(item, match, {"words": match.bm25 / best, "speaker": speaker(item, named)}, given.now)
        for item, match in zip(given.items, found, strict=True)
    ]
    return sorted(ranked, key=lambda each: (-each.score, *_name(each.item)))


def recent(given: Ranking) -> list[Ranked]:
    """The newest first, whatever was asked."""
    ranked = [
        _scored(item, match, {"recency": _freshness(item.at, given.now, HALF_LIVES["message"])})
        for item, match in zip(given.items, matches(given), strict=True)
    ]
    ranked.sort(key=lambda each: _name(each.item))
    return sorted(ranked, key=lambda each: each.item.at, reverse=True)


def everything(given: Ranking) -> list[Ranked]:
    """By layer, then importance, then key: the same order for the same memories, whatever was asked and when."""
    ranked = [
        _scored(item, match, {"layer": -2.0 * item.layer, "importance": item.importance})
        for item, match in zip(given.items, matches(given), strict=True)
    ]
    return sorted(ranked, key=lambda each: (-each.score, *_name(each.item)))


STRATEGIES: Mapping[str, Strategy] = {"relevant": rank, "recent": recent, "all": everything}


@dataclass(frozen=True, slots=True)
class Match:
    """How well an item fits the words of the query.

    Attributes:
        coverage: The share of the query's weight whose words the item has: 1 where it has all, however long it is.
        bm25: Only comparable within one query.
    """

    coverage: float = 0.0
    bm25: float = 0.0


def matches(given: Ranking) -> list[Match]:
    """Compare each item with the query. What makes a word rare is read from these items alone, never from others'."""
    query = frozenset(given.terms)
    counts = [Counter(filter(query.__contains__, item.terms)) for item in given.items]
    idf = _idf(query, counts, given.total)
    lengths = [len(item.terms) for item in given.items]
    mean = sum(lengths) / max(len(lengths), 1) or 1.0
    return [_match(found, length / mean, idf) for found, length in zip(counts, lengths, strict=True)]


def _idf(query: Collection[str], counts: Sequence[Counter[str]], total: int) -> dict[str, float]:
    """The weight of each word of the query, the rarer the higher; one that no item has weighs like a single one's."""
    holders = Counter(term for found in counts for term in found)
    total = max(total, len(counts), 1)
    return {term: math.log(1 + (total - n + 0.5) / (n + 0.5)) for term in query for n in [max(holders[term], 1)]}


def _match(found: Counter[str], length: float, idf: Mapping[str, float]) -> Match:
    if not found:
        return Match()
    norm = K1 * (1 - B + B * length)
    return Match(
        coverage=math.fsum(idf[term] for term in found) / math.fsum(idf.values()),
        bm25=math.fsum(idf[term] * (K1 + 1) * count / (count + norm) for term, count in found.items()),
    )


def _weighed(item: Item, match: Match, of_query: Mapping[str, float], now: datetime) -> Ranked:
    signals = {
        "match": float(match.bm25 > 0),
        **of_query,
        "importance": item.importance,
        "recency": recency(item, now),
        "confidence": item.confidence,
        "layer": 1 / (1 + item.layer),
    }
    return _scored(item, match, {name: WEIGHTS[name] * signal for name, signal in signals.items()})


def speaker(item: Item, named: Collection[str]) -> float:
    """1 for what those said whom the query names, or the user where it names nobody; also for every fact."""
    if isinstance(item.content, Fact):
        return 1.0
    return float(item.content.name in named if named else item.content.role == "user")


def _named(given: Ranking) -> frozenset[str]:
    """The speakers that the query names."""
    asked = set(words(given.query))
    names = {item.content.name for item in given.items if isinstance(item.content, Message)}
    return frozenset(name for name in names if name and not asked.isdisjoint(words(name)))


def recency(item: Item, now: datetime) -> float:
    """1 for what was said just now, half of it after the half-life of its type, towards 0."""
    return _freshness(item.at, now, half_life(item.content))


def half_life(content: Fact | Message) -> float:
    """In days."""
    return HALF_LIVES.get("message" if isinstance(content, Message) else content.memory_type, OTHER_HALF_LIFE)


def _freshness(at: datetime, now: datetime, half_life_days: float) -> float:
    age = max((now - at) / timedelta(days=1), 0.0)
    return float(0.5 ** (age / half_life_days))


def _scored(item: Item, match: Match, parts: Mapping[str, float]) -> Ranked:
    return Ranked(item, sum(parts.values()), match.coverage, parts)


def _name(item: Item) -> tuple[str, str]:
    key = item.content.key if isinstance(item.content, Fact) else ""
    return (key, item.content.id or "")
