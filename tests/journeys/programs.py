"""Programs that tests run in processes of their own and kill: agents that are told something, and workers."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections.abc import Sequence
from multiprocessing.connection import Connection
from uuid import uuid4

from ltm_core import Candidate, Memory
from ltm_core.policies import Extracting

SLOWEST = 0.03  # seconds that the extractor of these programs takes at most

# Children are forked off a process that has imported all this: a start costs milliseconds.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["__main__", __name__, "ltm_core.stores.sqlite", "ltm_core.stores.postgres", "sqlalchemy.dialects.postgresql.asyncpg"]
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
                told = {"sources": [message.id] if message.id else []}
                found += [Candidate(attribute="turn", item=f"{user}-{number}", value=call, **told)]
                found += [Candidate(attribute="latest", value=f"{number} {call}", **told)]
    return found


async def slow(given: Extracting) -> list[Candidate]:
    """The same, taking its time as a model does."""
    await asyncio.sleep(random.uniform(0, float(os.environ.get("LTM_TEST_SLOWEST", SLOWEST))))
    return counted(given)


def said(turn: Turn) -> str:
    """What a user says in one turn."""
    user, number = turn
    return f"turn {number} of {user}"


def tell(url: str, turns: Sequence[Turn], recover: bool, heard: Connection) -> None:
    """Be an agent: tell the turns, acknowledge each, and go on learning until somebody ends this process."""
    with Memory(url, extract=slow) as memory:
        if recover:
            memory.flush()
        for turn in turns:
            user, number = turn
            memory.observe(said(turn), user_id=user, session_id=f"{user}-s", turn_id=str(number))
            heard.send(turn)
        heard.recv()


def __getattr__(name: str) -> Memory:
    """`memory`, for `ltm worker --memory`: made when it is asked for, on the database of this process."""
    if name == "memory":
        return Memory(os.environ["LTM_DB"], extract=slow)
    raise AttributeError(name)
