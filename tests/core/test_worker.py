"""Learning in the background: once, in order, through failures, and never in two places at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ltm_core import AsyncMemory, Candidate, ExtractionError, Identity, NotFound
from ltm_core.ambient import identity
from ltm_core.learn.lease import Lease, claim
from ltm_core.learn.worker import MAX_ATTEMPTS, MAX_CLAIMS, MAX_TURNS
from ltm_core.policies import Extracting
from ltm_core.scope import Scope
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock
from tests.conftest import told


class Flaky:
    """Fails as long as `broken` is set, then learns as `told` does. Remembers what it was asked."""

    def __init__(self) -> None:
        self.broken = True
        self.asked: list[list[str]] = []

    def __call__(self, given: Extracting) -> Sequence[Candidate]:
        self.asked.append([message.text for message in given.messages])
        if self.broken:
            raise RuntimeError("the model is down")
        return told(given)


async def test_a_turn_that_fails_stays_queued_and_is_learned_later(url: str) -> None:
    extract, clock = Flaky(), Clock()
    async with AsyncMemory(url, extract=extract, clock=clock, background=False) as memory:
        ticket = await memory.observe("set location Oslo", user_id="u")
        with pytest.raises(ExtractionError, match="stays queued"):
            await ticket
        (job,) = await memory.jobs.list()
        assert (job.status, job.attempts) == ("waiting", 1)
        assert "the model is down" in (job.error or "")
        assert job.run_at is not None
        assert job.run_at > clock()
        extract.broken = False
        assert await memory.flush()
        assert (await memory.jobs.show(job.id)).status == "done"
        assert await memory.facts.get("location", scope_id="u")


async def test_after_the_last_try_a_turn_is_a_dead_letter_that_can_be_retried_or_dropped(url: str) -> None:
    extract = Flaky()
    async with AsyncMemory(url, extract=extract, background=False) as memory:
        await memory.observe("set location Oslo", user_id="u")
        for _ in range(MAX_ATTEMPTS - 1):
            assert not await memory.flush()
        assert not await memory.flush()
        (job,) = await memory.jobs.list(status="dead")
        assert [message.text for message in (await memory.jobs.show(job.id)).messages] == ["set location Oslo"]
        assert await memory.flush(), "a dead letter is no longer waiting"
        extract.broken = False
        await memory.jobs.retry(job.id)
        assert await memory.flush()
        assert await memory.facts.get("location", scope_id="u")
        await memory.jobs.drop(job.id)
        with pytest.raises(NotFound):
            await memory.jobs.show(job.id)


async def test_a_turn_that_kills_its_process_is_stopped_after_some_tries() -> None:
    store = DictStore()
    async with AsyncMemory(store=store, extract=told, background=False) as memory:
        ticket = await memory.observe("set location Oslo", user_id="u")
        for _ in range(MAX_CLAIMS):
            lease = await _die_in_the_middle(memory, ticket.id or "")
            await store.apply([lease.released(memory.runtime.now())])
        with pytest.raises(ExtractionError, match="died"):
            await ticket


async def _die_in_the_middle(memory: AsyncMemory, job_id: str) -> Lease:
    """Claim as a worker does, and do nothing more."""
    from ltm_core.learn.worker import _put, _tried

    job = await memory.runtime.worker.job(Scope.user("u"), job_id)
    assert job is not None
    lease = await claim(
        memory.runtime.store, Scope.user("u"), memory.runtime.now(), [_put(_tried(job, memory.runtime.now()))]
    )
    assert lease is not None
    return lease


async def test_turns_that_wait_in_one_session_are_learned_in_one_call_and_in_order(url: str) -> None:
    extract = Flaky()
    extract.broken = False
    async with AsyncMemory(url, extract=extract, background=False) as memory:
        for number in range(MAX_TURNS + 1):
            await memory.observe(f"set location city{number}", user_id="u", session_id="s")
        assert await memory.flush()
        assert [len(texts) for texts in extract.asked] == [MAX_TURNS, 1]
        history = await memory.facts.history("location", scope_id="u")
        assert [one.value for one in history] == [f"city{number}" for number in range(MAX_TURNS + 1)]
        told_by = [len(job.updates) for job in await memory.jobs.list()]
        assert told_by == [1] * (MAX_TURNS + 1)


async def test_one_bad_turn_does_not_drag_the_others_of_its_session_along(url: str) -> None:
    def extract(given: Extracting) -> Sequence[Candidate]:
        if any("poison" in message.text for message in given.messages):
            raise RuntimeError("cannot read this")
        return told(given)

    async with AsyncMemory(url, extract=extract, background=False) as memory:
        await memory.observe("set name Ana", user_id="u", session_id="s")
        await memory.observe("poison", user_id="u", session_id="s")
        await memory.observe("set location Oslo", user_id="u", session_id="s")
        for _ in range(MAX_ATTEMPTS + 2):
            await memory.flush()
        assert [job.status for job in await memory.jobs.list()] == ["done", "dead", "done"]
        assert await memory.facts.get("location", scope_id="u")


async def test_two_memories_on_one_database_never_learn_a_turn_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    seen: list[str] = []

    def extract(given: Extracting) -> Sequence[Candidate]:
        seen.extend(message.text for message in given.messages)
        return told(given)

    async with AsyncMemory(url, extract=extract) as one, AsyncMemory(url, extract=extract) as two:
        for number in range(20):
            await (one, two)[number % 2].observe(f"set n#{number} {number}", user_id=f"u{number % 3}")
        assert all(await asyncio.gather(one.flush(20), two.flush(20)))
        assert sorted(seen) == sorted(f"set n#{number} {number}" for number in range(20))


async def test_a_lease_is_one_workers_until_it_ends() -> None:
    store, clock, subject = DictStore(), Clock(), Scope.user("u")
    first = await claim(store, subject, clock())
    assert first is not None
    assert await claim(store, subject, clock()) is None
    assert await claim(store, Scope.user("v"), clock()) is not None
    clock.advance(seconds=31)
    second = await claim(store, subject, clock())
    assert second is not None
    assert second.record.version > first.record.version


async def test_closing_gives_a_turn_in_the_middle_back_without_counting_the_try(tmp_path: Path) -> None:
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def endless(given: Extracting) -> Sequence[Candidate]:
        loop.call_soon_threadsafe(began.set)
        await asyncio.Event().wait()
        return []

    url = f"sqlite:///{tmp_path}/memory.db"
    memory = AsyncMemory(url, extract=endless)
    await memory.observe("set location Oslo", user_id="u")
    await asyncio.wait_for(began.wait(), 5)
    await memory.close()
    async with AsyncMemory(url, extract=told, background=False) as again:
        (job,) = await again.jobs.list()
        assert (job.status, job.attempts) == ("waiting", 0)
        assert await again.flush(5)


async def test_an_edit_by_hand_in_the_middle_of_learning_is_not_overwritten_blindly(url: str) -> None:
    memory = AsyncMemory(url, background=False)

    async def extract(given: Extracting) -> Sequence[Candidate]:
        await memory.facts.add("location", "Rome", scope_id="u")
        return told(given)

    memory = AsyncMemory(store=memory.runtime.store, extract=extract, background=False)
    async with memory:
        await memory.remember("set location Oslo", user_id="u")
        assert [fact.value for fact in await memory.facts.history("location", scope_id="u")] == ["Rome", "Oslo"]


async def test_closing_right_after_waking_does_not_hang(url: str) -> None:
    async with AsyncMemory(url, extract=told) as memory:
        await memory.remember("set location Oslo", user_id="u")
        worker = memory.runtime.worker

        async def wake_and_stop() -> None:
            await worker.wake()
            await worker.stop()

        await asyncio.wait_for(memory.runtime.school.run(wake_and_stop()), 5)


async def test_the_worker_is_nobody_even_if_somebody_opened_the_memory(url: str) -> None:
    seen: list[Identity] = []

    def extract(given: Extracting) -> Sequence[Candidate]:
        seen.append(identity(memory.runtime.name, "default"))
        return []

    memory = AsyncMemory(url, extract=extract)
    with memory.scope(user_id="ana"):
        await memory.recall("x")
    await memory.observe("set location Oslo", user_id="ben", session_id="s")
    assert await memory.flush()
    await memory.close()
    assert seen == [Identity()]


async def test_a_turn_that_is_completed_while_it_is_learned_is_learned_whole(url: str) -> None:
    asked: list[list[str]] = []

    async def extract(given: Extracting) -> Sequence[Candidate]:
        asked.append([message.text for message in given.messages])
        if len(asked) == 1:
            more = [{"role": "user", "content": "set name Ana"}, {"role": "user", "content": "set location Oslo"}]
            await memory.observe(more, user_id="u", session_id="s", turn_id="t")
        return told(given)

    memory = AsyncMemory(url, extract=extract, background=False)
    async with memory:
        ticket = await memory.observe("set name Ana", user_id="u", session_id="s", turn_id="t")
        assert await memory.flush(20)
        assert asked == [["set name Ana"], ["set location Oslo"]]
        assert {fact.key for fact in await memory.facts.get_all(scope_id="u")} == {"name", "location"}
        assert [one["key"] for one in (await memory.jobs.show(ticket.id or "")).updates] == ["name", "location"]


async def test_a_turn_that_is_dropped_while_it_is_learned_teaches_nothing(url: str) -> None:
    async def extract(given: Extracting) -> Sequence[Candidate]:
        for job in await memory.jobs.list():
            await memory.jobs.drop(job.id)
        return told(given)

    memory = AsyncMemory(url, extract=extract, background=False)
    async with memory:
        await memory.observe("set name Ana", user_id="u", session_id="s")
        await memory.flush(20)
        assert await memory.facts.get_all(scope_id="u") == []
        assert await memory.flush(20)


async def test_a_few_people_are_learned_at_a_time_however_many_wait() -> None:
    busy, most, four = 0, 0, asyncio.Event()

    async def extract(given: Extracting) -> Sequence[Candidate]:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        if busy == 4:
            four.set()
        await four.wait()
        for _ in range(100):  # time for a fifth to come in
            await asyncio.sleep(0)
        busy -= 1
        return told(given)

    async with AsyncMemory("memory://", extract=extract, background=False) as memory:
        await asyncio.gather(*(memory.observe("set name Ana", user_id=f"u{n}") for n in range(40)))
        assert await memory.flush(20)
        assert [len(await memory.facts.get_all(scope_id=f"u{n}")) for n in range(40)] == [1] * 40
    assert most == 4
