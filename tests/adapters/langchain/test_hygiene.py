"""D. Loops, threads, imports and warnings: a guest who leaves no trace."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage

from ltm_core import AsyncMemory, ConfigurationError, InvalidInput, Memory
from ltm_langchain import LongTermMemoryMiddleware, create_memory_tools
from ltm_langchain.people import People
from tests.adapters.langchain.models import Scripted, run, said

ASKED = said("Where am I?")
ANA = run(user_id="ana")


@pytest.fixture(params=["memory", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/memory.db"
    with Memory(url, background=False) as memory:
        memory.facts.add("location", "Oslo", scope_id="ana")
        yield memory


def agent_of(memory: Memory | AsyncMemory, model: Scripted | None = None, **options: Any) -> Any:
    options = {"recall_budget_ms": None, **options}  # these tests are not about a machine that is busy
    return create_agent(model or Scripted(), middleware=[LongTermMemoryMiddleware(memory, **options)])


async def test_27_blockbuster_is_on_in_async_tests() -> None:
    from blockbuster import BlockingError

    with pytest.raises(BlockingError):
        People(user_id=lambda runtime, config: time.sleep(0)).find()


async def test_27_nothing_blocks_the_loop(kept: Memory) -> None:
    model = Scripted()
    await agent_of(kept, model).ainvoke(ASKED, ANA)
    assert "Oslo" in model.prompts[0]


async def test_27_a_blocking_run_in_a_thread_beside_a_loop_works(kept: Memory) -> None:
    model = Scripted()
    await asyncio.to_thread(agent_of(kept, model).invoke, ASKED, ANA)
    assert "Oslo" in model.prompts[0]


def test_28_one_agent_lives_through_two_loops(kept: Memory) -> None:
    model = Scripted()
    agent = agent_of(kept.as_async(), model)
    asyncio.run(agent.ainvoke(ASKED, ANA))
    asyncio.run(agent.ainvoke(ASKED, ANA))
    agent.invoke(ASKED, ANA)
    assert ["Oslo" in prompt for prompt in model.prompts] == [True] * 3


def test_28_sixteen_threads_use_one_agent(kept: Memory) -> None:
    model = Scripted()
    agent = agent_of(kept, model, recall_budget_ms=None)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: agent.invoke(ASKED, ANA), range(32)))
    assert len(answers) == 32
    assert all("Oslo" in prompt for prompt in model.prompts)


def test_28_eight_calls_of_tools_at_once_are_all_kept(kept: Memory) -> None:
    calls = [
        {"name": "remember", "args": {"content": f"Gate {number} is green."}, "id": str(number)} for number in range(8)
    ]
    agent: Any = create_agent(Scripted(replies=[AIMessage("", tool_calls=calls)]), create_memory_tools(kept))
    agent.invoke(said("Remember the gates."), ANA)
    assert len(kept.facts.get_all(scope_id="ana")) == 9


def test_29_two_memories_need_two_names(kept: Memory) -> None:
    model = Scripted()
    first, second = LongTermMemoryMiddleware(kept), LongTermMemoryMiddleware(kept, name="Team", user_id="team")
    kept.facts.add("motto", "Onward", scope_id="team")
    create_agent(model, middleware=[first, second]).invoke(ASKED, ANA)
    assert {"Oslo" in model.prompts[0], "Onward" in model.prompts[0]} == {True}
    with pytest.raises(AssertionError, match="duplicate middleware"):
        create_agent(model, middleware=[first, LongTermMemoryMiddleware(kept)])


def test_30_it_adds_one_node_to_the_graph(kept: Memory) -> None:
    bare, ours = create_agent(Scripted()), agent_of(kept)
    assert set(ours.nodes) - set(bare.nodes) == {"LongTermMemoryMiddleware.after_agent"}


def test_31_the_core_does_not_import_the_framework() -> None:
    program = "import sys, ltm_core; print([name for name in sys.modules if name.startswith('lang')])"
    assert _python(program).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [
        ("langchain", "ltm_langchain", "ltm-core[langchain]"),
        ("langchain_classic", "ltm_langchain.classic", "ltm-core[langchain-classic]"),
    ],
)
def test_31_what_is_not_installed_is_said_in_one_line(missing: str, module: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None\nimport {module}"
    last = _python(program, expect=1).stderr.strip().splitlines()[-1]
    assert last.startswith("ltm_core.errors.MissingExtra")
    assert extra in last


def test_32_nothing_that_is_not_legacy_warns() -> None:
    program = """
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from ltm_core import Memory
from ltm_langchain import *
memory = Memory("memory://")
model = FakeListChatModel(responses=["Fine."])
agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory)])
config = {"configurable": {"user_id": "ana"}}
agent.invoke({"messages": [("user", "Hi.")]}, config)
create_memory_tools(memory, actions=["recall"])[0].invoke({"query": "Hi."}, config)
LongTermMemoryRetriever(memory=memory).invoke("Hi.", config)
memory_context(memory).invoke("Hi.", config)
"""
    assert _python(program, "-W", "error::DeprecationWarning").stderr == ""


def test_options_that_cannot_work_are_refused_at_once(kept: Memory) -> None:
    with pytest.raises(ConfigurationError):
        LongTermMemoryMiddleware("sqlite:///memory.db")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        LongTermMemoryMiddleware(kept, strategy="best")


def _python(program: str, *flags: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *flags, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, done.stderr
    return done
