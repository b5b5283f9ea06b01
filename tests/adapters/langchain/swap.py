"""A pytest plugin that puts ours in the place of LangGraph's stores and checkpointers and LangChain's history.

It does so before collection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import langchain_core.chat_history
import langgraph.store.memory
from langchain_core.messages import BaseMessage

from ltm_core import Memory
from ltm_langchain import LongTermCheckpointer, LongTermMemoryStore
from ltm_langchain.history import LongTermMemoryChatMessageHistory


class InMemory(LongTermMemoryStore):
    """Ours with the constructor of `InMemoryStore`."""

    def __init__(self, *, index: Any = None, ttl: Any = None) -> None:
        super().__init__(Memory("memory://", background=False), index=index, ttl=ttl)


class Sqlite(LongTermMemoryStore):
    """Ours with the constructor of `SqliteStore`."""

    MIGRATIONS: tuple[str, ...] = ()

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str, **options: Any) -> Iterator[Any]:
        with Memory(_url(conn_string), background=False) as memory:
            yield cls(memory, **options)


class AsyncSqlite(LongTermMemoryStore):
    """Ours with the constructor of `AsyncSqliteStore`, whose housekeeping is awaited."""

    MIGRATIONS: tuple[str, ...] = ()

    def __init__(self, memory: Memory, **options: Any) -> None:
        super().__init__(memory, **options)
        self._keeper = LongTermMemoryStore(memory, **options)

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string: str, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        memory = Memory(_url(conn_string), background=False)
        yield cls(memory, **options)
        await memory.as_async().close()

    async def setup(self) -> None:  # type: ignore[override]
        await asyncio.to_thread(self._keeper.setup)

    async def sweep_ttl(self) -> int:  # type: ignore[override]
        return await asyncio.to_thread(self._keeper.sweep_ttl)

    async def start_ttl_sweeper(self, minutes: float | None = None) -> Any:  # type: ignore[override]
        return asyncio.wrap_future(self._keeper.start_ttl_sweeper(minutes))

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:  # type: ignore[override] # noqa: ASYNC109
        return await asyncio.to_thread(self._keeper.stop_ttl_sweeper, timeout)


class SqliteState(LongTermCheckpointer):
    """Ours with the constructor of `SqliteSaver`."""

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str, **options: Any) -> Iterator[Any]:
        with Memory(_url(conn_string), background=False) as memory:
            yield cls(memory, **options)


class AsyncSqliteState(LongTermCheckpointer):
    """Ours with the constructor of `AsyncSqliteSaver`."""

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string: str, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        memory = Memory(_url(conn_string), background=False)
        yield cls(memory, **options)
        await memory.as_async().close()


class History(LongTermMemoryChatMessageHistory):
    """Ours with the constructor of `InMemoryChatMessageHistory`, a model that is compared by its messages."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, messages: Sequence[BaseMessage] = ()) -> None:
        super().__init__("upstream", memory=Memory("memory://", background=False))
        if messages:
            self.add_messages(messages)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.messages == other.messages


def _url(path: str) -> str:
    return "memory://" if path == ":memory:" else f"sqlite:///{path}"


langchain_core.chat_history.InMemoryChatMessageHistory = History  # type: ignore[misc,assignment]
langgraph.store.memory.InMemoryStore = InMemory  # type: ignore[misc,assignment]
try:
    import langgraph.checkpoint.sqlite
    import langgraph.checkpoint.sqlite.aio
    import langgraph.store.sqlite
    import langgraph.store.sqlite.aio
    import langgraph.store.sqlite.base
except ModuleNotFoundError:
    pass
else:
    langgraph.store.sqlite.SqliteStore = Sqlite  # type: ignore[misc,assignment]
    langgraph.store.sqlite.base.SqliteStore = Sqlite  # type: ignore[misc,assignment]
    langgraph.store.sqlite.AsyncSqliteStore = AsyncSqlite  # type: ignore[misc,assignment]
    langgraph.store.sqlite.aio.AsyncSqliteStore = AsyncSqlite  # type: ignore[misc,assignment]
    langgraph.checkpoint.sqlite.SqliteSaver = SqliteState  # type: ignore[misc,assignment]
    langgraph.checkpoint.sqlite.aio.AsyncSqliteSaver = AsyncSqliteState  # type: ignore[misc,assignment]
