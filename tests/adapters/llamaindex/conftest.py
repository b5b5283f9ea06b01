from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_write_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even on a busy machine."""
    if find_spec("llama_index") is not None:
        monkeypatch.setattr("ltm_llamaindex.binding.PATIENCE", 30.0)


@pytest.fixture(autouse=True)
def nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LlamaIndex leaves connections of its chat stores and event loops open, which is an error in our tests."""
    if find_spec("llama_index") is None:
        yield
        return
    from llama_index.core.storage.chat_store import sql

    made: list[Any] = []
    create: Any = vars(sql)["create_async_engine"]

    def creating(*args: Any, **kwargs: Any) -> Any:
        made.append(create(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(sql, "create_async_engine", creating)
    # The loop that its blocking calls find; it would make one and never close it.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(_dispose(made))
    loop.close()
    asyncio.set_event_loop(None)


async def _dispose(engines: list[Any]) -> None:
    for engine in engines:
        await engine.dispose()
