"""The ASGI middleware: each request in the scope of who sent it, everything learned and closed at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, Memory, UsageError
from ltm_middleware import MemoryASGI, with_memory
from tests.conftest import told

Body = MutableMapping[str, Any]


class App:
    """Answers with what an agent is given; knows lifespan as frameworks do."""

    def __init__(self, memory: Memory | AsyncMemory) -> None:
        @with_memory(memory)
        async def agent(text: str) -> str:
            return text

        self.agent = agent

    async def __call__(self, scope: Body, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "http.response.body", "body": await self.agent(scope["path"])})


async def _get(app: Any, path: str, user: str | None = None) -> str:
    headers = [] if user is None else [(b"X-User", user.encode())]
    sent: list[Body] = []

    async def send(message: Body) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "headers": headers}, None, send)
    return str(sent[0]["body"])


async def _lifespan(app: Any) -> list[str]:
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Body:
        return {"type": next(events)}

    async def send(message: Body) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    return sent


def _who(request: Any) -> dict[str, Any]:
    return {"user_id": request.headers.get("x-user")}


@pytest.fixture(params=[Memory, AsyncMemory])
def any_memory(request: pytest.FixtureRequest) -> Any:
    return request.param("memory://", extract=told, background=False)


async def test_each_request_has_the_memory_of_who_sent_it(any_memory: Memory | AsyncMemory) -> None:
    app = MemoryASGI(App(any_memory), any_memory, _who)
    users = {"ana": "Oslo", "ben": "Rome", "7": "Lima"}
    await asyncio.gather(*(_get(app, f"set location {town}", user) for user, town in users.items()))
    for user, town in users.items():
        answer = await _get(app, "Where am I?", user)
        assert [other for other in users.values() if other in answer] == [town]
    assert await _get(app, "Where am I?") == "Where am I?"
    assert await _get(app, "Where am I?", " ") == "Where am I?"
    await _lifespan(app)


async def test_shutdown_learns_what_waits_and_closes_the_memory(any_memory: Memory | AsyncMemory) -> None:
    app = MemoryASGI(App(any_memory), any_memory, _who)
    await _get(app, "set location Oslo", "ana")
    assert await _lifespan(app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    runtime = any_memory.runtime
    assert [job.fields["status"] for job in runtime.store._records.values() if job.kind == "job"] == ["done"]  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="closed"):
        await runtime.open()


async def test_ids_may_be_numbers(any_memory: Memory | AsyncMemory) -> None:
    app = MemoryASGI(App(any_memory), any_memory, lambda request: {"user_id": 7, "session_id": None})
    await _get(app, "set location Oslo")
    assert "Oslo" in await _get(app, "Where am I?")
    await _lifespan(app)


async def test_other_connections_pass_untouched(any_memory: Memory | AsyncMemory) -> None:
    seen = []

    async def app(scope: Body, receive: Any, send: Any) -> None:
        seen.append(scope)

    await MemoryASGI(app, any_memory, _who)({"type": "other"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "other"}]
    await _lifespan(MemoryASGI(App(any_memory), any_memory, _who))


async def test_a_server_that_starts_learns_what_an_earlier_process_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, extract=told, background=False) as earlier:
        await earlier.observe("set location Oslo", user_id="sarah")
    memory = AsyncMemory(url, extract=told)
    await _lifespan(MemoryASGI(App(memory), memory, lambda request: {}))
    async with AsyncMemory(url, background=False) as later:
        assert await later.facts.get("location", scope_id="sarah")


async def test_a_server_starts_without_a_memory_that_cannot_be_opened(tmp_path: Path) -> None:
    memory = AsyncMemory(f"sqlite:///{tmp_path}/missing/memory.db")
    started = await _lifespan(MemoryASGI(App(memory), memory, lambda request: {}))
    assert started[0] == "lifespan.startup.complete"
