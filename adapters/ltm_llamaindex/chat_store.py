"""Conversations of LlamaIndex in the same database as the facts that are learned from them.

A session of ours is a log: messages are added and never changed. So what LlamaIndex archives or deletes is noted
behind them, and reading plays the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from ltm_core import AsyncMemory, Memory, Message

from .binding import async_memory
from .messages import Told, is_plain, text_of

# In the metadata of messages: LlamaIndex's own fields of one, or a note.
MARK = "llama_index"
ARCHIVE, DROP = "archive", "drop"


class LongTermChatStore(AsyncDBChatStore):
    """Keeps messages as a session of a `Memory`, whose id is the key.

    A session belongs to the first user who writes to it. Deleted messages are hidden here at once and leave the
    database with `memory.sessions.clear(key)`, which also gives up what waits to be learned from them.

    >>> Memory.from_defaults(chat_store=LongTermChatStore(core, user_id="ana"), session_id="1")  # doctest: +SKIP

    Args:
        memory: A `Memory` or `AsyncMemory` of ltm_core.
        user_id: Whose conversations these are, unless `memory.scope` says so.
    """

    user_id: str | None = None

    _memory: AsyncMemory = PrivateAttr()
    _keys: dict[str, None] = PrivateAttr(default_factory=dict)

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
        entries = (await self._entries(key, status))[first : None if limit is None else first + limit]
        return [entry.chat_message for entry in entries]

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages there are."""
        return len(await self._entries(key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Add a message. Nothing is learned from it here."""
        self._keys[key] = None
        await self._memory.sessions.add_message(key, _stored(message, status), user_id=self.user_id)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages in their order."""
        for message in messages:
            await self.add_message(key, message, status)

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Replace the history."""
        await self.delete_messages(key)
        await self.add_messages(key, messages, status)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the message at place `idx` of the whole history."""
        entries = await self._entries(key, None)
        found = entries[idx : idx + 1] if idx >= 0 else []
        await self._note(key, DROP, found)
        return found[0].chat_message if found else None

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Delete the messages of a status, or all. What was learned from them stays."""
        await self._note(key, DROP, await self._entries(key, status))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Delete the oldest messages that are not archived, and return them."""
        return await self._note(key, DROP, (await self._entries(key, MessageStatus.ACTIVE))[: max(n, 0)])

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest messages, and return them."""
        return await self._note(key, ARCHIVE, (await self._entries(key, MessageStatus.ACTIVE))[: max(n, 0)])

    async def get_keys(self) -> list[str]:
        """The keys that were used here: no memory tells who else talks to it."""
        return [key for key in self._keys if await self.count_messages(key, None)]

    async def _entries(self, key: str, status: MessageStatus | None) -> list[_Entry]:
        entries = _played(await self._memory.sessions.get_messages(key))
        return [entry for entry in entries if status in (None, entry.status)]

    async def _note(self, key: str, what: str, entries: Sequence[_Entry]) -> list[ChatMessage]:
        if entries:
            note = {MARK: {what: [entry.message.id for entry in entries]}}
            await self._memory.sessions.add_message(key, Message(role="system", metadata=note), user_id=self.user_id)
        return [entry.chat_message for entry in entries]


def turn_id_in(store: AsyncDBChatStore, told: Told) -> str | None:
    """An id for a turn whose messages `store` has just taken; None where they are what is to be learned from."""
    return None if isinstance(store, LongTermChatStore) and told.plain else uuid4().hex


@dataclass(frozen=True, slots=True)
class _Entry:
    message: Message
    status: MessageStatus
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def chat_message(self) -> ChatMessage:
        content = self.message.content
        blocks = [{"block_type": "text", "text": content}] if isinstance(content, str) else content or []
        return ChatMessage.model_validate({"role": self.message.role, "blocks": blocks, **self.fields})


def _stored(message: ChatMessage, status: MessageStatus) -> Message:
    whole = message.model_dump(mode="json")
    content = text_of(message) if is_plain(message) else whole["blocks"]
    fields = {"status": status.value, "fields": {"additional_kwargs": whole["additional_kwargs"]}}
    return Message(role=message.role.value, content=content, metadata={MARK: fields})


def _played(log: Iterable[Message]) -> list[_Entry]:
    entries: dict[str, _Entry] = {}
    for message in log:
        mark = message.metadata.get(MARK) or {}
        if "status" in mark and message.id is not None:
            entries[message.id] = _Entry(message, MessageStatus(mark["status"]), mark["fields"])
        for one in mark.get(DROP, ()):
            entries.pop(one, None)
        for one in mark.get(ARCHIVE, ()):
            if one in entries:
                entries[one] = replace(entries[one], status=MessageStatus.ARCHIVED)
    return list(entries.values())
