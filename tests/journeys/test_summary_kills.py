"""An agent that is killed while its session is summarised: no message is lost to the summary, and none is told twice.

`LTM_TEST_KILLS=100` kills as many on each database; fewer without it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ltm_core import Memory
from tests.journeys.programs import processes, slow_summary, summarise

KILLS = int(os.environ.get("LTM_TEST_KILLS", "5"))
EACH = 7


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("one_postgres_url"))
    return f"sqlite:///{tmp_path}/memory.db"


def killed_while_summarising(url: str, first: int, after: float) -> None:
    """Have messages said, and kill some seconds after the last was acknowledged: it is being summarised then."""
    ours, theirs = processes.Pipe()
    agent = processes.Process(target=summarise, args=(url, first, EACH, theirs), daemon=True)
    agent.start()
    theirs.close()
    for number in range(first, first + EACH):
        assert ours.recv() == number
    agent.join(after)
    agent.kill()
    agent.join()
    ours.close()
    agent.close()


def test_at_whatever_instant_it_is_killed_every_message_is_summarised_once(url: str) -> None:
    chance, said, in_time = random.Random(5), 0, 0
    how = {"summarise": slow_summary, "summary_after_messages": 5, "summary_after_tokens": None}
    with Memory(url, background=False, **how) as memory:  # type: ignore[arg-type] # the same names
        for _ in range(KILLS):
            killed_while_summarising(url, said + 1, chance.uniform(0, 0.04))
            said += EACH
            in_time += bool(memory.jobs.list("waiting", limit=1000))
            if not memory.jobs.list("waiting", limit=1000) or chance.random() < 0.3:
                assert memory.flush(60)
        assert memory.flush(60)
        assert [message.text for message in memory.sessions.get_messages("s")] == [str(n) for n in range(1, said + 1)]
        versions = memory.sessions.summaries("s")
        jobs = memory.jobs.list(limit=10_000, user_id="u")
    assert {job.status for job in jobs} == {"done"}
    assert [one.version for one in versions] == list(range(1, len(versions) + 1))
    assert len(versions) <= len(jobs)
    for one in versions:
        assert one.text == " ".join(str(n) for n in range(1, one.last + 1))
    assert versions[-1].last >= said - 5 - 4
    print(f"{KILLS} kills, {in_time} before all was summarised; {said} messages, {len(versions)} versions")  # noqa: T201
