"""Conversations of LlamaIndex in the same database as the facts that are learned from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from ltm_core import AsyncMemory, Memory, Message

from .binding import async_memory
from .messages import Told, is_plain, text_of

# In the metadata of the messages that LlamaIndex put here, with those of its fields that ours have not. Others in the
# session, such as turns that were told to the memory itself, are no history of LlamaIndex.
MARK = "llama_index"


class LongTermChatStore(AsyncDBChatStore):
    """Keeps messages as a session of a `Memory`, whose id is the key.

    A session belongs to the first user who writes to it; another one's raises `ScopeError`.

    >>> Memory.from_defaults(chat_store=LongTermChatStore(core, user_id="ana"), session_id="1")  # doctest: +SKIP

    Args:
        memory: A `Memory` or `AsyncMemory` of ltm_core.
        user_id: Whose conversations these are, unless `memory.scope` says so.
    """

    user_id: str | None = None

    _memory: AsyncMemory = PrivateAttr()

    def __init__(self, memory: Memory | AsyncMemory, *, user_id: str | int | None = None) -> None:
        super().__init__(user_id=str(user_id) if user_id not in (None, "") else None)  # type: ignore[call-arg]
        self._memory = async_memory(memory)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LongTermChatStore:
        """Itself: a database is not copied with the objects that use it."""
        return self

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class."""
        return "LongTermChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """The messages, oldest first."""
        first = offset or 0
        kept = await self._kept(key, status)
        return _restored(kept[first : None if limit is None else first + limit])

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages there are."""
        return len(await self._kept(key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Add a message. Nothing is learned from it here."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages in their order, all or none."""
        archived_at = self._memory.runtime.now() if status == MessageStatus.ARCHIVED else None
        stored = [_stored(message, archived_at) for message in messages]
        await self._memory.sessions.add_messages(key, stored, user_id=self.user_id)

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Replace the history."""
        before = await self._kept(key, None)
        await self.add_messages(key, messages, status)
        await self._delete(key, before)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the message at place `idx`, from 0, of the whole history, and return it."""
        found = (await self._kept(key, None))[idx : idx + 1] if idx >= 0 else []
        return next(iter(await self._delete(key, found)), None)

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Delete the messages of a status, or all. What was told is learned all the same, and what was learned stays.

        They leave the database; one that still waits to be learned does so later: see `sessions.delete_messages`.
        """
        await self._delete(key, await self._kept(key, status))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Delete the oldest messages that are not archived, and return them."""
        return await self._delete(key, await self._oldest(key, n))

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest messages, and return them."""
        oldest = await self._oldest(key, n)
        await self._memory.sessions.archive_messages(key, _ids(oldest))
        return _restored(oldest)

    async def get_keys(self) -> list[str]:
        """The conversations of the user. Raises `ScopeError` where nobody is named: no memory tells who else talks."""
        sessions = await self._memory.sessions.list(self.user_id)
        return [session.id for session in sessions if await self.count_messages(session.id, None)]

    async def _kept(self, key: str, status: MessageStatus | None) -> list[Message]:
        archived = None if status is None else status == MessageStatus.ARCHIVED
        found = await self._memory.sessions.get_messages(key, archived=archived)
        return [message for message in found if MARK in message.metadata]

    async def _oldest(self, key: str, n: int) -> list[Message]:
        return (await self._kept(key, MessageStatus.ACTIVE))[: max(n, 0)]

    async def _delete(self, key: str, messages: Sequence[Message]) -> list[ChatMessage]:
        if messages:
            await self._memory.sessions.delete_messages(key, _ids(messages))
        return _restored(messages)


def turn_id_in(store: AsyncDBChatStore, told: Told) -> str | None:
    """An id for a turn whose messages `store` has just taken; None where they are what is to be learned from."""
    return None if isinstance(store, LongTermChatStore) and told.plain else uuid4().hex


def _ids(messages: Sequence[Message]) -> list[str]:
    return [message.id for message in messages if message.id is not None]


def _stored(message: ChatMessage, archived_at: datetime | None) -> Message:
    whole = message.model_dump(mode="json")
    role, blocks = whole.pop("role"), whole.pop("blocks")
    content = text_of(message) if is_plain(message) else blocks
    return Message(role=role, content=content, metadata={MARK: whole}, archived_at=archived_at)


def _restored(messages: Sequence[Message]) -> list[ChatMessage]:
    return [
        ChatMessage.model_validate({**one.metadata[MARK], "role": one.role, "blocks": _blocks(one)}) for one in messages
    ]


def _blocks(message: Message) -> list[Any]:
    content = message.content
    return [{"block_type": "text", "text": content}] if isinstance(content, str) else content or []
