"""D. A long thread costs a model no more than it may, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from ltm_core import ConfigurationError, Memory, Turn
from ltm_core.recall.budget import estimate_tokens
from ltm_core.recall.context import MESSAGE_TOKENS
from ltm_langchain import LongTermMemoryMiddleware
from tests.adapters.conftest import Recalls
from tests.adapters.langchain.models import Scripted, call, run, said

ANA = run("t", user_id="ana")
MOST = 300


@tool
def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is grey."


def agent_of(memory: Memory, model: Scripted, **options: Any) -> Any:
    middleware = [LongTermMemoryMiddleware(memory, context_tokens=MOST, **options)]
    return create_agent(model, [look], middleware=middleware, checkpointer=InMemorySaver())


def cost(prompt: list[BaseMessage]) -> int:
    return sum(estimate_tokens(str(message.text)) + MESSAGE_TOKENS for message in prompt)


def test_a_long_thread_stays_within_its_tokens_and_the_state_keeps_all_of_it(memory: Memory) -> None:
    model = Scripted()
    agent = agent_of(memory, model)
    for number in range(40):
        agent.invoke(said(f"This is what I say as number {number}, and it takes some room."), ANA)
    assert max(map(cost, model.seen)) <= MOST
    assert len(agent.get_state(ANA).values["messages"]) == 80
    last = model.seen[-1]
    assert last[-1].text.startswith("This is what I say as number 39")
    assert [one.text[:30] for one in last if one.text.startswith("This is what I say as number 38")]
    assert "Oslo" in "".join(str(one.text) for one in last)


def test_what_is_too_old_is_in_the_summary(memory: Memory) -> None:
    model = Scripted()
    agent = agent_of(memory, model)
    agent.invoke(said("The dragon is called Smaug."), ANA)
    memory.sessions.summarize("t")
    for number in range(30):
        agent.invoke(said(f"This is what I say as number {number}, and it takes some room."), ANA)
    assert "Smaug" in model.prompts[-1]
    assert "Smaug" not in "".join(str(one.text) for one in model.seen[-1] if one.type != "system")


def test_the_turn_that_it_is_in_is_seen_whole_with_its_tools(memory: Memory, recalls: Recalls) -> None:
    model = Scripted(replies=["Hello!", call("look", place="Oslo"), "Grey."])
    agent = agent_of(memory, model)
    agent.invoke(said("Hello, I am back from my walk."), ANA)
    recalls.count = 0
    agent.invoke(said("How does Oslo look?"), ANA)
    assert recalls.count == 1
    assert [one.type for one in model.seen[-1]][-3:] == ["human", "ai", "tool"]
    assert model.seen[-1][-3].text == "How does Oslo look?"
    before = [one.text for one in model.seen[-1][:-3] if one.type != "system"]
    assert before[:2] == ["Hello, I am back from my walk.", "Hello!"]
    assert model.seen[-2] == model.seen[-1][:-2]


def test_a_thread_that_is_older_than_the_memory_stays_as_it_is(memory: Memory) -> None:
    model, saver = Scripted(), InMemorySaver()
    create_agent(model, [], checkpointer=saver).invoke(said("Before all this."), ANA)
    middleware = [LongTermMemoryMiddleware(memory, context_tokens=MOST)]
    create_agent(model, [], middleware=middleware, checkpointer=saver).invoke(said("And now?"), ANA)
    assert [one.text for one in model.seen[-1] if isinstance(one, HumanMessage)] == ["Before all this.", "And now?"]


def test_a_turn_that_is_taken_up_again_elsewhere_is_seen_once(memory: Memory) -> None:
    saver, model = InMemorySaver(), Scripted(replies=["Hello!", RuntimeError("the model is down")])

    def agent() -> Any:
        middleware = [LongTermMemoryMiddleware(memory, context_tokens=MOST)]
        return create_agent(model, [], middleware=middleware, checkpointer=saver)

    first = agent()
    first.invoke(said("I am back from my walk."), ANA)
    with pytest.raises(RuntimeError):
        first.invoke(said("How does Oslo look?"), ANA)
    agent().invoke(None, ANA)
    asked = [one.text for one in model.seen[-1] if isinstance(one, HumanMessage) and "Oslo look" in one.text]
    assert asked == ["How does Oslo look?"]
    assert "I am back from my walk." in [one.text for one in model.seen[-1]]


def test_a_message_that_has_no_room_beside_it_stands_alone(memory: Memory) -> None:
    model = Scripted()
    agent = agent_of(memory, model)
    agent.invoke(said("First."), ANA)
    agent.invoke(said("word " * 2 * MOST), ANA)
    assert len(model.seen[-1]) == 1


def test_a_memory_that_fails_leaves_the_thread_as_it_is(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scripted()
    agent = agent_of(memory, model)
    agent.invoke(said("First."), ANA)

    monkeypatch.setattr(Turn, "begin_now", lambda turn: turn)
    agent.invoke(said("Second."), ANA)
    assert [one.text for one in model.seen[-1]] == ["First.", "Fine.", "Second."]


def test_without_learning_there_is_nothing_to_show(memory: Memory) -> None:
    with pytest.raises(ConfigurationError, match="learn=True"):
        LongTermMemoryMiddleware(memory, context_tokens=MOST, learn=False)
