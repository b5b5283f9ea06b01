"""Many workers on one database, killed and replaced all the time: every turn is learned once, and in order.

`make test` has few people say little. `LTM_USERS=50 LTM_TURNS=40` is what is promised.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from ltm_core import Memory
from tests.journeys.crew import Crew, waiting
from tests.journeys.programs import check_learned_once, observe

USERS = int(os.environ.get("LTM_USERS", "8"))
TURNS = int(os.environ.get("LTM_TURNS", "6"))


@pytest.fixture(params=["postgres", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue({"postgres": "one_postgres_url", "redis": "redis_url"}[request.param]))


def tell_everything(memory: Memory) -> None:
    """All users talk at once, each one thing after the other."""

    def talk(user: str) -> None:
        for number in range(TURNS):
            observe(memory, (user, number))

    with ThreadPoolExecutor(USERS) as everybody:
        list(everybody.map(talk, [f"u{number}" for number in range(USERS)]))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_whatever_is_told_while_workers_are_replaced_is_learned_once_and_in_order(url: str, by: signal.Signals) -> None:
    with Memory(url, background=False) as memory:
        telling = Thread(target=tell_everything, args=(memory,))
        with Crew(url, 4, "--memory", "tests.journeys.programs:slow_memory") as crew:
            telling.start()
            while crew.replaced < 3 or telling.is_alive() or waiting(memory):
                crew.replace_one(1.0, by)
        telling.join()
        for number in range(USERS):
            check_learned_once(memory, f"u{number}", TURNS)
        jobs = memory.jobs.list(limit=10 * USERS * TURNS)
        assert len([job for job in jobs if job.task is None]) == USERS * TURNS
        assert {job.status for job in jobs} == {"done"}
    print(f"{USERS * TURNS} turns of {USERS} people, {crew.replaced} workers ended by {by.name}")  # noqa: T201
