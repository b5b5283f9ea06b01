"""Vectors scored inside a scope, where the database has no index for them: a matrix that is kept while it is true."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from ...vectors import cosine, unpack
from ..base import Compare, Near, Record, Where

if TYPE_CHECKING:
    import numpy

MOST_BYTES = 64 * 2**20  # of vectors that are kept
MORE = 4  # times as many of the nearest are looked at where a test may turn some away


class Vectors(Protocol):
    """What a matrix is made from."""

    async def vector_stamp(self, where: Where) -> tuple[Any, ...]:
        """What changes whenever the vectors that `where` admits do."""
        ...

    async def packed_vectors(self, where: Where) -> Sequence[Sequence[Any]]:
        """Targets and packed floats of the vectors that `where` admits."""
        ...

    async def scan(self, where: Where) -> list[Record]:
        """The records that `where` admits."""
        ...


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of one length inside one wall, and whose they are."""

    stamp: tuple[Any, ...]
    rows: dict[int, tuple[list[str], Any]] = field(default_factory=dict)
    size: int = 0

    @classmethod
    def made(cls, stamp: tuple[Any, ...], found: Iterable[Sequence[Any]]) -> Matrix:
        """A matrix for each length of vector that there is."""
        by_length: dict[int, tuple[list[str], list[bytes]]] = {}
        for target, packed in found:
            targets, vectors = by_length.setdefault(len(packed), ([], []))
            targets.append(target)
            vectors.append(packed)
        rows = {length: (targets, _stacked(vectors)) for length, (targets, vectors) in by_length.items()}
        return cls(stamp, rows, sum(length * len(targets) for length, (targets, _) in rows.items()))

    async def nearest(self, store: Vectors, where: Where, vector: bytes, limit: int) -> list[Near]:
        """The records that `where` admits whose best vector is nearest, looked up a few at a time."""
        best, found = self._best(vector), list[Near]()
        start, most = 0, limit * MORE
        while start < len(best) and len(found) < limit:
            some = dict(best[start : start + most])
            ids = tuple(some) if where.ids is None else tuple(some.keys() & set(where.ids))
            records = await store.scan(replace(where, ids=ids))
            found += sorted((Near(record, some[record.id]) for record in records), key=_order)
            start, most = start + most, most * MORE
        return found[:limit]

    def _best(self, vector: bytes) -> list[tuple[str, float]]:
        """Each target with the cosine of its nearest vector, the best first."""
        targets, stacked = self.rows.get(len(vector), ([], None))
        best: dict[str, float] = {}
        for target, near in zip(targets, _cosines(stacked, vector) if targets else (), strict=True):
            if near > best.get(target, -2.0):
                best[target] = near
        return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))


class Matrices:
    """The matrices used last, as far as they fit into `most` bytes."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], Matrix] = OrderedDict()

    async def of(self, store: Vectors, where: Where, space: str) -> Matrix:
        """The matrix of a wall, made anew if any vector there has changed since."""
        stored = Where("vector", where.scopes, where.subject, Compare("space", "eq", space))
        place = (where.scopes, where.subject, space)
        # Read before the vectors: at worst it is too old, and the next call makes the matrix again.
        stamp = await store.vector_stamp(stored)
        matrix = self._kept.get(place)
        if matrix is None or matrix.stamp != stamp:
            matrix = Matrix.made(stamp, await store.packed_vectors(stored))
        self._keep(place, matrix)
        return matrix

    def _keep(self, place: tuple[Any, ...], matrix: Matrix) -> None:
        self._kept[place] = matrix
        self._kept.move_to_end(place)
        while sum(one.size for one in self._kept.values()) > self._most:
            self._kept.popitem(last=False)


def _order(near: Near) -> tuple[float, str]:
    return -near.cosine, near.record.id


def _stacked(vectors: Sequence[bytes]) -> Any:
    if find_spec("numpy") is None:
        return [unpack(vector) for vector in vectors]
    import numpy

    return numpy.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1)


def _cosines(stacked: numpy.ndarray[Any, Any] | list[array[float]], vector: bytes) -> Iterable[float]:
    if isinstance(stacked, list):
        wanted = unpack(vector)
        return [cosine(row, wanted) for row in stacked]
    import numpy

    return (stacked @ numpy.frombuffer(vector, dtype="<f4")).tolist()  # type: ignore[no-any-return]
