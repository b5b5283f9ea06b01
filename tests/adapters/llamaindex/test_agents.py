"""Agents and workflows with a `LongTermMemory`; each test is named after its check."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, ConfigurationError, Memory
from tests.adapters.conftest import Recalls, learned
from tests.adapters.llamaindex.fakes import FakeLLM, call, simple

# isort: split
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, TextBlock
from llama_index.core.memory import InsertMethod, StaticMemoryBlock
from llama_index.core.memory import Memory as StockMemory
from llama_index.core.prompts import RichPromptTemplate
from llama_index.core.workflow import Context, JsonPickleSerializer, JsonSerializer

from ltm_llamaindex import LearningChatStore, LongTermChatStore, LongTermMemory, LongTermMemoryBlock

# What LlamaIndex does itself: its agents are looked at attribute by attribute, pydantic's old ones too.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

QUESTION = "Where is my location?"


def of(memory: Memory, user_id: str | None = "ana", **options: Any) -> LongTermMemory:
    block = {"recall_timeout": None, **options.pop("block", {})}
    return LongTermMemory.from_defaults(memory=memory, user_id=user_id, block=block, **options)


def weather(place: str) -> str:
    """The weather at a place."""
    return f"secret payload: rain in {place}"


def agent(llm: FakeLLM, **options: Any) -> FunctionAgent:
    return FunctionAgent(llm=llm, tools=[weather], **options)


@pytest.mark.parametrize("streaming", [True, False])
async def test_05_an_agent_with_a_tool_searches_once_and_learns_the_turn_without_the_payload(
    streaming: bool, memory: Memory, recalls: Recalls
) -> None:
    llm = FakeLLM(call("weather", place="Oslo"), "It rains.")
    await agent(llm, streaming=streaming).run(QUESTION, memory=of(memory))
    assert recalls.count == 1
    assert all("lives in Oslo" in text or "Oslo" in text for text in llm.texts)
    assert learned(memory, "ana") == [[("user", QUESTION), ("assistant", "It rains.")]]


async def test_05_the_next_question_of_the_same_words_is_searched_for_anew(memory: Memory, recalls: Recalls) -> None:
    llm, mine = FakeLLM(), of(memory)
    await agent(llm).run(QUESTION, memory=mine)
    memory.facts.update("location", "Bergen", scope_id="ana")
    await agent(llm).run(QUESTION, memory=mine)
    assert recalls.count == 2
    assert "Bergen" in llm.texts[-1]


@pytest.mark.parametrize("system_prompt", [None, "Be kind."])
@pytest.mark.parametrize("streaming", [True, False])
async def test_06_a_react_agent_sees_the_facts_with_and_without_a_system_prompt(
    system_prompt: str | None, streaming: bool, memory: Memory
) -> None:
    llm = FakeLLM(
        'Thought: I look.\nAction: weather\nAction Input: {"place": "here"}', "Thought: Clear.\nAnswer: It rains."
    )
    react = ReActAgent(llm=llm, tools=[weather], system_prompt=system_prompt, streaming=streaming)
    await react.run(QUESTION, memory=of(memory))
    assert len(llm.texts) == 2
    assert all("Oslo" in text for text in llm.texts)


async def test_07_what_a_react_agent_thinks_is_not_learned(memory: Memory) -> None:
    llm = FakeLLM("Thought: I can answer without tools.\nAnswer: Fine.\nReally.")
    await ReActAgent(llm=llm, tools=[weather]).run("set mood good", memory=of(memory))
    assert learned(memory, "ana") == [[("user", "set mood good"), ("assistant", "Fine.\nReally.")]]


async def test_08_both_agents_of_a_handoff_see_the_fact_and_one_turn_is_learned(memory: Memory) -> None:
    first = FakeLLM(call("handoff", to_agent="second", reason="weather"))
    second = FakeLLM("It rains.")
    team = AgentWorkflow(
        agents=[
            FunctionAgent(name="first", description="Asks.", llm=first, can_handoff_to=["second"]),
            FunctionAgent(name="second", description="Answers.", llm=second, tools=[weather]),
        ],
        root_agent="first",
    )
    await team.run(user_msg=QUESTION, memory=of(memory))
    assert "Oslo" in first.texts[-1]
    assert "Oslo" in second.texts[-1]
    assert learned(memory, "ana") == [[("user", QUESTION), ("assistant", "It rains.")]]


async def test_09_a_context_that_is_used_again_has_the_same_memory_and_its_history(memory: Memory) -> None:
    llm, mine = FakeLLM(), of(memory)
    worker = agent(llm)
    ctx = Context(worker)
    await worker.run("set drink tea", ctx=ctx, memory=mine)
    await worker.run(QUESTION, ctx=ctx)
    assert await ctx.store.get("memory") is mine
    assert len(mine.get_all()) == 4
    assert "set drink tea" in llm.texts[-1]
    assert "Oslo" in llm.texts[-1]


@pytest.mark.parametrize("serializer", [JsonSerializer, JsonPickleSerializer])
async def test_10_a_serialised_context_finds_the_living_memory_unharmed(serializer: Any, memory: Memory) -> None:
    llm, mine = FakeLLM(), of(memory)
    worker = agent(llm)
    ctx = Context(worker)
    await worker.run("set drink tea", ctx=ctx, memory=mine)
    written = json.loads(json.dumps(ctx.to_dict(serializer=serializer())))
    again = Context.from_dict(worker, written, serializer=serializer())
    await worker.run(QUESTION, ctx=again)
    assert await again.store.get("memory") is mine
    assert mine.memory_blocks
    assert mine.sql_store is not None
    assert "set drink tea" in llm.texts[-1]


@pytest.mark.parametrize("own_store", [True, False])
async def test_10_a_memory_that_is_gone_is_rebuilt_over_the_same_core_and_history(
    own_store: bool, memory: Memory
) -> None:
    options: dict[str, Any] = {"chat_store": LongTermChatStore(memory, user_id="ana")} if own_store else {}
    worker = agent(FakeLLM())
    ctx = Context(worker)
    await worker.run(
        "set drink tea", ctx=ctx, memory=of(memory, session_id="s", insert_method=InsertMethod.USER, **options)
    )
    written = ctx.to_dict(serializer=JsonSerializer())
    del ctx
    gc.collect()
    llm = FakeLLM()
    worker = agent(llm)
    again = Context.from_dict(worker, written, serializer=JsonSerializer())
    await worker.run(QUESTION, ctx=again)
    rebuilt = await again.store.get("memory")
    assert (rebuilt.session_id, rebuilt.block.user_id, rebuilt.insert_method) == ("s", "ana", InsertMethod.USER)
    assert "set drink tea" in llm.texts[-1]
    assert "Oslo" in llm.texts[-1]
    assert len(learned(memory, "ana")) == 2


def test_10_what_was_set_is_set_in_the_rebuilt_memory_too(memory: Memory) -> None:
    mine = of(
        memory,
        token_limit=900,
        token_flush_size=90,
        chat_history_token_ratio=0.5,
        image_token_size_estimate=7,
        memory_blocks_template=RichPromptTemplate("{% for block in memory_blocks %}{{ block }}{% endfor %}"),
        learn="flush",
        block={"name": "facts", "top_k": 3, "token_budget": 70, "namespace": "work", "require_user": False},
    )
    written = {**json.loads(json.dumps(mine.to_dict())), "live_key": "gone"}
    again = LongTermMemory.from_dict(written)
    assert again is not mine
    assert again.to_dict() == written
    assert again.memory_blocks_template == mine.memory_blocks_template
    assert again.image_token_size_estimate == 7
    assert (again.token_limit, again.token_flush_size, again.chat_history_token_ratio) == (900, 90, 0.5)
    assert (again.block.name, again.block.top_k, again.block.namespace) == ("facts", 3, "work")
    assert again.block.learn == "flush"


IN_ANOTHER_PROCESS = """
import asyncio, json, sys
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.workflow import Context, JsonSerializer
from tests.adapters.llamaindex.fakes import FakeLLM

async def main():
    llm = FakeLLM()
    worker = FunctionAgent(llm=llm)
    ctx = Context.from_dict(worker, json.load(sys.stdin), serializer=JsonSerializer())
    await worker.run("I love hiking. What drink do I like?", ctx=ctx)
    memory = await ctx.store.get("memory")
    await memory.aflush()
    facts = await memory.core.facts.get_all(scope_id="ana")
    print(json.dumps([llm.texts[-1], [fact.text for fact in facts]]))
    await memory.core.close()

asyncio.run(main())
"""


def _elsewhere(written: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        input=written,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_10_another_process_goes_on_with_history_and_facts(tmp_path: Path) -> None:
    worker = agent(FakeLLM())
    ctx = Context(worker)
    async with AsyncMemory(f"sqlite:///{tmp_path}/memory.db", background=False) as memory:
        mine = LongTermMemory.from_defaults(memory=memory, user_id="ana", block={"recall_timeout": None})
        await worker.run("I drink green tea.", ctx=ctx, memory=mine)
        await memory.facts.add("drink", "green tea", scope_id="ana", text="User drinks green tea.")
        written = ctx.to_dict(serializer=JsonSerializer())
    seen, facts = await asyncio.to_thread(_elsewhere, json.dumps(written))
    assert "I drink green tea." in seen
    assert "User drinks green tea." in seen
    assert any("hiking" in fact for fact in facts)


async def test_10_what_only_the_application_can_open_is_asked_for(memory: Memory) -> None:
    written = of(memory).to_dict()
    gone = {**written, "live_key": "gone", "memory": {"name": "gone", "tenant": "default", "url": None}}
    with pytest.raises(ConfigurationError, match="restore_with"):
        LongTermMemory.from_dict(gone)
    strange = {**written, "live_key": "gone", "chat_store": {"class_name": "Strange"}}
    with pytest.raises(ConfigurationError, match="restore_with"):
        LongTermMemory.from_dict(strange)
    try:
        store = LongTermChatStore(memory)
        LongTermMemory.restore_with(memory, store)
        assert LongTermMemory.from_dict({**gone, "chat_store": {"class_name": "Strange"}}).sql_store is store
    finally:
        LongTermMemory.restore_with(memory)


def test_10_no_password_is_written(memory: Memory) -> None:
    mine = of(memory, async_database_uri="postgresql+asyncpg://me:hunter2@host/db")
    assert "hunter2" not in json.dumps(mine.to_dict())


def test_11_copies_and_pickles_are_the_memory_itself_unharmed(memory: Memory) -> None:
    mine = of(memory, memory_blocks=[StaticMemoryBlock(static_content=[TextBlock(text="Hello")])])
    before = dict(mine.__dict__)
    assert copy.deepcopy(mine) is mine
    assert pickle.loads(pickle.dumps(mine)) is mine
    assert copy.deepcopy({"memory": mine, "block": mine.block})["block"] is mine.block
    assert mine.__dict__ == before
    assert mine.core is memory.as_async()


async def test_11_editing_the_state_of_a_context_keeps_the_memory(memory: Memory) -> None:
    mine = of(memory)
    worker = agent(FakeLLM())
    ctx = Context(worker)
    await worker.run(QUESTION, ctx=ctx, memory=mine)
    async with ctx.store.edit_state() as state:
        state["note"] = 1
    assert await ctx.store.get("memory") is mine


@pytest.mark.parametrize("asked_last", [True, False])
async def test_19_a_history_handed_to_an_agent_is_not_learned_but_its_open_question_is(
    asked_last: bool, memory: Memory
) -> None:
    history = [ChatMessage("set a 1"), ChatMessage(role="assistant", content="Long ago.")]
    llm = FakeLLM()
    if asked_last:
        await agent(llm).run(chat_history=[*history, ChatMessage(QUESTION)], memory=of(memory))
    else:
        await agent(llm).run(QUESTION, chat_history=history, memory=of(memory))
    assert learned(memory, "ana") == [[("user", QUESTION), ("assistant", "Noted.")]]
    assert "Oslo" in llm.texts[-1]


async def test_20_a_scope_around_the_run_says_who_talks(memory: Memory) -> None:
    llm = FakeLLM(call("weather", place="here"), "It rains.")
    with memory.scope(user_id="ben"):
        running = agent(llm).run(QUESTION, memory=of(memory, None))
    await running
    assert "Rome" in llm.texts[-1]
    assert len(learned(memory, "ben")) == 1


async def test_22_a_plain_memory_with_a_learning_store_works_in_an_agent(memory: Memory) -> None:
    store = LearningChatStore(LongTermChatStore(memory), memory, user_id="ana")
    block = LongTermMemoryBlock(memory, user_id="ana", recall_timeout=None)
    plain = StockMemory.from_defaults(session_id="s", chat_store=store, memory_blocks=[block])
    llm = FakeLLM(call("weather", place="Oslo"), "It rains.")
    await agent(llm).run(QUESTION, memory=plain)
    assert "Oslo" in llm.texts[0]
    assert learned(memory, "ana") == [[("user", QUESTION), ("assistant", "It rains.")]]
    assert [message.role.value for message in plain.get_all()] == ["user", "assistant", "tool", "assistant"]


def test_01_a_simple_engine_puts_the_facts_at_the_question_and_keeps_them_out_of_the_history(memory: Memory) -> None:
    mine, llm = of(memory), FakeLLM()
    simple(llm, mine).chat(QUESTION)
    assert [message.role.value for message in llm.seen[-1]] == ["user"]
    assert "long_term_memory" not in str(mine.get_all())
