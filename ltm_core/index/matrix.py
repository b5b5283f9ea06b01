"""The vectors of an index, one row for each memory that has one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ..vectors import cosine, unpack
from .columns import FEW, Column


class Matrix:
    """Unit vectors by row, of one length; another length is passed over."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}  # of a memory -> of the matrix
        self._rows = array("i")
        self._numbers = array("f")
        self._width = 0

    @property
    def weight(self) -> int:
        """How much memory it takes."""
        return len(self._numbers) * 4

    def put(self, row: int, packed: bytes) -> None:
        """Keep the vector of a memory, as it is stored."""
        vector = unpack(packed)
        self._width = self._width or len(vector)
        if len(vector) == self._width:
            self.rows[row] = len(self.rows)
            self._rows.append(row)
            self._numbers.extend(vector)

    def drop(self, row: int) -> int | None:
        """Forget that a memory has a vector; returns where it stands."""
        place = self.rows.pop(row, None)
        if place is not None:
            self._rows[place] = -1
        return place

    def keep(self, row: int, place: int) -> None:
        """Let a vector that was dropped be that of another row."""
        self.rows[row] = place
        self._rows[place] = row

    def covers(self, size: int) -> bool:
        """Whether each of `size` memories has a vector, and no vector is of none."""
        return len(self.rows) == len(self._rows) == size

    def cosines(self, vector: Sequence[float], size: int) -> tuple[Column, Column]:
        """How near each of `size` memories is to a unit vector, and 1 for those that have a vector."""
        if len(vector) != self._width:
            vector = ()
        return (_by_numpy if size > FEW and find_spec("numpy") else _plainly)(self, vector, size)


def _plainly(matrix: Matrix, vector: Sequence[float], size: int) -> tuple[Column, Column]:
    near, has = [0.0] * size, [0.0] * size
    width = matrix._width
    for row, place in matrix.rows.items() if len(vector) else ():
        near[row] = cosine(matrix._numbers[place * width : (place + 1) * width], vector)
        has[row] = 1.0
    return near, has


def _by_numpy(matrix: Matrix, vector: Sequence[float], size: int) -> tuple[Column, Column]:
    import numpy

    near, has = numpy.zeros(size + 1), numpy.zeros(size + 1)  # the last for those that were dropped
    if len(vector) and matrix.rows:
        stacked: Any = numpy.frombuffer(matrix._numbers, dtype="f4").reshape(-1, matrix._width)
        rows = numpy.frombuffer(matrix._rows, dtype="i4")
        # Not by `@`: its threads wait for each other for milliseconds where others need the processor.
        near[rows] = numpy.vecdot(stacked, numpy.asarray(vector, dtype="f4"))
        has[rows] = 1.0
    return near[:size], has[:size]
