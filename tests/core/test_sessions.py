"""Conversations: listed, put aside and deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ltm_core import AsyncMemory, InvalidInput, Memory, Scope, ScopeError
from ltm_core.model import Message
from ltm_core.stores.base import Where
from tests.conftest import told


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(url, extract=told, background=False) as memory:
        yield memory


async def texts(memory: AsyncMemory, session_id: str = "s", archived: bool | None = None) -> list[str]:
    return [message.text for message in await memory.sessions.get_messages(session_id, archived=archived)]


async def added(memory: AsyncMemory, *words: str, session_id: str = "s", user_id: str = "u") -> list[str]:
    """The ids of messages that say these words."""
    messages = await memory.sessions.add_messages(session_id, words, user_id)
    return [message.id or "" for message in messages]


async def test_several_messages_are_added_in_their_order(memory: AsyncMemory) -> None:
    ids = await added(memory, "one", "two", "three")
    assert [message.id for message in await memory.sessions.get_messages("s")] == ids
    assert await memory.sessions.add_messages("s", [], "u") == []
    assert await texts(memory) == ["one", "two", "three"]


async def test_of_several_messages_all_are_added_or_none(memory: AsyncMemory) -> None:
    with pytest.raises(InvalidInput):
        await memory.sessions.add_messages("s", ["one", {"role": "user", "content": 7}], "u")
    assert await texts(memory) == []


async def test_archived_messages_stay_and_are_no_longer_current(memory: AsyncMemory) -> None:
    first, second, _ = await added(memory, "one", "two", "three")
    assert await memory.sessions.archive_messages("s", [first, second]) == 2
    assert await memory.sessions.archive_messages("s", [first, "unknown"]) == 0
    assert await texts(memory) == ["one", "two", "three"]
    assert await texts(memory, archived=False) == ["three"]
    assert await texts(memory, archived=True) == ["one", "two"]
    archived, *_ = await memory.sessions.get_messages("s", archived=True)
    assert archived.archived_at is not None


async def test_a_message_may_be_archived_from_the_beginning(memory: AsyncMemory) -> None:
    (first,) = await added(memory, "one")
    await memory.sessions.archive_messages("s", [first])
    (message,) = await memory.sessions.get_messages("s")
    await memory.sessions.add_message("other", Message(content="two", archived_at=message.archived_at), "u")
    assert await texts(memory, "other", archived=False) == []
    assert await texts(memory, "other", archived=True) == ["two"]


async def test_deleted_messages_are_gone_from_the_database(memory: AsyncMemory) -> None:
    first, _ = await added(memory, "The pump needs oil.", "Noted.")
    assert await memory.sessions.delete_messages("s", [first]) == 1
    assert await memory.sessions.delete_messages("s", [first]) == 0
    assert await texts(memory) == ["Noted."]
    recalled = await memory.recall("pump", user_id="u", include=("messages",))
    assert [message.text for message in recalled.messages] == ["Noted."]
    await added(memory, "three")
    assert await texts(memory) == ["Noted.", "three"]


async def test_a_message_with_an_id_of_its_own_is_deleted_by_it(memory: AsyncMemory) -> None:
    await memory.sessions.add_message("s", {"content": "one", "id": "mine"}, "u")
    await memory.sessions.add_message("t", {"content": "two", "id": "mine"}, "u")
    assert await memory.sessions.delete_messages("s", ["mine"]) == 1
    assert (await texts(memory), await texts(memory, "t")) == ([], ["two"])


async def test_what_waits_to_be_learned_is_learned_although_it_was_deleted(memory: AsyncMemory) -> None:
    await memory.observe("set location Oslo", user_id="u", session_id="s")
    (message,) = await memory.sessions.get_messages("s")
    assert await memory.sessions.delete_messages("s", [message.id or ""]) == 1
    assert await texts(memory) == []
    assert await memory.flush()
    assert await memory.facts.get("location", scope_id="u")
    assert await texts(memory) == []
    assert (await memory.recall("Oslo", user_id="u", include=("messages",))).messages == []
    await memory.sessions.delete_messages("s", [])  # it goes with the next deletion
    stored = Where("message", subject=Scope.user("u"))
    assert await memory.runtime.run(memory.runtime.store.count(stored)) == 0


async def test_the_sessions_of_a_user_are_listed_latest_first(memory: AsyncMemory) -> None:
    for session_id in ("a", "b", "a"):
        await added(memory, "hello", session_id=session_id)
    await added(memory, "hello", session_id="c", user_id="v")
    await memory.observe("hello", user_id="u")  # belongs to no session
    sessions = await memory.sessions.list("u")
    assert [(session.id, session.user_id, session.message_count) for session in sessions] == [
        ("a", "u", 2),
        ("b", "u", 1),
    ]
    assert sessions[0].updated_at >= sessions[1].updated_at >= sessions[1].created_at
    assert [session.id for session in await memory.sessions.list("u", limit=1)] == ["a"]
    with memory.scope(user_id="v"):
        assert [session.id for session in await memory.sessions.list()] == ["c"]
    with pytest.raises(ScopeError, match="user_id="):
        await memory.sessions.list()


def test_the_blocking_face_has_the_same_verbs(url: str) -> None:
    with Memory(url, background=False) as memory:
        first, second = memory.sessions.add_messages("s", ["one", "two"], "u")
        assert memory.sessions.archive_messages("s", [first.id or ""]) == 1
        assert memory.sessions.delete_messages("s", [second.id or ""]) == 1
        assert [message.text for message in memory.sessions.get_messages("s", archived=True)] == ["one"]
        assert [session.id for session in memory.sessions.list("u")] == ["s"]


async def test_an_edited_message_is_found_by_its_new_words_and_no_more_by_the_old(memory: AsyncMemory) -> None:
    first, _ = await added(memory, "The boat is blue.", "The train is late.")
    assert (await memory.recall("boat", user_id="u", include=("messages",))).messages[0].id == first  # it is held now
    await memory.sessions.edit_message("s", first, "The kite is red.")
    found = await memory.recall("kite", user_id="u", include=("messages",), limit=1)
    assert [message.text for message in found.messages] == ["The kite is red."]
    assert found.messages[0].parts
    gone = await memory.recall("boat", user_id="u", include=("messages",))
    assert not any(message.parts for message in gone.messages)  # nothing speaks for any of them
