"""Check 36: the wrapper itself costs less than a millisecond on top of one recall and one observe."""

from __future__ import annotations

from itertools import islice

from tests.benchmarks.middleware_overhead import measured

TRIES = 5


def _fits(times: dict[str, float]) -> bool:
    verbs = times["recall"] + times["observe"]
    return max(times["wrapped"], times["wrapped, async"]) - verbs < 1000 and times["nested"] < 300


def test_36_the_wrapper_adds_less_than_a_millisecond_to_an_instant_function() -> None:
    # Every call changes threads four times: on a busy machine the waiting counts more than the work, so try again.
    runs = iter(measured, None)
    assert any(_fits(times) for times in islice(runs, TRIES))
