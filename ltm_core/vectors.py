"""Vectors as they are stored, and how near they are: unit length, single precision, packed as bytes."""

from __future__ import annotations

import math
import operator
import sys
from array import array
from collections.abc import Sequence

from .errors import InvalidInput


def pack(vector: Sequence[float]) -> bytes:
    """`vector` at unit length, as little-endian floats of four bytes.

    Raises `InvalidInput` for a vector that has no direction: empty, all zeros, or not finite.

    >>> len(pack([3.0, 4.0])), [round(number, 3) for number in unpack(pack([3.0, 4.0]))]
    (8, [0.6, 0.8])
    """
    size = math.hypot(*vector)
    if not size or not math.isfinite(size):
        raise InvalidInput("A vector needs a direction: finite numbers, not all of them 0. Check the embedder.")
    return pack_floats(array("f", [number / size for number in vector]))


def pack_floats(numbers: array[float]) -> bytes:
    """Numbers of a vector that was packed before, packed again; `numbers` is used up."""
    return _little(numbers).tobytes()


def unpack(packed: bytes) -> array[float]:
    """The numbers of a packed vector."""
    numbers = array("f")
    numbers.frombytes(packed)
    return _little(numbers)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """How near two unit vectors are: 1 for the same direction, 0 for none in common, -1 for opposite ones."""
    return math.fsum(map(operator.mul, left, right))


def _little(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
