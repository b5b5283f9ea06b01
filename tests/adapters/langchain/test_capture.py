"""C. What is said is written down once, by its author, and survives what happens to a run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from ltm_core import AsyncMemory, Candidate, ExtractionError, Memory, StoreUnavailable
from ltm_core.policies import Extracting, Ranked, Ranking
from ltm_core.recall.rank import rank
from ltm_core.turn import failures
from ltm_langchain import LongTermMemoryMiddleware
from tests.adapters.conftest import Recalls, learned
from tests.adapters.langchain.models import Scripted, call, run, said
from tests.conftest import told

ROOT = Path(__file__).parents[3]
ANA = run("t", user_id="ana")


def agent_of(memory: Memory, model: Scripted | None = None, *around: Any, **options: Any) -> Any:
    middleware = [*around, LongTermMemoryMiddleware(memory)]
    options = {"checkpointer": InMemorySaver(), **options}
    return create_agent(model or Scripted(), options.pop("tools", []), middleware=middleware, **options)


def words(memory: Memory, user_id: str = "ana") -> list[tuple[str, str]]:
    """All that is to be learned of a user."""
    return [message for turn in learned(memory, user_id) for message in turn]


@tool
def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is grey."


@tool
def send(text: str) -> str:
    """Send a text."""
    return "Sent."


def test_a_turn_is_what_was_said_and_what_was_answered(memory: Memory) -> None:
    agent_of(memory, Scripted(replies=["Hello Ana."])).invoke(said("Hi."), ANA)
    assert words(memory) == [("user", "Hi."), ("assistant", "Hello Ana.")]
    assert [message.text for message in memory.sessions.get_messages("t")] == ["Hi.", "Hello Ana."]


def test_several_messages_at_once_are_all_said_and_images_are_not_words(memory: Memory) -> None:
    image: Any = [{"type": "text", "text": "See."}, {"type": "image", "url": "https://example.com/i.png"}]
    agent_of(memory).invoke({"messages": [HumanMessage("Hi."), HumanMessage(image)]}, ANA)
    assert words(memory)[:2] == [("user", "Hi."), ("user", "See.")]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_16_a_summary_in_the_middle_of_a_turn_hides_nothing_and_is_not_learned(
    memory: Memory, recalls: Recalls, mode: str
) -> None:
    summary = SummarizationMiddleware(Scripted(replies=["SUMMARY"] * 9), trigger=("messages", 5), keep=("messages", 2))
    model = Scripted(replies=[call("look", place=place) for place in "abcd"])
    agent = agent_of(memory, model, summary, tools=[look])
    if mode == "async":
        asyncio.run(agent.ainvoke(said("set pet Rex"), ANA))
    else:
        agent.invoke(said("set pet Rex"), ANA)
    assert any("summary" in str(messages) for messages in model.seen), "it never summarised"
    assert recalls.count == 1
    assert all("Oslo" in prompt for prompt in model.prompts)
    assert words(memory) == [("user", "set pet Rex"), ("assistant", "Fine.")]


@pytest.mark.parametrize("first", [True, False])
def test_17_only_redacted_text_is_stored(memory: Memory, first: bool) -> None:
    pii = PIIMiddleware("email", apply_to_input=True, apply_to_output=True)
    ours = LongTermMemoryMiddleware(memory)
    agent = create_agent(
        Scripted(replies=["I wrote to bob@example.com."]), middleware=[ours, pii] if first else [pii, ours]
    )
    agent.invoke(said("I am ana@example.com"), ANA)
    assert len(words(memory)) == 2
    assert "@example.com" not in repr(words(memory)) + repr(memory.sessions.get_messages("t"))


def test_18_a_stream_that_is_left_loses_nothing_that_was_said(memory: Memory) -> None:
    stream = agent_of(memory).stream(said("set pet Rex"), ANA, stream_mode="messages")
    next(stream)
    stream.close()
    assert ("user", "set pet Rex") in words(memory)


async def test_18_nor_does_an_async_one(memory: Memory) -> None:
    stream = agent_of(memory).astream(said("set pet Rex"), ANA, stream_mode="messages")
    await anext(stream)
    await stream.aclose()
    assert ("user", "set pet Rex") in await asyncio.to_thread(words, memory)


def test_18_nor_does_a_model_that_fails(memory: Memory) -> None:
    with pytest.raises(ValueError, match="no credit"):
        agent_of(memory, Scripted(replies=[ValueError("no credit")])).invoke(said("set pet Rex"), ANA)
    assert words(memory) == [("user", "set pet Rex")]


APPROVED: Any = Command(resume={"decisions": [{"type": "approve"}]})


def test_19_a_resumed_run_is_informed_and_learned_once_by_a_new_middleware() -> None:
    extracted: list[Extracting] = []

    def extract(given: Extracting) -> Sequence[Candidate]:
        extracted.append(given)
        return told(given)

    saver, ask = InMemorySaver(), HumanInTheLoopMiddleware(interrupt_on={"send": True})
    with Memory("memory://", extract=extract, background=False) as memory:
        memory.facts.add("location", "Oslo", scope_id="ana")
        first = Scripted(replies=[call("send", text="Hi")])
        agent_of(memory, first, ask, tools=[send], checkpointer=saver).invoke(said("set pet Rex"), ANA)
        assert words(memory) == [("user", "set pet Rex")]
        model = Scripted(replies=["Sent it."])
        agent_of(memory, model, ask, tools=[send], checkpointer=saver).invoke(APPROVED, ANA)
        assert "Oslo" in model.prompts[0]
        assert learned(memory, "ana") == [[("user", "set pet Rex"), ("assistant", "Sent it.")]]
        assert memory.flush()
    assert [[message.text for message in given.messages] for given in extracted] == [["set pet Rex", "Sent it."]]


async def test_19_an_async_run_is_resumed_and_learned_once() -> None:
    saver, ask = InMemorySaver(), HumanInTheLoopMiddleware(interrupt_on={"send": True})
    async with AsyncMemory("memory://", extract=told, background=False) as memory:
        for reply, given in ((call("send", text="Hi"), said("set pet Rex")), ("Sent it.", APPROVED)):
            middleware = [ask, LongTermMemoryMiddleware(memory)]
            model = Scripted(replies=[reply])
            agent: Any = create_agent(model, [send], middleware=middleware, checkpointer=saver)
            await agent.ainvoke(given, ANA)
        (job,) = await memory.jobs.list(user_id="ana")
        whole = await memory.jobs.show(job.id)
        assert [message.text for message in whole.messages] == ["set pet Rex", "Sent it."]


def test_19_a_person_who_approves_after_it_was_learned_causes_no_second_extraction(memory: Memory) -> None:
    saver, ask = InMemorySaver(), HumanInTheLoopMiddleware(interrupt_on={"send": True})
    model = Scripted(replies=[call("send", text="Hi"), "Sent it."])
    agent = agent_of(memory, model, ask, tools=[send], checkpointer=saver)
    agent.invoke(said("set pet Rex"), ANA)
    memory.flush()
    agent.invoke(APPROVED, ANA)
    assert learned(memory, "ana") == [[("user", "set pet Rex")]]
    assert [message.text for message in memory.sessions.get_messages("t")] == ["set pet Rex", "Sent it."]


RUN = """
import sys
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langgraph.checkpoint.sqlite import SqliteSaver
from ltm_core import Memory
from ltm_langchain import LongTermMemoryMiddleware
from tests.adapters.langchain.models import call
from tests.adapters.langchain.test_capture import ANA, APPROVED, Scripted, said, send
from tests.conftest import told

folder, reply = sys.argv[1:]

def extract(given):
    with open(f"{folder}/extracted", "a") as log:
        print(*(message.text for message in given.messages), file=log)
    return told(given)

model = Scripted(replies=[call("send", text="Hi") if reply == "ask" else reply])
with Memory(f"sqlite:///{folder}/memory.db", extract=extract) as memory, SqliteSaver.from_conn_string(
    f"{folder}/threads.db"
) as saver:
    middleware = [HumanInTheLoopMiddleware(interrupt_on={"send": True}), LongTermMemoryMiddleware(memory)]
    agent = create_agent(model, [send], middleware=middleware, checkpointer=saver)
    agent.invoke(said("set pet Rex") if reply == "ask" else APPROVED, ANA)
    if reply == "ask":
        memory.facts.add("location", "Oslo", scope_id="ana")
    else:
        print(model.prompts)
        assert memory.flush()
"""


def test_19_a_run_is_resumed_in_another_process_and_learned_once(tmp_path: Path) -> None:
    for reply in ("ask", "Sent it."):
        program = [sys.executable, "-c", RUN, str(tmp_path), reply]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    assert "Oslo" in done.stdout
    assert (tmp_path / "extracted").read_text() == "set pet Rex Sent it.\n"


def test_19_a_run_that_is_resumed_by_nobody_gets_no_memory(memory: Memory) -> None:
    saver = InMemorySaver()
    ask = HumanInTheLoopMiddleware(interrupt_on={"send": True})
    model = Scripted(replies=[call("send", text="Hi")])
    agent = agent_of(memory, model, ask, tools=[send], checkpointer=saver)
    agent.invoke(said("set pet Rex"), ANA)
    agent.invoke(APPROVED, run("t"))
    assert model.prompts[-1] == ""
    assert words(memory) == [("user", "set pet Rex")]


def test_20_a_fork_and_a_regenerated_answer_learn_what_was_said_once(memory: Memory) -> None:
    agent = agent_of(memory, Scripted(replies=["One.", "Two."]))
    agent.invoke(said("set pet Rex"), ANA)
    before = next(state for state in agent.get_state_history(ANA) if state.next == ("model",))
    agent.invoke(None, before.config)
    assert words(memory).count(("user", "set pet Rex")) == 1
    memory.flush()
    assert len(memory.facts.history("pet", scope_id="ana")) == 1


def test_20_going_on_after_a_later_hook_failed_learns_once(memory: Memory) -> None:
    class Fails(AgentMiddleware[Any, Any, Any]):
        times = 0

        def after_agent(self, state: Any, runtime: Any) -> None:
            self.times += 1
            if self.times == 1:
                raise ValueError("mail server down")

    agent = agent_of(memory, None, Fails())
    with pytest.raises(ValueError, match="mail server"):
        agent.invoke(said("set pet Rex"), ANA)
    agent.invoke(None, ANA)
    assert words(memory) == [("user", "set pet Rex"), ("assistant", "Fine.")]


def test_21_a_caller_that_sends_the_whole_conversation_each_time_is_learned_once(memory: Memory) -> None:
    agent = agent_of(memory, Scripted(replies=[f"Answer {n}." for n in range(5)]), checkpointer=None)
    conversation: list[Any] = []
    for number in range(5):
        conversation.append(("user", f"set pet{number} Rex"))
        answer = agent.invoke({"messages": conversation}, run(user_id="ana"))["messages"][-1]
        conversation.append(("assistant", answer.text))
    assert [text for role, text in words(memory) if role == "user"] == [f"set pet{n} Rex" for n in range(5)]
    assert len(words(memory)) == 10


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("place", ["node", "tool"])
def test_22_a_subagent_knows_but_learns_only_if_asked_to(memory: Memory, place: str, learns: bool) -> None:
    model = Scripted()
    inner: Any = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, learn_in_subagents=learns)])

    @tool
    def ask(task: str) -> str:
        """Ask a colleague."""
        return str(inner.invoke(said(task))["messages"][-1].text)

    if place == "node":
        graph: Any = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner").compile()
    else:
        graph = create_agent(Scripted(replies=[call("ask", task="set pet Rex")]), [ask])
    graph.invoke(said("set pet Rex"), ANA)
    assert "Oslo" in model.prompts[0]
    assert [text for role, text in words(memory) if role == "user"] == (["set pet Rex"] if learns else [])


SCRIPT = """
import asyncio, sys
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from ltm_core import Memory
from ltm_langchain import LongTermMemoryMiddleware

model = FakeListChatModel(responses=["Noted."])
agent = create_agent(model, middleware=[LongTermMemoryMiddleware(Memory(sys.argv[1]))])
asyncio.run(agent.ainvoke({"messages": [("user", "I live in Oslo.")]}, {"configurable": {"user_id": "ana"}}))
"""


def test_23_a_process_that_ends_at_once_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    subprocess.run([sys.executable, "-c", SCRIPT, url], check=True, timeout=60)
    with Memory(url) as memory:
        assert memory.flush()
        assert [fact.value for fact in memory.facts.get_all(scope_id="ana")] == ["Oslo"]


class Loud:
    """An extractor that asks a chat model of LangChain, as a user's own may."""

    def __init__(self) -> None:
        self.model = Scripted(replies=["SECRET TOKENS"] * 9)
        self.asked = threading.Event()

    def __call__(self, given: Extracting) -> Sequence[Candidate]:
        self.model.invoke("Which facts?")
        self.asked.set()
        return told(given)


@pytest.fixture
def loud() -> Iterator[tuple[Memory, Loud]]:
    """A memory that is not open yet: the first run opens it, and its worker starts there."""
    extract = Loud()
    memory = Memory("memory://", extract=extract)
    yield memory, extract
    memory.close()


class Waits(AgentMiddleware[Any, Any, Any]):
    """Holds the run open until something is learned; its `after_agent` runs behind ours."""

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked

    def after_agent(self, state: Any, runtime: Any) -> None:
        assert self.asked.wait(10), "nothing was extracted while the agent ran"

    async def aafter_agent(self, state: Any, runtime: Any) -> None:
        await asyncio.to_thread(self.after_agent, state, runtime)


def test_24_no_token_of_the_memorys_own_model_is_in_a_stream(loud: tuple[Memory, Loud]) -> None:
    memory, extract = loud
    agent = agent_of(memory, None, Waits(extract.asked))
    events = list(agent.stream(said("set pet Rex"), ANA, stream_mode=["messages", "updates", "custom"]))
    assert "Fine." in repr(events)
    assert "SECRET" not in repr(events)


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
def test_24_nor_in_the_messages_of_a_stream_of_the_third_version(loud: tuple[Memory, Loud]) -> None:
    memory, extract = loud
    stream = agent_of(memory, None, Waits(extract.asked)).stream_events(said("set pet Rex"), ANA, version="v3")
    assert [message.output.text.strip() for message in stream.messages] == ["Fine."]
    assert extract.asked.is_set()


async def test_24_nor_in_the_events_of_an_async_run(loud: tuple[Memory, Loud]) -> None:
    memory, extract = loud
    agent = agent_of(memory, None, Waits(extract.asked))
    events = [event async for event in agent.astream_events(said("set pet Rex"), ANA, version="v2")]
    assert "Fine." in repr(events)
    assert "SECRET" not in repr(events)


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
async def test_24_nor_in_the_messages_of_an_async_one_of_the_third_version(loud: tuple[Memory, Loud]) -> None:
    memory, extract = loud
    agent = agent_of(memory, None, Waits(extract.asked))
    stream = await agent.astream_events(said("set pet Rex"), ANA, version="v3")
    assert [(await message.output).text.strip() async for message in stream.messages] == ["Fine."]
    assert extract.asked.is_set()


def _ranked_by_a_chat_model(given: Ranking) -> Sequence[Ranked]:
    """Runs inside of the recall, and so inside of the run, where a model of LangChain finds its callbacks."""
    Scripted(replies=["SECRET"]).invoke("Which first?")
    return rank(given)


def test_24_nor_of_a_model_that_is_asked_while_recalling() -> None:
    with Memory("memory://", rank=_ranked_by_a_chat_model, background=False) as memory:
        memory.facts.add("location", "Oslo", scope_id="ana")
        events = list(agent_of(memory).stream(said("Hi."), ANA, stream_mode=["messages", "updates", "custom"]))
    assert "Fine." in repr(events)
    assert "SECRET" not in repr(events)


async def test_24_nor_of_a_model_that_is_asked_while_an_async_run_recalls() -> None:
    async with AsyncMemory("memory://", rank=_ranked_by_a_chat_model, background=False) as memory:
        await memory.facts.add("location", "Oslo", scope_id="ana")
        agent: Any = create_agent(Scripted(), middleware=[LongTermMemoryMiddleware(memory)])
        events = [event async for event in agent.astream_events(said("Hi."), ANA, version="v2")]
    assert "Fine." in repr(events)
    assert "SECRET" not in repr(events)


def _broken(_: Any) -> Any:
    raise StoreUnavailable("The disk is on fire. Put it out.")


def test_25_a_memory_that_fails_costs_no_answer_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    with Memory("memory://", render=_broken, background=False) as memory:
        model = Scripted(replies=["Hello."])
        assert agent_of(memory, model).invoke(said("Hi."), ANA)["messages"][-1].text == "Hello."
        assert "The disk is on fire" in caplog.text
        assert failures(memory) == {"recall: StoreUnavailable": 1}
        assert words(memory) == [("user", "Hi."), ("assistant", "Hello.")]
        strict = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, strict=True)])
        with pytest.raises(StoreUnavailable):
            strict.invoke(said("Hi."), ANA)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_25_a_memory_that_hangs_costs_its_budget_and_no_more(mode: str) -> None:
    hang = asyncio.Event()

    async def ranks(_: Any) -> Any:
        await hang.wait()

    with Memory("memory://", background=False) as memory:
        memory.runtime.recalling.recall = ranks  # type: ignore[method-assign,assignment]
        model = Scripted()
        agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, recall_budget_ms=20)])
        if mode == "sync":
            agent.invoke(said("Hi."), ANA)
        else:
            asyncio.run(agent.ainvoke(said("Hi."), ANA))
        assert model.prompts == [""]
        assert ("user", "Hi.") in words(memory)


def test_26_what_fails_to_be_learned_is_tried_again_and_not_dropped() -> None:
    failures = [ExtractionError("The model is busy. Try again.")]

    def extract(given: Extracting) -> Sequence[Candidate]:
        if failures:
            raise failures.pop()
        return told(given)

    with Memory("memory://", extract=extract, background=False) as memory:
        agent_of(memory).invoke(said("set pet Rex"), ANA)
        assert not memory.flush()
        assert memory.flush()
        assert [fact.value for fact in memory.facts.get_all(scope_id="ana")] == ["Rex"]


async def test_26_an_async_flush_returns_when_all_that_was_said_is_learned() -> None:
    async with AsyncMemory("memory://", extract=told) as memory:
        agent: Any = create_agent(Scripted(), middleware=[LongTermMemoryMiddleware(memory)])
        for number in range(3):
            await agent.ainvoke(said(f"set pet{number} Rex"), run(user_id="ana"))
        assert await memory.flush()
        assert await memory.jobs.list(user_id="ana", status="waiting") == []
        assert len(await memory.facts.get_all(scope_id="ana")) == 3


async def test_25_an_extraction_that_hangs_holds_no_answer_up() -> None:
    hang = asyncio.Event()

    async def extract(_: Extracting) -> Sequence[Candidate]:
        await hang.wait()
        return []

    async with AsyncMemory("memory://", extract=extract) as memory:
        agent: Any = create_agent(Scripted(), middleware=[LongTermMemoryMiddleware(memory)])
        for _ in range(2):
            answer = await agent.ainvoke(said("set pet Rex"), run(user_id="ana"))
            assert answer["messages"][-1].text == "Fine."
        assert not await memory.flush(timeout=0)


def test_what_was_injected_is_not_learned_again(memory: Memory) -> None:
    model = Scripted()
    agent = agent_of(memory, model)
    agent.invoke(said("Where am I?"), ANA)
    agent.invoke({"messages": [AIMessage(model.prompts[0]), HumanMessage(f"{model.prompts[0]}set pet Rex")]}, ANA)
    memory.flush()
    assert sorted(fact.key for fact in memory.facts.get_all(scope_id="ana")) == ["location", "pet"]
