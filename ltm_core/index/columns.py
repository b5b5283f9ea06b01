"""One number for each memory: the few operations that signals are made of, in plain Python and in numpy.

Both give the same numbers. Numpy is used where it is installed; without it a scope of a thousand takes milliseconds.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Protocol

# Okapi BM25: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and
# Trends in Information Retrieval 3(4), 2009. B is higher than usual, for conversations: a pasted page must not win.
K1 = 1.2
B = 0.9
GRAINS = 1024  # how rare a word is goes in steps, whose sums are the same in any order: equals stay equal

Column = Any  # a list of floats, or a numpy array of them
Rows = Any  # the same of ints
Counted = tuple[Rows, Rows, Rows]  # for each word and row that has it: which word, the row, and how often


class Columns(Protocol):
    """What can be done with columns."""

    def numbers(self, held: array[Any]) -> Rows:
        """A copy of `held` as this kind of column."""
        ...

    def same(self, size: int, number: float) -> Column:
        """The same for everybody."""
        ...

    def take(self, column: Column, places: Rows) -> Column:
        """What stands at these places."""
        ...

    def places(self, rows: Sequence[int]) -> Rows:
        """Rows to be looked at."""
        ...

    def values(self, column: Column, places: Rows) -> list[float]:
        """What stands at these places, as plain numbers."""
        ...

    def where(self, column: Rows, wanted: int) -> Column:
        """1 where `column` is `wanted`, else 0."""
        ...

    def listed(self, held: Sequence[Sequence[array[Any]]]) -> tuple[Rows, Rows]:
        """All numbers of several groups of lists, after the number of the group that each is of."""
        ...

    def counted(self, which: Rows, rows: Rows, size: int) -> Counted:
        """The different pairs of a word and one of `size` rows, and how often each is there."""
        ...

    def holders(self, counted: Counted, words: int) -> list[int]:
        """How many rows have each of `words` words."""
        ...

    def sums(self, groups: Rows, column: Column, count: int) -> list[float]:
        """The sum of each of `count` groups."""
        ...

    def kept(self, numbers: Rows, marks: Rows) -> Rows:
        """Those of `numbers` whose mark is 1."""
        ...

    def present(self, rows: Rows) -> Rows:
        """1 for those that are not -1."""
        ...

    def within(self, numbers: Rows, least: int, most: int, *, of_each: int | None = None) -> Column:
        """1 from `least` to `most`, else 0; of the remainder of a division by `of_each`."""
        ...

    def marked(self, rows: Rows, size: int) -> Column:
        """1 for these of `size` rows, else 0."""
        ...

    def filled(self, column: Column, has: Column, other: float) -> Column:
        """`column` where `has` is 1, else `other`."""
        ...

    def faded(self, times: Column, kinds: Rows, half_lives: Sequence[float], now: float) -> Column:
        """1 at `now`, 1/2 after the half-life of its kind, and so on."""
        ...

    def joined(self, first: Rows, second: Rows) -> Rows:
        """All of both."""
        ...

    def pairs(self, which: Rows, positions: Rows, wanted: Sequence[tuple[int, int]]) -> tuple[Rows, Rows]:
        """Where one of the `wanted` pairs of words stands side by side: which pair, and the position of its second."""
        ...

    def late(self, positions: Rows, ends: Rows, most: int) -> Rows:
        """1 for those of `positions` that are among the last `most` before their ends."""
        ...

    def added(self, counted: Counted, weights: Sequence[float], size: int) -> Column:
        """The sum of the weights of the words that a row has, each once."""
        ...

    def bm25(self, counted: Counted, weights: Sequence[float], lengths: Column, mean: float) -> Column:
        """The sum of the weights, with diminishing returns, and less in what is longer than the mean."""
        ...

    def rarity(self, words: Rows, ends: Rows, lengths: Rows, alive: Rows) -> Column:
        """How rare the words of each row are among those of what is alive, on average.

        `words` are numbers, row by row, with a 0 behind each row, at its end.
        """
        ...

    def largest(self, column: Column, groups: Rows, count: int) -> Column:
        """The largest number of each group."""
        ...

    def smoothed(self, column: Column, before: Rows, behind: Rows, share: float) -> Column:
        """Each number with a share of its neighbours'; -1 stands for no neighbour."""
        ...

    def moments(self, column: Column) -> tuple[float, float]:
        """The sum and the sum of squares."""
        ...

    def mixed(self, columns: Sequence[tuple[float, float, Column]], size: int) -> Column:
        """The sum of `weight * (column - centre)`."""
        ...

    def top(self, column: Column, alive: Rows, count: int) -> list[int]:
        """The rows of the `count` largest numbers that are alive, and of those that equal the least of them."""
        ...


class Lists:
    """Columns as lists."""

    def numbers(self, held: array[Any]) -> Rows:  # noqa: D102
        return held[:]

    def zeros(self, size: int) -> Column:  # noqa: D102
        return [0.0] * size

    def same(self, size: int, number: float) -> Column:  # noqa: D102
        return [number] * size

    def take(self, column: Column, places: Rows) -> Column:  # noqa: D102
        return [column[place] for place in places]

    def places(self, rows: Sequence[int]) -> Rows:  # noqa: D102
        return rows

    def values(self, column: Column, places: Rows) -> list[float]:  # noqa: D102
        return [column[place] for place in places]

    def where(self, column: Rows, wanted: int) -> Column:  # noqa: D102
        return [float(one == wanted) for one in column]

    def listed(self, held: Sequence[Sequence[array[Any]]]) -> tuple[Rows, Rows]:  # noqa: D102
        numbers = [(which, number) for which, group in enumerate(held) for own in group for number in own]
        return [which for which, _ in numbers], [number for _, number in numbers]

    def counted(self, which: Rows, rows: Rows, size: int) -> Counted:  # noqa: D102
        counts = Counter(zip(which, rows, strict=True))
        return [word for word, _ in counts], [row for _, row in counts], list(counts.values())

    def holders(self, counted: Counted, words: int) -> list[int]:  # noqa: D102
        return [counted[0].count(word) for word in range(words)]

    def sums(self, groups: Rows, column: Column, count: int) -> list[float]:  # noqa: D102
        found = [0.0] * count
        for group, number in zip(groups, column, strict=True):
            found[group] += number
        return found

    def kept(self, numbers: Rows, marks: Rows) -> Rows:  # noqa: D102
        return [number for number, mark in zip(numbers, marks, strict=True) if mark]

    def present(self, rows: Rows) -> Rows:  # noqa: D102
        return [row >= 0 for row in rows]

    def within(self, numbers: Rows, least: int, most: int, *, of_each: int | None = None) -> Column:  # noqa: D102
        return [float(least <= (number % of_each if of_each else number) <= most) for number in numbers]

    def marked(self, rows: Rows, size: int) -> Column:  # noqa: D102
        marks = self.zeros(size)
        for row in rows:
            marks[row] = 1.0
        return marks

    def filled(self, column: Column, has: Column, other: float) -> Column:  # noqa: D102
        return [number if there else other for number, there in zip(column, has, strict=True)]

    def faded(self, times: Column, kinds: Rows, half_lives: Sequence[float], now: float) -> Column:  # noqa: D102
        return [0.5 ** (max(now - at, 0.0) / half_lives[kind]) for at, kind in zip(times, kinds, strict=True)]

    def joined(self, first: Rows, second: Rows) -> Rows:  # noqa: D102
        return [*first, *second]

    def pairs(self, which: Rows, positions: Rows, wanted: Sequence[tuple[int, int]]) -> tuple[Rows, Rows]:  # noqa: D102
        word_at = dict(zip(positions, which, strict=True))
        number_of = {pair: number for number, pair in enumerate(wanted)}
        pair_at = {place: number_of.get((word_at.get(place - 1, -1), word)) for place, word in word_at.items()}
        found = [(number, place) for place, number in pair_at.items() if number is not None]
        return [number for number, _ in found], [place for _, place in found]

    def late(self, positions: Rows, ends: Rows, most: int) -> Rows:  # noqa: D102
        return [place >= end - most for place, end in zip(positions, ends, strict=True)]

    def added(self, counted: Counted, weights: Sequence[float], size: int) -> Column:  # noqa: D102
        total = self.zeros(size)
        for word, row, _ in zip(*counted, strict=True):
            total[row] += weights[word]
        return total

    def bm25(self, counted: Counted, weights: Sequence[float], lengths: Column, mean: float) -> Column:  # noqa: D102
        total = self.zeros(len(lengths))
        for word, row, count in zip(*counted, strict=True):
            total[row] += weights[word] * (K1 + 1) * count / (count + K1 * (1 - B + B * lengths[row] / mean))
        return total

    def rarity(self, words: Rows, ends: Rows, lengths: Rows, alive: Rows) -> Column:  # noqa: D102
        texts = [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        counts = Counter(word for text, lives in zip(texts, alive, strict=True) if lives for word in text)
        count = sum(alive)
        rare = {word: round(math.log1p(count / (counts[word] + 0.5)) * GRAINS) / GRAINS for word in set(words)}
        return [math.fsum(rare[word] for word in text) / max(len(text), 1) for text in texts]

    def largest(self, column: Column, groups: Rows, count: int) -> Column:  # noqa: D102
        best = [-math.inf] * count
        for number, group in zip(column, groups, strict=True):
            best[group] = max(best[group], number)
        return [0.0 if number == -math.inf else number for number in best]

    def smoothed(self, column: Column, before: Rows, behind: Rows, share: float) -> Column:  # noqa: D102
        padded = [*column, 0.0]
        return [
            number + share * (padded[left] + padded[right])
            for number, left, right in zip(column, before, behind, strict=True)
        ]

    def moments(self, column: Column) -> tuple[float, float]:  # noqa: D102
        return math.fsum(column), math.fsum(number * number for number in column)

    def mixed(self, columns: Sequence[tuple[float, float, Column]], size: int) -> Column:  # noqa: D102
        total = self.zeros(size)
        for weight, centre, column in columns:
            total = [sum_ + weight * (number - centre) for sum_, number in zip(total, column, strict=True)]
        return total

    def top(self, column: Column, alive: Rows, count: int) -> list[int]:  # noqa: D102
        rows = [row for row in range(len(column)) if alive[row]]
        if len(rows) <= count:
            return rows
        least = sorted((column[row] for row in rows), reverse=True)[count - 1] if count else math.inf
        return [row for row in rows if column[row] >= least]


class Arrays:
    """Columns as numpy arrays."""

    def __init__(self) -> None:
        import numpy

        self._np = numpy

    def numbers(self, held: array[Any]) -> Rows:  # noqa: D102
        return self._np.array(held, dtype=held.typecode)

    def zeros(self, size: int) -> Column:  # noqa: D102
        return self._np.zeros(size)

    def same(self, size: int, number: float) -> Column:  # noqa: D102
        return self._np.full(size, number)

    def take(self, column: Column, places: Rows) -> Column:  # noqa: D102
        return column[places]

    def places(self, rows: Sequence[int]) -> Rows:  # noqa: D102
        return self._np.array(rows, dtype=int)

    def values(self, column: Column, places: Rows) -> list[float]:  # noqa: D102
        return column[places].tolist()  # type: ignore[no-any-return]

    def where(self, column: Rows, wanted: int) -> Column:  # noqa: D102
        return (column == wanted).astype(float)

    def listed(self, held: Sequence[Sequence[array[Any]]]) -> tuple[Rows, Rows]:  # noqa: D102
        which = self._np.repeat(self._np.arange(len(held)), [sum(map(len, group)) for group in held])
        lists = [self._np.array(own, dtype="i4") for group in held for own in group]
        return which, self._np.concatenate(lists) if lists else self._np.zeros(0, dtype="i4")

    def counted(self, which: Rows, rows: Rows, size: int) -> Counted:  # noqa: D102
        keys, times = self._runs(self._np.sort(which * size + rows))
        word = keys // max(size, 1)
        return word, keys - word * size, times

    def _runs(self, ordered: Rows) -> tuple[Rows, Rows]:
        """What `numpy.unique` gives for ascending numbers, without what that costs for few."""
        changes = (ordered[1:] != ordered[:-1]).nonzero()[0]
        edges = self._np.zeros(len(changes) + 2, dtype=changes.dtype)
        edges[1:-1], edges[-1] = changes + 1, len(ordered)
        return ordered[edges[:-1]] if len(ordered) else ordered, (edges[1:] - edges[:-1])[: len(ordered)]

    def holders(self, counted: Counted, words: int) -> list[int]:  # noqa: D102
        return self._np.bincount(counted[0], minlength=words).tolist()  # type: ignore[no-any-return]

    def sums(self, groups: Rows, column: Column, count: int) -> list[float]:  # noqa: D102
        return self._np.bincount(groups, column, minlength=count).tolist()  # type: ignore[no-any-return]

    def kept(self, numbers: Rows, marks: Rows) -> Rows:  # noqa: D102
        return numbers[marks != 0] if marks.dtype != bool else numbers[marks]

    def present(self, rows: Rows) -> Rows:  # noqa: D102
        return rows >= 0

    def within(self, numbers: Rows, least: int, most: int, *, of_each: int | None = None) -> Column:  # noqa: D102
        numbers = numbers % of_each if of_each else numbers
        return ((numbers >= least) & (numbers <= most)).astype(float)

    def marked(self, rows: Rows, size: int) -> Column:  # noqa: D102
        marks = self.zeros(size)
        marks[rows] = 1.0
        return marks

    def filled(self, column: Column, has: Column, other: float) -> Column:  # noqa: D102
        return self._np.where(has != 0, column, other)

    def faded(self, times: Column, kinds: Rows, half_lives: Sequence[float], now: float) -> Column:  # noqa: D102
        lives = self._np.array(half_lives)[kinds] if half_lives else times
        return self._np.exp2(-self._np.maximum(now - times, 0.0) / lives)

    def joined(self, first: Rows, second: Rows) -> Rows:  # noqa: D102
        return self._np.concatenate((first, second))

    def pairs(self, which: Rows, positions: Rows, wanted: Sequence[tuple[int, int]]) -> tuple[Rows, Rows]:  # noqa: D102
        words = 1 + max((max(pair) for pair in wanted), default=0)
        number_of = self._np.full((words + 1) * (words + 1), -1)
        for number, (one, two) in enumerate(wanted):
            number_of[one * words + two] = number
        order = positions.argsort()
        places, said = positions[order], self._np.minimum(which[order], words)
        numbers = number_of[said[:-1] * words + said[1:]]
        found = (places[1:] - places[:-1] == 1) & (numbers >= 0)
        return numbers[found], places[1:][found]

    def late(self, positions: Rows, ends: Rows, most: int) -> Rows:  # noqa: D102
        return positions >= ends - most

    def added(self, counted: Counted, weights: Sequence[float], size: int) -> Column:  # noqa: D102
        which, rows, _ = counted
        return self._np.bincount(rows, self._np.array(weights)[which], minlength=size)

    def bm25(self, counted: Counted, weights: Sequence[float], lengths: Column, mean: float) -> Column:  # noqa: D102
        which, rows, times = counted
        saturated = times / (times + (K1 * (1 - B) + (K1 * B / mean) * lengths[rows]))
        gained = self._np.array([(K1 + 1) * weight for weight in weights])[which] * saturated
        return self._np.bincount(rows, gained, minlength=len(lengths))

    def rarity(self, words: Rows, ends: Rows, lengths: Rows, alive: Rows) -> Column:  # noqa: D102
        if not len(ends):
            return self.zeros(0)
        counted = None if alive.all() else self._np.repeat(alive, lengths + 1)
        rare = self._np.log1p(int((alive != 0).sum()) / (self._np.bincount(words, counted) + 0.5))
        rare = self._np.rint(rare * GRAINS) / GRAINS
        rare[0] = 0.0
        return self._np.add.reduceat(rare[words], ends - lengths) / self._np.maximum(lengths, 1)

    def largest(self, column: Column, groups: Rows, count: int) -> Column:  # noqa: D102
        best = self._np.full(count, -self._np.inf)
        self._np.maximum.at(best, groups, column)
        best[best == -self._np.inf] = 0.0
        return best

    def smoothed(self, column: Column, before: Rows, behind: Rows, share: float) -> Column:  # noqa: D102
        padded = self._np.append(column, 0.0)
        return column + share * (padded[before] + padded[behind])

    def moments(self, column: Column) -> tuple[float, float]:  # noqa: D102
        return float(column.sum()), float(column @ column)

    def mixed(self, columns: Sequence[tuple[float, float, Column]], size: int) -> Column:  # noqa: D102
        total = self._np.full(size, -math.fsum(weight * centre for weight, centre, _ in columns))
        for weight, _, column in columns:
            total += weight * column
        return total

    def top(self, column: Column, alive: Rows, count: int) -> list[int]:  # noqa: D102
        living = column if alive.all() else self._np.where(alive != 0, column, -self._np.inf)
        most = min(count, int(self._np.count_nonzero(alive)))
        if most == 0:
            return []
        rows = self._np.flatnonzero(living >= self._bound(living, most))
        least = self._np.partition(living[rows], -most)[-most]
        return rows[living[rows] >= least].tolist()  # type: ignore[no-any-return]

    def _bound(self, column: Column, count: int) -> float:
        """What at least `count` numbers reach: as many groups of 64 have one that does."""
        groups = len(column) // 64
        if groups <= 2 * count:
            return float(column.min())
        largest = column[: groups * 64].reshape(-1, 64).max(axis=1)
        return float(self._np.partition(largest, -count)[-count])


FEW = 256  # rows that plain Python goes through as fast as numpy


def columns(size: int) -> Columns:
    """What is fastest for that many rows: numpy, where it is installed and worth its import."""
    return _best() if size > FEW else _LISTS


@lru_cache(maxsize=1)
def _best() -> Columns:
    return Arrays() if find_spec("numpy") else _LISTS


_LISTS = Lists()
