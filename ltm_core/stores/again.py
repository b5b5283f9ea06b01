"""Trying again when somebody else wrote first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ..errors import ConflictError

R = TypeVar("R")


def again(most: int = 30) -> AsyncRetrying:
    """Attempts of read, change and write, as long as they end in `ConflictError`; the last one is raised.

    The pauses grow at random up to a quarter of a second, so that writers who met once do not meet again.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(most),
        wait=wait_random_exponential(multiplier=0.002, max=0.25),
        reraise=True,
    )


async def tried(attempt: Callable[[], Awaitable[R]]) -> R:
    """What `attempt` gives, made again as `again` says. The first one, mostly the only one, costs nothing more."""
    with suppress(ConflictError):
        return await attempt()
    async for one in again():
        with one:
            return await attempt()
    raise AssertionError("unreachable")
