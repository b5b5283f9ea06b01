"""The messages of a conversation, kept in a memory that learns from them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any
from uuid import uuid4

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_chunk_to_message, messages_from_dict
from langchain_core.runnables import ConfigurableFieldSpec

from ltm_core import AsyncMemory, Memory, Message

from .faces import apart, async_face, wait
from .people import as_id

log = logging.getLogger("ltm_langchain")

HISTORY_CONFIG_SPECS = [
    ConfigurableFieldSpec(id="session_id", annotation=str, name="Session", description="Which conversation."),
    ConfigurableFieldSpec(id="user_id", annotation=str, name="User", description="Who is talking."),
]
"""For `RunnableWithMessageHistory(history_factory_config=…)`: a conversation and its user."""

_ROLES = {"human": "user", "ai": "assistant"}
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool", "function": "function"}
# These are fields of our own messages, or no JSON.
_NATIVE = {"content", "type", "name", "tool_calls", "tool_call_id", "artifact"}


class LongTermMemoryChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session. Legacy: for `RunnableWithMessageHistory`, which LangChain removes in 2.0.

    Each message is stored once and comes back as it was, in order; facts are learned from what is added, but never
    stand among the messages. A session belongs to its first user: another user's id on it raises `ScopeError`.

    Args:
        session_id: Which conversation.
        memory: Where to keep it.
        user_id: Who is talking; without, what is learned belongs to the session.
        learn: Whether to learn from what is added.
    """

    def __init__(
        self,
        session_id: str | int,
        *,
        memory: Memory | AsyncMemory,
        user_id: str | int | None = None,
        learn: bool = True,
    ) -> None:
        self.session_id = as_id(session_id)
        self.user_id = as_id(user_id)
        self._memory = async_face(memory)
        self._learn = learn

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages, oldest first."""
        return wait(self._memory, self.aget_messages())

    async def aget_messages(self) -> list[BaseMessage]:
        """The same as `messages`, without blocking the loop."""
        with apart():
            await self._check()
            return list(map(restored, await self._memory.sessions.get_messages(str(self.session_id))))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages and learn from them in the background."""
        wait(self._memory, self.aadd_messages(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """The same as `add_messages`, without blocking the loop."""
        with apart(), _logged():
            for learns, some in groupby(messages, lambda message: self._learn and message.type != "system"):
                write = self._observe if learns else self._store
                await write(list(some))

    def clear(self) -> None:
        """Remove the messages; what was learned from them stays."""
        wait(self._memory, self.aclear())

    async def aclear(self) -> None:
        """The same as `clear`, without blocking the loop."""
        await self._check()
        await self._memory.sessions.clear(str(self.session_id))

    async def _observe(self, messages: Sequence[BaseMessage]) -> None:
        # An id of its own says that this is new, even if the same words were said just before.
        told = list(map(stored, messages))
        await self._memory.observe(told, user_id=self.user_id, session_id=self.session_id, turn_id=uuid4().hex)

    async def _store(self, messages: Sequence[BaseMessage]) -> None:
        for message in messages:
            await self._memory.sessions.add_message(str(self.session_id), stored(message), user_id=self.user_id)

    async def _check(self) -> None:
        """Raise `ScopeError` where the session is another user's."""
        if self.user_id is not None:
            await self._memory.recall("", user_id=self.user_id, session_id=self.session_id, limit=0, pending=False)


def get_history(
    memory: Memory | AsyncMemory, *, learn: bool = True
) -> Callable[[str, str | None], LongTermMemoryChatMessageHistory]:
    """What `RunnableWithMessageHistory` wants as `get_session_history`.

    With `history_factory_config=HISTORY_CONFIG_SPECS` the config names the session and the user; without, only the
    session.
    """

    def history(session_id: str, user_id: str | None = None) -> LongTermMemoryChatMessageHistory:
        return LongTermMemoryChatMessageHistory(session_id, memory=memory, user_id=user_id, learn=learn)

    return history


def stored(message: BaseMessage) -> dict[str, Any]:
    """A message of LangChain as it is stored: a chunk as the message that it is part of."""
    whole = message_chunk_to_message(message)
    rest = whole.model_dump(mode="json", exclude=_NATIVE, exclude_defaults=True)
    return {
        "role": getattr(whole, "role", _ROLES.get(whole.type, whole.type)),
        "content": whole.content,
        "name": whole.name,
        "tool_calls": getattr(whole, "tool_calls", None) or [],
        "tool_call_id": getattr(whole, "tool_call_id", None),
        "metadata": {"langchain": {"type": whole.type, **rest}},
    }


def restored(message: Message) -> BaseMessage:
    """The message of LangChain that was stored, or one that says the same."""
    kept = {"type": _TYPES.get(message.role, "chat"), **message.metadata.get("langchain", {})}
    kind = kept.pop("type")
    data: dict[str, Any] = {"content": message.content or "", "name": message.name, **kept}
    own: dict[str, dict[str, Any]] = {
        "ai": {"tool_calls": message.tool_calls},
        "tool": {"tool_call_id": message.tool_call_id or ""},
        "chat": {"role": message.role},
    }
    return messages_from_dict([{"type": kind, "data": {**data, **own.get(kind, {})}}])[0]


@contextmanager
def _logged() -> Iterator[None]:
    """LangChain swallows what goes wrong when a run ends: say it here."""
    try:
        yield
    except Exception:
        log.exception("Messages could not be stored.")
        raise
