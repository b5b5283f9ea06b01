"""A model that mostly fails: every turn is learned or kept as a dead letter, none is lost, none is learned twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ltm_core import AsyncMemory
from tests.journeys.programs import said, session_of

USERS = int(os.environ.get("LTM_USERS", "8"))
TURNS = int(os.environ.get("LTM_TURNS", "5"))
PATIENCE = 0.5  # seconds after which a call that hangs is given up

GARBAGE = (
    "",
    "I am sorry, but I cannot help with that.",
    "<html><body>502 Bad Gateway</body></html>",
    '{"facts": [{"about": "user", "attribute": "turn", "it',
    '{"facts": ["turn", 3, null]}',
    '{"fax": []}',
    "[[[[[",
    "null",
)


class FaultyModel:
    """Fails half the time, answers garbage every fifth, hangs every twentieth, and else answers as it should.

    What it answers is `turn#USER-NUMBER` for each turn that it was shown, with a value that no other call gives.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.is_well = False
        self.counts = dict.fromkeys(("failed", "garbage", "hung", "answered"), 0)

    async def __call__(self, messages: Sequence[dict[str, Any]]) -> str:
        fate = 1.0 if self.is_well else self._chance.random()
        if fate < 0.5:
            self.counts["failed"] += 1
            raise RuntimeError("503 Service Unavailable")
        if fate < 0.7:
            self.counts["garbage"] += 1
            return self._chance.choice(GARBAGE)
        if fate < 0.75:
            self.counts["hung"] += 1
            await asyncio.Event().wait()  # until it is given up
        self.counts["answered"] += 1
        return answer(messages[1]["content"])


def answer(prompt: str) -> str:
    """What a good model would say to the new messages of a prompt."""
    call = uuid4().hex
    new = prompt.partition("New messages:")[2]
    told = re.findall(r"^(\d+)\. user.*turn (\d+) of (\w+)", new, re.MULTILINE)
    facts = [
        {"about": "user", "attribute": "turn", "item": f"{user}-{number}", "value": call, "from": int(place)}
        for place, number, user in told
    ]
    return json.dumps({"facts": facts})


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_a_faulty_model_is_told_is_learned_once_or_kept_as_a_dead_letter(tmp_path: Path, seed: int) -> None:
    model = FaultyModel(random.Random(seed))
    async with AsyncMemory(
        f"sqlite:///{tmp_path}/memory.db", complete=model, background=False, model_timeout=PATIENCE
    ) as memory:
        await asyncio.gather(*(talk(memory, user) for user in people()))
        while await memory.jobs.list("waiting"):
            await memory.flush()
        dead = await memory.jobs.list("dead", limit=USERS * TURNS)
        assert dead
        assert all(job.error for job in dead)
        assert sum(job.calls for job in await memory.jobs.list(limit=USERS * TURNS)) == sum(model.counts.values())
        lost = {message.text for job in dead for message in (await memory.jobs.show(job.id)).messages}
        await check(memory, without=lost)
        model.is_well = True
        for job in dead:
            await memory.jobs.retry(job.id)
        assert await memory.flush()
        await check(memory, without=set())
    told = ", ".join(f"{count} {what}" for what, count in model.counts.items())
    print(f"{USERS * TURNS} turns, {len(dead)} dead letters; calls: {told}")  # noqa: T201


def people() -> list[str]:
    return [f"u{number}" for number in range(USERS)]


async def talk(memory: AsyncMemory, user: str) -> None:
    for number in range(TURNS):
        await memory.observe(said((user, number)), user_id=user, session_id=session_of(user))


async def check(memory: AsyncMemory, without: set[str]) -> None:
    """Each turn but those is one fact that was written once, and is stored once."""
    for user in people():
        wanted = [number for number in range(TURNS) if said((user, number)) not in without]
        facts = {fact.key: fact.version for fact in await memory.facts.get_all(scope_id=user)}
        assert facts == {f"turn#{user}-{number}": 1 for number in wanted}
        stored = [message.text for message in await memory.sessions.get_messages(session_of(user))]
        assert stored == [said((user, number)) for number in range(TURNS)]
