"""The vectors of an index, one row for each memory that has one."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from ..vectors import cosine, unpack
from .columns import FEW, Column

UNSURE = 10  # vectors from which their mean is half believed
TINY = 1e-6


class Matrix:
    """Unit vectors by row, of one length; another length is passed over."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}  # of a memory -> of the matrix
        self._rows = array("i")
        self._numbers = array("f")
        self._width = 0
        self._shares: tuple[bytes, Any] = (b"", None)  # a mean, and 1 by the length of each vector without it
        self._total: array[float] | None = None
        self._places: tuple[int, Any, Any] | None = None  # of how many memories, where each stands, and whether it does

    @property
    def weight(self) -> int:
        """How much memory it takes."""
        return len(self._numbers) * 4

    @property
    def total(self) -> array[float]:
        """The sum of all vectors, followed from when it was first asked for; empty where there was none."""
        if self._total is None:
            self._total = self._summed()
        return self._total

    def put(self, row: int, packed: bytes) -> None:
        """Keep the vector of a memory, as it is stored."""
        vector = unpack(packed)
        self._width = self._width or len(vector)
        if len(vector) == self._width:
            self._numbers.extend(vector)
            self._rows.append(row)
            self.keep(row, len(self._rows) - 1)

    def drop(self, row: int) -> int | None:
        """Forget that a memory has a vector; returns where it stands."""
        place = self.rows.pop(row, None)
        if place is not None:
            self._rows[place] = -1
            self._add(place, -1)
        return place

    def keep(self, row: int, place: int) -> None:
        """Let a vector that was dropped be that of another row."""
        self.rows[row] = place
        self._rows[place] = row
        self._add(place, 1)

    def covers(self, size: int) -> bool:
        """Whether each of `size` memories has a vector, and no vector is of none."""
        return len(self.rows) == len(self._rows) == size

    def shares(self, mean: Any, stacked: Any) -> Any:
        """1 by the length of each vector with a mean taken off; kept until either changes."""
        known, shares = self._shares
        if known != mean.tobytes():
            rest = 1.0 + float(mean @ mean) - 2.0 * _numpy().vecdot(stacked, mean)
            shares = 1.0 / _numpy().sqrt(_numpy().maximum(rest, TINY))
            self._shares = (mean.tobytes(), shares)
        return shares

    def places(self, size: int) -> tuple[Any, Any]:
        """Where the vector of each of `size` memories stands, -1 for none, and 1 for those that have one."""
        if self._places is None or self._places[0] != size:
            places = _numpy().full(size + 1, -1)  # the last for those that were dropped
            rows = _numpy().array(self._rows, dtype="i4")
            places[rows] = _numpy().arange(len(rows))
            self._places = size, places[:size], (places[:size] >= 0).astype(float)
        return self._places[1:]

    def _add(self, place: int, sign: int) -> None:
        self._shares, self._places = (b"", None), None
        if self._total is not None:
            self._total = _sum(self._total or array("d", bytes(8 * self._width)), self._vector(place), sign)

    def _summed(self) -> array[float]:
        numpy = _numpy()
        if numpy is None or not self._width:
            return array("d", map(math.fsum, zip(*map(self._vector, self.rows.values()), strict=True)))
        living = numpy.array(self._rows, dtype="i4") >= 0
        return array("d", self._stacked[living].sum(axis=0, dtype="f8").tobytes())

    @property
    def _stacked(self) -> Any:
        return _numpy().frombuffer(self._numbers, dtype="f4").reshape(-1, self._width)

    def _vector(self, place: int) -> array[float]:
        return self._numbers[place * self._width : (place + 1) * self._width]

    def cosines(self, vector: Sequence[float], size: int, mean: Sequence[float] = ()) -> tuple[Column, Column]:
        """How near each of `size` memories is to a unit vector, and 1 for those that have a vector.

        Where a `mean` is given, it is taken off both before.
        """
        if len(vector) != self._width:
            vector = ()
        return (_by_numpy if size > FEW and _numpy() else _plainly)(self, vector, size, mean)


def _plainly(matrix: Matrix, vector: Sequence[float], size: int, mean: Sequence[float]) -> tuple[Column, Column]:
    near, has = [0.0] * size, [0.0] * size
    wanted = _less(vector, mean) if len(mean) else vector
    for row, place in matrix.rows.items() if len(vector) else ():
        own = matrix._vector(place)
        near[row] = cosine(_less(own, mean) if len(mean) else own, wanted)
        has[row] = 1.0
    return near, has


def _less(vector: Sequence[float], mean: Sequence[float]) -> list[float]:
    """A vector with the mean taken off, at unit length; nothing is left nothing."""
    rest = list(map(operator.sub, vector, mean))
    length = math.hypot(*rest)
    return [number / length if length > TINY else 0.0 for number in rest]


def mean_of(matrices: Sequence[Matrix], width: int) -> Sequence[float]:
    """What all vectors of this length have in common: their mean, towards nothing where they are few."""
    some = [matrix for matrix in matrices if len(matrix.total) == width]
    count = sum(len(matrix.rows) for matrix in some) + UNSURE
    numpy = _numpy()
    if numpy is not None:
        return sum((numpy.frombuffer(matrix.total) for matrix in some), numpy.zeros(width)) / count  # type: ignore[no-any-return]
    return [math.fsum(numbers) / count for numbers in zip(*(matrix.total for matrix in some), strict=True)]


def _sum(total: array[float], vector: array[float], sign: int) -> array[float]:
    numpy = _numpy()
    if numpy is None:
        return array("d", [one + sign * other for one, other in zip(total, vector, strict=True)])
    return array("d", (numpy.frombuffer(total) + sign * numpy.frombuffer(vector, dtype="f4")).tobytes())


def _by_numpy(matrix: Matrix, vector: Sequence[float], size: int, mean: Sequence[float]) -> tuple[Column, Column]:
    numpy = _numpy()
    if not len(vector) or not matrix.rows:
        return numpy.zeros(size), numpy.zeros(size)
    products = _products(matrix, matrix._stacked, numpy.asarray(vector, dtype="f4"), mean)
    places, has = matrix.places(size)
    near = numpy.append(products, 0.0)[places]  # -1 is the 0 at the end
    return near, has


def _products(matrix: Matrix, stacked: Any, vector: Any, mean: Sequence[float]) -> Any:
    # Not by `@`: its threads wait for each other for milliseconds where others need the processor.
    if not len(mean):
        return _numpy().vecdot(stacked, vector)
    common = _numpy().asarray(mean, dtype="f4")
    wanted = vector - common
    wanted /= max(float(wanted @ wanted) ** 0.5, TINY)
    return (_numpy().vecdot(stacked, wanted) - common @ wanted) * matrix.shares(common, stacked)


@cache
def _numpy() -> Any:
    if find_spec("numpy") is None:
        return None
    import numpy

    return numpy
