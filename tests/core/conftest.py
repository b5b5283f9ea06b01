"""Memories that learn when they are told to, at a time that tests choose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ltm_core import AsyncMemory
from ltm_core.testing.fakes import Clock
from tests.conftest import told

Open = Callable[..., AsyncMemory]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_(url: str, clock: Clock) -> AsyncIterator[Open]:
    """Opens memories on one database, with further options."""
    opened: list[AsyncMemory] = []

    def make(**options: Any) -> AsyncMemory:
        opened.append(AsyncMemory(url, **{"extract": told, "clock": clock, "background": False, **options}))
        return opened[-1]

    yield make
    for memory in opened:
        await memory.close()


@pytest.fixture
def memory(open_: Open) -> AsyncMemory:
    return open_()
