"""Vectors by row: how near they are, as they are and with what they have in common taken off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.index.matrix import UNSURE, Matrix, mean_of
from ltm_core.vectors import cosine, pack, unpack

MANY = 300  # beyond what is gone through without numpy
COMMON = [3.0, 0.0, 0.0]
VECTORS = st.lists(st.floats(-1, 1, width=16), min_size=3, max_size=3).filter(lambda one: math.hypot(*one) > 0.1)


def matrix(vectors: Sequence[Sequence[float]]) -> Matrix:
    made = Matrix()
    for row, vector in enumerate(vectors):
        made.put(row, pack(vector))
    return made


def less(vector: Sequence[float], mean: Sequence[float]) -> Sequence[float]:
    return unpack(pack([one - other for one, other in zip(vector, mean, strict=True)]))


@pytest.mark.parametrize("count", [5, MANY])
@given(VECTORS, VECTORS, VECTORS)
def test_with_a_mean_taken_off_it_is_the_cosine_of_what_is_left(
    count: int, one: list[float], other: list[float], query: list[float]
) -> None:
    held, wanted = matrix([one, other] + [[1.0, 2.0, 3.0]] * (count - 2)), unpack(pack(query))
    mean = mean_of([held], 3)
    near, has = held.cosines(wanted, count, mean)
    for row, vector in enumerate((one, other)):
        rest = [a - b for a, b in zip(unpack(pack(vector)), mean, strict=True)]
        if math.hypot(*rest) > 0.05 and math.dist(wanted, mean) > 0.05:
            assert near[row] == pytest.approx(cosine(less(unpack(pack(vector)), mean), less(wanted, mean)), abs=1e-3)
    assert all(has)


@pytest.mark.parametrize("count", [5, MANY])
def test_what_all_say_brings_nobody_nearer(count: int) -> None:
    held = matrix([[3.0, 1.0, 0.0], *[[3.0, 0.0, 0.1]] * (count - 1)])
    query = unpack(pack([3.0, 1.0, 0.0]))
    (raw, _), (rest, _) = held.cosines(query, count), held.cosines(query, count, mean_of([held], 3))
    assert raw[1] > 0.9
    assert rest[0] - rest[1] > raw[0] - raw[1]


def test_the_mean_is_of_what_is_there_now() -> None:
    held = matrix([COMMON] * 100 + [[0.0, 1.0, 0.0]] * 100)
    for row in range(100):
        held.drop(row)
    assert mean_of([held], 3) == pytest.approx([0.0, 100 / (100 + UNSURE), 0.0], abs=1e-6)
    held.keep(500, 0)
    assert mean_of([held], 3) == pytest.approx([1 / (101 + UNSURE), 100 / (101 + UNSURE), 0.0], abs=1e-6)


def test_a_mean_is_of_all_scopes_together_and_of_vectors_of_one_length() -> None:
    two, foreign = [matrix([COMMON] * 10), matrix([[0.0, 1.0, 0.0]] * 10)], matrix([[1.0, 0.0]] * 10)
    assert mean_of([*two, foreign, Matrix()], 3) == pytest.approx([10 / (20 + UNSURE), 10 / (20 + UNSURE), 0.0])
    assert list(mean_of([Matrix()], 3)) in ([], [0.0, 0.0, 0.0])


def test_of_few_vectors_the_mean_is_hardly_believed() -> None:
    assert math.hypot(*mean_of([matrix([COMMON])], 3)) < 0.1
