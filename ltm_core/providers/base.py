"""The interfaces of a memory provider and of a memory for sessions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class MemoryProvider(ABC):
    """Remembers contents per user. Memories are dicts of `id`, `content`, `score` and `metadata`.

    Implementations keep users apart: no call may show or change what belongs to another `user_id`.
    """

    @abstractmethod
    async def add(
        self, user_id: str, content: str | list[dict[str, Any]], metadata: dict[str, Any] | None = None
    ) -> str:
        """Remember a text or role messages, and return the id of the memory."""

    @abstractmethod
    async def search(
        self, user_id: str, query: str, limit: int = 10, filters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Memories that fit `query`, best first; `score` is their relevance, from 0 to 1."""

    @abstractmethod
    async def get(self, user_id: str, memory_id: str) -> dict[str, Any] | None:
        """One memory, or None where this user has none of that id."""

    @abstractmethod
    async def get_all(self, user_id: str, limit: int = 100) -> list[dict[str, Any]]:
        """The memories of a user, newest first."""

    @abstractmethod
    async def update(
        self, user_id: str, memory_id: str, content: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Replace the content, the metadata or both. Raises `NotFound`."""

    @abstractmethod
    async def delete(self, user_id: str, memory_id: str) -> None:
        """Forget one memory. Raises `NotFound`."""

    @abstractmethod
    async def delete_all(self, user_id: str) -> int:
        """Forget all memories of a user; returns how many."""


class SessionMemory(ABC):
    """Keeps the messages of conversations. Messages are dicts such as `{"role": "user", "content": "Hello"}`."""

    @abstractmethod
    async def get_messages(self, session_id: str) -> list[dict[str, Any]]:
        """The messages of a session, oldest first."""

    @abstractmethod
    async def add_message(self, session_id: str, message: Mapping[str, Any]) -> None:
        """Append a message."""

    @abstractmethod
    async def clear(self, session_id: str) -> None:
        """Remove the messages of a session for good."""

    @abstractmethod
    async def summarize(self, session_id: str) -> str:
        """What the session was about; empty where nothing was said."""
