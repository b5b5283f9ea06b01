"""The legacy slots: chains, AgentExecutor, RunnableWithMessageHistory."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_classic.agents import AgentExecutor, create_tool_calling_agent
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import CombinedMemory, ReadOnlySharedMemory, SimpleMemory
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool

from ltm_core import Memory, ScopeError, StoreUnavailable
from ltm_langchain import HISTORY_CONFIG_SPECS, get_history
from ltm_langchain.classic import LongTermMemory, LongTermMemoryChatMessageHistory
from tests.adapters.conftest import learned
from tests.adapters.langchain.models import Scripted, call, run

# The classes that we fit into are deprecated, ours say nothing of their own.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.deprecation.LangChainDeprecationWarning"),
]


@pytest.fixture
def ours(memory: Memory) -> LongTermMemory:
    return LongTermMemory(memory=memory, user_id="ana", session_id="t")


def _asked(model: Scripted) -> list[str]:
    return [str(messages[-1].text) for messages in model.seen]


def test_40_a_conversation_chain_knows_and_learns(memory: Memory, ours: LongTermMemory) -> None:
    model = Scripted(replies=["Hello."])
    chain = ConversationChain(llm=model, memory=ours)
    chain.invoke({"input": "set pet Rex"})
    memory.flush()
    chain.invoke({"input": "Who is my pet?"})
    assert "Oslo" in _asked(model)[0]
    assert "Rex" in _asked(model)[1]
    assert "Human: set pet Rex\nAI: Hello." in _asked(model)[1]
    assert learned(memory, "ana")[0] == [("user", "set pet Rex"), ("assistant", "Hello.")]


async def test_40_so_does_an_async_one(ours: LongTermMemory) -> None:
    model = Scripted()
    chain = ConversationChain(llm=model, memory=ours)
    await chain.ainvoke({"input": "Hi."})
    await chain.ainvoke({"input": "Hi again."})
    assert "Oslo" in _asked(model)[1]
    assert "Human: Hi.\nAI: Fine." in _asked(model)[1]


def test_40_so_does_a_streamed_one(memory: Memory, ours: LongTermMemory) -> None:
    list(ConversationChain(llm=Scripted(), memory=ours).stream({"input": "Hi."}))
    assert learned(memory, "ana") == [[("user", "Hi."), ("assistant", "Fine.")]]


def test_40_the_same_words_twice_are_two_turns(memory: Memory, ours: LongTermMemory) -> None:
    chain = ConversationChain(llm=Scripted(), memory=ours)
    chain.invoke({"input": "Hi."})
    chain.invoke({"input": "Hi."})
    assert len(memory.sessions.get_messages("t")) == 4


@tool
def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is grey."


def test_40_an_agent_executor_learns_its_output(memory: Memory) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "{history}"), ("human", "{input}"), MessagesPlaceholder("agent_scratchpad")]
    )
    model = Scripted(replies=[call("look", place="Park"), "It is grey."])
    agent = create_tool_calling_agent(model, [look], prompt)
    ours = LongTermMemory(memory=memory, user_id="ana")
    executor = AgentExecutor(agent=agent, tools=[look], memory=ours, return_intermediate_steps=True)
    executor.invoke({"input": "What is there?"})
    assert all("Oslo" in prompt for prompt in model.prompts)
    assert learned(memory, "ana")[0][0] == ("user", "What is there?")
    assert learned(memory, "ana")[0][1][1].split() == ["It", "is", "grey."]


def test_40_it_combines_with_others_and_may_be_shared_for_reading(memory: Memory, ours: LongTermMemory) -> None:
    both = CombinedMemory(memories=[ours, SimpleMemory(memories={"tone": "kind"})])
    assert set(both.load_memory_variables({"input": "Hi."})) == {"history", "tone"}
    shared = ReadOnlySharedMemory(memory=ours)
    assert "Oslo" in shared.load_memory_variables({"input": "Where am I?"})["history"]
    shared.save_context({"input": "set pet Rex"}, {"output": "Fine."})
    assert learned(memory, "ana") == []


def test_messages_instead_of_text(memory: Memory) -> None:
    ours = LongTermMemory(memory=memory, user_id="ana", session_id="t", return_messages=True)
    ours.save_context({"input": "Hi."}, {"output": "Hello."})
    messages = ours.load_memory_variables({"input": "Hi."})["history"]
    assert [message.type for message in messages] == ["system", "human", "ai"]
    ours.clear()
    assert [message.type for message in ours.load_memory_variables({"input": "Hi."})["history"]] == ["system"]


def test_within_a_budget_there_is_the_summary_and_as_many_turns_as_fit(memory: Memory) -> None:
    ours = LongTermMemory(memory=memory, user_id="ana", session_id="t", return_messages=True, max_tokens=400)
    for number in range(30):
        ours.save_context({"input": f"The {number}th stop is a town by the sea."}, {"output": "Noted."})
    memory.sessions.summarize("t")
    ours.save_context({"input": "The last stop is home."}, {"output": "Noted."})
    messages = ours.load_memory_variables({"input": "Where am I?"})["history"]
    assert [message.type for message in [messages[0], *messages[-2:]]] == ["system", "human", "ai"]
    assert "The 0th stop" in messages[0].content
    assert "User lives in Oslo." in messages[0].content
    assert messages[-2].content == "The last stop is home."
    ours.return_messages = False
    assert "AI: Noted." in ours.load_memory_variables({"input": "Where am I?"})["history"]


def test_several_inputs_and_outputs_need_names(memory: Memory) -> None:
    ours = LongTermMemory(memory=memory, user_id="ana", input_key="question", output_key="answer")
    ours.save_context({"question": "Hi.", "lang": "en"}, {"answer": "Hello.", "sources": "none"})
    assert learned(memory, "ana") == [[("user", "Hi."), ("assistant", "Hello.")]]
    strict = LongTermMemory(memory=memory, user_id="ana", strict=True)
    with pytest.raises(ValueError, match="output_key"):
        strict.save_context({"input": "Hi."}, {"answer": "Hello.", "sources": "none"})


def test_a_memory_that_fails_or_knows_nobody_costs_no_answer() -> None:
    def broken(_: Any) -> Any:
        raise StoreUnavailable("The disk is on fire. Put it out.")

    with Memory("memory://", render=broken, background=False) as memory:
        for user_id in ("ana", None, ""):
            chain = ConversationChain(llm=Scripted(), memory=LongTermMemory(memory=memory, user_id=user_id))
            assert chain.invoke({"input": "Hi."})["response"] == "Fine."


MESSAGES: list[BaseMessage] = [
    SystemMessage("Be kind."),
    HumanMessage("Hi.", id="h1", name="Ana"),
    HumanMessage([{"type": "text", "text": "See."}, {"type": "image_url", "image_url": {"url": "https://x.y/z.png"}}]),
    AIMessage("", id="a1", tool_calls=[{"name": "look", "args": {"place": "Park"}, "id": "c1", "type": "tool_call"}]),
    ToolMessage("Grey.", tool_call_id="c1", status="error"),
    AIMessage("It is grey.", response_metadata={"model": "m"}, additional_kwargs={"k": [1]}),
    ChatMessage(content="Well.", role="critic"),
    AIMessage("It is grey."),
    AIMessage("It is grey."),
]


@pytest.fixture
def history(memory: Memory) -> LongTermMemoryChatMessageHistory:
    return LongTermMemoryChatMessageHistory("t", memory=memory, user_id="ana")


@pytest.mark.parametrize("learn", [True, False])
def test_41_messages_come_back_as_they_were(memory: Memory, learn: bool) -> None:
    history = LongTermMemoryChatMessageHistory("t", memory=memory, user_id="ana", learn=learn)
    history.add_messages(MESSAGES[:4])
    history.add_messages(MESSAGES[4:])
    assert history.messages == MESSAGES
    assert bool(learned(memory, "ana")) is learn
    history.clear()
    assert history.messages == []


def test_41_chunks_are_stored_as_messages(history: LongTermMemoryChatMessageHistory) -> None:
    history.add_messages([AIMessageChunk(content="Hel") + AIMessageChunk(content="lo.")])
    assert [type(message) for message in history.messages] == [AIMessage]


def test_41_what_is_added_is_learned_and_never_shown_as_a_message(
    memory: Memory, history: LongTermMemoryChatMessageHistory
) -> None:
    history.add_user_message("set pet Rex")
    memory.flush()
    assert memory.facts.get("pet", scope_id="ana") is not None
    assert [message.text for message in history.messages] == ["set pet Rex"]


def test_41_another_user_sees_and_clears_nothing(memory: Memory, history: LongTermMemoryChatMessageHistory) -> None:
    history.add_user_message("set pet Rex")
    other = LongTermMemoryChatMessageHistory("t", memory=memory, user_id="ben")
    for attempt in (lambda: other.messages, other.clear, lambda: other.add_user_message("Hi.")):
        with pytest.raises(ScopeError):
            attempt()
    assert len(history.messages) == 1


def _chat(memory: Memory, **options: Any) -> Any:
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{input}")])
    keys = {"input_messages_key": "input", "history_messages_key": "history"}
    return RunnableWithMessageHistory(prompt | Scripted(), get_history(memory), **keys, **options)  # type: ignore[arg-type]


BOTH = run(user_id="ana", session_id="t")


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_41_a_runnable_with_history_stores_each_message_once(memory: Memory, way: str) -> None:
    chat = _chat(memory, history_factory_config=HISTORY_CONFIG_SPECS)
    for _ in range(2):
        list(chat.stream({"input": "Hi."}, BOTH)) if way == "stream" else chat.invoke({"input": "Hi."}, BOTH)
    stored = get_history(memory)("t", "ana").messages
    assert [(type(message), message.text.strip()) for message in stored] == [
        (HumanMessage, "Hi."),
        (AIMessage, "Fine."),
    ] * 2


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_41_so_does_an_async_one(memory: Memory, way: str) -> None:
    chat = _chat(memory, history_factory_config=HISTORY_CONFIG_SPECS)
    for _ in range(2):
        if way == "astream":
            assert [chunk async for chunk in chat.astream({"input": "Hi."}, BOTH)]
        else:
            await chat.ainvoke({"input": "Hi."}, BOTH)
    stored = await get_history(memory)("t", "ana").aget_messages()
    assert [type(message) for message in stored] == [HumanMessage, AIMessage] * 2


def test_41_a_session_alone_is_enough(memory: Memory) -> None:
    _chat(memory).invoke({"input": "set pet Rex"}, run(session_id="t"))
    assert len(get_history(memory)("t", None).messages) == 2
