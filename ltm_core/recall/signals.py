"""Signals: what speaks for each memory, one number for each, and how these are made comparable.

Each signal is a small function from a query and the indexes that it may see to one column per index. What makes a word
rare and a number large is read from all these indexes together, and from nobody else's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import pairwise

from ..index.columns import Column, Counted, Rows
from ..index.columns import Columns as Operations
from ..index.entries import name_words
from ..index.matrix import mean_of
from ..index.memories import Hits, Memories
from ..text.dates import Days
from ..text.word_forms import forms_of
from ..text.words import terms, words

Place = tuple[int, int]  # the index that a memory is in, and its row there
Columns = list[Column]  # one for each index; none at all where the signal says nothing of anything

NEIGHBOURS = 0.1
TINY = 1e-9
HOUR = 3600.0  # within which what fades is as fresh as at its beginning
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


@dataclass(frozen=True)
class Asked:
    """A query, and the indexes that are asked: those of facts, or those of messages.

    Attributes:
        days: The days that the query speaks of, if any.
        vector: What an embedder made of the query.
    """

    text: str
    parts: Sequence[Memories]
    now: datetime
    days: Days | None = None
    vector: Sequence[float] | None = None
    are_facts: bool = False
    kept: dict[str, Columns] = field(default_factory=dict, init=False)

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the query."""
        return frozenset(words(self.text))

    @cached_property
    def named(self) -> frozenset[str]:
        """The speakers that the query names."""
        speakers = {speaker for part in self.parts for speaker in part.said}
        return frozenset(speaker for speaker in speakers if not self.words.isdisjoint(name_words(speaker)))

    @cached_property
    def sought(self) -> tuple[tuple[str, ...], ...]:
        """The words to look for, each as all its forms: without the names of speakers, unless there are no others."""
        every = terms(self.text)
        names = () if self.are_facts else {term for speaker in self.named for term in terms(speaker)}
        return tuple(map(forms_of, [term for term in every if term not in names] or every))

    @property
    def terms(self) -> tuple[str, ...]:
        """All forms of the words to look for, for a database to find any of them."""
        return tuple(form for forms in self.sought for form in forms)

    @property
    def meaning(self) -> str:
        """The query without the names of speakers: who said it is known, and need not be compared."""
        names = {word for speaker in self.named for word in name_words(speaker)}
        kept = [word for word in self.text.split() if names.isdisjoint(words(word))]
        return " ".join(kept) if names else self.text

    @cached_property
    def distinct(self) -> tuple[tuple[str, ...], ...]:
        """The same, each word once."""
        return tuple(dict.fromkeys(self.sought))

    @cached_property
    def hits(self) -> list[Hits]:
        """Where the words of the query stand, in each index."""
        return [part.hits(self.distinct) for part in self.parts]

    @cached_property
    def counted(self) -> list[Counted]:
        """Which memories have each word of the query, and how often."""
        return [part.ops.counted(hits.which, hits.rows, part.size) for part, hits in _each(self, self.hits)]

    def read(self, signal: Callable[[Asked], Columns]) -> Columns:
        """A signal, read once."""
        columns = self.kept.get(signal.__name__)
        return self.kept.setdefault(signal.__name__, signal(self)) if columns is None else columns

    @property
    def total(self) -> int:
        """How many memories there are."""
        return sum(map(len, self.parts))


def body(asked: Asked) -> Columns:
    """The words of the memory itself."""
    return _bm25(asked, asked.counted, "length", "body")


def window(asked: Asked) -> Columns:
    """Its words and the last ones of what was said before it."""
    return _bm25(asked, [_in_setting(part, hits) for part, hits in _each(asked, asked.hits)], "window", "window")


def _in_setting(part: Memories, hits: Hits) -> Counted:
    which = part.ops.joined(hits.which, hits.following_which)
    return part.ops.counted(which, part.ops.joined(hits.rows, hits.following), part.size)


def phrase(asked: Asked) -> Columns:
    """Words of the query that stand side by side in both."""
    numbers = {forms: number for number, forms in enumerate(asked.distinct)}
    pairs = [(numbers[one], numbers[two]) for one, two in dict.fromkeys(pairwise(asked.sought)) if one != two]
    counted = [_side_by_side(part, hits, pairs) for part, hits in _each(asked, asked.hits)]
    if not any(len(which) for which, _, _ in counted):
        return []
    idf = _idf(asked, counted, len(pairs))
    return [part.ops.added(own, idf, part.size) for part, own in _each(asked, counted)]


def _side_by_side(part: Memories, hits: Hits, pairs: Sequence[tuple[int, int]]) -> Counted:
    which, positions = part.ops.pairs(hits.which, hits.positions, pairs)
    return part.ops.counted(which, part.rows_at(positions), part.size)


def coverage(asked: Asked) -> Columns:
    """The share of the query's weight whose words the memory has; not calibrated."""
    idf = _idf(asked, asked.counted, len(asked.distinct), unknown=1)
    weight = math.fsum(idf) or 1.0
    shares = [one / weight for one in idf]
    return [part.ops.added(own, shares, part.size) for part, own in _each(asked, asked.counted)]


def session(asked: Asked) -> Columns:
    """The words of all that was said in the conversation."""
    total = sum(len(part.of_thread) for part in asked.parts)
    if total < 2:
        return []
    counted = [_in_threads(part, hits) for part, hits in _each(asked, asked.hits)]
    idf = _idf(asked, counted, len(asked.distinct), total)
    mean = math.fsum(part.total_length("threads") for part in asked.parts) / total or 1.0
    return [_of_thread(part, part.ops.bm25(own, idf, part.thread_lengths, mean)) for part, own in _each(asked, counted)]


def _in_threads(part: Memories, hits: Hits) -> Counted:
    return part.ops.counted(hits.which, part.ops.take(part.column("thread"), hits.rows), len(part.threads))


def about(asked: Asked) -> Columns:
    """1 for a fact about the one whom the query names, or about the user where it names nobody."""
    named = asked.named or {"user"}
    if len(named) > 1:
        return []
    (who,) = named
    return [part.derived("about", who, partial(_said_by, part, who)) for part in asked.parts]


def _said_by(part: Memories, who: str) -> Column:
    return part.ops.where(part.column("speaker"), part.speakers.get(who, -1))


def other_speaker(asked: Asked) -> Columns:
    """1 for what another said than the one whom the query names, or than the user where it names nobody."""
    if len(asked.named) > 1 or not (asked.named or any("user" in part.said for part in asked.parts)):
        return []
    return [part.ops.mixed([(-1.0, 1.0, column)], part.size) for part, column in _each(asked, about(asked))]


def whose_words(asked: Asked) -> Columns:
    """How far the query has the words of the one speaker whom it names: for all the same, and above 0 if it does.

    Of the memories that have a word, the share that they said, less the share that they said of all; in the mean of
    the words. What is asked of the wrong speaker has the words of another.
    """
    if asked.are_facts or len(asked.named) != 1:
        return []
    names = {term for speaker in asked.named for term in terms(speaker)}
    beside = [number for number, forms in enumerate(asked.distinct) if names.isdisjoint(forms)]
    own = asked.read(about)
    every = math.fsum(part.ops.moments(part.living(column))[0] for part, column in _each(asked, own))
    by_chance = every / max(asked.total, 1)
    shares = _shares(asked, own, by_chance)
    mean = math.fsum(shares[number] - by_chance for number in beside) / max(len(beside), 1)
    return [part.ops.same(part.size, mean) for part in asked.parts]


def _shares(asked: Asked, own: Columns, by_chance: float) -> list[float]:
    """For each word, the share of the memories with it that are among `own`, as if one more were so by chance."""
    told, held = [0.0] * len(asked.distinct), [0.0] * len(asked.distinct)
    for part, counted, column in zip(asked.parts, asked.counted, own, strict=True):
        which, rows, _ = counted
        told = list(map(operator.add, told, part.ops.sums(which, part.ops.take(column, rows), len(told))))
        held = list(map(operator.add, held, part.ops.holders(counted, len(held))))
    return [(its + by_chance) / (every + 1) for its, every in zip(told, held, strict=True)]


def date(asked: Asked) -> Columns:
    """1 for what was said in the days that the query speaks of."""
    days = asked.days
    if days is None:
        return []
    every = 10_000 if days.is_yearly else None
    return [part.ops.within(part.column("day"), days.first, days.last, of_each=every) for part in asked.parts]


def answers_when(asked: Asked) -> Columns:
    """1 for what says a time, where the query asks for one."""
    if not asked.words & {"when", "long", "date", "year", "month", "day"}:
        return []
    return [part.column("dated") for part in asked.parts]


def asks(asked: Asked) -> Columns:
    """1 for what is a question itself."""
    return [part.column("asks") for part in asked.parts]


def vector(asked: Asked) -> Columns:
    """How near the meaning is: the cosine. What has no vector yet counts as the mean of the others."""
    return [] if asked.vector is None else _near(asked)


def _near(asked: Asked, common: Sequence[float] = ()) -> Columns:
    assert asked.vector is not None
    near = [(part.ops, *part.matrix.cosines(asked.vector, part.size, common)) for part in asked.parts]
    if all(part.matrix.covers(part.size) for part in asked.parts):
        return [column for _, column, _ in near]
    total = math.fsum(ops.moments(column)[0] for ops, column, _ in near)  # 0 for what has none
    mean = total / max(sum(ops.moments(has)[0] for ops, _, has in near), 1.0)
    return [ops.filled(column, has, mean) for ops, column, has in near]


def centred(asked: Asked) -> Columns:
    """How near the meaning is, apart from what all memories have in common: the cosine with their mean taken off."""
    if asked.vector is None:
        return []
    return _near(asked, mean_of([part.matrix for part in asked.parts], len(asked.vector)))


def best_words(asked: Asked) -> Columns:
    """The most that the words of one memory of the conversation say."""
    return _best(asked, asked.read(body))


def best_vector(asked: Asked) -> Columns:
    """The nearest meaning in the conversation."""
    return _best(asked, asked.read(vector))


def best_centred(asked: Asked) -> Columns:
    """The same, apart from what all memories have in common."""
    return _best(asked, asked.read(centred))


def match(asked: Asked) -> Columns:
    """1 for a fact that shares a word with the query."""
    return [part.ops.marked(rows, part.size) for part, (_, rows, _) in _each(asked, asked.counted)]


def specific(asked: Asked) -> Columns:
    """How rare the memory's own words are in its scope, whatever is asked: what all facts say says little."""
    return [part.rarity for part in asked.parts]


def importance(asked: Asked) -> Columns:
    """As it is stored, 0 to 1."""
    return [part.column("importance") for part in asked.parts]


def confidence(asked: Asked) -> Columns:
    """As it is stored, 0 to 1."""
    return [part.column("confidence") for part in asked.parts]


def recency(asked: Asked) -> Columns:
    """1 for what was said within the hour, half of it after the half-life of its type, towards 0."""
    now = asked.now.timestamp() // HOUR * HOUR
    return [part.derived("recency", now, partial(_faded, part, now)) for part in asked.parts]


def _faded(part: Memories, now: float) -> Column:
    return part.ops.faded(part.column("at"), part.column("type"), list(map(_lifetime, part.types)), now)


def layer(asked: Asked) -> Columns:
    """1 for the most specific scope, 1/2 for the next, and so on."""
    return [part.ops.same(part.size, 1 / (1 + number)) for number, part in enumerate(asked.parts)]


@dataclass(frozen=True, slots=True)
class Signal:
    """How a signal is read, and what is done to make it comparable.

    Attributes:
        is_calibrated: Whether it becomes a z-score over all that the query may see; if not, it is 0 to 1.
        is_shared: Whether the neighbours in a conversation get a tenth of it.
    """

    read: Callable[[Asked], Columns]
    is_calibrated: bool = False
    is_shared: bool = False


SIGNALS: Mapping[str, Signal] = {
    "body": Signal(body, is_calibrated=True, is_shared=True),
    "window": Signal(window, is_calibrated=True, is_shared=True),
    "phrase": Signal(phrase, is_calibrated=True, is_shared=True),
    "vector": Signal(vector, is_calibrated=True, is_shared=True),
    "centred": Signal(centred, is_calibrated=True, is_shared=True),
    "other_speaker": Signal(other_speaker, is_shared=True),
    "date": Signal(date, is_shared=True),
    "answers_when": Signal(answers_when, is_shared=True),
    "asks": Signal(asks, is_shared=True),
    "specific": Signal(specific, is_shared=True),
    "session": Signal(session, is_calibrated=True),
    "best_words": Signal(best_words, is_calibrated=True),
    "best_vector": Signal(best_vector, is_calibrated=True),
    "best_centred": Signal(best_centred, is_calibrated=True),
    "match": Signal(match),
    "about": Signal(about),
    "importance": Signal(importance),
    "confidence": Signal(confidence),
    "recency": Signal(recency),
    "layer": Signal(layer),
    "coverage": Signal(coverage),
    "whose_words": Signal(whose_words),
}


@dataclass(frozen=True, slots=True)
class _Read:
    """One signal as it was read: what is to be taken off it, and what it is to be multiplied with."""

    signal: Signal
    columns: Columns
    centre: float = 0.0
    scale: float = 1.0

    def values(self, number: int, ops: Operations, places: Rows) -> list[float]:
        """What it says of some memories, without what their neighbours add."""
        return [(value - self.centre) * self.scale for value in ops.values(self.columns[number], places)]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What may be read, in the order in which it should be."""

    best: Callable[[int], list[Place]]
    signals: Callable[[Sequence[Place]], list[dict[str, float]]]


class Scores:
    """Every memory behind the indexes, with the weighted sum of its signals.

    Args:
        weights: What each signal counts; those named in `also` are read and count nothing.
    """

    def __init__(self, asked: Asked, weights: Mapping[str, float], also: Sequence[str] = ()) -> None:
        self._asked = asked
        read = {name: _read(asked, SIGNALS[name]) for name in (*weights, *also)}
        self._read = {name: one for name, one in read.items() if one.columns}
        self._weights = weights
        # What the index is like now: it may follow a change while what was proposed is read.
        self._sizes = [part.size for part in asked.parts]
        self._now = {name: [part.column(name) for part in asked.parts] for name in ("alive", "at", "importance")}
        self.totals = [self._total(number, part) for number, part in enumerate(asked.parts)]

    def best(self, count: int) -> list[Place]:
        """The indexes and rows of the best, best first; equals by name."""
        return self._top(self.totals, count)

    def latest(self, count: int) -> list[Place]:
        """Those that were said or changed last, whatever was asked."""
        return self._top(self._now["at"], count)

    def foremost(self, count: int) -> list[Place]:
        """Those of the most specific scope, the most important first, whatever was asked."""
        weights = [
            part.ops.mixed([(1.0, 2.0 * number, column)], size)
            for number, (part, column, size) in enumerate(
                zip(self._asked.parts, self._now["importance"], self._sizes, strict=True)
            )
        ]
        return self._top(weights, count)

    def _top(self, columns: Columns, count: int) -> list[Place]:
        found = [
            (float(column[row]), number, row)
            for number, (part, column) in enumerate(_each(self._asked, columns))
            for row in part.ops.top(column, self._now["alive"][number], count)
        ]
        found.sort(key=lambda each: (-each[0], self._asked.parts[each[1]].entries[each[2]].name))
        return [(number, row) for _, number, row in found[:count]]

    def signals(self, places: Sequence[Place]) -> list[dict[str, float]]:
        """What each signal says of some memories, in their order."""
        found: dict[Place, dict[str, float]] = {}
        for number in {number for number, _ in places}:
            rows = [row for where, row in places if where == number]
            found |= zip(((number, row) for row in rows), self._signals(number, rows), strict=True)
        return [found[place] for place in places]

    def _signals(self, number: int, rows: Sequence[int]) -> list[dict[str, float]]:
        part, size = self._asked.parts[number], self._sizes[number]
        near = [[one for one in part.neighbours(row) if one < size] for row in rows]
        beside = [one for some in near for one in some]
        places = part.ops.places(rows)
        columns = {name: read.values(number, part.ops, places) for name, read in self._read.items()}
        for name, read in self._read.items():
            if beside and read.signal.is_shared:
                those = dict(zip(beside, read.values(number, part.ops, part.ops.places(beside)), strict=True))
                columns[name] = [
                    own + NEIGHBOURS * sum(those[one] for one in some)
                    for own, some in zip(columns[name], near, strict=True)
                ]
        return [dict(zip(columns, told, strict=True)) for told in zip(*columns.values(), strict=True)]

    def proposal(self, strategy: str, most: int) -> Proposal:
        """What a strategy looks at: all by its own order; for another than the built-in ones, some by each order."""
        own = {"relevant": self.best, "recent": self.latest, "all": self.foremost}.get(strategy)
        if own is not None:
            return Proposal(own, self.signals)
        places = list(dict.fromkeys([*self.best(most), *self.latest(most), *self.foremost(most // 4)]))
        return Proposal(lambda count: places[:count], self.signals)

    def _total(self, number: int, part: Memories) -> Column:
        shared, alone = (list(self._terms(number, is_shared=is_shared)) for is_shared in (True, False))
        if not part.of_thread:
            return part.ops.mixed([*shared, *alone], part.size)
        mixed = part.ops.mixed(shared, part.size)
        smooth = part.ops.smoothed(mixed, part.column("before"), part.column("behind"), NEIGHBOURS)
        return part.ops.mixed([(1.0, 0.0, smooth), *alone], part.size)

    def _terms(self, number: int, *, is_shared: bool) -> Iterator[tuple[float, float, Column]]:
        for name, read in self._read.items():
            weight = self._weights.get(name, 0.0) * read.scale
            if weight and read.signal.is_shared is is_shared:
                yield weight, read.centre, read.columns[number]


def _read(asked: Asked, signal: Signal) -> _Read:
    columns = asked.read(signal.read)
    if not signal.is_calibrated or not columns:
        return _Read(signal, columns)
    moments = [part.ops.moments(part.living(column)) for part, column in _each(asked, columns)]
    count = max(asked.total, 1)
    mean = math.fsum(total for total, _ in moments) / count
    variance = math.fsum(squares for _, squares in moments) / count - mean * mean
    return _Read(signal, columns, mean, 1 / math.sqrt(variance) if variance > TINY else 0.0)


def _lifetime(memory_type: str) -> float:
    return HALF_LIVES.get(memory_type, OTHER_HALF_LIFE) * 86400


def _best(asked: Asked, columns: Columns) -> Columns:
    if not columns or not any(part.of_thread for part in asked.parts):
        return []
    return [_of_thread(part, _largest(part, column)) for part, column in _each(asked, columns)]


def _largest(part: Memories, column: Column) -> Column:
    """The most of each thread, of what is alive in it."""
    if len(part) < part.size:
        column = part.ops.filled(column, part.column("alive"), -math.inf)
    return part.ops.largest(column, part.column("thread"), len(part.threads))


def _each(asked: Asked, things: Sequence[object]) -> list[tuple[Memories, Column]]:
    return list(zip(asked.parts, things, strict=True))


def _of_thread(part: Memories, of_threads: Column) -> Column:
    """What holds for a thread, for each of its rows; nothing for what stands in none."""
    of_threads[0] = 0.0
    return part.ops.take(of_threads, part.column("thread"))


def _idf(
    asked: Asked, counted: Sequence[Counted], words: int, total: int | None = None, unknown: int = 0
) -> list[float]:
    """The weight of each of `words` words, the rarer the higher."""
    count = asked.total if total is None else total
    of_each = [part.ops.holders(own, words) for part, own in _each(asked, counted)]
    holders = [max(sum(own), unknown) for own in zip(*of_each, strict=True)]
    return [math.log(1 + (max(count, has) - has + 0.5) / (has + 0.5)) for has in holders]


def _bm25(asked: Asked, counted: Sequence[Counted], lengths: str, total: str) -> Columns:
    idf = _idf(asked, counted, len(asked.distinct))
    mean = sum(part.total_length(total) for part in asked.parts) / max(asked.total, 1) or 1.0
    return [part.ops.bm25(own, idf, part.column(lengths), mean) for part, own in _each(asked, counted)]
