"""Chat engines with a `LongTermMemory`; each test is named after its check."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Candidate, Memory, MemoryScope, StoreError
from ltm_core.policies import Extracting
from ltm_core.stores.base import Record
from ltm_core.stores.memory import DictStore
from ltm_core.wrapping.faults import faults_of
from tests.adapters.conftest import Recalls, learned
from tests.adapters.llamaindex.fakes import ENGINES, MODES, FakeLLM, condense_question, say, simple
from tests.conftest import told

# isort: split
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from ltm_llamaindex import LearningChatStore, LongTermMemory, LongTermMemoryRetriever

engines = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
modes = pytest.mark.parametrize("mode", MODES)


def of(memory: Memory, user_id: str | None = "ana", **options: Any) -> LongTermMemory:
    block = {"recall_timeout": None, **options.pop("block", {})}
    return LongTermMemory.from_defaults(memory=memory, user_id=user_id, block=block, **options)


@engines
@modes
async def test_01_what_is_told_in_one_session_is_seen_by_the_model_in_the_next(
    engine: Callable[..., Any], mode: str, memory: Memory
) -> None:
    await say(engine(FakeLLM(), of(memory)), mode, "set drink green tea")
    assert memory.flush()
    llm = FakeLLM()
    await say(engine(llm, of(memory)), mode, "What drink do I like?")
    assert "green tea" in llm.texts[-1]


@engines
@modes
async def test_02_another_user_sees_nothing_of_it(engine: Callable[..., Any], mode: str, memory: Memory) -> None:
    await say(engine(FakeLLM(), of(memory)), mode, "set drink green tea")
    assert memory.flush()
    llm = FakeLLM()
    await say(engine(llm, of(memory, "ben")), mode, "What drink do I like? And where is my location?")
    assert "green tea" not in "".join(llm.texts)
    assert "Rome" in llm.texts[-1]
    assert "Oslo" not in "".join(llm.texts)


@modes
async def test_01_a_condensing_engine_knows_the_facts_when_it_condenses_and_learns(mode: str, memory: Memory) -> None:
    llm = FakeLLM()
    engine = condense_question(llm, of(memory))
    await say(engine, mode, "set drink green tea")
    await say(engine, mode, "Where is my location?")
    assert "Oslo" in llm.texts[-2]
    assert [turn[0][1] for turn in learned(memory, "ana")] == ["set drink green tea", "Where is my location?"]


async def test_01_a_retriever_shows_the_facts_to_the_model_that_answers_a_condensed_question(memory: Memory) -> None:
    llm = FakeLLM("Where is my location?", "Oslo.")
    engine = condense_question(llm, of(memory), LongTermMemoryRetriever(memory, user_id="ana"))
    assert await say(engine, "achat", "Where is my location?") == "Oslo."
    assert "Oslo" in llm.texts[-1]


async def test_03_a_slow_extractor_does_not_hold_up_an_answer(tmp_path: Path) -> None:
    release = threading.Event()

    def slow(given: Extracting) -> Sequence[Candidate]:
        assert release.wait(10)
        return told(given)

    with Memory(f"sqlite:///{tmp_path}/memory.db", extract=slow) as memory:
        engine = simple(FakeLLM(), of(memory))
        assert await say(engine, "chat", "set drink green tea") == "Noted."  # while the extractor still waits
        assert memory.facts.get("drink", scope_id="ana") is None
        release.set()
        assert memory.flush(5)
        fact = memory.facts.get("drink", scope_id="ana")
        assert fact is not None
        assert fact.value == "green tea"


@pytest.mark.parametrize("limit", [30_000, 200])
@pytest.mark.parametrize("mode", ["chat", "astream_chat"])
async def test_04_every_turn_is_learned_exactly_once(limit: int, mode: str, memory: Memory) -> None:
    mine = of(memory, token_limit=limit)
    engine = simple(FakeLLM(), mine)
    said = [f"set drink tea number {number} {'and more of it ' * 5}" for number in range(10)]
    for one in said:
        await say(engine, mode, one)
    archived = await mine.aget_all(status=MessageStatus.ARCHIVED)
    assert bool(archived) == (limit == 200)
    assert learned(memory, "ana") == [[("user", one), ("assistant", "Noted.")] for one in said]


def test_04_the_same_turn_captured_by_two_layers_is_learned_once(memory: Memory) -> None:
    store = LearningChatStore(SQLAlchemyChatStore(table_name="t"), memory, user_id="ana")
    simple(FakeLLM(), of(memory, chat_store=store)).chat("set drink tea")
    assert len(learned(memory, "ana")) == 1


def test_12_chat_works_in_a_running_loop_in_a_thread_and_in_eight_threads(memory: Memory) -> None:
    async def as_in_a_notebook() -> str:
        return str(simple(FakeLLM(), of(memory)).chat("set a 1"))

    def elsewhere(number: int) -> str:
        return str(simple(FakeLLM(), of(memory, session_id=f"s{number}")).chat(f"set a{number} 1"))

    assert asyncio.run(asyncio.wait_for(as_in_a_notebook(), 5)) == "Noted."
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(elsewhere, range(8), timeout=5)) == ["Noted."] * 8
    assert len(learned(memory, "ana")) == 9


def test_12_eight_threads_may_share_one_memory(memory: Memory) -> None:
    mine = of(memory)
    with ThreadPoolExecutor(8) as pool:
        puts = [pool.submit(mine.put, ChatMessage(f"set a{number} 1")) for number in range(8)]
        assert [put.result(5) for put in puts] == [None] * 8
    assert len(mine.get_all()) == 8


def _faults(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """The kinds of faults that were logged."""
    return [record.args[0] for record in caplog.records if isinstance(record.args, tuple) and len(record.args) == 2]


class Broken(DictStore):
    """A store in which nothing can be found or written any more."""

    async def scan(self, *args: Any, **kwargs: Any) -> list[Record]:
        raise RuntimeError("the disk is gone")

    async def apply(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the disk is gone")


@engines
@modes
async def test_13_a_broken_store_costs_no_answer_one_warning_and_is_counted(
    engine: Callable[..., Any], mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Memory(store=Broken(), background=False) as memory:
        mine, llm, plain = of(memory), FakeLLM(), FakeLLM()
        assert await say(engine(llm, mine), mode, "Hello") == await say(engine(plain, None), mode, "Hello")
        assert llm.texts == plain.texts
        assert faults_of(memory.runtime).counts == {"recall: RuntimeError": 1, "learn: RuntimeError": 1}
        await say(engine(llm, mine), mode, "Hello again")
        kinds = _faults(caplog)
        assert kinds == ["recall: RuntimeError", "learn: RuntimeError"]


@modes
async def test_13_strict_raises_an_error_of_ours(mode: str) -> None:
    with Memory(store=Broken(), background=False) as memory:
        engine = simple(FakeLLM(), of(memory, strict=True))
        with pytest.raises(StoreError, match="the disk is gone"):
            await say(engine, mode, "Hello")


class Hanging(DictStore):
    """A store that answers no more."""

    async def scan(self, *args: Any, **kwargs: Any) -> list[Record]:
        await asyncio.sleep(3600)
        raise AssertionError


@engines
@modes
async def test_14_a_store_that_hangs_for_ever_costs_the_recall_timeout_and_no_answer(
    engine: Callable[..., Any], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltm_llamaindex.binding.PATIENCE", 0.05)
    with Memory(store=Hanging(), background=False) as memory:
        mine, llm, plain = of(memory, block={"recall_timeout": 0.05}), FakeLLM(), FakeLLM()
        answering = asyncio.to_thread(lambda: asyncio.run(say(engine(llm, mine), mode, "Hello")))
        assert await asyncio.wait_for(answering, 5) == await say(engine(plain, None), mode, "Hello")
        assert llm.texts == plain.texts
        assert faults_of(memory.runtime).counts["recall: TimeoutError"] == 1


async def test_16_a_question_of_ten_times_the_limit_keeps_the_facts(memory: Memory) -> None:
    llm = FakeLLM()
    await say(simple(llm, of(memory, token_limit=300)), "achat", "Where is my location? " * 600)
    assert "Oslo" in llm.texts[-1]


@pytest.mark.parametrize("text", [None, "Where is my location?"])
def test_17_messages_with_images_neither_crash_nor_hide_the_question(text: str | None, memory: Memory) -> None:
    picture = ImageBlock(image=b"R0lGODlhAQABAAAAACw=", image_mimetype="image/gif")
    question = ChatMessage(role="user", blocks=[picture, *([TextBlock(text=text)] if text else [])])
    mine = of(memory)
    mine.put(question)
    seen = str(mine.get())
    mine.put(ChatMessage(role="assistant", content="A dot."))
    assert ("Oslo" in seen) == (text is not None)
    assert learned(memory, "ana") == ([[("user", text), ("assistant", "A dot.")]] if text else [])


def test_17_a_question_is_the_text_of_its_message_without_the_image(memory: Memory, recalls: Recalls) -> None:
    picture = ImageBlock(image=b"R0lGODlhAQABAAAAACw=", image_mimetype="image/gif")
    mine = of(memory)
    assert "Oslo" in str(mine.get(input=ChatMessage(role="user", blocks=[picture, TextBlock(text="My location?")])))
    assert mine.get(input=ChatMessage(role="user", blocks=[picture])) == []
    assert recalls.count == 1


def test_05_behind_an_answer_nothing_new_is_looked_for(memory: Memory, recalls: Recalls) -> None:
    mine = of(memory)
    mine.put(ChatMessage("Where is my location?"))
    mine.get()
    mine.put(ChatMessage(role="assistant", content="In Oslo."))
    assert "User lives in Oslo" in str(mine.get())
    assert recalls.count == 1
    assert "User lives in Oslo" not in str(of(memory, session_id=mine.session_id, chat_store=mine.sql_store).get())
    assert recalls.count == 1


def test_01_what_the_history_shows_is_not_told_once_more_and_other_sessions_hear_of_it(memory: Memory) -> None:
    mine, llm = of(memory), FakeLLM()
    simple(llm, mine).chat("set drink green tea")
    simple(llm, mine).chat("And which drink now?")
    assert llm.texts[-1].count("green tea") == 1
    simple(llm, of(memory)).chat("Which drink?")
    assert "green tea" in llm.texts[-1]  # not learned yet


def test_19_a_history_to_begin_with_is_not_learned_but_its_open_question_is(memory: Memory) -> None:
    history = [ChatMessage("set a 1"), ChatMessage(role="assistant", content="Long ago."), ChatMessage("set b 2")]
    mine = of(memory, chat_history=history)
    mine.put(ChatMessage(role="assistant", content="Noted."))
    assert learned(memory, "ana") == [[("user", "set b 2"), ("assistant", "Noted.")]]
    assert len(mine.get_all()) == 4


def test_18_reset_forgets_the_history_and_forget_user_the_facts(memory: Memory) -> None:
    mine = of(memory)
    engine = simple(FakeLLM(), mine)
    engine.chat("set drink tea")
    assert mine.flush(5)
    engine.reset()
    assert mine.get_all() == []
    assert "tea" in str(mine.get(input="What drink?"))
    engine.chat("set colour red")
    assert mine.forget_user() == 2
    assert mine.flush(5)
    assert memory.facts.get_all(scope_id="ana") == []
    assert [fact.value for fact in memory.facts.get_all(scope_id="ben")] == ["Rome"]


@engines
@modes
async def test_19_a_history_that_is_handed_over_is_not_learned_again(
    engine: Callable[..., Any], mode: str, memory: Memory
) -> None:
    history = [ChatMessage("set a 1"), ChatMessage(role="assistant", content="Long ago.")]
    await say(engine(FakeLLM(), of(memory)), mode, "set b 2", chat_history=history)
    assert learned(memory, "ana") == [[("user", "set b 2"), ("assistant", "Noted.")]]


async def test_20_scopes_keep_interleaved_users_apart(memory: Memory) -> None:
    async def rounds(user_id: str, mode: str, city: str) -> list[bool]:
        with memory.scope(user_id=user_id):
            llm = FakeLLM()
            engine = simple(llm, of(memory, None))
            for _ in range(100 // 2):
                await say(engine, mode, "Where is my location?")
        return [city in text for text in llm.texts]

    both = await asyncio.gather(rounds("ana", "astream_chat", "Oslo"), rounds("ben", "astream_chat", "Rome"))
    threads = await asyncio.gather(
        asyncio.to_thread(lambda: asyncio.run(rounds("ana", "stream_chat", "Rome"))),
        asyncio.to_thread(lambda: asyncio.run(rounds("ben", "stream_chat", "Oslo"))),
    )
    assert all(all(one) for one in both)
    assert not any(any(one) for one in threads)
    assert {len(learned(memory, user)) for user in ("ana", "ben")} == {100}


async def test_20_a_resolver_knows_who_talks_in_a_session(memory: Memory) -> None:
    llm = FakeLLM()
    mine = of(memory, None, session_id="anas-phone", scope_resolver=lambda session: session.partition("s-")[0])
    await say(simple(llm, mine), "achat", "Where is my location?")
    assert "Oslo" in llm.texts[-1]
    with memory.scope(user_id="ben"):  # a scope comes before the resolver
        assert "Rome" in str(of(memory, None, scope_resolver=lambda _: "ana").get(input="Where is my location?"))


def test_20_a_resolver_that_fails_costs_no_answer(memory: Memory) -> None:
    mine = of(memory, None, scope_resolver=lambda session: {}[session])
    assert str(simple(FakeLLM(), mine).chat("Where is my location?")) == "Noted."
    assert faults_of(memory.runtime).counts["scope_resolver: KeyError"] == 2


async def test_21_nobody_has_no_memory_and_one_warning(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    memory.facts.add("motto", "be kind", scope=MemoryScope.GLOBAL)
    llm = FakeLLM()
    engine = simple(llm, of(memory, None))
    for message in ("set secret 42", "What is the secret? And the motto?"):
        await say(engine, "achat", message)
    assert memory.jobs.list() == []
    assert "be kind" not in llm.texts[-1]
    assert _faults(caplog) == ["nobody"]


def test_21_a_session_has_a_memory_of_its_own_where_that_is_wanted(memory: Memory) -> None:
    block = {"require_user": False}
    simple(FakeLLM(), of(memory, None, session_id="s1", block=block)).chat("set drink tea")
    assert memory.flush()
    assert "tea" in str(of(memory, None, session_id="s1", block=block).get(input="Which drink?"))
    assert "tea" not in str(of(memory, None, session_id="s2", block=block).get(input="Which drink?"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # LlamaIndex's own thread
@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat"])
async def test_24_a_model_that_fails_teaches_nothing_and_the_next_turn_works(mode: str, memory: Memory) -> None:
    mine = of(memory)
    with pytest.raises(ZeroDivisionError):
        await say(simple(FakeLLM(ZeroDivisionError()), mine), mode, "set a 1")
    assert learned(memory, "ana") == []
    await say(simple(FakeLLM(), mine), mode, "set b 2")
    assert learned(memory, "ana") == [[("user", "set b 2"), ("assistant", "Noted.")]]


def test_24_a_stream_that_nobody_reads_is_learned_once(memory: Memory) -> None:
    streamed = simple(FakeLLM(), of(memory)).stream_chat("set a 1")
    assert streamed.write_response_to_history_thread is not None
    streamed.write_response_to_history_thread.join(5)
    assert learned(memory, "ana") == [[("user", "set a 1"), ("assistant", "Noted.")]]
