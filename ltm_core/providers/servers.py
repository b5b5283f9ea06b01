"""Providers by the server that they keep their memories on: a memory with a few options, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self, Unpack
from urllib.parse import urlencode

from ..assemble import Options
from ..errors import ConfigurationError
from ..memory import AsyncMemory
from ..stores.base import Store
from .base import SessionMemory
from .own import OwnProvider

_REDIS = ("redis", "rediss", "valkey", "unix")
_POSTGRES = ("postgres", "postgresql")
PREFIX = "ltm"  # that of `Memory("redis://…")`


class _Kept:
    """Something on a memory of its own, which ends with it."""

    memory: AsyncMemory

    async def close(self) -> None:
        """Give back the database. What waits to be learned is learned at the next start."""
        await self.memory.close()

    async def __aenter__(self) -> Self:
        await self.memory.runtime.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class RedisProvider(_Kept, OwnProvider):
    """Memories on Redis or Valkey: `RedisProvider("redis://localhost:6379", ttl_seconds=86_400)`.

    Args:
        prefix: What all keys begin with. Memories of different prefixes do not see each other.
        ttl_seconds: How long what is added lives, unless it is added or updated again; None for ever.
        options: Whatever else `AsyncMemory` takes, such as `model=`.
    """

    def __init__(
        self,
        url: str,
        prefix: str = PREFIX,
        ttl_seconds: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        _check_scheme(url, _REDIS, "RedisProvider", "redis://localhost:6379")
        ttl = _seconds(ttl_seconds)
        super().__init__(AsyncMemory(store=_redis(url, prefix), **options), ttl=ttl)


class PostgresProvider(_Kept, OwnProvider):
    """Memories on PostgreSQL: `PostgresProvider("postgres://user:password@localhost/db")`.

    Args:
        table: Where memories are kept: the PostgreSQL schema of that name, made if there is none, because each kind of
            record has a table of its own. Memories of different names do not see each other.
        vector_enabled: Whether memories are found by meaning too, by a model that needs no download (extra `local`).
        embedding_model: The same by another model, named as for `AsyncMemory(embedder=)`.
        options: Whatever else `AsyncMemory` takes, such as `model=`.
    """

    def __init__(
        self,
        url: str,
        table: str | None = None,
        vector_enabled: bool = False,
        embedding_model: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        _check_scheme(url, _POSTGRES, "PostgresProvider", "postgres://user:password@localhost/db")
        if embedding_model is not None or vector_enabled:
            options = {"embedder": embedding_model or "local", **options}
        super().__init__(AsyncMemory(url if table is None else _in_schema(url, table), **options))


class RedisSessionMemory(_Kept, SessionMemory):
    """Conversations on Redis or Valkey, apart from long-term memory: nothing is learned from them.

    Args:
        ttl_seconds: How long a session lives after it was used last; None for ever.
        max_messages: How many messages a session keeps, the newest; None for all.
        prefix: What all keys begin with. Memories of different prefixes do not see each other.
    """

    def __init__(
        self,
        url: str,
        ttl_seconds: float | None = None,
        max_messages: int | None = None,
        prefix: str = PREFIX,
    ) -> None:
        _check_scheme(url, _REDIS, "RedisSessionMemory", "redis://localhost:6379")
        self.memory = AsyncMemory(store=_redis(url, prefix), session_ttl=ttl_seconds, session_max_messages=max_messages)

    async def get_messages(self, session_id: str) -> list[dict[str, Any]]:
        """The messages of a session, oldest first."""
        found = await self.memory.sessions.get_messages(session_id)
        return [message.model_dump(mode="json", exclude_none=True) for message in found]

    async def add_message(self, session_id: str, message: Mapping[str, Any]) -> None:
        """Append a message, such as `{"role": "user", "content": "Hello"}`."""
        await self.memory.sessions.add_message(session_id, message)

    async def clear(self, session_id: str) -> None:
        """Remove the messages of a session for good."""
        await self.memory.sessions.clear(session_id)

    async def summarize(self, session_id: str) -> str:
        """What the session was about, without a model: its foremost sentences; empty where nothing was said."""
        return await self.memory.sessions.summarize(session_id)


def _check_scheme(url: str, known: tuple[str, ...], name: str, example: str) -> None:
    if str(url).partition("://")[0].partition("+")[0] not in known:
        raise ConfigurationError(f"{name} takes a URL such as {example}. For others: AsyncMemory(url).provider().")


def _in_schema(url: str, schema: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'schema': schema})}"


def _redis(url: str, prefix: str) -> Store:
    from ..stores.redis import RedisStore

    return RedisStore(url, prefix=prefix)


def _seconds(ttl: float | None) -> timedelta | None:
    if ttl is not None and ttl <= 0:
        raise ConfigurationError(f"ttl_seconds={ttl} lets nothing live. Pass seconds, such as 3600, or None.")
    return None if ttl is None else timedelta(seconds=ttl)
