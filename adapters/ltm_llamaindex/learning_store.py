"""A chat store around any other, which learns every turn that is added."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from ltm_core import AsyncMemory, Memory

from .binding import Binding, Resolver, async_memory
from .capturing import capture
from .chat_store import turn_id_in
from .messages import Turns


class LearningChatStore(AsyncDBChatStore):
    """Keeps messages in `inner` and learns each turn once, for those who stay with LlamaIndex's own `Memory`.

    The key of a conversation is its session id. Messages that are set as a whole are old: nothing is learned from them.

    Args:
        inner: Where the messages are kept, such as a `SQLAlchemyChatStore`.
        memory: A `Memory` or `AsyncMemory` of ltm_core.
        user_id, agent_id, scope_resolver, namespace, require_user, strict: As for `LongTermMemoryBlock`.
    """

    _inner: AsyncDBChatStore = PrivateAttr()
    _binding: Binding = PrivateAttr()
    _turns: dict[str, Turns] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        inner: AsyncDBChatStore,
        memory: Memory | AsyncMemory,
        *,
        user_id: str | int | None = None,
        agent_id: str | int | None = None,
        scope_resolver: Resolver | None = None,
        namespace: str = "",
        require_user: bool = True,
        strict: bool = False,
    ) -> None:
        super().__init__()
        self._inner = inner
        self._binding = Binding(
            async_memory(memory), user_id, agent_id, scope_resolver, namespace, require_user, strict
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LearningChatStore:
        """Itself: a database is not copied with the objects that use it."""
        return self

    @property
    def inner(self) -> AsyncDBChatStore:
        """Where the messages are kept."""
        return self._inner

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class."""
        return "LearningChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Copies of the messages: LlamaIndex writes memories into what it is given."""
        found = await self._inner.get_messages(key, status=status, limit=limit, offset=offset)
        return [message.model_copy(deep=True) for message in found]

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages there are."""
        return await self._inner.count_messages(key, status=status)

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Add a message; with an answer to what the user said, the turn is learned."""
        await self._inner.add_message(key, message, status=status)
        await self._learn(key, [message])

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages, and learn the turns that they complete."""
        await self._inner.add_messages(key, messages, status=status)
        await self._learn(key, messages)

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Replace the history."""
        await self._inner.set_messages(key, messages, status=status)
        self._turns.setdefault(key, Turns()).replace(messages)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete one message."""
        return await self._inner.delete_message(key, idx)

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Delete messages. What was learned from them stays."""
        await self._inner.delete_messages(key, status=status)
        self._turns.pop(key, None)

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Delete the oldest messages."""
        return await self._inner.delete_oldest_messages(key, n)

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest messages."""
        return await self._inner.archive_oldest_messages(key, n)

    async def get_keys(self) -> list[str]:
        """The keys of all conversations."""
        return await self._inner.get_keys()

    async def _learn(self, key: str, messages: list[ChatMessage]) -> None:
        capture(self._binding.memory, key)
        turns = self._turns.setdefault(key, Turns())
        for told in list(turns.of(messages)):
            await self._binding.learn(told, key, turn_id_in(self._inner, told))
        if not turns.said:
            self._turns.pop(key, None)
