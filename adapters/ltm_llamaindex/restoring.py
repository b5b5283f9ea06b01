"""Finding, in this process or the next, what a serialised memory was bound to.

No password is ever written: what cannot be reached without one is taken from the objects of the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore
from sqlalchemy.engine import make_url

from ltm_core import AsyncMemory, ConfigurationError

from .chat_store import LongTermChatStore

HIDDEN = "***"


@dataclass(slots=True)
class _Offered:
    memory: AsyncMemory | None = None
    chat_store: AsyncDBChatStore | None = None


_MEMORIES: WeakValueDictionary[str, AsyncMemory] = WeakValueDictionary()
_OFFERED = _Offered()


def register(memory: AsyncMemory) -> None:
    """Let what is restored in this process find a memory."""
    _MEMORIES[memory.runtime.name] = memory


def offer(memory: AsyncMemory, chat_store: AsyncDBChatStore | None) -> None:
    """Use these for what cannot be found otherwise."""
    _OFFERED.memory, _OFFERED.chat_store = memory, chat_store


def address(memory: AsyncMemory) -> dict[str, Any]:
    """Where to find a memory again."""
    return {"name": memory.runtime.name, "tenant": memory.runtime.tenant, "url": _url(memory)}


def memory_at(place: dict[str, Any]) -> AsyncMemory:
    """The same memory, an open one of its database, the one that was offered, or else its database, newly opened.

    A database opened here is not learned from in the background: the model to do so is not known.
    """
    live = _MEMORIES.get(place["name"]) or _open(place) or _OFFERED.memory
    if live is not None:
        return live
    url = place["url"]
    if url is None or HIDDEN in url:
        raise ConfigurationError(
            "The memory of a restored LongTermMemory is not open in this process. "
            "Open it and call LongTermMemory.restore_with(memory) first."
        )
    opened = AsyncMemory(url, tenant=place["tenant"], background=False)
    register(opened)
    return opened


def dumped(store: AsyncDBChatStore) -> dict[str, Any]:
    """How to have the messages of a chat store again. Those in the memory of this process are taken along."""
    if isinstance(store, LongTermChatStore):
        return {"class_name": store.class_name(), "user_id": store.user_id}
    if not isinstance(store, SQLAlchemyChatStore):
        return {"class_name": store.class_name()}
    shown = _without_password(store.async_database_uri)
    return {**store.model_dump(), "class_name": store.class_name(), "async_database_uri": shown}


def chat_store_of(dump: dict[str, Any], memory: AsyncMemory) -> AsyncDBChatStore:
    """The chat store that was dumped, or `ConfigurationError` where only the application can make it."""
    name = dump["class_name"]
    if name == LongTermChatStore.class_name():
        return LongTermChatStore(memory, user_id=dump["user_id"])
    if name == SQLAlchemyChatStore.class_name() and HIDDEN not in dump["async_database_uri"]:
        return SQLAlchemyChatStore(**{one: value for one, value in dump.items() if one != "class_name"})
    if _OFFERED.chat_store is not None:
        return _OFFERED.chat_store
    raise ConfigurationError(
        f"The {name} of a restored LongTermMemory cannot be made from what was written. "
        "Call LongTermMemory.restore_with(memory, chat_store) first."
    )


def _open(place: dict[str, Any]) -> AsyncMemory | None:
    there = (place["url"], place["tenant"])
    found = (one for one in _MEMORIES.values() if (_url(one), one.runtime.tenant) == there)
    return next(found, None) if place["url"] is not None else None


def _without_password(url: str) -> str:
    # One without stays as it is: SQLAlchemy writes `:memory:` in a way that LlamaIndex does not know again.
    parts = make_url(url)
    return url if parts.password is None else parts.render_as_string(hide_password=True)


def _url(memory: AsyncMemory) -> str | None:
    store: Any = memory.runtime.store
    url = getattr(store, "_url", None)
    return None if url is None or getattr(store, "in_memory", False) else str(url)
