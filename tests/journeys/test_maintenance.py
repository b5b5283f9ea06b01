"""Maintenance by several processes, and by one that is killed in the middle of it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from ltm_core import FactUpdate, Memory
from ltm_core.maintain.prune import Prune
from ltm_core.policies import Maintaining
from tests.journeys.programs import processes

KILLS = int(os.environ.get("LTM_KILLS", "10"))
FACTS = 60


@pytest.fixture(params=["sqlite", "postgres", "mysql", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("one_postgres_url"))
    if request.param in ("mysql", "redis"):
        return str(request.getfixturevalue(f"{request.param}_url"))
    return f"sqlite:///{tmp_path}/memory.db"


def fill(memory: Memory, user: str) -> None:
    memory.facts.add_many(
        ({"key": f"note#{n}", "value": "she likes strong coffee"} for n in range(FACTS)), scope_id=user
    )


def keep_in_order(url: str, user: str, ready: Connection) -> None:
    """Wait for a word, and maintain."""
    with Memory(url, background=False) as memory:
        ready.send("ready")
        ready.recv()
        ready.send(memory.maintain(["deduplicate"], user_id=user).job_ids)


def keep_to_a_schedule(url: str, ready: Connection) -> None:
    """Wait for a word, and maintain everybody whose time has come."""
    with Memory(url, background=False, maintain=["deduplicate"], maintain_every=timedelta(days=1)) as memory:
        ready.send("ready")
        ready.recv()
        memory.runtime.school.wait(memory.runtime.maintain_due())
        ready.send("done")


def at_once(count: int, target: object, *args: object) -> list[object]:
    """Have several processes do it at the same time; what each said in the end."""
    pipes, running = [], []
    for _ in range(count):
        ours, theirs = processes.Pipe()
        running.append(processes.Process(target=target, args=(*args, theirs), daemon=True))  # type: ignore[arg-type]
        running[-1].start()
        theirs.close()
        pipes.append(ours)
    for pipe in pipes:
        assert pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    said = [pipe.recv() for pipe in pipes]
    for process in running:
        process.join()
    return said


def test_of_processes_that_maintain_at_once_one_does_it(url: str) -> None:
    with Memory(url, background=False) as memory:
        fill(memory, "ann")
        said = at_once(3, keep_in_order, url, "ann")
        assert sorted(len(jobs) for jobs in said if isinstance(jobs, list)) == [0, 0, 1]
        assert len(memory.jobs.list(user_id="ann")) == 1
        assert len(memory.facts.get_all(scope_id="ann")) == 1
        assert len(memory.facts.archived(scope_id="ann")) == FACTS - 1


def test_a_schedule_is_kept_once_however_many_processes_keep_it(url: str) -> None:
    users = [f"u{number}" for number in range(5)]
    with Memory(url, background=False) as memory:
        for user in users:
            fill(memory, user)
        at_once(3, keep_to_a_schedule, url)
        for user in users:
            assert len(memory.jobs.list(user_id=user)) == 1
            fill(memory, user)  # brings back what was archived
        at_once(2, keep_to_a_schedule, url)
        assert all(len(memory.jobs.list(user_id=user)) == 1 for user in users)


class Heard(Prune):
    """Says when it is about to be written down."""

    pipe: Connection

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        updates = await super().maintain(given)
        self.pipe.send("decided")
        return updates


def archive_all(url: str, user: str, pipe: Connection) -> None:
    """Archive everything, and tell just before it is written."""
    strategy = Heard(max_facts=0)
    object.__setattr__(strategy, "pipe", pipe)
    with Memory(url, background=False) as memory:
        memory.maintain([strategy], user_id=user)
        pipe.send("done")
        pipe.recv()


def test_killed_at_whatever_instant_all_is_done_or_nothing(url: str) -> None:
    chance, done, nothing = random.Random(7), 0, 0
    reach = 0.02
    with Memory(url, background=False) as memory:
        for number in range(KILLS):
            user = f"u{number}"
            fill(memory, user)
            ours, theirs = processes.Pipe()
            process = processes.Process(target=archive_all, args=(url, user, theirs), daemon=True)
            process.start()
            theirs.close()
            assert ours.recv() == "decided"
            time.sleep(chance.uniform(0, reach))
            process.kill()
            process.join()
            ours.close()
            current = len(memory.facts.get_all(scope_id=user))
            jobs = memory.jobs.list(user_id=user)
            assert (current, len(jobs)) in ((FACTS, 0), (0, 1))
            done, nothing = done + bool(jobs), nothing + (not jobs)
            reach *= 0.7 if jobs else 1.3
            memory.maintain(["prune:max_facts=0"], user_id=user)  # a dead process holds up nobody
            assert len(memory.facts.archived(scope_id=user)) == FACTS
            assert {fact.version for fact in memory.facts.archived(scope_id=user)} == {2}
    print(f"{KILLS} kills in the middle: {done} times all was done, {nothing} times nothing")  # noqa: T201
