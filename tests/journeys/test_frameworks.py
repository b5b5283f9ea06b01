"""Agents of LangChain and engines of LlamaIndex, with many users at once on one PostgreSQL, while workers are killed.

The model is a fake; all else is what runs in production. `make test` has few users say little. `LTM_USERS=50
LTM_TURNS=20` is what is promised.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ltm_core import Memory
from tests.journeys.crew import Crew, waiting

USERS = int(os.environ.get("LTM_USERS", "6"))
TURNS = int(os.environ.get("LTM_TURNS", "4"))

Ask = Callable[[str, str], Awaitable[Any]]


def langchain_agent(memory: Memory) -> Ask:
    """One agent for all users."""
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langgraph.checkpoint.memory import InMemorySaver

    from ltm_langchain import LongTermMemoryMiddleware
    from tests.adapters.langchain.models import Scripted

    middleware: Any = LongTermMemoryMiddleware(memory, recall_budget_ms=None, strict=True)
    agent: Any = create_agent(Scripted(), middleware=[middleware], checkpointer=InMemorySaver())

    async def ask(user: str, said: str) -> None:
        config = {"configurable": {"thread_id": f"{user}-s", "user_id": user}}
        await agent.ainvoke({"messages": [("user", said)]}, config)

    return ask


def llamaindex_engine(memory: Memory) -> Ask:
    """An engine for each user."""
    pytest.importorskip("llama_index.core")
    from llama_index.core.chat_engine import SimpleChatEngine

    from ltm_llamaindex import LongTermChatStore, LongTermMemory
    from tests.adapters.llamaindex.fakes import FakeLLM

    engines: dict[str, SimpleChatEngine] = {}

    async def ask(user: str, said: str) -> None:
        if user not in engines:
            whose: Any = {"user_id": user, "session_id": f"{user}-s"}
            history = LongTermChatStore(memory, user_id=user)
            bound = LongTermMemory.from_defaults(memory=memory, chat_store=history, **whose)
            engines[user] = SimpleChatEngine.from_defaults(llm=FakeLLM(), memory=bound)
        await engines[user].achat(said)

    return ask


def home_of(user: str, turn: int) -> str:
    return f"Town{user}x{turn}"


def liked_by(user: str, turn: int) -> str:
    return f"Tea{user}x{turn}"


async def live(ask: Ask, user: str) -> None:
    """Everybody moves all the time, and comes to love something there."""
    for turn in range(TURNS):
        await ask(user, f"I live in {home_of(user, turn)}. I love {liked_by(user, turn)}.")


async def kill_now_and_then(crew: Crew, talking: asyncio.Future[Any], memory: Memory) -> None:
    def is_waiting() -> bool:
        return waiting(memory) > 0

    chance = random.Random(7)
    while crew.replaced < 2 or not talking.done() or await asyncio.to_thread(is_waiting):
        await asyncio.to_thread(crew.replace_one, chance.uniform(1, 3), signal.SIGKILL)


@pytest.mark.parametrize("framework", [langchain_agent, llamaindex_engine])
async def test_everybodys_facts_are_right_and_nobody_elses(
    framework: Callable[[Memory], Ask], one_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if framework is llamaindex_engine:
        monkeypatch.setattr("ltm_llamaindex.binding.PATIENCE", 30.0)  # a busy machine is no bug
    with Memory(one_postgres_url, background=False) as memory:
        ask, users = framework(memory), [f"u{number}" for number in range(USERS)]
        with Crew(one_postgres_url, 2) as crew:
            talking = asyncio.gather(*(live(ask, user) for user in users))
            await kill_now_and_then(crew, talking, memory)
            await talking
        for user in users:
            await asyncio.to_thread(check, memory, user)
    print(f"{USERS * TURNS} turns of {USERS} users, {crew.replaced} workers killed")  # noqa: T201


def check(memory: Memory, user: str) -> None:
    jobs = [job for job in memory.jobs.list(user_id=user, limit=1000) if job.task is None]  # others make summaries
    assert [(job.status, job.error) for job in jobs] == [("done", None)] * TURNS
    facts = {fact.key: fact for fact in memory.facts.get_all(scope_id=user)}
    wanted = [f"opinion#{liked_by(user, turn).lower()}" for turn in range(TURNS)]
    assert sorted(facts) == sorted([*wanted, "location"])
    assert {key: facts[key].version for key in wanted} == dict.fromkeys(wanted, 1)
    homes = [str(fact.value) for fact in memory.facts.history("location", scope_id=user)]
    assert homes == [home for turn in range(TURNS) if (home := home_of(user, turn)) in homes]
    assert homes[-1] == home_of(user, TURNS - 1)
    said = [message.text for message in memory.sessions.get_messages(f"{user}-s") if message.role == "user"]
    assert said == [f"I live in {home_of(user, turn)}. I love {liked_by(user, turn)}." for turn in range(TURNS)]
