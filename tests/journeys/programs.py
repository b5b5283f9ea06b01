"""Programs that tests run in processes of their own and kill: agents that are told something, and workers."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from uuid import uuid4

from ltm_core import Candidate, Memory
from ltm_core.policies import Extracting, Summarised, Summarising

DIED = 77
SLOWEST = 0.03  # seconds that the extractor of these programs takes at most

# Children are forked off a process that has imported all this: a start costs milliseconds.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [
        "__main__",
        __name__,
        "ltm_core.stores.sqlite",
        "ltm_core.stores.postgres",
        "sqlalchemy.dialects.postgresql.asyncpg",
    ]
)

Turn = tuple[str, int]


def counted(given: Extracting) -> list[Candidate]:
    """An extractor whose facts can be counted: `turn 3 of ana` becomes `turn#ana-3`, and the `latest`.

    Every call gives values that no other call gives. So what is learned twice has two versions.
    """
    call = uuid4().hex
    found = []
    for message in given.messages:
        match message.text.split():
            case ["turn", number, "of", user] if message.role == "user":
                found += [Candidate(attribute="turn", item=f"{user}-{number}", value=call)]
                found += [Candidate(attribute="latest", value=f"{number} {call}")]
    return found


async def slow(given: Extracting) -> list[Candidate]:
    """The same, taking its time as a model does."""
    await asyncio.sleep(random.uniform(0, float(os.environ.get("LTM_TEST_SLOWEST", SLOWEST))))
    return counted(given)


def said(turn: Turn) -> str:
    """What a user says in one turn."""
    user, number = turn
    return f"turn {number} of {user}"


def session_of(user: str) -> str:
    """The one session of a user."""
    return f"{user}-s"


def observe(memory: Memory, turn: Turn) -> None:
    """Tell one turn."""
    user, number = turn
    memory.observe(said(turn), user_id=user, session_id=session_of(user), turn_id=str(number))


def tell(url: str, turns: Sequence[Turn], recover: bool, heard: Connection) -> None:
    """Be an agent: tell the turns, acknowledge each, and go on learning until somebody ends this process."""
    with Memory(url, extract=slow, learn_after=0) as memory:
        if recover:
            memory.flush()
        for turn in turns:
            observe(memory, turn)
            heard.send(turn)
        heard.recv()


async def slow_summary(given: Summarising) -> Summarised:
    """A summariser that takes its time, and tells each message once: the last summary, then what is new."""
    await asyncio.sleep(random.uniform(0, float(os.environ.get("LTM_TEST_SLOWEST", SLOWEST))))
    earlier = [given.previous.text] if given.previous else []
    return Summarised(" ".join([*earlier, *(message.text for message in given.messages)]))


def summarise(url: str, first: int, count: int, heard: Connection) -> None:
    """Be an agent whose sessions are summarised: say words that are numbers, until somebody ends this process."""
    with Memory(url, summarise=slow_summary, summary_after_messages=5, summary_after_tokens=None) as memory:
        for number in range(first, first + count):
            memory.sessions.add_message("s", str(number), "u")
            heard.send(number)
        heard.recv()


def deadly(given: Extracting) -> list[Candidate]:
    """An extractor that takes its process along when somebody says `poison`."""
    if any("poison" in message.text for message in given.messages):
        os._exit(DIED)
    return counted(given)


def learn_all(url: str) -> None:
    """Be a worker that learns what waits, and may die of it."""
    with Memory(url, extract=deadly, background=False) as memory:
        memory.flush()


async def stuck(given: Extracting) -> list[Candidate]:
    """An extractor that says that it was asked, and never answers."""
    sys.stdout.write("asked\n")
    sys.stdout.flush()
    await asyncio.Event().wait()
    return []


def __getattr__(name: str) -> Memory:
    """`slow_memory` and `stuck_memory`, for `ltm worker --memory`: made when asked for, on this process's database."""
    extract = {"slow_memory": slow, "stuck_memory": stuck}.get(name)
    if extract is None:
        raise AttributeError(name)
    return Memory(os.environ["LTM_DB"], extract=extract)


def check_learned_once(memory: Memory, user: str, turns: int) -> None:
    """Every turn is one fact with one version, stored once; what came later was learned later; nothing is another's."""
    learned = [job for job in memory.jobs.list(user_id=user) if job.task is None]
    assert [(job.status, job.error) for job in learned] == [("done", None)] * turns
    facts = {fact.key: fact for fact in memory.facts.get_all(scope_id=user)}
    wanted = [f"turn#{user}-{number}" for number in range(turns)]
    assert sorted(facts) == sorted([*wanted, "latest"])
    assert {key: facts[key].version for key in wanted} == dict.fromkeys(wanted, 1)
    order = [int(str(fact.value).split()[0]) for fact in memory.facts.history("latest", scope_id=user)]
    assert order == sorted(set(order))
    assert order[-1] == turns - 1
    stored = [message.text for message in memory.sessions.get_messages(session_of(user))]
    assert stored == [said((user, number)) for number in range(turns)]
