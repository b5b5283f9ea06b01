"""Memory providers: the interface that adapters talk to; our memory is one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import MemoryProvider, SessionMemory

if TYPE_CHECKING:
    from .servers import PostgresProvider, RedisProvider, RedisSessionMemory

__all__ = ["MemoryProvider", "PostgresProvider", "RedisProvider", "RedisSessionMemory", "SessionMemory"]


def __getattr__(name: str) -> Any:
    """The ready-made ones, which are memories: imported when asked for, since a memory imports `MemoryProvider`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import servers

    return getattr(servers, name)
