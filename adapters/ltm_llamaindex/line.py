"""One after the other, across threads and event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from threading import Lock


class Line:
    """Lets one change of a history wait for the other, from whatever thread or loop they come."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: Future[None] | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """The time in which nobody else changes it."""
        mine: Future[None] = Future()
        with self._lock:
            before, self._last = self._last, mine
        try:
            if before is not None:
                await asyncio.shield(asyncio.wrap_future(before))
            yield
        finally:
            mine.set_result(None)
