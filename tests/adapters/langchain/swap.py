"""A pytest plugin that puts our store in the place of LangGraph's own ones, before their tests are collected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import langgraph.store.memory

from ltm_core import Memory
from ltm_langchain import LongTermMemoryStore


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

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string: str, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        memory = Memory(_url(conn_string), background=False)
        yield cls(memory, **options)
        await memory.as_async().close()

    async def setup(self) -> None:  # type: ignore[override]
        await self._memory.runtime.open()

    async def sweep_ttl(self) -> int:  # type: ignore[override]
        return int(await self._items.sweep())

    async def start_ttl_sweeper(self, minutes: float | None = None) -> Any:  # type: ignore[override]
        return asyncio.wrap_future(super().start_ttl_sweeper(minutes))

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:  # type: ignore[override] # noqa: ASYNC109
        return await asyncio.to_thread(super().stop_ttl_sweeper, timeout)


def _url(path: str) -> str:
    return "memory://" if path == ":memory:" else f"sqlite:///{path}"


langgraph.store.memory.InMemoryStore = InMemory  # type: ignore[misc,assignment]
try:
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
