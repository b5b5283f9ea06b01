"""Ids that try to break out, through the public face and on every store: each is refused, or kept apart."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, ScopeError
from ltm_core.testing.store_contract import TRICKY_IDS
from tests.conftest import told

URLS = {"postgres": "one_postgres_url", "mariadb": "mysql_url", "redis": "redis_url", "valkey": "valkey_url"}
# Some of these are no ids at all: whoever passes them by mistake must not be given everything.
REFUSED: tuple[Any, ...] = (
    *(None, "", " ", "\t\n", "\0", "ann\0", "x" * 10_000, "\ud800", "ann\udfff"),
    *(0, 7, True, b"ann", ["ann"], {"ann": 1}),
)
Call = Callable[[AsyncMemory, Any], Awaitable[object]]
CALLS: Mapping[str, Call] = {
    "facts.add": lambda memory, one: memory.facts.add("pet", "dog", scope_id=one),
    "facts.add_many": lambda memory, one: memory.facts.add_many([{"key": "pet", "value": "dog", "scope_id": one}]),
    "facts.get": lambda memory, one: memory.facts.get("pet", scope_id=one),
    "facts.update": lambda memory, one: memory.facts.update("pet", "dog", scope_id=one),
    "facts.delete": lambda memory, one: memory.facts.delete("pet", scope_id=one),
    "facts.search": lambda memory, one: memory.facts.search("pet", scope_id=one),
    "facts.get_all": lambda memory, one: memory.facts.get_all(scope_id=one),
    "facts.filter": lambda memory, one: memory.facts.filter(scope_id=one, attribute="pet"),
    "facts.history": lambda memory, one: memory.facts.history("pet", scope_id=one),
    "facts.update_intelligent": lambda memory, one: memory.facts.update_intelligent([], scope_id=one),
    "observe a user": lambda memory, one: memory.observe("set pet dog", user_id=one),
    "observe a session": lambda memory, one: memory.observe("set pet dog", session_id=one),
    "observe an agent": lambda memory, one: memory.observe("set pet dog", agent_id=one),
    "remember": lambda memory, one: memory.remember("set pet dog", user_id=one),
    "recall of a user": lambda memory, one: memory.recall("pet", user_id=one),
    "recall of a session": lambda memory, one: memory.recall("pet", session_id=one),
    "recall of an agent": lambda memory, one: memory.recall("pet", agent_id=one),
    "forget": lambda memory, one: memory.forget({"attribute": "pet"}, user_id=one),
    "sessions.add_message": lambda memory, one: memory.sessions.add_message(one, "Hello"),
    "sessions.get_messages": lambda memory, one: memory.sessions.get_messages(one),
    "sessions.archive_messages": lambda memory, one: memory.sessions.archive_messages(one, ["1"]),
    "sessions.delete_messages": lambda memory, one: memory.sessions.delete_messages(one, ["1"]),
    "sessions.clear": lambda memory, one: memory.sessions.clear(one),
    "sessions.list": lambda memory, one: memory.sessions.list(one),
}


@pytest.fixture(params=["memory", "sqlite", *URLS])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncMemory]:
    local = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/ltm.db"}
    url = local.get(request.param) or request.getfixturevalue(URLS[request.param])
    async with AsyncMemory(url, extract=told, background=False) as memory:
        yield memory


async def everything(memory: AsyncMemory, user_id: str) -> list[object]:
    """What one person has: facts, what is found and recalled, messages, sessions."""
    facts = [fact.value for fact in await memory.facts.get_all(scope_id=user_id)]
    found = [fact.value for fact in await memory.facts.search("pet", scope_id=user_id, limit=99)]
    recalled = [fact.value for fact in (await memory.recall("pet", user_id=user_id)).facts]
    messages = [message.text for message in await memory.sessions.get_messages(user_id)]
    sessions = [session.id for session in await memory.sessions.list(user_id)]
    return [facts, found, recalled, messages, sessions]


async def outcome(call: Call, memory: AsyncMemory, one: Any) -> object:
    """What a call gives, or raises."""
    try:
        return await call(memory, one)
    except Exception as error:
        return error


async def test_an_unfit_id_is_an_error_in_every_call_and_never_everybody(memory: AsyncMemory) -> None:
    await memory.facts.add("pet", "cat", scope_id="ann")
    await memory.sessions.add_message("ann", "I have a cat.", "ann")
    before = await everything(memory, "ann")
    answers = {
        (name, repr(one)[:30]): await outcome(call, memory, one) for name, call in CALLS.items() for one in REFUSED
    }
    assert {asked: answer for asked, answer in answers.items() if not isinstance(answer, ScopeError)} == {}
    assert [answer for answer in answers.values() if not re.search(r"[.?] (Pass|Remove) ", str(answer))] == []
    assert await everything(memory, "ann") == before == [["cat"], ["cat"], ["cat"], ["I have a cat."], ["ann"]]


async def test_ids_that_look_like_something_else_are_kept_apart(memory: AsyncMemory) -> None:
    for number, one in enumerate(TRICKY_IDS):
        await memory.facts.add("pet", number, scope_id=one)
        await memory.sessions.add_message(one, f"pet {number}", one)
    for number, one in enumerate(TRICKY_IDS):
        assert await everything(memory, one) == [[number], [number], [number], [f"pet {number}"], [one]], one
    for one in TRICKY_IDS[::2]:
        assert await memory.forget({"attribute": "pet"}, user_id=one) == 1
        assert await memory.sessions.clear(one) == 1
    left = [number for number, one in enumerate(TRICKY_IDS) if await memory.facts.get("pet", scope_id=one)]
    assert left == list(range(1, len(TRICKY_IDS), 2))
    for number, one in enumerate(TRICKY_IDS):
        texts = [message.text for message in await memory.sessions.get_messages(one)]
        assert texts == ([f"pet {number}"] if number % 2 else [])
