"""Who is talking: from the call, a callable, the scope, as fixed; and nobody gets no memory."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from ltm_core import Memory, ScopeError
from ltm_middleware import with_memory
from tests.adapters.conftest import Recalls, learned


def _echo(text: str, user_id: object = None, thread_id: object = None) -> str:
    return text


def test_27_the_functions_own_user_id_names_the_user_by_place_by_name_and_by_default(memory: Memory) -> None:
    @with_memory(memory)
    def agent(text: str, user_id: str = "ben") -> str:
        return text

    assert "Oslo" in agent("Where am I?", "ana")
    assert "Oslo" in agent(text="Where am I?", user_id="ana")
    assert "Rome" in agent("Where am I?")


def test_27_an_id_that_the_function_does_not_take_is_for_the_memory_alone(memory: Memory) -> None:
    def function(text: str) -> str:
        return text

    agent: Any = with_memory(memory)(function)
    assert "Oslo" in agent("Where am I?", user_id="ana")


def test_27_an_id_among_open_keywords_reaches_the_function_too(memory: Memory) -> None:
    agent: Any = with_memory(memory)(lambda text, **options: (text, options))
    text, options = agent("Where am I?", user_id="ana")
    assert "Oslo" in text
    assert options == {"user_id": "ana"}


@pytest.mark.parametrize("given", [42, UUID(int=7)])
def test_27_numbers_and_uuids_become_text(given: Any, memory: Memory) -> None:
    memory.facts.add("location", "Lima", scope_id=str(given))
    assert "Lima" in with_memory(memory)(_echo)("Where am I?", user_id=given)


@pytest.mark.parametrize("nobody", ["", "  ", None])
def test_27_nobody_gets_no_memory_and_one_warning(
    nobody: Any, memory: Memory, recalls: Recalls, caplog: pytest.LogCaptureFixture
) -> None:
    agent = with_memory(memory)(_echo)
    for _ in range(3):
        assert agent("Where am I?", nobody) == "Where am I?"
    assert recalls.count == 0
    assert memory.jobs.list() == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "user_id" in caplog.text


def test_27_an_empty_id_is_nobody_even_inside_a_scope(memory: Memory) -> None:
    with memory.scope(user_id="ana"):
        assert with_memory(memory, user_id="ben")(_echo)("Where am I?", "") == "Where am I?"


def test_27_strict_raises_where_nobody_is_named(memory: Memory) -> None:
    with pytest.raises(ScopeError, match="Pass user_id"):
        with_memory(memory, strict=True)(_echo)("Where am I?")


def test_27_what_can_be_no_id_is_no_id(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    assert with_memory(memory, user_id="ben")(_echo)("Where am I?", ["ana"]) == "Where am I?"
    assert "list is no id" in caplog.text


@pytest.mark.parametrize(
    "find",
    [
        lambda state: state["who"],
        lambda state, text: state["who"],
        lambda *args: args[0]["who"],
        lambda **arguments: arguments["state"]["who"],
        lambda: "ana",
    ],
    ids=["by name", "all", "by place", "by keyword", "none"],
)
def test_27_a_callable_finds_the_user_in_the_call(find: Any, memory: Memory) -> None:
    agent: Any = with_memory(memory, user_id=find)(lambda state, text: text)
    assert "Oslo" in agent({"who": "ana"}, "Where am I?")


def test_27_a_context_argument_names_the_user(memory: Memory) -> None:
    agent: Any = with_memory(memory)(lambda text, ctx: text)
    assert "Oslo" in agent("Where am I?", SimpleNamespace(user=SimpleNamespace(id="ana")))
    assert "Rome" in agent("Where am I?", ctx=SimpleNamespace(user_id="ben"))


def test_27_the_scope_names_the_user(memory: Memory) -> None:
    agent: Any = with_memory(memory)(lambda text: text)
    with memory.scope(user_id="ana"):
        assert "Oslo" in agent("Where am I?")
    assert agent("Where am I?") == "Where am I?"


def test_27_own_argument_then_callable_then_scope_then_fixed(memory: Memory) -> None:
    for name in ("called", "scoped", "fixed"):
        memory.facts.add("location", f"The{name}", scope_id=name)
    fixed = with_memory(memory, user_id="fixed")(_echo)
    called = with_memory(memory, user_id=lambda: "called")(_echo)
    assert "Thefixed" in fixed("Where am I?")
    with memory.scope(user_id="scoped"):
        assert "Thescoped" in fixed("Where am I?")
        assert "Thecalled" in called("Where am I?")
        assert "Oslo" in called("Where am I?", "ana")


def test_27_a_thread_is_a_session(memory: Memory) -> None:
    with_memory(memory)(_echo)("Where am I?", "ana", thread_id=7)
    assert [message.text for message in memory.sessions.get_messages("7")][:1] == ["Where am I?"]


def test_27_a_session_without_a_user_has_a_memory_of_its_own(memory: Memory) -> None:
    agent = with_memory(memory)(_echo)
    agent("set location Lima", thread_id="t")
    memory.flush()
    assert "Lima" in agent("Where am I?", thread_id="t")
    assert "Lima" not in agent("Where am I?", thread_id="other")


def test_27_another_users_session_is_refused_and_costs_no_answer(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    agent = with_memory(memory)(_echo)
    agent("set location Lima", "ana", thread_id="t")
    assert agent("Where am I?", "ben", thread_id="t") == "Where am I?"
    assert "belongs to another user" in caplog.text
    assert learned(memory, "ben") == []


def test_27_a_user_of_ones_own_does_not_inherit_the_session_of_the_scope(memory: Memory) -> None:
    agent = with_memory(memory)(_echo)
    agent("Hi", "ana", thread_id="t")
    with memory.scope(user_id="ana", session_id="t"):
        assert "Rome" in agent("Where am I?", "ben")
    assert len(learned(memory, "ben")) == 1


async def test_27_scopes_of_tasks_do_not_mix(memory: Memory) -> None:
    agent: Any = with_memory(memory)(lambda text: text)

    async def ask(user_id: str, town: str) -> None:
        with memory.scope(user_id=user_id):
            for _ in range(20):
                await asyncio.sleep(0)
                assert town in agent("Where am I?")

    await asyncio.gather(ask("ana", "Oslo"), ask("ben", "Rome"))


async def test_27_what_is_called_inside_knows_who_is_talking(memory: Memory) -> None:
    inner = memory.as_async()

    @with_memory(memory)
    async def agent(text: str, user_id: str) -> str:
        return (await inner.recall("location")).facts[0].text

    assert await agent("Where am I?", "ana") == "User lives in Oslo."
    assert await agent("Where am I?", "ben") == "User lives in Rome."
    with pytest.raises(ScopeError):
        await inner.recall("location")
