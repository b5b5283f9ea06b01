"""The server: reached by a URL or a client, one or a cluster; its scripts, and its errors in our words."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import ConfigurationError, LTMError, MissingExtra, StoreError, StoreUnavailable, UsageError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

    Client: TypeAlias = Redis | RedisCluster

log = logging.getLogger("ltm_core")

CONNECTIONS = 32
_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis+cluster": "redis", "rediss+cluster": "rediss"}
_ABANDONED: list[object] = []  # clients of a parent process: never closed, never finalised


class Server:
    """A client that is connected when it is needed, and the scripts that it runs."""

    def __init__(self, given: str | Client) -> None:
        _check_installed()
        self._url = _redis_url(given) if isinstance(given, str) else None
        self._ask_for_cluster = isinstance(given, str) and "+cluster:" in given.partition("//")[0]
        self._given = None if isinstance(given, str) else _checked(given)
        self._client: Client | None = None
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self.is_cluster = False

    @property
    def client(self) -> Client:
        """The connected client."""
        if self._client is None:
            raise UsageError("The store is not open. Await open() first.")
        return self._client

    async def connect(self) -> bool:
        """Connect, unless that is done; returns whether it was not."""
        if self._client is not None:
            return False
        async with self.translated():
            self._client = await self._connected()
        return True

    async def close(self) -> None:
        """Close the client, unless it was handed in."""
        client, self._client = self._client, None
        if client is not None and client is not self._given:
            await client.aclose()

    def forget(self) -> None:
        """Drop the client of a parent process unclosed."""
        _ABANDONED.append(self._client)
        self._client, self._turns = None, asyncio.Semaphore(CONNECTIONS)

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes | int | float]) -> Any:
        """The reply of the script `name`; on a cluster all of `keys` share a slot."""
        script = self.client.register_script(_source(name))
        async with self._turns, self.translated():
            return await script(keys=list(keys), args=list(arguments))

    async def do(self, *command: str | bytes | int | float) -> Any:
        """The reply to one command."""
        async with self._turns, self.translated():
            return await self.client.execute_command(*command)

    async def is_persistent(self) -> bool:
        """Whether every primary keeps an append-only file; True where this user may not ask."""
        from redis.asyncio.cluster import RedisCluster
        from redis.exceptions import NoPermissionError

        with suppress(NoPermissionError):
            async with self.translated(but=NoPermissionError):
                if isinstance(self.client, RedisCluster):
                    told = await self.client.info("persistence", target_nodes=RedisCluster.PRIMARIES)
                    return all(one["aof_enabled"] for one in told.values())
                return bool((await self.client.info("persistence"))["aof_enabled"])
        return True

    @asynccontextmanager
    async def translated(self, but: type[Exception] | tuple[()] = ()) -> AsyncIterator[None]:
        """Errors of the driver as ours, `but` some."""
        from redis.exceptions import RedisClusterException, RedisError

        try:
            yield
        except but:
            raise
        except (RedisError, RedisClusterException, OSError) as error:
            raise _translation(_cause(error)) from error

    async def _connected(self) -> Client:
        from redis.asyncio.cluster import RedisCluster

        client = self._given if self._given is not None else self._single()
        self.is_cluster = isinstance(client, RedisCluster)
        try:
            if isinstance(client, RedisCluster):
                return await client.initialize()
            clustered = (await client.info("cluster"))["cluster_enabled"]
        except BaseException:
            await self._drop(client)
            raise
        return await self._of_cluster(client) if clustered else client

    def _single(self) -> Client:
        from redis.asyncio import BlockingConnectionPool, Redis

        if self._ask_for_cluster:
            return self._cluster()
        try:
            pool = BlockingConnectionPool.from_url(str(self._url), max_connections=CONNECTIONS, retry=_retry())
        except ValueError as error:
            raise _bad_url() from error
        return Redis.from_pool(pool)

    def _cluster(self) -> Client:
        from redis.asyncio.cluster import RedisCluster

        try:
            return RedisCluster.from_url(str(self._url), max_connections=2 * CONNECTIONS, retry=_retry())
        except ValueError as error:
            raise _bad_url() from error

    async def _of_cluster(self, client: Client) -> Client:
        """The same server by a client that knows all of its cluster."""
        await self._drop(client)
        if client is self._given:
            raise ConfigurationError("That server is a node of a cluster. Pass a RedisCluster, or a URL of a node.")
        self._ask_for_cluster = True
        return await self._connected()

    async def _drop(self, client: Client) -> None:
        if client is not self._given:
            await client.aclose()


@cache
def _source(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _check_installed() -> None:
    try:
        import redis.asyncio  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Redis", "redis") from error


def _redis_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    scheme = _SCHEMES.get(scheme.lower(), scheme.lower())
    if not separator or scheme not in ("redis", "rediss", "unix"):
        raise _bad_url()
    return f"{scheme}://{rest}"


def _bad_url() -> ConfigurationError:
    return ConfigurationError("That is not a URL of Redis. Write redis://localhost:6379/0, for example.")


def _checked(client: Client) -> Client:
    if not re.match(r"redis\.asyncio\.", type(client).__module__) and not hasattr(client, "register_script"):
        raise ConfigurationError("A client must be a redis.asyncio.Redis or RedisCluster. Or pass a URL.")
    if client.get_encoder().decode_responses:
        raise ConfigurationError("The client decodes replies. Make it with decode_responses=False.")
    return client


def _retry() -> Any:
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialWithJitterBackoff

    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3)


def _cause(error: Exception) -> Exception:
    """What a node said, where that is why a cluster cannot be reached."""
    from redis.exceptions import RedisClusterException, RedisError

    hidden = isinstance(error, RedisClusterException) and isinstance(error.__cause__, RedisError)
    return error.__cause__ if hidden and isinstance(error.__cause__, Exception) else error


def _translation(error: Exception) -> LTMError:
    from redis import exceptions as e

    advice: tuple[tuple[type[Exception] | tuple[type[Exception], ...], type[StoreError], str], ...] = (
        (
            (e.AuthenticationError, e.AuthorizationError),
            StoreUnavailable,
            "Redis refused the password. Check user and password in the URL.",
        ),
        (
            e.NoPermissionError,
            StoreUnavailable,
            "This user of Redis may not do that ({error}). Allow it the keys of the prefix, and scripts.",
        ),
        (e.ReadOnlyError, StoreUnavailable, "That Redis is a read-only replica. Give the URL of the primary."),
        (e.BusyLoadingError, StoreUnavailable, "Redis is still loading its data. Try again in a moment."),
        (e.OutOfMemoryError, StoreError, "Redis has no memory left. Raise maxmemory, or remove what is not needed."),
        (
            (e.ConnectionError, e.TimeoutError, e.ClusterError, e.RedisClusterException, OSError),
            StoreUnavailable,
            "Redis cannot be reached ({error}). Check that it runs, and its URL; then try again.",
        ),
    )
    for kinds, translation, message in advice:
        if isinstance(error, kinds):
            return translation(message.format(error=error))
    return _refusal(str(error))


def _refusal(told: str) -> StoreError:
    if "WRONGPASS" in told or "NOAUTH" in told:
        return StoreUnavailable("Redis refused the password. Check user and password in the URL.")
    if "DB index" in told or "SELECT is not allowed" in told:
        return StoreUnavailable(f"Redis has no database of that number ({told}). A cluster has only 0: end the URL so.")
    if told.startswith(("LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")):
        return StoreUnavailable(f"Redis is not ready ({told}). Try again in a moment.")
    return StoreError(f"Redis refused: {told}. Check that it is Redis 7 or newer, or Valkey; else please report this.")
