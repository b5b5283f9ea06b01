"""One number for each memory: the few operations that signals are made of, in plain Python and in numpy.

Both give the same numbers. Numpy is used where it is installed; without it a scope of a thousand takes milliseconds.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import chain
from typing import Any, Protocol

# Okapi BM25: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and
# Trends in Information Retrieval 3(4), 2009. B is higher than usual, for conversations: a pasted page must not win.
K1 = 1.2
B = 0.9
GRAINS = 1024  # how rare a word is goes in steps, whose sums are the same in any order: equals stay equal

Column = Any  # a list of floats, or a numpy array of them
Rows = Any  # the same of ints
Counted = tuple[Rows, Rows]  # the different rows, and how often each
Found = Iterable[tuple[float, Counted]]  # a weight, and who has it


class Columns(Protocol):
    """What can be done with columns."""

    def numbers(self, held: array[Any]) -> Rows:
        """A copy of `held` as this kind of column."""
        ...

    def zeros(self, size: int) -> Column:
        """Nothing for anybody."""
        ...

    def take(self, column: Column, places: Rows) -> Column:
        """What stands at these places."""
        ...

    def values(self, column: Column, places: Sequence[int]) -> list[float]:
        """The same as plain numbers."""
        ...

    def where(self, column: Rows, wanted: int) -> Column:
        """1 where `column` is `wanted`, else 0."""
        ...

    def counted(self, rows: Rows) -> Counted:
        """The different rows, and how often each is there."""
        ...

    def kept(self, numbers: Rows, marks: Rows) -> Rows:
        """Those of `numbers` whose mark is 1."""
        ...

    def present(self, rows: Rows) -> Rows:
        """Those that are not -1."""
        ...

    def within(self, numbers: Rows, least: int, most: int, *, of_each: int | None = None) -> Column:
        """1 from `least` to `most`, else 0; of the remainder of a division by `of_each`."""
        ...

    def positive(self, column: Column) -> Column:
        """1 for what is more than 0, else 0."""
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

    def merged(self, ascending: Sequence[Rows]) -> Rows:
        """All of them, which are ascending each, in ascending order; there is at least one."""
        ...

    def behind(self, first: Rows, second: Rows) -> Rows:
        """Those positions of `second` that stand right behind one of `first`."""
        ...

    def late(self, positions: Rows, ends: Rows, most: int) -> Rows:
        """Those of `positions` that are among the last `most` before their ends."""
        ...

    def added(self, found: Found, size: int) -> Column:
        """The sum of the weights, each once for a row that has it."""
        ...

    def bm25(self, found: Found, lengths: Column, mean: float) -> Column:
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

    def moments(self, column: Column, alive: Rows) -> tuple[float, float]:
        """The sum and the sum of squares of what is alive."""
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

    def take(self, column: Column, places: Rows) -> Column:  # noqa: D102
        return [column[place] for place in places]

    def values(self, column: Column, places: Sequence[int]) -> list[float]:  # noqa: D102
        return [float(column[place]) for place in places]

    def where(self, column: Rows, wanted: int) -> Column:  # noqa: D102
        return [float(one == wanted) for one in column]

    def counted(self, rows: Rows) -> Counted:  # noqa: D102
        counts: Counter[int] = Counter(rows)
        return list(counts), list(counts.values())

    def kept(self, numbers: Rows, marks: Rows) -> Rows:  # noqa: D102
        return [number for number, mark in zip(numbers, marks, strict=True) if mark]

    def present(self, rows: Rows) -> Rows:  # noqa: D102
        return [row for row in rows if row >= 0]

    def within(self, numbers: Rows, least: int, most: int, *, of_each: int | None = None) -> Column:  # noqa: D102
        return [float(least <= (number % of_each if of_each else number) <= most) for number in numbers]

    def positive(self, column: Column) -> Column:  # noqa: D102
        return [float(number > 0) for number in column]

    def filled(self, column: Column, has: Column, other: float) -> Column:  # noqa: D102
        return [number if there else other for number, there in zip(column, has, strict=True)]

    def faded(self, times: Column, kinds: Rows, half_lives: Sequence[float], now: float) -> Column:  # noqa: D102
        return [0.5 ** (max(now - at, 0.0) / half_lives[kind]) for at, kind in zip(times, kinds, strict=True)]

    def joined(self, first: Rows, second: Rows) -> Rows:  # noqa: D102
        return [*first, *second]

    def merged(self, ascending: Sequence[Rows]) -> Rows:  # noqa: D102
        return ascending[0] if len(ascending) == 1 else sorted(chain.from_iterable(ascending))

    def behind(self, first: Rows, second: Rows) -> Rows:  # noqa: D102
        places = set(first)
        return [place for place in second if place - 1 in places]

    def late(self, positions: Rows, ends: Rows, most: int) -> Rows:  # noqa: D102
        return [place for place, end in zip(positions, ends, strict=True) if place >= end - most]

    def added(self, found: Found, size: int) -> Column:  # noqa: D102
        total = self.zeros(size)
        for weight, (rows, _) in found:
            for row in rows:
                total[row] += weight
        return total

    def bm25(self, found: Found, lengths: Column, mean: float) -> Column:  # noqa: D102
        total = self.zeros(len(lengths))
        for weight, counted in found:
            for row, count in zip(*counted, strict=True):
                total[row] += weight * (K1 + 1) * count / (count + K1 * (1 - B + B * lengths[row] / mean))
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

    def moments(self, column: Column, alive: Rows) -> tuple[float, float]:  # noqa: D102
        living = [number for number, lives in zip(column, alive, strict=True) if lives]
        return math.fsum(living), math.fsum(number * number for number in living)

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

    def take(self, column: Column, places: Rows) -> Column:  # noqa: D102
        return column[places]

    def values(self, column: Column, places: Sequence[int]) -> list[float]:  # noqa: D102
        return column[places].astype(float).tolist()  # type: ignore[no-any-return]

    def where(self, column: Rows, wanted: int) -> Column:  # noqa: D102
        return (column == wanted).astype(float)

    def counted(self, rows: Rows) -> Counted:  # noqa: D102
        most = int(rows.max()) if len(rows) else 0
        if most > SMALL and len(rows) * 16 < most:
            return self._runs(self._np.sort(rows))
        counts = self._np.bincount(rows)
        own = counts.nonzero()[0]
        return own, counts[own]

    def _runs(self, ordered: Rows) -> Counted:
        """What `numpy.unique` gives for ascending numbers, without what that costs for few."""
        changes = (ordered[1:] != ordered[:-1]).nonzero()[0]
        edges = self._np.zeros(len(changes) + 2, dtype=changes.dtype)
        edges[1:-1], edges[-1] = changes + 1, len(ordered)
        return ordered[edges[:-1]], edges[1:] - edges[:-1]

    def kept(self, numbers: Rows, marks: Rows) -> Rows:  # noqa: D102
        return numbers[marks != 0]

    def present(self, rows: Rows) -> Rows:  # noqa: D102
        return rows[rows >= 0]

    def within(self, numbers: Rows, least: int, most: int, *, of_each: int | None = None) -> Column:  # noqa: D102
        numbers = numbers % of_each if of_each else numbers
        return ((numbers >= least) & (numbers <= most)).astype(float)

    def positive(self, column: Column) -> Column:  # noqa: D102
        return (column > 0).astype(float)

    def filled(self, column: Column, has: Column, other: float) -> Column:  # noqa: D102
        return self._np.where(has != 0, column, other)

    def faded(self, times: Column, kinds: Rows, half_lives: Sequence[float], now: float) -> Column:  # noqa: D102
        lives = self._np.array(half_lives)[kinds] if half_lives else times
        return self._np.exp2(-self._np.maximum(now - times, 0.0) / lives)

    def joined(self, first: Rows, second: Rows) -> Rows:  # noqa: D102
        return self._np.concatenate((first, second))

    def merged(self, ascending: Sequence[Rows]) -> Rows:  # noqa: D102
        return ascending[0] if len(ascending) == 1 else self._np.sort(self._np.concatenate(ascending))

    def behind(self, first: Rows, second: Rows) -> Rows:  # noqa: D102
        if not len(first) or not len(second):
            return second[:0]
        places = first.searchsorted(second - 1)  # both ascend
        return second[first.take(places, mode="clip") == second - 1]

    def late(self, positions: Rows, ends: Rows, most: int) -> Rows:  # noqa: D102
        return positions[positions >= ends - most]

    def added(self, found: Found, size: int) -> Column:  # noqa: D102
        total = self.zeros(size)
        for weight, (rows, _) in found:
            total[rows] += weight
        return total

    def bm25(self, found: Found, lengths: Column, mean: float) -> Column:  # noqa: D102
        total = self.zeros(len(lengths))
        for weight, (own, counts) in found:
            total[own] += weight * (K1 + 1) * counts / (counts + K1 * (1 - B + B * lengths[own] / mean))
        return total

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

    def moments(self, column: Column, alive: Rows) -> tuple[float, float]:  # noqa: D102
        living = column if alive.all() else column[alive != 0]
        return float(living.sum()), float(living @ living)

    def mixed(self, columns: Sequence[tuple[float, float, Column]], size: int) -> Column:  # noqa: D102
        total = self._np.full(size, -math.fsum(weight * centre for weight, centre, _ in columns))
        for weight, _, column in columns:
            total += weight * column
        return total

    def top(self, column: Column, alive: Rows, count: int) -> list[int]:  # noqa: D102
        living = self._np.where(alive != 0, column, -self._np.inf)
        most = min(count, int((alive != 0).sum()))
        if most == 0:
            return []
        least = self._np.partition(living, -most)[-most]
        return [int(row) for row in self._np.flatnonzero(living >= least)]


SMALL = 8192  # rows that are counted as fast as a few of them are sorted
FEW = 256  # rows that plain Python goes through as fast as numpy


def columns(size: int) -> Columns:
    """What is fastest for that many rows: numpy, where it is installed and worth its import."""
    return _best() if size > FEW else _LISTS


@lru_cache(maxsize=1)
def _best() -> Columns:
    return Arrays() if find_spec("numpy") else _LISTS


_LISTS = Lists()
