"""`memory.turn`: the before and after of a hand-made loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ltm_core import AsyncMemory, InvalidInput, Memory, ScopeError, UsageError
from ltm_core.testing.fakes import Clock
from tests.adapters.conftest import Recalls, learned
from tests.conftest import told

TURN = [("user", "Where am I?"), ("assistant", "You are here.")]


def test_a_turn_recalls_at_its_start_and_learns_at_its_end(memory: Memory) -> None:
    with memory.turn("Where am I?", user_id="ana") as turn:
        assert [fact.value for fact in turn.facts] == ["Oslo"]
        assert "User lives in Oslo." in turn.text
        assert turn.prompt() == f"{turn.text}\nWhere am I?"
        assert turn.ticket is None
        turn.answer("You are here.")
    assert turn.ticket is not None
    assert turn.ticket.status == "waiting"
    assert learned(memory, "ana") == [TURN]


async def test_the_async_turn_does_the_same(memory: Memory) -> None:
    async with memory.as_async().turn("Where am I?", user_id="ana") as turn:
        assert "User lives in Oslo." in turn.prompt()
        turn.answer(SimpleNamespace(content="You are here."))
    assert learned(memory, "ana") == [TURN]


def test_a_turn_of_messages_gives_messages_back(memory: Memory) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where am I?"}]
    with memory.turn(messages, user_id="ana") as turn:
        system, user = turn.prompt()
        turn.answer("You are here.")
    assert system["content"].startswith("Be brief.\n\n<long_term_memory")
    assert user is messages[1]
    assert learned(memory, "ana") == [TURN]


def test_a_turn_can_have_the_whole_prompt_of_its_session(memory: Memory) -> None:
    memory.sessions.add_messages("s", ["Hello!", {"role": "assistant", "content": "Hi Ana."}], "ana")
    with memory.turn("Where am I?", user_id="ana", session_id="s", context_tokens=200) as turn:
        *context, last = turn.prompt()
        assert context == memory.context("s", "Where am I?", user_id="ana", max_tokens=200 - 4 - 3)
    assert [one["content"] for one in context][:2] == ["Hello!", "Hi Ana."]
    assert "User lives in Oslo." in context[2]["content"]
    assert last == {"role": "user", "content": "Where am I?"}
    assert [fact.value for fact in turn.facts] == ["Oslo"]


def test_without_a_session_that_prompt_is_what_is_remembered(memory: Memory) -> None:
    with memory.turn("Where am I?", user_id="ana", context_tokens=200) as turn:
        assert [one["role"] for one in turn.prompt()] == ["user", "user"]
    with memory.turn("Where am I?", user_id="ana", context_tokens=5) as turn:
        assert turn.prompt() == [{"role": "user", "content": "Where am I?"}]


def test_a_turn_that_raises_or_is_skipped_teaches_nothing(memory: Memory) -> None:
    with pytest.raises(ValueError, match="no"), memory.turn("Where am I?", user_id="ana"):
        raise ValueError("no")
    with memory.turn("Where am I?", user_id="ana") as turn:
        turn.skip()
    with memory.turn("Where am I?", user_id="ana", learn=False):
        pass
    assert learned(memory, "ana") == []


def test_an_opened_turn_is_learned_once_with_its_answer(memory: Memory) -> None:
    with memory.turn("set pet Rex", user_id="ana", turn_id="1") as turn:
        turn.open_now()
        assert learned(memory, "ana") == [[("user", "set pet Rex")]]
        turn.answer("Hello Rex.")
    assert learned(memory, "ana") == [[("user", "set pet Rex"), ("assistant", "Hello Rex.")]]


async def test_an_opened_turn_may_be_completed_by_another_of_the_same_id(memory: Memory) -> None:
    await memory.as_async().turn("set pet Rex", user_id="ana", turn_id="1").open()
    later = memory.as_async().turn("set pet Rex", user_id="ana", turn_id="1")
    later.answer("Hello Rex.")
    await later.finish()
    assert learned(memory, "ana") == [[("user", "set pet Rex"), ("assistant", "Hello Rex.")]]


def test_an_opened_turn_waits_for_its_answer_but_not_for_ever() -> None:
    clock = Clock()
    with Memory("memory://", extract=told, background=False, clock=clock, learn_after=0) as memory:
        memory.turn("set pet Rex", user_id="ana", turn_id="1").open_now()
        (job,) = memory.jobs.list(user_id="ana")
        assert job.run_at == clock() + timedelta(minutes=1)
        answered = memory.turn("set pet Rex", user_id="ana", turn_id="1")
        answered.answer("Hello Rex.")
        answered.finish_now()
        (job,) = memory.jobs.list(user_id="ana")
        assert job.run_at == clock()


def test_an_answer_that_comes_after_its_turn_was_learned_is_kept_and_not_learned(memory: Memory) -> None:
    turn = memory.turn("set pet Rex", user_id="ana", session_id="s", turn_id="1")
    turn.open_now()
    memory.flush()
    turn.answer("Hello Rex.")
    turn.finish_now()
    assert [message.text for message in memory.sessions.get_messages("s")] == ["set pet Rex", "Hello Rex."]
    assert learned(memory, "ana") == [[("user", "set pet Rex")]]
    assert turn.ticket is not None
    assert turn.ticket.status == "done"


def test_a_turn_without_an_answer_teaches_what_the_user_said(memory: Memory) -> None:
    with memory.turn("Where am I?", user_id="ana"):
        pass
    assert learned(memory, "ana") == [TURN[:1]]


def test_a_turn_id_makes_the_same_words_a_turn_of_their_own(memory: Memory) -> None:
    for turn_id in ("one", "two", "two"):
        with memory.turn("Yes", user_id="ana", turn_id=turn_id) as turn:
            turn.answer("Good")
    assert len(learned(memory, "ana")) == 2


def test_options_of_recall_hold_for_the_turn(memory: Memory) -> None:
    memory.facts.add("hobby", "chess", scope_id="ana", tags=["fun"])
    with memory.turn("Anything", user_id="ana", strategy="all", filters={"tags": ["fun"]}, limit=5) as turn:
        assert [fact.key for fact in turn.facts] == ["hobby"]
    with pytest.raises(InvalidInput):
        memory.turn("Anything", user_id="ana", strategy="best")


def test_a_turn_inside_a_turn_is_the_same_turn(memory: Memory, recalls: Recalls) -> None:
    agent: Any = memory.wrap(lambda text: text)
    with memory.turn("Where am I?", user_id=7) as outer:
        assert agent("Where am I?") == "Where am I?"
        with memory.turn("Where am I?", user_id=7) as inner:
            assert inner.text == outer.text
    assert recalls.count == 1
    assert len(learned(memory, "7")) == 1


def test_nobody_has_no_turn(memory: Memory, recalls: Recalls) -> None:
    with memory.turn("Where am I?") as turn:
        assert turn.prompt() == "Where am I?"
    assert recalls.count == 0
    assert turn.ticket is None
    with pytest.raises(ScopeError):
        memory.turn("Where am I?", strict=True)


@pytest.mark.parametrize("said", [3, [], [{"role": "system", "content": "x"}], None])
def test_what_is_no_prompt_is_refused(said: Any, memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="is no prompt"):
        memory.turn(said, user_id="ana")


def test_a_turn_on_a_closed_memory_costs_nothing_unless_strict(memory: Memory) -> None:
    memory.close()
    with memory.turn("Where am I?", user_id="ana") as turn:
        assert turn.prompt() == "Where am I?"
    with pytest.raises(UsageError), memory.turn("Where am I?", user_id="ana", strict=True):
        pass


async def test_a_turn_may_end_in_another_context_than_it_began(memory: Memory) -> None:
    async def turns() -> AsyncIterator[Any]:
        async with memory.as_async().turn("Where am I?", user_id="ana") as turn:
            yield turn

    steps: Any = turns()
    turn: Any = await asyncio.create_task(steps.__anext__())
    turn.answer("You are here.")
    with pytest.raises(StopAsyncIteration):
        await asyncio.create_task(steps.__anext__())
    assert learned(memory, "ana") == [TURN]


async def test_the_example_of_the_documentation_learns() -> None:
    async with AsyncMemory("memory://", extract=told) as memory:
        async with memory.turn("set location Berlin", user_id="ana") as turn:
            turn.answer("Noted.")
        assert turn.ticket is not None
        await turn.ticket
        async with memory.turn("Where do I live?", user_id="ana") as turn:
            assert turn.facts[0].value == "Berlin"
