"""B. Who is talking: from one resolver, never from the model, and nobody gets no memory."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from ltm_core import Memory, ScopeError
from ltm_langchain import LongTermMemoryMiddleware
from ltm_langchain.people import People
from tests.adapters.conftest import learned
from tests.adapters.langchain.models import Scripted, run, said

ASKED = said("Where am I?")


@dataclass
class Context:
    user_id: Any


class Model(BaseModel):
    user_id: str


def test_10_a_dataclass_a_dict_and_a_model_as_context_name_the_user(memory: Memory) -> None:
    model = Scripted()
    for schema, context in (
        (Context, Context("ana")),
        (None, {"user_id": "ana"}),
        (Context, {"user_id": "ana"}),
        (Model, Model(user_id="ana")),
    ):
        agent: Any = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)], context_schema=schema)
        agent.invoke(ASKED, context=context)
        assert "Oslo" in model.prompts[-1]


@pytest.mark.parametrize("name", ["user_id", "langgraph_user_id", "langgraph_auth_user_id"])
def test_10_the_config_names_the_user(memory: Memory, name: str) -> None:
    model = Scripted()
    create_agent(model, middleware=[LongTermMemoryMiddleware(memory)]).invoke(ASKED, run(**{name: "ana"}))
    assert "Oslo" in model.prompts[0]


@pytest.mark.parametrize("who", ["ana", lambda runtime, config: config["configurable"]["customer"]])
def test_10_an_id_or_a_callable_given_to_the_middleware_names_the_user(memory: Memory, who: Any) -> None:
    model = Scripted()
    agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, user_id=who)])
    agent.invoke(ASKED, run(customer="ana", user_id="ben"))
    assert "Oslo" in model.prompts[0]


def test_10_another_name_of_the_id_may_be_told(memory: Memory) -> None:
    model = Scripted()
    agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, user_id_key="customer")])
    agent.invoke(ASKED, run(customer="ana"))
    assert "Oslo" in model.prompts[0]


def test_10_numbers_and_uuids_are_ids_as_text(memory: Memory) -> None:
    memory.facts.add("location", "Bonn", scope_id="7")
    model = Scripted()
    create_agent(model, middleware=[LongTermMemoryMiddleware(memory)]).invoke(ASKED, run(user_id=7))
    assert "Bonn" in model.prompts[0]
    assert People(user_id=UUID(int=1)).find(config={})["user_id"] == str(UUID(int=1))


def test_10_a_scope_around_the_call_names_the_user(memory: Memory) -> None:
    model = Scripted()
    with memory.scope(user_id="ana"):
        create_agent(model, middleware=[LongTermMemoryMiddleware(memory)]).invoke(ASKED)
    assert "Oslo" in model.prompts[0]


@pytest.mark.parametrize("nobody", [{}, {"user_id": None}, {"user_id": ""}, {"user_id": "  "}])
def test_11_nobody_is_told_nothing_learns_nothing_and_is_warned_of_once(
    memory: Memory, nobody: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    memory.facts.add("location", "Nowhere", scope_id="None")
    memory.remember("set pet Rex", session_id="t")
    model = Scripted()
    agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)], checkpointer=InMemorySaver())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert agent.invoke(ASKED, run("t", **nobody))["messages"][-1].text == "Fine."
    assert model.prompts == ["", ""]
    assert len(caplog.records) == 1
    assert [message.text for message in memory.sessions.get_messages("t")] == ["set pet Rex"]


def test_11_what_can_be_no_id_costs_no_answer_unless_strict(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    model = Scripted()
    for wrong in (True, object(), "x" * 600, "a\0b"):
        create_agent(model, middleware=[LongTermMemoryMiddleware(memory)]).invoke(ASKED, run(user_id=wrong))
        strict = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, strict=True)])
        with pytest.raises(ScopeError):
            strict.invoke(ASKED, run(user_id=wrong))
    assert model.prompts == [""] * 4
    assert "An agent ran without memory" in caplog.text


async def test_12_fifty_runs_at_once_never_see_another_users_facts(memory: Memory) -> None:
    model = Scripted()
    agent: Any = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)], context_schema=Context)
    users = ["ana", "ben"] * 25
    asked = [agent.ainvoke(said(f"Where am I, {user}?"), context=Context(user)) for user in users]
    await asyncio.gather(*asked)
    assert len(model.seen) == 50
    for messages in model.seen:
        assert ("Oslo" in messages[0].text, "Rome" in messages[0].text) == (
            "ana" in messages[-1].text,
            "ben" in messages[-1].text,
        )


def test_12_a_batch_of_twenty_never_mixes_users(memory: Memory) -> None:
    model = Scripted()
    agent: Any = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)])
    users = ["ana", "ben"] * 10
    agent.batch([said(f"I am {user}") for user in users], [run(user_id=user) for user in users])
    for messages in model.seen:
        assert ("Oslo" if "ana" in messages[-1].text else "Rome") in messages[0].text
        assert ("Rome" if "ana" in messages[-1].text else "Oslo") not in messages[0].text


def test_12_equal_message_ids_of_two_users_are_two_turns(memory: Memory) -> None:
    model = Scripted()
    agent: Any = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)])
    asked = {"messages": [{"role": "user", "content": "Where am I?", "id": "1"}]}
    model.replies = [ValueError("stopped in the middle of the turn")]
    with pytest.raises(ValueError, match="stopped"):
        agent.invoke(asked, run(user_id="ana"))
    agent.invoke(asked, run(user_id="ben"))
    assert "Rome" in model.prompts[-1]
    assert "Oslo" not in model.prompts[-1]


@pytest.mark.parametrize("user_id", ["ana@example.com", "a/b", "*", "雪", "x" * 300, "u1", "u10"])
def test_13_any_text_is_an_id_of_its_own(memory: Memory, user_id: str) -> None:
    model = Scripted()
    agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)])
    agent.invoke(said(f"set pet {user_id[:9]}"), run(user_id=user_id))
    memory.flush()
    assert [fact.value for fact in memory.facts.get_all(scope_id=user_id)] == [user_id[:9]]
    agent.invoke(ASKED, run(user_id="u"))
    assert model.prompts[-1] == ""


def test_14_the_authenticated_user_beats_what_the_client_says() -> None:
    server = SimpleNamespace(user=SimpleNamespace(identity="ana"))
    runtime: Any = SimpleNamespace(server_info=server, context={"user_id": "ben"})
    assert People().find(runtime, run("t", user_id="ben")) == {"user_id": "ana", "session_id": "t", "agent_id": None}
    assert People(user_id="eve").find(runtime, {})["user_id"] == "eve"


def test_a_session_belongs_to_its_first_user(memory: Memory) -> None:
    model = Scripted()
    agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)])
    agent.invoke(said("set pet Rex"), run("t", user_id="ana"))
    agent.invoke(said("set pet Tom"), run("t", user_id="ben"))
    assert "Rex" not in model.prompts[-1]
    assert learned(memory, "ben") == []
