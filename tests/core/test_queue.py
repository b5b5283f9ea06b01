"""The queue under load: bursts, models that hang, ceilings, bounds, workers that die or are in each other's way."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Candidate, ConfigurationError, ExtractionError, QueueFull, failures
from ltm_core.home import Home
from ltm_core.learn import lease as leases
from ltm_core.learn.spend import Ceilings, Ledger
from ltm_core.learn.worker import HELD, LONGEST, MAX_ATTEMPTS, MAX_CLAIMS, MAX_TURNS, Batch, Worker, due_together
from ltm_core.llm.metering import _DEADLINE, given_up_after, model_call, report_spent, report_tokens
from ltm_core.model import FactUpdate
from ltm_core.policies import Extracting
from ltm_core.scope import Scope
from ltm_core.stores.base import Due, Put, Record, Where, Write
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock, ScriptedModel
from tests.conftest import told

NOTHING = json.dumps({"facts": []})
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def cities(prompt: list[dict[str, Any]]) -> str:
    """What a good model would answer, be it asked for facts or for a summary."""
    if "New messages:" not in prompt[-1]["content"] or '"summary"' in prompt[0]["content"]:
        return json.dumps({"summary": "They talked.", "topics": [], "open_questions": []})
    new = prompt[-1]["content"].partition("New messages:")[2]
    found = re.findall(r"^(\d+)\. user.*city(\d+)", new, re.MULTILINE)
    facts = [
        {"about": "user", "attribute": "visited", "item": f"city{city}", "value": city, "from": int(place)}
        for place, city in found
    ]
    return json.dumps({"facts": facts})


async def left(memory: AsyncMemory, most: int = 0) -> None:
    """Wait until the background has left no more than so many turns."""
    async with asyncio.timeout(60):
        while len(await memory.jobs.list("waiting")) > most:  # noqa: ASYNC110 # it is done on another loop
            await asyncio.sleep(0.01)


# Bursts


async def test_forty_turns_in_a_burst_are_at_most_four_calls_of_the_model(url: str) -> None:
    model = ScriptedModel(cities)
    async with AsyncMemory(url, complete=model) as memory:
        for number in range(40):
            said = [
                {"role": "user", "content": f"I was in city{number}."},
                {"role": "assistant", "content": "How nice!"},
            ]
            await memory.observe(said, user_id="u", session_id="s")
        await left(memory)
        assert len(await memory.facts.get_all(scope_id="u")) == 40
    print(f"{len(model.calls)} calls for 40 turns")  # noqa: T201
    assert len(model.calls) <= 4


async def test_who_asks_for_it_is_not_made_to_wait_for_a_pause(url: str) -> None:
    async with AsyncMemory(url, extract=told, learn_after=30) as memory:
        assert await memory.remember("set name Ana", user_id="u")
        assert await (await memory.observe("set location Oslo", user_id="u"))
        await memory.observe("set location Rome", user_id="u")
        assert await memory.flush()
        assert await memory.jobs.list("waiting") == []


async def test_the_background_learns_when_it_has_been_quiet_and_not_at_the_next_poll() -> None:
    async with AsyncMemory("memory://", extract=told, learn_after=0.05) as memory:
        memory.runtime.worker._poll = 3600
        await memory.observe("set location Oslo", user_id="u")
        await left(memory)
        other = AsyncMemory(store=memory.runtime.store, background=False, learn_after=0.3)
        await other.observe("set location Rome", user_id="u")
        memory.runtime.wake()  # and it finds nothing due yet
        await left(memory)
        await other.close()


def turn(number: int, run_at: datetime, **fields: Any) -> Record:
    scope = Scope.session(fields.pop("session", "s"))
    given = {"status": "waiting", "attempts": 0, "number": number, "run_at": run_at, **fields}
    return Record("job", f"{scope.id}-{number}", scope, Scope.user("u"), 1, given)


def ids(jobs: Sequence[Record]) -> list[int]:
    return [job.fields["number"] for job in jobs]


def test_a_talk_is_learned_when_its_last_turn_is_old_enough_or_it_goes_on_too_long() -> None:
    second = timedelta(seconds=1)
    talk = [turn(number, NOON + number * second) for number in range(3)]
    assert due_together(talk, NOON - second) == ()
    assert due_together(talk, NOON + second) == ()
    assert ids(due_together(talk, NOON + 2 * second)) == [0, 1, 2]
    endless = [turn(number, NOON + number * second) for number in range(12)]
    assert due_together(endless, NOON + LONGEST - second) == ()
    assert ids(due_together(endless, NOON + LONGEST)) == list(range(12))
    burst = [turn(number, NOON + second * (number > 0)) for number in range(50)]
    assert ids(due_together(burst, NOON)) == list(range(MAX_TURNS))


def test_what_is_held_on_purpose_is_not_taken_along_and_holds_no_other_talk_up() -> None:
    opened = turn(1, NOON + HELD + timedelta(seconds=1))
    assert ids(due_together([turn(0, NOON), opened], NOON)) == [0]
    assert due_together([opened, turn(2, NOON)], NOON) == ()
    assert ids(due_together([opened, turn(2, NOON), turn(3, NOON, session="t")], NOON)) == [3]


@given(
    st.lists(st.tuples(st.sampled_from("stu"), st.integers(-60, 60), st.integers(0, 2), st.integers(0, 9)), max_size=60)
)
def test_whatever_waits_a_call_takes_the_oldest_of_one_talk_without_a_gap(
    drawn: list[tuple[str, int, int, int]],
) -> None:
    waiting = [
        turn(number, NOON + timedelta(seconds=due), session=session, attempts=attempts, claims=claims)
        for number, (session, due, attempts, claims) in enumerate(drawn)
    ]
    taken = due_together(waiting, NOON)
    if not taken:
        return
    talk = [job for job in waiting if job.scope == taken[0].scope]
    assert list(taken) == talk[: len(taken)]
    assert taken[0].fields["run_at"] <= NOON
    alone = taken[0].fields["attempts"] > 0
    assert len(taken) <= (1 if alone else max(MAX_TURNS >> taken[0].fields["claims"], 1))


# Models that hang


class Hanging:
    """An async extractor that hangs over whoever says `hang`; `began` is set then."""

    def __init__(self) -> None:
        self.began = threading.Event()

    async def __call__(self, given: Extracting) -> Sequence[Candidate]:
        if any("hang" in message.text for message in given.messages):
            self.began.set()
            await asyncio.Event().wait()
        return told(given)


def blocks(given: Extracting) -> Sequence[Candidate]:
    """The same, blocking a thread."""
    if any("hang" in message.text for message in given.messages):
        threading.Event().wait()
    return told(given)


@pytest.mark.parametrize("extract", [Hanging(), blocks], ids=["async", "blocking"])
async def test_a_model_that_hangs_is_a_failed_try(url: str, extract: Any) -> None:
    async with AsyncMemory(url, extract=extract, background=False, model_timeout=0.1) as memory:
        with pytest.raises(ExtractionError, match=r"No answer came within 0\.1 s\. .* model_timeout="):
            await memory.remember("hang", user_id="u")
        (job,) = await memory.jobs.list()
        assert (job.status, job.attempts, job.claims) == ("waiting", 1, 0)
        with pytest.raises(ExtractionError, match="No answer"):
            await memory.remember("hang", user_id="v", dry_run=True)


async def test_each_call_has_the_whole_time() -> None:
    async with given_up_after(60):
        deadline = _DEADLINE.get()
        assert deadline is not None
        first = deadline.timeout.when()
        await asyncio.sleep(0.01)
        with model_call([]):
            assert (deadline.timeout.when() or 0) > (first or 0)


async def test_a_summary_that_hangs_is_given_up_too() -> None:
    async def never(_: Any) -> Any:
        await asyncio.Event().wait()

    async with AsyncMemory("memory://", summarise=never, background=False, model_timeout=0.1) as memory:
        for number in range(5):
            await memory.observe(f"I live in city{number}.", user_id="u", session_id="s")
        with pytest.raises(ExtractionError, match="No answer"):
            await memory.sessions.summarize("s")


async def test_one_who_hangs_holds_nobody_else_up() -> None:
    extract = Hanging()
    async with AsyncMemory("memory://", extract=extract, learn_after=0, model_timeout=None) as memory:
        await memory.observe("hang", user_id="stuck")
        assert await asyncio.to_thread(extract.began.wait, 30)
        for number in range(6):
            await (await memory.observe("set name Ana", user_id=f"told{number}"))
            await memory.observe("set location Oslo", user_id=f"told{number}")
        await left(memory, 1)
        assert [job.subject for job in await memory.jobs.list("waiting")] == ["user:stuck"]
        assert not await memory.flush(0.1)
    with pytest.raises(ConfigurationError, match="gives no model time"):
        AsyncMemory("memory://", model_timeout=0)


async def test_what_a_flush_gave_up_is_back_in_the_queue_when_the_memory_is_closed(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, extract=Hanging(), background=False) as memory:
        await memory.observe("hang", user_id="u")
        assert not await memory.flush(0.1)
    async with AsyncMemory(url, extract=told, background=False) as memory:
        (job,) = await memory.jobs.list()
        assert (job.status, job.attempts, job.claims) == ("waiting", 0, 0)
        assert await memory.flush()


class Interrupted(DictStore):
    """Cancels the worker once, right when it has claimed a turn."""

    runtime: Any = None

    async def apply(self, writes: Sequence[Write]) -> None:
        await super().apply(writes)
        runtime, claims = self.runtime, any(isinstance(one, Put) and one.record.kind == "lease" for one in writes)
        if runtime is not None and claims:
            self.runtime = None
            await runtime.school.run(_cancelled(runtime.worker))


async def _cancelled(worker: Any) -> None:
    for task in list(worker._attempts):
        task.cancel()


async def test_a_worker_that_is_stopped_while_it_claims_a_turn_gives_it_back() -> None:
    store = Interrupted()
    async with AsyncMemory(store=store, extract=told, background=False) as memory:
        await memory.observe("set home Rome", user_id="u")
        store.runtime = memory.runtime
        with pytest.raises(asyncio.CancelledError):
            await memory.flush()
        (job,) = await memory.jobs.list()
        assert (job.status, job.attempts, job.claims) == ("waiting", 0, 0)
        assert await memory.flush(5)


# What it costs


async def test_a_job_tells_what_it_took_and_failures_were_paid_for_as_well(url: str) -> None:
    model = ScriptedModel([RuntimeError("503"), "no JSON", NOTHING])
    async with AsyncMemory(url, complete=model, background=False, count_tokens=len) as memory:
        ticket = await memory.observe("I live in Oslo.", user_id="u", session_id="s")
        assert not await memory.flush()
        assert await memory.flush()
        job = await memory.jobs.show(ticket.id or "")
    asked = sum(len(message["content"]) for call in model.calls for message in call)
    assert (job.calls, job.tokens) == (3, asked + len("no JSON") + len(NOTHING))
    assert job.seconds > 0


async def test_what_a_model_reports_counts_and_so_does_what_an_extractor_of_your_own_tells() -> None:
    def complete(_: Any) -> str:
        report_tokens(812)
        return NOTHING

    async with AsyncMemory("memory://", complete=complete, background=False) as memory:
        await memory.remember("I live in Oslo.", user_id="u")
        (job,) = await memory.jobs.list()
        assert (job.calls, job.tokens) == (1, 812)

    def extract(_: Extracting) -> Sequence[Candidate]:
        report_spent(500, calls=2)
        return []

    async with AsyncMemory("memory://", extract=extract, background=False) as memory:
        await memory.remember("I live in Oslo.", user_id="u")
        (job,) = await memory.jobs.list()
        assert (job.calls, job.tokens) == (2, 500)
    async with AsyncMemory("memory://", background=False, user_calls_per_day=0) as memory:
        report_tokens(1)  # outside of any call: nobody's
        with pytest.raises(ExtractionError, match="0 of 0 calls"):
            await memory.remember("I live in Oslo.", user_id="u")


async def test_who_has_reached_a_ceiling_waits_for_the_next_day_and_is_told_so(url: str) -> None:
    clock, model = Clock(), ScriptedModel(cities)
    async with AsyncMemory(url, complete=model, background=False, clock=clock, user_calls_per_day=2) as memory:
        for number in range(2):
            await memory.remember(f"I was in city{number}.", user_id="ana", session_id="s")
        for number in range(2, 5):
            await memory.observe(f"I was in city{number}.", user_id="ana", session_id="s")
        assert not await memory.flush()
        waiting = await memory.jobs.list("waiting")
        assert {job.held for job in waiting} == {"user:ana has used 2 of 2 calls of the day."}
        assert {job.run_at for job in waiting} == {datetime(2025, 1, 2, tzinfo=UTC)}
        assert [job.attempts for job in waiting] == [0, 0, 0]
        with pytest.raises(ExtractionError, match=r"2 of 2 calls of the day\. The turn waits until 2025-01-02 00:00"):
            await memory.remember("I was in city5.", user_id="ana", session_id="s")
        assert await memory.remember("I was in city9.", user_id="ben"), "others are not held"
        assert len(model.calls) == 3
        clock.advance(days=1)
        assert await memory.flush()
        assert len(model.calls) == 4
        assert {job.held for job in await memory.jobs.list()} == {None}


async def test_a_ceiling_for_all_counts_every_process_of_the_database(url: str) -> None:
    clock, most = Clock(), 60_000
    options: dict[str, Any] = {"background": False, "clock": clock, "count_tokens": len, "tokens_per_day": most}
    one = AsyncMemory(url, complete=ScriptedModel(cities), **options)
    there = one.runtime.store if url == "memory://" else url
    two = AsyncMemory(store=there, complete=ScriptedModel(cities), tenant="other", **options)
    two.runtime.ledger._writer = lambda: "another process"
    async with one, two:
        number = 0
        while number < 100 and await (one, two)[number % 2].flush():
            await (one, two)[number % 2].observe(f"I was in city{number}.", user_id=f"u{number % 7}")
            number += 1
        jobs = [*await one.jobs.list(), *await two.jobs.list()]
        spent = sum(job.tokens for job in jobs)
        assert {job.held for job in jobs if job.held} == {
            f"All together have used {spent} of {most} tokens of the day."
        }
        assert most <= spent < most + max(job.tokens for job in jobs)
        assert len(jobs) > 6


async def test_a_summary_counts_and_the_offline_extractor_costs_nothing() -> None:
    model = ScriptedModel(cities)
    async with AsyncMemory("memory://", background=False) as memory:
        await memory.remember("I live in Oslo.", user_id="u")
        (job,) = await memory.jobs.list()
        assert (job.calls, job.tokens) == (0, 0)
        assert job.updates
    async with AsyncMemory("memory://", complete=model, background=False, summary_after_messages=6) as memory:
        for number in range(6):
            await memory.observe(f"I was in city{number}.", user_id="u", session_id="s")
        assert await memory.flush()
        assert [job.calls for job in await memory.jobs.list() if job.task == "summary"] == [1]


async def test_a_held_turn_is_not_looked_at_again_and_again() -> None:
    looks = 0

    class Counting(DictStore):
        async def due(self, *given: Any) -> Any:
            nonlocal looks
            looks += 1
            return await super().due(*given)

    async with AsyncMemory(store=Counting(), extract=told, learn_after=0, calls_per_day=0) as memory:
        await memory.observe("set name Ana", user_id="u")
        async with asyncio.timeout(60):
            while not (await memory.jobs.list())[0].held:  # noqa: ASYNC110 # it is done on another loop
                await asyncio.sleep(0.01)
        before = looks
        assert not await memory.flush()
        assert looks - before <= 3


# What may wait


async def test_what_is_beyond_the_bound_is_refused_and_not_stored(url: str) -> None:
    async with AsyncMemory(url, extract=told, background=False, user_max_waiting=20, max_waiting=30) as memory:

        async def tell(user: str, number: int) -> bool:
            try:
                await memory.observe(f"set n#{number} x", user_id=user, session_id=f"{user}-{number % 3}")
            except QueueFull:
                return False
            return True

        assert sum(await asyncio.gather(*(tell("ana", number) for number in range(60)))) == 20
        assert sum(await asyncio.gather(*(tell("ben", number) for number in range(60)))) == 10
        assert len(await memory.jobs.list()) == 30
        with pytest.raises(
            QueueFull, match=r"turns of user:ana .* user_max_waiting=20 .* was not stored: send it again"
        ):
            await memory.observe("one more", user_id="ana")
        assert await memory.flush()
        assert await tell("ana", 99)


async def test_a_place_is_given_back_whatever_becomes_of_its_turn() -> None:
    class Failing(DictStore):
        broken = True

        async def apply(self, writes: Sequence[Write]) -> None:
            if self.broken:
                raise RuntimeError("disk on fire")
            await super().apply(writes)

    store = Failing()
    async with AsyncMemory(store=store, background=False, user_max_waiting=1, max_waiting=1) as memory:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="disk on fire"):
                await memory.observe("hello", user_id="u")
        store.broken = False
        async with asyncio.timeout(60):
            await memory.observe("hello", user_id="u")
            with pytest.raises(QueueFull):
                await memory.observe("hello again", user_id="u")
            with pytest.raises(QueueFull, match=r"As many turns wait .* max_waiting=1 lets"):
                await memory.observe("hello", user_id="v")


async def test_it_can_wait_for_room(url: str) -> None:
    async with AsyncMemory(url, extract=told, learn_after=0, user_max_waiting=1, wait_when_full=60) as memory:
        for number in range(5):
            await memory.observe(f"set n#{number} x", user_id="u", session_id="s")
        assert await memory.flush()
        assert len(await memory.facts.get_all(scope_id="u")) == 5


async def test_an_agent_answers_even_if_its_turn_is_refused_and_that_is_counted() -> None:
    async with AsyncMemory("memory://", extract=told, background=False, user_max_waiting=1) as memory:

        @memory.wrap(user_id="u")
        async def agent(prompt: str) -> str:
            return "Fine."

        @memory.wrap(user_id="u", strict=True)
        async def strict(prompt: str) -> str:
            return "Fine."

        assert [await agent(f"set n#{number} x") for number in range(3)] == ["Fine."] * 3
        assert failures(memory) == {"learn: QueueFull": 2}
        with pytest.raises(QueueFull):
            await strict("set n#4 x")


class Statements(DictStore):
    """A store that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    async def scan(self, where: Where, **how: Any) -> list[Record]:
        """The same, counted."""
        self.counts["scan"] += 1
        return await super().scan(where, **how)

    async def apply(self, writes: Sequence[Write]) -> None:
        """The same, counted."""
        self.counts["apply"] += 1
        await super().apply(writes)

    async def count(self, where: Where) -> int:
        """The same, counted."""
        self.counts["count"] += 1
        return len(await super().scan(where))

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """The same, counted."""
        self.counts["due"] += 1
        return await super().due(kind, before, limit)


async def statements(**options: Any) -> Counter[str]:
    """What 500 turns of one person ask of a store."""
    store = Statements()
    async with AsyncMemory(store=store, background=False, **options) as memory:
        for number in range(500):
            await memory.observe(f"number {number}", user_id="u", turn_id=str(number))
    return store.counts


async def test_a_turn_pays_for_neither_pauses_nor_ceilings_and_is_counted_only_now_and_then() -> None:
    bare = await statements(learn_after=0, user_max_waiting=None, max_waiting=None)
    assert await statements(calls_per_day=10, user_calls_per_day=10) == bare
    counted = await statements(user_max_waiting=1000, max_waiting=2000) - bare
    assert 0 < counted.total() <= 8


# Deaths of workers


async def dies(memory: AsyncMemory, deadly: Callable[[Sequence[str]], bool], batches: list[list[str]]) -> bool:
    """Let one worker take a batch of `u` and, where that is deadly, do nothing more, as the dead do; else learn it."""
    from ltm_core.learn.worker import ALWAYS, _put, _tried

    worker, store, now = memory.runtime.worker, memory.runtime.store, memory.runtime.now()
    jobs = due_together(await memory.runtime.run(worker._waiting(Scope.user("u"))), ALWAYS)
    texts = [message.text for message in await memory.runtime.run(worker._messages(jobs))] if jobs else []
    if not jobs or not deadly(texts) or jobs[0].fields.get("claims", 0) >= MAX_CLAIMS:
        return False
    batches.append(texts)
    claimed = await memory.runtime.run(
        leases.claim(store, Scope.user("u"), now, [_put(_tried(job, now)) for job in jobs])
    )
    assert claimed is not None
    await memory.runtime.run(store.apply([claimed.released(now)]))
    return True


@pytest.mark.parametrize("place", [0, 7, MAX_TURNS - 1])
async def test_a_turn_that_kills_its_workers_is_found_by_halves_and_takes_no_other_along(place: int) -> None:
    deaths: list[list[str]] = []
    async with AsyncMemory("memory://", extract=told, background=False) as memory:
        for number in range(MAX_TURNS):
            await memory.observe(f"set n#{number} x", user_id="u", session_id="s")
        poison = f"set n#{place} x"
        while await memory.jobs.list("waiting"):
            if not await dies(memory, lambda texts: poison in texts, deaths):
                await memory.runtime.teach(
                    memory.runtime.worker._attempt(Scope.user("u"), datetime.max.replace(tzinfo=UTC))
                )
        dead = [job for job in await memory.jobs.list() if job.status == "dead"]
        assert [(await memory.jobs.show(job.id)).messages[0].text for job in dead] == [poison]
        assert dead[0].error == f"The process died {MAX_CLAIMS} times while it learned this turn."
        assert len(await memory.facts.get_all(scope_id="u")) == MAX_TURNS - 1
    assert len(deaths) == MAX_CLAIMS
    assert all(len(later) <= max(len(earlier), 1) for earlier, later in pairwise(deaths))
    assert deaths[-1] == [poison]


async def test_deaths_and_failures_are_counted_apart() -> None:
    broken = True

    def extract(given: Extracting) -> Sequence[Candidate]:
        if broken:
            raise RuntimeError("no luck")
        return told(given)

    async with AsyncMemory("memory://", extract=extract, background=False) as memory:
        await memory.observe("set name Ana", user_id="u")
        for _ in range(MAX_CLAIMS - 1):
            assert await dies(memory, lambda texts: True, [])
        for _ in range(MAX_ATTEMPTS - 1):
            await memory.flush()
        (job,) = await memory.jobs.list()
        assert (job.status, job.attempts, job.claims) == ("waiting", MAX_ATTEMPTS - 1, 0)
        broken = False
        assert await memory.flush()


async def test_after_a_second_death_a_turn_is_tried_later_and_later() -> None:
    clock = Clock()
    async with AsyncMemory("memory://", extract=told, background=False, clock=clock, learn_after=0) as memory:
        await memory.observe("set name Ana", user_id="u")
        pauses = []
        for _ in range(4):
            await dies(memory, lambda texts: True, [])
            (job,) = await memory.jobs.list()
            pauses.append(((job.run_at or clock()) - clock()).total_seconds() // 1)
        assert pauses == [0, 2, 4, 8]


# Workers in each other's way


async def test_workers_of_one_database_lose_fewer_claims_than_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    in_step = await lost_claims(monkeypatch, lambda _: None)
    spread = await lost_claims(monkeypatch, random.Random(7).shuffle)
    print(f"claims lost by 4 workers over 80 people: {in_step} in step, {spread} spread")  # noqa: T201
    assert spread < in_step / 2


class Brief:
    """A journey that takes a few turns of the loop, and learns nothing."""

    async def extract(self, batch: Batch) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def decide(self, batch: Batch, found: None) -> tuple[Sequence[FactUpdate], Sequence[Write]]:
        return [], []


async def lost_claims(monkeypatch: pytest.MonkeyPatch, shuffle: Callable[[list[Scope]], None]) -> int:
    """How often one of four workers reached for somebody whom another one had."""
    lost, store, clock, home = 0, DictStore(), Clock(), Home("test")
    claim = leases.claim

    async def counted(*given: Any) -> Any:
        nonlocal lost
        lease = await claim(*given)
        lost += lease is None
        return lease

    monkeypatch.setattr("ltm_core.learn.worker.claim", counted)
    ledger = Ledger(store, Ceilings(), len, lambda: "one")
    home.is_here = lambda: True  # type: ignore[method-assign] # all on this loop
    for number in range(80):
        scope = Scope.user(f"u{number}")
        fields = {**turn(0, clock()).fields, "created_at": clock(), "message_ids": []}
        await store.apply([Put(Record("job", f"j{number}", scope, scope, 1, fields))])
    workers = [Worker(store, Brief(), home, home, clock, lambda *_: None, ledger, shuffle=shuffle) for _ in range(4)]
    assert all(await asyncio.gather(*(worker.drain() for worker in workers)))
    return lost


async def test_an_error_of_one_person_ends_nobody_elses_learning() -> None:
    class Refusing(DictStore):
        async def apply(self, writes: Sequence[Write]) -> None:
            if any(
                isinstance(one, Put) and one.record.kind == "lease" and one.record.scope.id == "bad" for one in writes
            ):
                raise RuntimeError("disk on fire")
            await super().apply(writes)

    async with AsyncMemory(store=Refusing(), extract=told, background=False) as memory:
        for user in ("ana", "bad", "cyd"):
            await memory.observe("set name X", user_id=user)
        with pytest.raises(RuntimeError, match="disk on fire"):
            await memory.flush()
        assert [job.subject for job in await memory.jobs.list("waiting")] == ["user:bad"]
        assert not memory.runtime.worker._attempts
    async with AsyncMemory(store=Refusing(), extract=told, learn_after=0) as memory:
        for user in ("ana", "bad", "cyd"):
            await memory.observe("set name X", user_id=user)
        await left(memory, 1)


async def test_one_with_more_turns_than_a_look_sees_hides_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltm_core.learn.worker.SEEN", 3)

    def extract(given: Extracting) -> Sequence[Candidate]:
        if "poison" in given.messages[0].text:
            raise RuntimeError("no luck")
        return told(given)

    async with AsyncMemory("memory://", extract=extract, learn_after=0, background=False) as memory:
        for number in range(MAX_TURNS + 10):  # more than fail together
            await memory.observe(f"poison {number}", user_id="bad", session_id="s")
        await memory.observe("set name Ana", user_id="ana")
        assert not await memory.flush()
        assert await memory.facts.get("name", scope_id="ana")
