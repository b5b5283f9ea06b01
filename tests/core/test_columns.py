"""Plain lists and numpy arrays give the same columns, however many rows there are and in whatever order they came."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.index.columns import Arrays, Columns, Lists
from ltm_core.index.matrix import Matrix, _by_numpy, _plainly, mean_of
from ltm_core.index.memories import indexed
from ltm_core.recall.signals import Asked, about, recency, whose_words
from ltm_core.vectors import pack, unpack

from .test_index import entry

PLAIN, NUMPY = Lists(), Arrays()
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORDS, ROWS = 4, 30
STANDS = st.lists(st.tuples(st.integers(0, WORDS - 1), st.integers(0, ROWS - 1)), max_size=40)


def rows(ops: Columns, numbers: Sequence[int]) -> Any:
    return ops.numbers(array("i", numbers))


def counted(ops: Columns, stands: Sequence[tuple[int, int]]) -> Any:
    return ops.counted(rows(ops, [one for one, _ in stands]), rows(ops, [row for _, row in stands]), ROWS)


def plain(column: Any) -> list[float]:
    return [float(number) for number in column]


@given(STANDS)
def test_words_are_counted_alike(stands: list[tuple[int, int]]) -> None:
    told = [sorted(zip(*map(plain, counted(ops, stands)), strict=True)) for ops in (PLAIN, NUMPY)]
    assert (
        told[0]
        == told[1]
        == sorted((float(word), float(row), float(stands.count((word, row)))) for word, row in set(stands))
    )
    assert PLAIN.holders(counted(PLAIN, stands), WORDS) == NUMPY.holders(counted(NUMPY, stands), WORDS)


@given(STANDS, st.lists(st.floats(0.1, 9), min_size=WORDS, max_size=WORDS))
def test_words_are_weighed_alike(stands: list[tuple[int, int]], weights: list[float]) -> None:
    lengths = array("i", range(1, ROWS + 1))
    ways: list[Callable[[Columns], Any]] = [
        lambda ops: ops.added(counted(ops, stands), weights, ROWS),
        lambda ops: ops.bm25(counted(ops, stands), weights, ops.numbers(lengths), 7.5),
        lambda ops: ops.marked(counted(ops, stands)[1], ROWS),
        lambda ops: ops.sums(counted(ops, stands)[0], ops.take(ops.numbers(lengths), counted(ops, stands)[1]), WORDS),
    ]
    for weigh in ways:
        assert plain(weigh(PLAIN)) == pytest.approx(plain(weigh(NUMPY)))


@given(st.lists(st.integers(0, WORDS), min_size=1, max_size=60))
def test_words_side_by_side_are_found_alike(text: list[int]) -> None:
    wanted = [(0, 1), (2, 0), (3, 2)]
    stands = [(word, place) for place, word in enumerate(text) if word < WORDS]
    random.Random(len(text)).shuffle(stands)
    found = []
    for ops in (PLAIN, NUMPY):
        pairs, places = ops.pairs(rows(ops, [word for word, _ in stands]), rows(ops, [at for _, at in stands]), wanted)
        found.append(sorted(zip(plain(pairs), plain(places), strict=True)))
    expected = [(wanted.index(pair), place) for place, pair in enumerate(pairwise(text), 1) if pair in wanted]
    assert found[0] == found[1] == sorted((float(pair), float(place)) for pair, place in expected)


@given(st.integers(1, 3000), st.integers(1, 20), st.integers(0, 9), st.integers())
def test_the_best_are_the_same_of_however_many(size: int, count: int, dead: int, seed: int) -> None:
    chance = random.Random(seed)
    column = array("d", (float(chance.randrange(50 * size)) for _ in range(size)))
    alive = array("b", (chance.randrange(10) >= dead for _ in range(size)))
    best = [ops.top(ops.numbers(column), ops.numbers(alive), count) for ops in (PLAIN, NUMPY)]
    assert sorted(best[0]) == sorted(best[1])


@given(st.permutations(range(12)), st.sets(st.integers(0, 11), max_size=6), st.booleans())
def test_vectors_that_came_in_any_order_are_those_of_their_rows(
    order: list[int], gone: set[int], is_centred: bool
) -> None:
    chance = random.Random(1)
    vectors = [pack([chance.gauss(0, 1) for _ in range(8)]) for _ in range(12)]
    matrix = Matrix()
    for row in order:
        matrix.put(row, vectors[row])
    for row in gone:
        matrix.drop(row)
    wanted = unpack(vectors[0])
    mean = mean_of([matrix], 8) if is_centred else ()
    told = [of(matrix, wanted, 14, mean) for of in (_plainly, _by_numpy)]
    assert plain(told[0][0]) == pytest.approx(plain(told[1][0]), abs=1e-5)
    assert plain(told[0][1]) == plain(told[1][1]) == [float(row < 12 and row not in gone) for row in range(14)]


@pytest.mark.parametrize("ops", [PLAIN, NUMPY], ids=["lists", "arrays"])
def test_what_is_kept_of_one_question_is_not_the_answer_to_another(ops: Columns) -> None:
    index = indexed([entry(number, ["oslo"], "t") for number in range(4)], ops)
    fresh, old = (recency(Asked("x", [index], at))[0] for at in (NOW, NOW + timedelta(days=60)))
    assert plain(fresh)[0] == pytest.approx(1.0)
    assert plain(old)[0] == pytest.approx(0.25)
    theirs, others = (plain(about(Asked(f"{name}?", [index], NOW))[0]) for name in ("user", "assistant"))
    assert theirs == [1 - number for number in others] == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("ops", [PLAIN, NUMPY], ids=["lists", "arrays"])
def test_a_word_that_nobody_has_says_nothing_of_whose_words_they_are(ops: Columns) -> None:
    index = indexed([entry(number, ["oslo"], "t") for number in range(4)], ops)
    assert plain(whose_words(Asked("assistant zebra", [index], NOW))[0]) == pytest.approx([0.0] * 4)
