"""The tests of LangChain and LangGraph themselves, run against ours; see `upstream.py`."""

from __future__ import annotations

import os

import pytest

from tests.adapters.langchain.upstream import SUITES, Unreachable, run


# 33: the stores, 41: the history.
@pytest.mark.parametrize("name", SUITES)
def test_33_41_their_own_tests_pass_on_ours(name: str) -> None:
    try:
        outcome = run(SUITES[name])
    except Unreachable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"No package index is reachable, and the tests of {SUITES[name].package} come from there: {error}")
    print(f"{name}: {outcome.passed} passed")  # noqa: T201
    assert outcome.code == 0, outcome.output
    assert outcome.passed >= SUITES[name].passing, outcome.output
