"""What a cache keeps in Redis: answers, and for each owner a stamp that every write replaces.

A stamp is a random word and never a count: one that was evicted, expired or restored from a backup can then not come
to mean an answer that was stored under it before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from ...errors import ConfigurationError, MissingExtra
from ...scope import digest

if TYPE_CHECKING:
    from redis.asyncio import Redis

R = TypeVar("R")

log = logging.getLogger("ltm_core")

STAMPS_LIVE = timedelta(days=1)
AWAY_SECONDS = 5.0  # how long a Redis that failed is left alone

# Clients of the parent process, kept so that they are never finalised in a forked child.
_ABANDONED: list[Any] = []


@dataclass(slots=True)
class Counts:
    """What the cache did for its memory, since it was made."""

    hits: int = 0
    misses: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What lies under a key, and the stamps of the owners at that moment."""

    stamps: list[str]
    answer: bytes | None


class Stamps:
    """Redis, as far as a cache needs it. No call fails because Redis does, or waits for it longer than `patience`."""

    def __init__(self, url: str, *, name: str, keep: timedelta, patience: float) -> None:
        self.counts = Counts()
        self._url = _checked(url)
        # In braces: on a cluster all keys of one cache are on one node, and can be asked for together.
        self._prefix = f"ltm-cache:{{{digest(name)}}}:"
        self._keep = keep
        self._patience = patience
        self._client: Redis | None = None
        self._away_until = 0.0
        self._complained = False
        self._missed = 0  # writes whose owners did not get their new stamps

    async def look(self, key: str, owners: Sequence[str]) -> Found | None:
        """The answer under `key` and the stamps of `owners`; None where Redis does not answer."""
        if self._missed:
            await self.renew(None)
        return await self._reach(lambda redis: self._look(redis, f"{self._prefix}answer:{key}", self._names(owners)))

    async def keep(self, key: str, answer: bytes) -> None:
        """Put an answer under `key`."""
        await self._reach(lambda redis: redis.set(f"{self._prefix}answer:{key}", answer, px=self._keep))

    async def renew(self, owners: Collection[str] | None) -> None:
        """Make void what is known of `owners`, or (None) of everybody; as soon as Redis can be reached."""
        missed = self._missed
        names = self._names(()) if owners is None else self._names(owners)[1:]
        if names and await self._reach(lambda redis: self._renew(redis, names)) is None:
            self._missed += 1
        elif owners is None and self._missed == missed:  # else another one failed meanwhile
            self._missed = 0

    async def close(self) -> None:
        """Give back the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def forget(self) -> None:
        """In a forked child: the connections are the parent's."""
        _ABANDONED.append(self._client)
        self._client = None

    def _names(self, owners: Collection[str]) -> list[str]:
        """The stamp of everybody, then those of `owners`."""
        return [f"{self._prefix}everybody", *(f"{self._prefix}owner:{owner}" for owner in owners)]

    async def _look(self, redis: Redis, key: str, names: list[str]) -> Found:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.get(key)
            pipe.mget(names)
            answer, stamps = await pipe.execute()
        if None in stamps:
            async with redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.set(name, uuid4().hex, ex=STAMPS_LIVE, nx=True)
                pipe.mget(names)
                *_, stamps = await pipe.execute()
        return Found([stamp.decode() for stamp in stamps], answer)

    async def _renew(self, redis: Redis, names: list[str]) -> bool:
        async with redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.set(name, uuid4().hex, ex=STAMPS_LIVE)
            await pipe.execute()
        return True

    async def _reach(self, ask: Callable[[Redis], Awaitable[R]]) -> R | None:
        from redis.exceptions import RedisError

        now = asyncio.get_running_loop().time()
        if now < self._away_until:
            return None
        try:
            async with asyncio.timeout(self._patience):
                return await ask(self._connected())
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = now + self._patience + AWAY_SECONDS
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self.counts.failures += 1
        if not self._complained:
            log.warning("The cache cannot be used (%s); the memory goes on without it. Check cache=.", _kind_of(error))
        self._complained = True

    def _connected(self) -> Redis:
        if self._client is None:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            self._client = Redis.from_url(
                self._url,
                socket_timeout=self._patience,
                socket_connect_timeout=self._patience,
                retry=Retry(NoBackoff(), 0),
            )
        return self._client


def _kind_of(error: Exception) -> str:
    # Its text may name the password.
    return type(error).__name__


def _checked(url: str) -> str:
    if find_spec("redis") is None:
        raise MissingExtra("redis", "redis")
    if not isinstance(url, str) or url.partition("://")[0] not in ("redis", "rediss", "unix"):
        raise ConfigurationError("A cache is a Redis. Write cache='redis://localhost:6379/0'.")
    from redis.asyncio.connection import parse_url

    try:
        parse_url(url)
    except ValueError as error:
        raise ConfigurationError(f"That is no Redis URL ({error}). Write redis://localhost:6379/0.") from error
    return url
