"""An agent that is killed while it learns: whatever it observed is learned, once.

`make test` takes a few kills, `LTM_KILLS=200` as many as are promised.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ltm_core import Memory
from ltm_core.learn.worker import MAX_CLAIMS
from tests.journeys.programs import (
    DIED,
    Turn,
    check_learned_once,
    learn_all,
    observe,
    processes,
    said,
    session_of,
    slow,
    tell,
)

KILLS = int(os.environ.get("LTM_KILLS", "10"))
TURNS_EACH = 3


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("one_postgres_url"))
    return f"sqlite:///{tmp_path}/memory.db"


def killed_while_telling(url: str, turns: Sequence[Turn], recover: bool, chance: random.Random, reach: float) -> int:
    """Have turns told, kill at a random instant after one of them was acknowledged; returns how many were."""
    ours, theirs = processes.Pipe()
    teller = processes.Process(target=tell, args=(url, turns, recover, theirs), daemon=True)
    teller.start()
    theirs.close()
    heard, least = 0, chance.randint(1, len(turns))
    while heard < least:
        ours.recv()
        heard += 1
    instant = time.monotonic() + chance.uniform(0, reach)
    while ours.poll(max(0, instant - time.monotonic())):
        ours.recv()
        heard += 1
        if heard == len(turns):
            teller.join(max(0, instant - time.monotonic()))
            break
    teller.kill()
    teller.join()
    while heard < len(turns) and ours.poll():
        try:
            ours.recv()
        except EOFError:
            break
        heard += 1
    ours.close()
    teller.close()
    return heard


def test_at_whatever_instant_it_is_killed_every_observed_turn_is_learned_once(url: str) -> None:
    chance, reach = random.Random(7), 0.05
    in_time = in_the_middle = kills = 0
    unheard: list[Turn] = []
    with Memory(url, extract=slow, background=False) as memory:
        while in_time < KILLS:
            turns = [*unheard, *((f"u{kills}", number) for number in range(TURNS_EACH))]
            heard = killed_while_telling(url, turns, kills % 3 == 2, chance, reach)
            unheard, kills = turns[heard:], kills + 1
            waiting = memory.jobs.list("waiting", limit=1000)
            in_time += bool(waiting)
            in_the_middle += any(job.claims for job in waiting)
            reach *= 1.1 if waiting else 0.8
        for turn in unheard:
            observe(memory, turn)
        assert memory.flush(60)
        for number in range(kills):
            check_learned_once(memory, f"u{number}", TURNS_EACH)
    print(f"{kills} kills, {in_time} before all was learned, {in_the_middle} after a claim; {kills * TURNS_EACH} turns")  # noqa: T201


def test_a_turn_that_takes_its_worker_along_is_stopped_and_takes_no_other_along(url: str) -> None:
    turns = 12
    with Memory(url, background=False) as memory:
        for number in range(turns):
            poisoned = f"{said(('ana', number))} poison" if number == 5 else said(("ana", number))
            memory.observe(poisoned, user_id="ana", session_id=session_of("ana"), turn_id=str(number))
        codes = []
        while memory.jobs.list("waiting"):
            worker = processes.Process(target=learn_all, args=(url,), daemon=True)
            worker.start()
            worker.join()
            codes.append(worker.exitcode)
        assert codes == [DIED] * MAX_CLAIMS + [0]
        (dead,) = memory.jobs.list("dead")
        assert "poison" in memory.jobs.show(dead.id).messages[0].text
        assert dead.error == f"The process died {MAX_CLAIMS} times while it learned this turn."
        learned = [fact.version for fact in memory.facts.get_all(scope_id="ana") if fact.attribute == "turn"]
        assert learned == [1] * (turns - 1)
