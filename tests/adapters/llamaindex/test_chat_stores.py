"""Chat stores: one that learns, and one on our own database."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, Memory, Message, ScopeError
from tests.adapters.conftest import learned
from tests.adapters.llamaindex.fakes import FakeLLM, simple

# isort: split
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.memory import Memory as StockMemory
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from ltm_llamaindex import LearningChatStore, LongTermChatStore, LongTermMemory, LongTermMemoryBlock


@pytest.fixture(params=["sql", "own", "learning over sql", "learning over own"])
def store(request: pytest.FixtureRequest, memory: Memory) -> AsyncDBChatStore:
    inner = SQLAlchemyChatStore(table_name="t") if "sql" in request.param else LongTermChatStore(memory, user_id="ana")
    return LearningChatStore(inner, memory, user_id="ana") if "learning" in request.param else inner


def texts(messages: list[ChatMessage]) -> list[Any]:
    return [message.content for message in messages]


async def test_all_stores_do_the_same(store: AsyncDBChatStore) -> None:
    one, two, three, four = (ChatMessage(str(number)) for number in range(1, 5))
    await store.add_message("k", one)
    await store.add_messages("k", [two, three])
    assert texts(await store.get_messages("k")) == ["1", "2", "3"]
    assert texts(await store.get_messages("k", limit=1, offset=1)) == ["2"]
    assert await store.count_messages("k") == 3
    assert texts(await store.archive_oldest_messages("k", 1)) == ["1"]
    assert texts(await store.get_messages("k", MessageStatus.ARCHIVED)) == ["1"]
    assert texts(await store.get_messages("k", None)) == ["1", "2", "3"]
    assert texts(await store.delete_oldest_messages("k", 1)) == ["2"]
    assert texts(await store.get_messages("k")) == ["3"]
    await store.add_message("k", four, MessageStatus.ARCHIVED)
    await store.delete_messages("k", MessageStatus.ACTIVE)
    assert texts(await store.get_messages("k", None)) == ["1", "4"]
    await store.set_messages("k", [two, one])
    assert texts(await store.get_messages("k", None)) == ["2", "1"]
    await store.add_message("other", one)
    assert sorted(await store.get_keys()) == ["k", "other"]
    await store.delete_messages("k")
    assert await store.get_messages("k", None) == []
    assert await store.delete_message("k", 17) is None
    assert await store.get_keys() == ["other"]
    assert isinstance(store, SQLAlchemyChatStore) or copy.deepcopy(store) is store


async def test_messages_come_back_as_they_went_in(store: AsyncDBChatStore) -> None:
    messages = [
        ChatMessage(role="system", content="Be kind."),
        ChatMessage("plain", additional_kwargs={"session_id": "s", "n": [1]}),
        ChatMessage(role="user", blocks=[TextBlock(text="a"), ImageBlock(url="https://example.org/a.png")]),
        ChatMessage(role="tool", content="42", additional_kwargs={"tool_call_id": "c"}),
        ChatMessage(role="user", blocks=[ImageBlock(image=b"R0lGODlhAQABAAAAACw=", image_mimetype="image/gif")]),
        ChatMessage(role="assistant", content=""),
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c", tool_name="t", tool_kwargs={"a": 1})]),
    ]
    await store.add_messages("k", messages)
    assert await store.get_messages("k") == messages


async def test_22_every_store_of_ours_gives_copies(memory: Memory, store: AsyncDBChatStore) -> None:
    await store.add_messages("k", [ChatMessage("one"), ChatMessage("two")])
    (found, _) = await store.get_messages("k")
    found.blocks.insert(0, TextBlock(text="<memory>"))
    (archived,) = await store.archive_oldest_messages("k", 1)
    archived.blocks.clear()
    assert texts(await store.get_messages("k", None)) == ["one", "two"]


def test_22_a_learning_store_gives_copies_and_keeps_memories_out_of_the_history(memory: Memory) -> None:
    live: dict[str, list[ChatMessage]] = {}

    class LiveStore(SQLAlchemyChatStore):
        """A careless store that hands out what it holds."""

        async def add_message(self, key: str, message: ChatMessage, status: Any = MessageStatus.ACTIVE) -> None:
            live.setdefault(key, []).append(message)

        async def get_messages(self, key: str, *_: Any, **__: Any) -> list[ChatMessage]:
            return live.get(key, [])

    block = LongTermMemoryBlock(memory, user_id="ana", recall_timeout=None)
    plain = StockMemory.from_defaults(
        session_id="s",
        memory_blocks=[block],
        chat_store=LearningChatStore(LiveStore(table_name="t"), memory, user_id="ana"),
    )
    plain.put(ChatMessage(role="system", content="Be kind."))
    llm = FakeLLM()
    for number in range(5):
        simple(llm, plain).chat(f"set a{number} 1 at my location")
    assert all("Oslo" in text for text in llm.texts)
    assert "<memory>" not in str(live["s"])
    assert len(learned(memory, "ana")) == 5


def test_22_what_is_set_is_old_and_what_is_put_is_learned(memory: Memory) -> None:
    store = LearningChatStore(SQLAlchemyChatStore(table_name="t"), memory, user_id="ana")
    plain = StockMemory.from_defaults(session_id="s", chat_store=store)
    plain.set([ChatMessage("set a 1"), ChatMessage(role="assistant", content="Noted."), ChatMessage("set b 2")])
    plain.put(ChatMessage(role="assistant", content="Noted too."))
    plain.reset()
    plain.put(ChatMessage(role="assistant", content="Hello?"))
    assert learned(memory, "ana") == [[("user", "set b 2"), ("assistant", "Noted too.")]]


async def test_a_message_is_deleted_by_its_place_in_the_whole_history(memory: Memory) -> None:
    store = LongTermChatStore(memory, user_id="ana")
    await store.add_messages("k", [ChatMessage(text) for text in ("0", "1", "2", "3")])
    await store.archive_oldest_messages("k", 1)
    gone = [await store.delete_message("k", place) for place in (0, 1, -1, 2)]
    assert [message and message.content for message in gone] == ["0", "2", None, None]
    assert texts(await store.get_messages("k", None)) == ["1", "3"]


async def test_deleted_messages_leave_the_database(memory: Memory) -> None:
    store = LongTermChatStore(memory, user_id="ana")
    await store.add_messages("k", [ChatMessage("The pump needs oil."), ChatMessage("Thanks.")])
    await store.delete_oldest_messages("k", 1)
    recalled = memory.recall("pump", user_id="ana", include=("messages",))
    assert [message.text for message in recalled.messages] == ["Thanks."]


@pytest.mark.parametrize("forget", [lambda mine: mine.reset(), lambda mine: mine.set([ChatMessage("Hi again.")])])
def test_what_is_not_learned_yet_is_learned_although_the_history_is_gone(forget: Any, memory: Memory) -> None:
    store = LongTermChatStore(memory, user_id="ana")
    mine = LongTermMemory.from_defaults(memory=memory, user_id="ana", session_id="s", chat_store=store)
    simple(FakeLLM(), mine).chat("set drink tea")
    forget(mine)
    assert "set drink tea" not in str(mine.get_all())
    assert memory.flush()
    assert memory.facts.get("drink", scope_id="ana") is not None
    assert "set drink tea" not in str(mine.get_all())


async def test_the_keys_are_the_conversations_of_the_user_whoever_began_them(memory: Memory) -> None:
    for key, user_id in (("a", "ana"), ("b", "ben"), ("c", "ana")):
        await LongTermChatStore(memory, user_id=user_id).add_message(key, ChatMessage("Hello"))
    anybody = LongTermChatStore(memory)
    with memory.scope(user_id="ana"):
        assert await anybody.get_keys() == ["c", "a"]
    with pytest.raises(ScopeError, match="user_id="):
        await anybody.get_keys()


async def test_a_conversation_of_another_user_cannot_be_written_to(memory: Memory) -> None:
    await LongTermChatStore(memory, user_id="ana").add_message("k", ChatMessage("Hello"))
    with pytest.raises(ScopeError, match="another user"):
        await LongTermChatStore(memory, user_id="ben").add_message("k", ChatMessage("Hello"))


async def test_the_history_is_there_in_the_next_process_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, background=False) as first:
        await LongTermChatStore(first, user_id="ana").add_messages("k", [ChatMessage("one"), ChatMessage("two")])
        await LongTermChatStore(first, user_id="ana").archive_oldest_messages("k", 1)
    async with AsyncMemory(url, background=False) as second:
        store = LongTermChatStore(second, user_id="ana")
        assert texts(await store.get_messages("k")) == ["two"]
        assert texts(await store.get_messages("k", MessageStatus.ARCHIVED)) == ["one"]
        assert await store.get_keys() == ["k"]


def test_history_and_facts_are_in_one_place_and_no_message_is_there_twice(memory: Memory) -> None:
    mine = LongTermMemory.from_defaults(
        memory=memory, user_id="ana", session_id="s", chat_store=LongTermChatStore(memory, user_id="ana")
    )
    engine = simple(FakeLLM(), mine)
    for message in ("set a 1", "set a 1", "set b 2"):  # said again is told again
        engine.chat(message)
    stored = [message.text for message in memory.sessions.get_messages("s")]
    assert stored == ["set a 1", "Noted.", "set a 1", "Noted.", "set b 2", "Noted."]
    assert len(learned(memory, "ana")) == 3
    assert memory.flush()
    assert memory.facts.get("b", scope_id="ana") is not None


def test_messages_of_others_in_the_session_are_not_history(memory: Memory) -> None:
    memory.sessions.add_message("s", Message(content="from elsewhere"), user_id="ana")
    store = LongTermChatStore(memory, user_id="ana")
    assert StockMemory.from_defaults(session_id="s", chat_store=store).get_all() == []


def test_redaction_reaches_the_history() -> None:
    with Memory("memory://", redact=lambda text: text.replace("4711", "[pin]"), background=False) as memory:
        plain = StockMemory.from_defaults(session_id="s", chat_store=LongTermChatStore(memory, user_id="ana"))
        plain.put(ChatMessage("my pin is 4711"))
        plain.put(ChatMessage(role="user", blocks=[TextBlock(text="4711"), TextBlock(text="!")]))
        assert "4711" not in str(memory.sessions.get_messages("s"))
        assert texts(plain.get_all()) == ["my pin is [pin]", "[pin]\n!"]
