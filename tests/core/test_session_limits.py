"""Sessions that end, and sessions that keep only their newest messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, ConfigurationError, MemoryScope, Scope
from ltm_core.stores.base import Where
from ltm_core.testing.store_contract import NOW
from tests.conftest import told


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


Open = Callable[..., AsyncMemory]


@pytest.fixture
async def open_(url: str, clock: Clock) -> AsyncIterator[Open]:
    opened: list[AsyncMemory] = []

    def make(**options: Any) -> AsyncMemory:
        opened.append(AsyncMemory(url, extract=told, clock=clock, background=False, **options))
        return opened[-1]

    yield make
    for memory in opened:
        await memory.close()


async def said(memory: AsyncMemory, session: str = "s") -> list[str]:
    return [message.text for message in await memory.sessions.get_messages(session)]


async def stored(memory: AsyncMemory, kind: str, session: str = "s") -> int:
    return await memory.runtime.run(memory.runtime.store.count(Where(kind, (Scope.session(session),))))


async def test_a_session_that_nobody_used_is_no_longer_shown_and_goes_with_the_sweep(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60)
    await memory.sessions.add_message("s", "hello", user_id="u")
    clock.pass_by(59)
    assert await memory.sessions.sweep() == 0
    clock.pass_by(1)
    assert await said(memory) == []
    assert await memory.sessions.list("u") == []
    assert await stored(memory, "message") == 1
    assert await memory.sessions.sweep() == 1
    assert (await stored(memory, "message"), await stored(memory, "session")) == (0, 0)
    assert await memory.sessions.sweep() == 0


async def test_every_use_lets_a_session_live_on(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60)
    await memory.sessions.add_message("s", "one")
    clock.pass_by(50)
    await memory.sessions.add_message("s", "two")
    clock.pass_by(50)
    assert await said(memory) == ["one", "two"]
    clock.pass_by(50)
    assert await said(memory) == ["one", "two"]
    await memory.observe("three", session_id="s")
    clock.pass_by(50)
    assert await memory.sessions.sweep() == 0
    clock.pass_by(10)
    assert await said(memory) == []


@pytest.mark.parametrize("swept", [True, False])
async def test_a_session_that_is_used_again_after_its_end_begins_anew(
    open_: Open, clock: Clock, *, swept: bool
) -> None:
    memory = open_(session_ttl=60)
    for number in range(3):
        await memory.sessions.add_message("s", f"old {number}")
    clock.pass_by(60)
    if swept:
        await memory.sessions.sweep()
    await memory.remember([{"role": "user", "content": "old 2"}], session_id="s")
    assert await said(memory) == ["old 2"]
    assert await stored(memory, "message") == 1
    assert await memory.sessions.sweep() == 0


async def test_what_waits_to_be_learned_is_learned_before_a_session_is_removed(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60)
    await memory.observe("set location Oslo", user_id="u", session_id="s")
    clock.pass_by(60)
    assert await memory.sessions.sweep() == 0
    assert await memory.flush(20)
    assert await memory.sessions.sweep() == 1
    assert [await stored(memory, kind) for kind in ("message", "job", "session")] == [0, 0, 0]
    assert (await memory.recall("location", user_id="u")).facts[0].value == "Oslo"


async def test_facts_of_a_session_end_with_it_and_those_of_others_stay(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60)
    await memory.remember("set location Oslo", session_id="s")
    await memory.remember("set location Rome", session_id="s")
    await memory.remember("set location Bergen", session_id="other")
    clock.pass_by(30)
    await memory.sessions.add_message("other", "still here")
    clock.pass_by(30)
    assert await memory.sessions.sweep() == 1
    assert await memory.facts.history("location", MemoryScope.SESSION, "s") == []
    assert (await memory.recall("location", session_id="other")).facts[0].value == "Bergen"


async def test_without_a_ttl_nothing_ends_and_a_session_of_before_lives_on(tmp_path: Path, clock: Clock) -> None:
    place = tmp_path / "shared.db"
    async with (
        AsyncMemory(place, clock=clock, background=False, session_ttl=60) as brief,
        AsyncMemory(place, clock=clock, background=False) as forever,
    ):
        await brief.sessions.add_message("s", "one")
        await forever.sessions.add_message("s", "two")
        clock.pass_by(9999)
        assert await brief.sessions.sweep() == 0
        assert await said(brief) == await said(forever) == ["one", "two"]


async def test_what_a_user_told_without_a_session_never_expires(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60, session_max_messages=1)
    for city in ("Oslo", "Rome"):
        await memory.remember(f"set location {city}", user_id="u")
    clock.pass_by(9999)
    assert await memory.sessions.sweep() == 0
    assert await memory.runtime.run(memory.runtime.store.count(Where("message", (Scope.user("u"),)))) == 2


async def test_only_the_newest_messages_are_kept(open_: Open) -> None:
    memory = open_(session_max_messages=3)
    for number in range(7):
        await memory.sessions.add_message("s", str(number))
        assert await stored(memory, "message") == min(number + 1, 3)
    assert await said(memory) == ["4", "5", "6"]
    assert [one.text for one in await memory.sessions.get_messages("s", limit=2)] == ["5", "6"]


async def test_no_message_goes_before_it_is_learned_and_then_all_that_are_too_many_go(open_: Open) -> None:
    memory = open_(session_max_messages=2)
    for number in range(5):
        await memory.observe(f"set pet#p{number} dog", user_id="u", session_id="s")
    assert await said(memory) == ["set pet#p3 dog", "set pet#p4 dog"]
    assert await stored(memory, "message") == 5
    assert await memory.flush(20)
    assert await stored(memory, "message") == 2
    assert len(await memory.facts.get_all(scope_id="u")) == 5


async def test_a_conversation_that_is_sent_whole_each_time_is_not_stored_again(open_: Open) -> None:
    memory = open_(session_max_messages=3)
    whole: list[dict[str, str]] = []
    for number in range(8):
        whole += [
            {"role": "user", "content": f"set pet#p{number} dog"},
            {"role": "assistant", "content": f"ok {number}"},
        ]
        await memory.remember(whole, user_id="u", session_id="s")
        assert await stored(memory, "message") == min(len(whole), 3)
    head = await memory.runtime.run(memory.runtime.turns.head(Scope.session("s")))
    assert head is not None
    assert head.fields["message_count"] == 16


async def test_the_background_sweeps_by_itself(url: str, clock: Clock) -> None:
    async with AsyncMemory(url, clock=clock, session_ttl=60) as memory:
        assert memory.runtime._sweeper is not None
        await memory.sessions.add_message("s", "hello")
        clock.pass_by(61)
    if "memory:" in url:
        return
    async with AsyncMemory(url, clock=clock, session_ttl=60) as memory:
        while await stored(memory, "message"):  # the sweep at the start
            pass


@pytest.mark.parametrize("options", [{"session_ttl": 0}, {"session_ttl": -1}, {"session_max_messages": 0}])
def test_limits_that_let_nothing_live_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"Pass .* or None"):
        AsyncMemory("memory://", **options)
