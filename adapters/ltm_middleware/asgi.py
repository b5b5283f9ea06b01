"""A memory for ASGI apps: who is talking is set once per request, and what waits is learned at shutdown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from ltm_core import AsyncMemory, LTMError, Memory

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Who = Callable[["Request"], Mapping[str, str | int | None]]


class Request:
    """What is known of a request before it is read: the ASGI `scope`, and its `headers` by lower-case name."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


class MemoryASGI:
    """Wraps an ASGI app so that every request runs inside `memory.scope` of the person who sent it.

    Put it inside your authentication, and let `who` take the ids from what that proved; a header that anyone can
    write is no proof. When the server starts, the memory is opened and what an earlier process left is learned. When
    it shuts down, what waits is learned (for `flush_seconds` at most, the rest at the next start) and the memory is
    closed. A memory that cannot be opened holds up neither.

    Args:
        who: Takes the request and gives `{"user_id": …, "session_id": …}`; None, empty and missing ids are nobody.
        flush_seconds: How long a shutdown may learn.

    >>> app = MemoryASGI(app, memory, who=lambda request: {"user_id": request.scope["user"].id})  # doctest: +SKIP
    """

    def __init__(self, app: App, memory: Memory | AsyncMemory, who: Who, *, flush_seconds: float = 5.0) -> None:
        self._app = app
        self._memory = memory.as_async() if isinstance(memory, Memory) else memory
        self._who = who
        self._flush_seconds = flush_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, self._living(send))
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        given = self._who(Request(scope)).items()
        ids = {name: str(one) for name, one in given if one is not None and str(one).strip()}
        with self._memory.scope(**ids):
            return await self._app(scope, receive, send)

    def _living(self, send: Send) -> Send:
        """The same `send`, which opens and closes the memory before the server hears that the app is up and down."""

        async def living(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete":
                with suppress(LTMError):
                    await self._memory.runtime.open()
            elif message["type"].startswith("lifespan.shutdown."):
                await self._close()
            await send(message)

        return living

    async def _close(self) -> None:
        try:
            with suppress(LTMError):
                await self._memory.flush(self._flush_seconds)
        finally:
            await self._memory.close()
