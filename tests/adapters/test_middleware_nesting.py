"""Checks 32, 35 and 38: agents inside agents, many at once, and our own model calls."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ltm_core import AsyncMemory, Memory
from ltm_core.model import Candidate
from ltm_core.policies import Extracting
from ltm_middleware import with_memory
from tests.adapters.conftest import Recalls, learned
from tests.conftest import told


def echo(text: str, user_id: str | None = None, thread_id: str | None = None) -> str:
    return text


def test_32_nested_agents_recall_and_learn_once(memory: Memory, recalls: Recalls) -> None:
    inner = with_memory(memory)(echo)
    outer: Any = with_memory(memory)(lambda text, user_id: inner(f"Please answer: {text}", user_id))
    answer = outer("Where am I?", "ana")
    assert answer.count("<long_term_memory") == 1
    assert recalls.count == 1
    assert [turn[0] for turn in learned(memory, "ana")] == [("user", "Where am I?")]


def test_32_an_inner_agent_that_names_nobody_is_nested_too(memory: Memory, recalls: Recalls) -> None:
    inner = with_memory(memory)(echo)
    with_memory(memory)(lambda text, user_id, thread_id: inner(text))("Where am I?", "ana", "t")
    assert recalls.count == 1
    assert len(learned(memory, "ana")) == 1


@pytest.mark.parametrize(("user_id", "thread_id"), [("ben", None), ("ana", "other")])
def test_32_other_people_and_sessions_are_turns_of_their_own(
    user_id: str, thread_id: str, memory: Memory, recalls: Recalls
) -> None:
    inner = with_memory(memory)(echo)
    outer: Any = with_memory(memory, user_id="ana")(lambda text: inner("Hi", user_id, thread_id))
    outer("Where am I?")
    assert recalls.count == 2
    assert len(learned(memory, "ana")) + len(learned(memory, "ben")) == 2


def test_32_another_memory_is_a_turn_of_its_own(memory: Memory) -> None:
    with Memory("memory://", extract=told, background=False) as other:
        inner = with_memory(other)(echo)
        with_memory(memory, user_id="ana")(lambda text: inner(text, "ana"))("Where am I?")
        assert len(learned(memory, "ana")) == len(learned(other, "ana")) == 1


async def test_32_nesting_holds_across_awaits_tasks_and_streams(memory: Memory, recalls: Recalls) -> None:
    @with_memory(memory)
    async def inner(text: str, user_id: str) -> str:
        return text

    @with_memory(memory)
    async def outer(text: str, user_id: str) -> Any:
        yield await inner(text, user_id)
        yield await asyncio.create_task(inner(text, user_id))
        yield await asyncio.to_thread(with_memory(memory)(echo), text, user_id)

    assert len([piece async for piece in outer("Where am I?", "ana")]) == 3
    assert recalls.count == 1
    assert len(learned(memory, "ana")) == 1


async def test_32_what_outlives_a_turn_is_no_longer_inside_it(memory: Memory, recalls: Recalls) -> None:
    done = asyncio.Event()

    async def later() -> str:
        await done.wait()
        return with_memory(memory)(echo)("Where am I?", "ana")

    @with_memory(memory)
    async def agent(text: str, user_id: str) -> asyncio.Task[str]:
        return asyncio.create_task(later())

    task = await agent("Hi", "ana")
    done.set()
    assert "Oslo" in await task
    assert len(learned(memory, "ana")) == 2


def test_32_a_failed_agent_closes_its_turn(memory: Memory) -> None:
    @with_memory(memory, user_id="ana")
    def agent(text: str) -> str:
        if text.endswith("fail it"):
            raise ValueError(text)
        return text

    with pytest.raises(ValueError, match="fail"):
        agent("fail it")
    assert "Oslo" in agent("Where am I?")


def test_32_an_inner_function_with_an_argument_for_memories_gets_those_of_the_turn(memory: Memory) -> None:
    def function(text: str, memories: object) -> str:
        return str(memories)

    inner: Any = with_memory(memory, inject="kwarg:memories")(function)
    assert "Oslo" in with_memory(memory, user_id="ana")(lambda text: inner("Where?"))("Where am I?")


async def test_35_a_thousand_calls_at_once_for_fifty_users_never_cross() -> None:
    extracted: dict[str, list[str]] = defaultdict(list)

    def extract(given: Extracting) -> Sequence[Candidate]:
        extracted[str(given.identity.user_id)] += [one.text for one in given.messages if one.role == "user"]
        return told(given)

    async with AsyncMemory("memory://", extract=extract) as memory:

        @with_memory(memory, recall_budget_ms=None, strict=True)
        async def agent(text: str, user_id: str, thread_id: str) -> None:
            assert f"the town of {user_id}" in text
            assert text.count("the town of ") == 1
            await asyncio.sleep(0)

        users = [f"user{number}." for number in range(50)]
        for user in users:
            await memory.facts.add("location", "there", scope_id=user, text=f"Lives in the town of {user}")
        await asyncio.gather(*(agent(f"set number {turn}", user, f"of {user}") for turn in range(20) for user in users))
        assert await memory.flush()
        for user in users:
            told_by_user = [message.text for message in await memory.sessions.get_messages(f"of {user}")]
            assert sorted(told_by_user) == sorted(f"set number {turn}" for turn in range(20))
            assert extracted[user] == told_by_user
            last = await memory.facts.get("number", scope_id=user)
            assert last is not None
            assert f"set number {last.value}" == told_by_user[-1]


def test_38_our_own_model_calls_through_a_wrapped_client_teach_nothing() -> None:
    memories: list[Memory] = []
    asked: list[Any] = []

    def client(messages: Sequence[dict[str, Any]]) -> str:
        asked.append(messages)
        return json.dumps({"facts": []})

    def complete(messages: Sequence[dict[str, Any]]) -> str:
        return with_memory(memories[0], user_id="ana")(client)(messages)

    with Memory("memory://", complete=complete, background=False) as memory:
        memories.append(memory)
        memory.observe("I moved to Oslo.", user_id="ana")
        assert memory.flush()
        assert len(asked) == 1
        assert len(memory.jobs.list()) == 1


@pytest.fixture(autouse=True)
def _no_turn_is_left_open() -> Iterator[None]:
    from ltm_core.turn import _OPEN

    yield
    assert _OPEN.get() == ()
