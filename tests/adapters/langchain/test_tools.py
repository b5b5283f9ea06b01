"""Tools: the model remembers, recalls and forgets, for the user of the run and for nobody else."""

from __future__ import annotations

import json
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.checkpoint.memory import InMemorySaver

from ltm_core import AsyncMemory, Memory, StoreUnavailable
from ltm_langchain import create_manage_memory_tool, create_memory_tools, create_search_memory_tool
from tests.adapters.langchain.models import Scripted, call, run, said

ANA = run("t", user_id="ana")


def told(memory: Memory | AsyncMemory, reply: Any, config: Any = ANA, **options: Any) -> Any:
    """What the model was told by the tool that it called."""
    tools = [*create_memory_tools(memory, **options), create_manage_memory_tool(memory)]
    agent: Any = create_agent(Scripted(replies=[reply]), [*tools, create_search_memory_tool(memory)])
    return agent.invoke(said("Hi."), config)["messages"][2]


def values(memory: Memory, user_id: str = "ana") -> list[Any]:
    return [fact.value for fact in memory.facts.get_all(scope_id=user_id)]


def test_a_model_remembers_recalls_and_forgets(memory: Memory) -> None:
    assert "Rex" in told(memory, call("remember", content="set pet Rex")).content
    assert values(memory) == ["Oslo", "Rex"]
    assert {fact["key"] for fact in json.loads(told(memory, call("recall", query="pet Rex")).content)} >= {"pet"}
    assert told(memory, call("forget", key="pet")).content == "Forgotten: pet"
    assert "no memory" in told(memory, call("forget", key="pet")).content
    assert values(memory) == ["Oslo"]


def test_what_no_extractor_understands_is_kept_word_for_word(memory: Memory) -> None:
    told(memory, call("remember", content="Gate 7 is the quick one."))
    told(memory, call("remember", content="Gate 7 is the quick one."))
    assert values(memory) == ["Oslo", "Gate 7 is the quick one."]


def test_langmems_names_create_update_search_and_delete(memory: Memory) -> None:
    told(memory, call("manage_memory", content="Gate 7 is the quick one."))
    (found,) = json.loads(told(memory, call("search_memory", query="quick gate", limit=1)).content)
    assert found["content"] == "Gate 7 is the quick one."
    told(memory, call("manage_memory", action="update", id=found["id"], content="Gate 8 is."))
    assert values(memory) == ["Oslo", "Gate 8 is."]
    told(memory, call("manage_memory", action="delete", id=found["id"]))
    assert values(memory) == ["Oslo"]
    assert told(memory, call("manage_memory", action="delete", id="nope")).status == "error"
    assert told(memory, call("manage_memory", action="update", content="x")).status == "error"
    assert told(memory, call("manage_memory")).status == "error"


async def test_the_same_holds_for_async_runs() -> None:
    async with AsyncMemory("memory://", background=False) as memory:
        agent: Any = create_agent(
            Scripted(replies=[call("remember", content="I live in Oslo."), call("recall", query="Where?")]),
            create_memory_tools(memory),
        )
        messages = (await agent.ainvoke(said("Hi."), ANA))["messages"]
        assert "Oslo" in messages[2].content
        assert "Oslo" in messages[4].content


def test_15_the_model_cannot_choose_whose_memory_it_is(memory: Memory) -> None:
    reply = call("recall", query="Where am I?", user_id="ben", runtime={"context": {"user_id": "ben"}})
    assert "Rome" not in told(memory, reply).content
    assert "Oslo" in told(memory, reply).content
    for tool in create_memory_tools(memory):
        assert not {"user_id", "runtime", "config"} & set(tool.args)


def test_15_two_users_of_one_agent_are_two_memories(memory: Memory) -> None:
    told(memory, call("remember", content="set pet Rex"), run(user_id="ana@example.com"))
    assert values(memory, "ana@example.com") == ["Rex"]
    assert "Rex" not in told(memory, call("recall", query="pet"), run(user_id="ben")).content


def test_11_without_a_user_the_model_is_told_so(memory: Memory) -> None:
    for action in (call("remember", content="set pet Rex"), call("recall", query="pet"), call("forget", key="pet")):
        for config in (run("t"), run("t", user_id="")):
            message = told(memory, action, config)
            assert message.status == "error"
            assert "named" in message.content
    assert values(memory) == ["Oslo"]


def test_39_a_tool_that_fails_says_so_and_the_run_goes_on() -> None:
    def broken(_: Any) -> Any:
        raise StoreUnavailable("The disk is on fire. Put it out.")

    with Memory("memory://", render=broken, background=False) as memory:
        message = told(memory, call("recall", query="pet"))
        assert message.status == "error"
        assert "The disk is on fire" in message.content


def test_39_the_names_are_stable_so_that_a_person_can_be_asked_first(memory: Memory) -> None:
    ask = HumanInTheLoopMiddleware(interrupt_on={"remember": True, "forget": True})
    model = Scripted(replies=[call("remember", content="set pet Rex")])
    agent: Any = create_agent(model, create_memory_tools(memory), middleware=[ask], checkpointer=InMemorySaver())
    assert "__interrupt__" in agent.invoke(said("Hi."), ANA)
    assert values(memory) == ["Oslo"]


def test_tools_may_be_fewer_and_have_other_names(memory: Memory) -> None:
    (tool,) = create_memory_tools(memory, actions=["recall"], names={"recall": "look_up"}, user_id="ana")
    assert tool.name == "look_up"
    assert "Oslo" in tool.invoke({"query": "Where am I?"})


class _Standard:
    name: str
    example: dict[str, Any]
    # One for the whole class: the suites ask for a tool without asking for fixtures.
    shared = Memory("memory://", background=False)

    @property
    def tool_constructor(self) -> Any:
        (tool,) = create_memory_tools(self.shared, actions=[self.name], user_id="ana")  # type: ignore[list-item]
        return tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self.example


class Test38Remember(_Standard, ToolsUnitTests):
    name, example = "remember", {"content": "I live in Oslo."}


class Test38Recall(_Standard, ToolsUnitTests):
    name, example = "recall", {"query": "Where?", "limit": 3}


class Test38Forget(_Standard, ToolsUnitTests):
    name, example = "forget", {"key": "location"}


class Test38RememberAtWork(_Standard, ToolsIntegrationTests):
    name, example = "remember", {"content": "I live in Oslo."}


class Test38RecallAtWork(_Standard, ToolsIntegrationTests):
    name, example = "recall", {"query": "Where?", "limit": 3}


class Test38ForgetAtWork(_Standard, ToolsIntegrationTests):
    name, example = "forget", {"key": "location"}
