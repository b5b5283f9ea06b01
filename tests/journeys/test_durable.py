"""Durable runs whose processes are really killed, at random instants: nothing lost, no finished step done twice.

`LTM_TEST_KILLS=100` kills as many on each database; fewer without it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ltm_core import Memory

KILLS = int(os.environ.get("LTM_TEST_KILLS", "5"))
STEPS = 12

RUNNER = textwrap.dedent("""
    import os, sys, uuid
    from ltm_core import Memory, Run
    from ltm_middleware import with_memory

    url, ledger, run_id, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    memory = Memory(url, background=False)

    def act(number):
        # The world: what is written here cannot be taken back.
        token = uuid.uuid4().hex
        with open(ledger, "a") as file:
            file.write(f"{number} {token}\\n")
        print("acted", number, flush=True)
        return token

    @with_memory(memory, durable=True)
    def journey(prompt, user_id):
        tokens = []
        for number in range(1, steps + 1):
            tokens.append(Run.current().step(f"step {number}", act, number))
            print("finished", number, flush=True)
        return " ".join(tokens)

    print("began", flush=True)
    print("result", journey("Set out!", user_id="ana", run_id=run_id), flush=True)
    memory.close()
""")


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that several processes can use."""
    match request.param:
        case "postgres":
            return str(request.getfixturevalue("one_postgres_url"))
        case "redis":
            return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/memory.db"


class Journey:
    """One run, the processes that attempt it, and what they did to the world."""

    def __init__(self, url: str, folder: Path, run_id: str) -> None:
        self.url = url
        self.run_id = run_id
        self.ledger = folder / f"{run_id}.txt"
        self.ledger.touch()

    def start(self) -> subprocess.Popen[str]:
        arguments = (self.url, str(self.ledger), self.run_id, str(STEPS))
        return subprocess.Popen(
            [sys.executable, "-c", RUNNER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def killed_after(self, lines: int) -> str | None:
        """Attempt the run and kill the process once it has said so many lines; its result, if it was faster."""
        with self.start() as process:
            assert process.stdout is not None
            heard = [process.stdout.readline() for _ in range(lines)]
            process.kill()
            heard += process.stdout
            assert "began\n" in heard, process.stderr and process.stderr.read()
        return next((line.removeprefix("result ").strip() for line in heard if line.startswith("result ")), None)

    def finished(self) -> str:
        """Attempt the run and let it finish."""
        out, errors = self.start().communicate(timeout=120)
        assert "result " in out, errors
        return out.rpartition("result ")[2].strip()

    def acts(self) -> list[tuple[int, str]]:
        """What was done to the world, in order."""
        pairs = (line.split() for line in self.ledger.read_text().splitlines())
        return [(int(number), token) for number, token in pairs]

    def kept(self, memory: Memory) -> dict[int, str]:
        """The results of the steps that are finished."""
        return {one.step: one.state["result"] for one in memory.checkpoints.list(self.run_id)}


def test_however_often_it_is_killed_a_run_loses_nothing_and_does_no_finished_step_twice(
    shared: str, tmp_path: Path
) -> None:
    chance, kills, runs, again = random.Random(11), 0, 0, 0
    with Memory(shared, background=False) as memory:
        while kills < KILLS:
            runs += 1
            journey, attempts = Journey(shared, tmp_path, f"journey-{runs}"), 0
            result, kept = None, dict[int, str]()
            while result is None and attempts < 6 and kills < KILLS:
                acts = journey.acts()
                result = journey.killed_after(chance.randrange(1, 9))
                kills, attempts = kills + 1, attempts + 1
                _check(journey, kept, acts, now := journey.kept(memory))
                kept = now
            acts = journey.acts()
            result = journey.finished()
            _check(journey, kept, acts, whole := journey.kept(memory))
            assert result.split() == [whole[number] for number in range(1, STEPS + 1)]
            again += len(journey.acts()) - STEPS
            assert len(journey.acts()) - STEPS <= attempts
    print(json.dumps({"kills": kills, "runs": runs, "steps": runs * STEPS, "begun again": again}))  # noqa: T201


def _check(journey: Journey, kept: dict[int, str], acts: list[tuple[int, str]], now: dict[int, str]) -> None:
    """After an attempt: what was kept is kept as it was, was not done again, and what is kept was really done."""
    assert kept.items() <= now.items()
    assert not {number for number, _ in journey.acts()[len(acts) :]} & kept.keys()
    assert set(now.items()) <= set(journey.acts())
    assert list(now) == list(range(1, len(now) + 1))
