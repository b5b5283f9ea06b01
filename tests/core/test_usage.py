"""How facts are used: logged off the hot path, counted exactly, told of by those whom they were given to."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltm_core import (
    AsyncMemory,
    ConfigurationError,
    Fact,
    InvalidInput,
    Memory,
    MemoryScope,
    NotFound,
    Recalled,
    StoreUnavailable,
    Usage,
)
from ltm_core.journeys import accesses
from ltm_core.journeys.accesses import Given
from ltm_core.journeys.counting import count
from ltm_core.maintain.archive import Archive
from ltm_core.maintain.importance import dynamic_importance
from ltm_core.scope import Identity, Scope
from ltm_core.stores.base import Put, Where, Write
from ltm_core.stores.memory import DictStore
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.stores.wrappers import Observed
from ltm_core.stores.wrappers.observed import Call
from ltm_core.testing.fakes import Clock
from tests.conftest import URLS, url_of
from tests.core.conftest import Open

ANN = Scope.user("ann")
GLOBAL: dict[str, Any] = {"scope": MemoryScope.GLOBAL, "scope_id": None}


KINDS_OF_URL = [*URLS, *(["redis"] if find_spec("redis") else [])]


@pytest.fixture(params=KINDS_OF_URL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request, tmp_path)


async def add(memory: AsyncMemory, key: str = "home", value: str = "Lives in Rome", **place: Any) -> Fact:
    return await memory.facts.add(key, value, **{"scope_id": "ann", **place})


async def asked(memory: AsyncMemory, query: str = "Rome", **who: str) -> Recalled:
    return await memory.recall(query, **(who or {"user_id": "ann"}))  # type: ignore[arg-type]


async def stored(memory: AsyncMemory, kind: str = "access", owner: Scope = ANN) -> int:
    return await memory.runtime.run(memory.runtime.store.count(Where(kind, (owner,))))


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.module == "accesses"]


def told_of(usage: Usage) -> tuple[int, int, int]:
    return usage.access_count, usage.useful, usage.not_useful


# The log


async def test_each_way_to_a_fact_is_logged_with_who_when_and_what_was_asked(memory: AsyncMemory, clock: Clock) -> None:
    fact = await add(memory)
    await add(memory, "job", "Nurse in a clinic")
    await memory.facts.link("job", "home", scope_id="ann")
    recalled = await asked(memory, "Where in Rome?", user_id="ann", session_id="s", agent_id="bot")
    begun = clock()
    clock.advance(seconds=1)
    await memory.facts.search("rome", scope_id="ann")
    clock.advance(seconds=1)
    await memory.facts.related("job", scope_id="ann")
    clock.advance(seconds=1)
    await memory.facts.get("home", scope_id="ann")
    get, link, search, recall = await memory.facts.accesses("home", scope_id="ann")
    assert [one.how for one in (recall, search, link, get)] == ["recall", "search", "link", "get"]
    assert [one.query for one in (recall, search, link, get)] == ["Where in Rome?", "rome", "", ""]
    assert (recall.fact_id, recall.recall_id, recall.at) == (fact.id, recalled.recall_id, begun)
    assert (recall.user_id, recall.session_id, recall.agent_id) == ("ann", "s", "bot")
    assert (get.user_id, get.session_id, get.at) == ("ann", None, begun + timedelta(seconds=3))
    assert len({one.recall_id for one in (recall, search, link, get)}) == 4
    newest = await memory.facts.accesses("home", limit=1, scope_id="ann")
    assert newest == [get]


async def test_what_recall_found_along_a_link_says_so(memory: AsyncMemory) -> None:
    await add(memory)
    await add(memory, "doctor", "Dr. Bianchi, Monday")
    await memory.facts.link("home", "doctor", scope_id="ann")
    await memory.recall("Rome", user_id="ann", links=1, limit=2)
    assert [one.how for one in await memory.facts.accesses("doctor", scope_id="ann")] == ["link"]
    assert [one.how for one in await memory.facts.accesses("home", scope_id="ann")] == ["recall"]


async def test_who_looks_by_key_is_whom_the_block_around_it_names(memory: AsyncMemory) -> None:
    await add(memory, **GLOBAL)
    with memory.scope(user_id="ann", agent_id="bot"):
        await memory.facts.get("home", **GLOBAL)
    (access,) = await memory.facts.accesses("home", **GLOBAL)
    assert (access.user_id, access.agent_id) == ("ann", "bot")


async def test_listing_and_changing_facts_is_no_use_of_them(memory: AsyncMemory) -> None:
    await add(memory)
    await memory.facts.update("home", "Lives in Oslo", scope_id="ann")
    await memory.facts.get_all(scope_id="ann")
    await memory.facts.history("home", scope_id="ann")
    await memory.facts.get("nothing", scope_id="ann")
    assert told_of(await memory.facts.usage("home", scope_id="ann")) == (0, 0, 0)


async def test_every_recall_has_an_id_of_its_own(memory: AsyncMemory) -> None:
    await add(memory)
    recalls = [await asked(memory) for _ in range(3)]
    assert len({recalled.recall_id for recalled in recalls}) == 3
    assert all(recalled.id == recalled.recall_id for recalled in recalls)


async def test_queries_are_redacted_and_cut_before_they_are_stored(open_: Open) -> None:
    memory = open_(redact=lambda text: text.replace("s3cret", "***"))
    await add(memory)
    await asked(memory, "Rome s3cret " + "x" * 1000)
    (access,) = await memory.facts.accesses("home", scope_id="ann")
    assert access.query == "Rome *** " + "x" * 491


async def test_a_query_that_cannot_be_redacted_is_not_stored(open_: Open, caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    memory = open_(redact=broken)
    await add(memory)
    assert (await asked(memory)).facts
    assert (await asked(memory)).facts
    assert {one.query for one in await memory.facts.accesses("home", scope_id="ann")} == {""}
    assert complaints(caplog) == [
        "A query could not be redacted (ValueError) and is left out of the log. Correct redact=."
    ]
    assert "Rome" not in caplog.text


@pytest.mark.parametrize("query", ["Rome \0 \udcff", "Rome 🏛", "Rome " * 5000])
async def test_any_query_can_be_logged(memory: AsyncMemory, query: str) -> None:
    await add(memory)
    await asked(memory, query)
    assert len(await memory.facts.accesses("home", scope_id="ann")) == 1
    assert memory.runtime.accesses.dropped == 0


# Off the hot path


async def test_a_recall_writes_nothing_to_the_database(tmp_path: Path) -> None:
    calls: list[Call] = []
    store = Observed(SqliteStore(tmp_path / "memory.db"), calls.append)
    async with AsyncMemory(store=store, background=False) as memory:
        await add(memory)
        with closing(sqlite3.connect(tmp_path / "memory.db")) as other:
            (before,) = other.execute("PRAGMA data_version").fetchone()
            calls.clear()
            for _ in range(20):
                await asked(memory)
                await memory.facts.get("home", scope_id="ann")
                await memory.facts.search("Rome", scope_id="ann")
            assert {call.verb for call in calls} <= {"scan", "count", "search_text", "stamps"}
            assert other.execute("PRAGMA data_version").fetchone() == (before,)
            assert memory.runtime.accesses.waiting == 60
            assert await memory.flush()
            assert other.execute("PRAGMA data_version").fetchone() != (before,)
        assert sum(call.records for call in calls if call.verb == "apply") == 61
        assert (await stored(memory), memory.runtime.accesses.waiting) == (60, 0)


class Told(DictStore):
    """Says when accesses were written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    async def apply(self, writes: Sequence[Write]) -> None:
        await super().apply(writes)
        if any(isinstance(write, Put) and write.record.kind == "access" for write in writes):
            self.written.set()


@pytest.mark.parametrize(("name", "value"), [("SECONDS", 0.01), ("MANY", 3)])
async def test_what_was_noted_is_written_after_some_time_or_when_it_is_much(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    monkeypatch.setattr(accesses, name, value)
    store = Told()
    async with AsyncMemory(store=store, background=False) as memory:
        await add(memory)
        for _ in range(3):
            await asked(memory)
        assert await asyncio.to_thread(store.written.wait, 30)


async def test_closing_writes_what_was_noted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, background=False) as memory:
        await add(memory)
        await asked(memory)
    async with AsyncMemory(url, background=False) as memory:
        assert (await memory.facts.usage("home", scope_id="ann")).access_count == 1


async def test_what_is_too_much_is_dropped_counted_and_logged_once(
    memory: AsyncMemory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accesses, "MOST", 5)
    await add(memory)
    for _ in range(8):
        assert (await asked(memory)).facts
    assert (memory.runtime.accesses.waiting, memory.runtime.accesses.dropped) == (5, 3)
    assert [told[:40] for told in complaints(caplog)] == ["Accesses to facts could not be logged; r"]
    assert (await memory.facts.usage("home", scope_id="ann")).access_count == 5
    await asked(memory)
    assert (await memory.facts.usage("home", scope_id="ann")).access_count == 6


async def test_more_than_fits_one_transaction_is_written_whole(memory: AsyncMemory) -> None:
    await memory.facts.add_many([{"key": f"k{n}", "value": n, "scope_id": "ann"} for n in range(450)])
    for _ in range(2):
        await memory.recall("", user_id="ann", strategy="all", limit=None)
    await memory.flush()
    assert (await stored(memory), await stored(memory, "usage")) == (900, 450)


async def test_without_a_log_nothing_is_noted_and_feedback_says_why(open_: Open) -> None:
    memory = open_(log_access=False)
    fact = await add(memory)
    recalled = await asked(memory)
    await memory.facts.get("home", scope_id="ann")
    await memory.flush()
    assert (memory.runtime.accesses.waiting, await stored(memory)) == (0, 0)
    with pytest.raises(ConfigurationError, match="log_access=True"):
        await memory.feedback(recalled.recall_id, fact.id)
    assert (await memory.facts.touch("home", scope_id="ann")).access_count == 1


async def test_a_forked_child_leaves_to_its_parent_what_that_noted(memory: AsyncMemory) -> None:
    await add(memory)
    await asked(memory)
    memory.runtime.accesses.forget()
    await memory.flush()
    assert await stored(memory) == 0


# Failures


class Failing(DictStore):
    """Cannot write accesses, as often as is said; or does, but the answer is lost."""

    def __init__(self, error: Exception, times: int, *, done: bool = False) -> None:
        super().__init__()
        self.error, self.times, self.done = error, times, done

    async def apply(self, writes: Sequence[Write]) -> None:
        fails = self.times and any(isinstance(write, Put) and write.record.kind == "access" for write in writes)
        if not fails or self.done:
            await super().apply(writes)
        if fails:
            self.times -= 1
            raise self.error


async def test_a_log_that_fails_costs_no_recall_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncMemory(store=Failing(RuntimeError("disk"), 2), background=False) as memory:
        await add(memory)
        for _ in range(3):
            assert (await asked(memory)).facts
            assert await memory.flush()
        assert (memory.runtime.accesses.dropped, await stored(memory)) == (2, 1)
    assert [told[:40] for told in complaints(caplog)] == ["Accesses to facts could not be logged; r"]


@pytest.mark.parametrize("done", [False, True])
async def test_what_could_not_be_written_for_now_is_written_later_and_counted_once(
    monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    store = Failing(StoreUnavailable("away"), 1, done=done)
    async with AsyncMemory(store=store, background=False) as memory:
        await add(memory)
        await asked(memory)
        await memory.flush()
        assert memory.runtime.accesses.waiting == 1
        assert (await memory.facts.usage("home", scope_id="ann")).access_count == 1
        assert (await stored(memory), memory.runtime.accesses.dropped) == (1, 0)


class Slow(DictStore):
    """Writes accesses only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def apply(self, writes: Sequence[Write]) -> None:
        if any(isinstance(write, Put) and write.record.kind == "access" for write in writes):
            await self.may.wait()
        await super().apply(writes)


async def test_who_does_not_wait_for_the_log_loses_nothing_of_it() -> None:
    store = Slow()
    async with AsyncMemory(store=store, background=False) as memory:
        await add(memory)
        await asked(memory)
        assert not await memory.flush(timeout=0.05)
        assert (await asked(memory)).facts
        await memory.runtime.run(_set(store.may))
        assert (await memory.facts.usage("home", scope_id="ann")).access_count == 2


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_of_a_fact_that_is_gone_nothing_is_left(memory: AsyncMemory, clock: Clock) -> None:
    await add(memory, "code", "Rome 1234", ttl=60)
    await add(memory)
    assert len((await asked(memory)).facts) == 2
    clock.advance(seconds=60)
    assert (await memory.sweep()).expired == 1
    await memory.flush()
    assert (await stored(memory), await stored(memory, "usage")) == (1, 1)
    assert memory.runtime.accesses.dropped == 0


# Counts


@pytest.mark.parametrize("url", [one for one in KINDS_OF_URL if one != "memory"], indirect=True)
async def test_counts_are_exact_however_many_write(url: str) -> None:
    def use(user: str) -> None:
        with Memory(url, background=False) as memory:
            for number in range(20):
                recalled = memory.recall("Rome", user_id=user)
                memory.facts.touch("home", **GLOBAL)
                memory.feedback(recalled.recall_id, recalled.facts[0].id, number % 4 > 0)
            memory.recall("Rome", user_id=user)

    async with AsyncMemory(url, background=False) as memory:
        await add(memory, **GLOBAL)
        threads = [threading.Thread(target=use, args=(f"u{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert told_of(await memory.facts.usage("home", **GLOBAL)) == (4 * 41, 60, 20)
        assert len(await memory.facts.accesses("home", limit=None, **GLOBAL)) == 4 * 41


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("recall"), st.sampled_from(["alpha", "beta", "alpha beta"])),
            st.tuples(st.just("get"), st.sampled_from(["a", "b"])),
            st.tuples(st.just("touch"), st.sampled_from(["a", "b"])),
            st.tuples(st.just("useful"), st.tuples(st.integers(0, 3), st.booleans())),
            st.tuples(st.just("flush"), st.none()),
        ),
        max_size=20,
    )
)
@settings(max_examples=60)
async def test_after_anything_counts_are_those_of_the_log(steps: list[tuple[str, Any]]) -> None:
    clock = Clock()
    async with AsyncMemory("memory://", clock=clock, background=False) as memory:
        for key, word in (("a", "alpha"), ("b", "beta")):
            await add(memory, key, word)
        recalls: list[Recalled] = []
        answers: dict[tuple[str, str], bool] = {}
        for verb, what in steps:
            clock.advance(seconds=1)
            if verb == "recall":
                recalls.append(await asked(memory, what))
            elif verb == "get":
                await memory.facts.get(what, scope_id="ann")
            elif verb == "touch":
                await memory.facts.touch(what, scope_id="ann")
            elif verb == "useful" and recalls:
                recalled = recalls[what[0] % len(recalls)]
                await memory.feedback(recalled.recall_id, recalled.facts[0].id, what[1])
                answers[recalled.recall_id, recalled.facts[0].key] = what[1]
            elif verb == "flush":
                await memory.flush()
        for key in ("a", "b"):
            usage = await memory.facts.usage(key, scope_id="ann")
            log = await memory.facts.accesses(key, limit=None, scope_id="ann")
            given_ = sum(key in [fact.key for fact in recalled.facts] for recalled in recalls)
            by_hand = sum(step in [("get", key), ("touch", key)] for step in steps)
            mine = [useful for (_, of), useful in answers.items() if of == key]
            assert told_of(usage) == (given_ + by_hand, mine.count(True), mine.count(False))
            assert len(log) == usage.access_count
            assert [one.useful for one in log].count(True) == usage.useful
            assert usage.last_accessed_at == (log[0].at if log else None)


async def test_one_access_is_counted_once_however_often_it_is_written(memory: AsyncMemory) -> None:
    fact = await add(memory)
    one = Given("r", [(fact.id, ANN, "recall")], Identity(user_id="ann"), memory.runtime.now())
    for given_ in (one, one, replace(one, recall_id="other")):
        await memory.runtime.run(count(memory.runtime.store, given_.accesses()))
    assert (await memory.facts.usage("home", scope_id="ann")).access_count == 2


async def test_use_makes_a_fact_matter_more_by_the_formula(memory: AsyncMemory, clock: Clock) -> None:
    fact = await add(memory)
    usage = await memory.facts.usage("home", scope_id="ann")
    assert usage == Usage(importance=0.25)
    clock.advance(days=90)
    assert (await memory.facts.usage("home", scope_id="ann")).importance == 0.1875
    touched = await memory.facts.touch("home", scope_id="ann")
    assert (touched.access_count, touched.last_accessed_at) == (1, clock())
    assert touched.importance == pytest.approx(0.5 * 1.0 * 2 / 3 * 1.0)
    assert touched.importance == dynamic_importance(fact, touched, clock())
    now = await memory.facts.get("home", scope_id="ann")
    assert now == fact
    log = await memory.facts.accesses("home", scope_id="ann")
    assert {(one.how, one.user_id) for one in log} == {("get", "ann"), ("touch", "ann")}


async def test_what_was_touched_is_not_stale(memory: AsyncMemory, clock: Clock) -> None:
    await add(memory, "shoe_size", "38", importance=0.2)
    await add(memory, "ring_size", "12", importance=0.2)
    clock.advance(days=400)
    await memory.facts.touch("shoe_size", scope_id="ann")
    await memory.maintain([Archive(below=1.0)], user_id="ann")
    assert [fact.key for fact in await memory.facts.get_all(scope_id="ann")] == ["shoe_size"]


@pytest.mark.parametrize("verb", ["usage", "accesses", "touch"])
async def test_of_no_fact_there_is_no_use(memory: AsyncMemory, verb: str) -> None:
    await add(memory)
    await memory.facts.delete("home", scope_id="ann")
    for key in ("nothing", "home"):
        with pytest.raises(NotFound, match=key):
            await getattr(memory.facts, verb)(key, scope_id="ann")


async def test_use_is_counted_apart_in_each_namespace(memory: AsyncMemory) -> None:
    await add(memory)
    await add(memory, namespace="work")
    await memory.facts.touch("home", scope_id="ann", namespace="work")
    assert (await memory.facts.usage("home", scope_id="ann")).access_count == 0
    assert (await memory.facts.usage("home", scope_id="ann", namespace="work")).access_count == 1


# Feedback


async def test_feedback_counts_at_once_and_another_answer_takes_its_place(memory: AsyncMemory) -> None:
    fact = await add(memory)
    recalled = await asked(memory)
    assert memory.runtime.accesses.waiting == 1
    seen = []
    for useful in (True, True, False, False, True):
        await memory.feedback(recalled.recall_id, fact.id, useful)
        seen.append(told_of(await memory.facts.usage("home", scope_id="ann")))
    assert seen == [(1, 1, 0), (1, 1, 0), (1, 0, 1), (1, 0, 1), (1, 1, 0)]
    again = await asked(memory)
    await memory.feedback(again.recall_id, fact.id)
    assert told_of(await memory.facts.usage("home", scope_id="ann")) == (2, 2, 0)
    assert [one.useful for one in await memory.facts.accesses("home", scope_id="ann")] == [True, True]


async def test_feedback_is_for_what_that_recall_gave(memory: AsyncMemory) -> None:
    fact = await add(memory)
    other = await add(memory, "job", "Nurse")
    recalled = await memory.recall("Rome", user_id="ann", limit=1)
    with pytest.raises(InvalidInput, match="did not give"):
        await memory.feedback(recalled.recall_id, other.id)
    with pytest.raises(NotFound, match="user_id="):
        await memory.feedback("unknown", fact.id)
    with pytest.raises(NotFound, match="access_retention"):
        await memory.feedback("unknown", fact.id, user_id="ann")
    with pytest.raises(InvalidInput, match="True or False"):
        await memory.feedback(recalled.recall_id, fact.id, "yes")  # type: ignore[arg-type]


async def test_nobody_tells_of_the_recalls_of_others(open_: Open) -> None:
    memory = open_()
    fact = await add(memory)
    shared = await add(memory, "office", "Office in Rome", **GLOBAL)
    recalled = await asked(memory)
    assert {found.id for found in recalled.facts} == {fact.id, shared.id}
    await asked(memory, user_id="bob")
    for one in (fact, shared):
        for who in ({"user_id": "bob"}, {"user_id": "ann", "session_id": "s"}, {"session_id": "s"}):
            with pytest.raises(NotFound):
                await memory.feedback(recalled.recall_id, one.id, **who)  # type: ignore[arg-type]
    with memory.scope(user_id="bob"), pytest.raises(NotFound):
        await memory.feedback(recalled.recall_id, shared.id)
    await memory.feedback(recalled.recall_id, shared.id)
    assert told_of(await memory.facts.usage("office", **GLOBAL)) == (2, 1, 0)


async def test_another_process_takes_feedback_from_who_recalled_and_not_across_tenants(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, background=False) as here, AsyncMemory(url, background=False) as there:
        fact = await add(here)
        recalled = await asked(here, user_id="ann", session_id="s")
        await here.flush()
        with pytest.raises(NotFound, match="Pass the ids"):
            await there.feedback(recalled.recall_id, fact.id)
        await there.feedback(recalled.recall_id, fact.id, user_id="ann")
        with there.scope(user_id="ann", session_id="s"):
            await there.feedback(recalled.recall_id, fact.id, useful=False)
        assert told_of(await here.facts.usage("home", scope_id="ann")) == (1, 0, 1)
        async with AsyncMemory(url, tenant="other", background=False) as other:
            with pytest.raises(NotFound):
                await other.feedback(recalled.recall_id, fact.id, user_id="ann")


async def test_a_turn_and_a_context_are_logged_as_recalls(memory: AsyncMemory) -> None:
    fact = await add(memory)
    async with memory.turn("Rome?", user_id="ann", learn=False):
        pass
    await memory.sessions.add_message("s", "Which city?", user_id="ann")
    await memory.context("s", "Rome", user_id="ann")
    log = await memory.facts.accesses("home", scope_id="ann")
    assert {(one.how, one.query, one.session_id) for one in log} == {("recall", "Rome?", None), ("recall", "Rome", "s")}
    assert {one.fact_id for one in log} == {fact.id}


async def test_the_same_without_await(url: str) -> None:
    def work() -> None:
        with Memory(url, background=False) as memory:
            fact = memory.facts.add("home", "Lives in Rome", scope_id="ann")
            recalled = memory.recall("Rome", user_id="ann")
            memory.feedback(recalled.recall_id, fact.id, useful=False)
            memory.facts.touch("home", scope_id="ann")
            assert told_of(memory.facts.usage("home", scope_id="ann")) == (2, 0, 1)
            assert [one.how for one in memory.facts.accesses("home", scope_id="ann")] == ["touch", "recall"]

    await asyncio.to_thread(work)


# Beside the fact


async def test_old_entries_of_the_log_are_swept_and_what_was_counted_stays(open_: Open, clock: Clock) -> None:
    memory = open_(access_retention=timedelta(days=10))
    fact = await add(memory)
    recalled = await asked(memory)
    await memory.flush()
    clock.advance(days=9)
    await asked(memory)
    assert (await memory.sweep()).accesses == 0
    await memory.flush()
    clock.advance(days=1)
    assert (await memory.sweep()).accesses == 1
    assert len(await memory.facts.accesses("home", scope_id="ann")) == 1
    assert (await memory.facts.usage("home", scope_id="ann")).access_count == 2
    with pytest.raises(NotFound, match="too long ago"):
        await memory.feedback(recalled.recall_id, fact.id)


async def test_the_log_is_kept_for_thirty_days_unless_said_otherwise(clock: Clock) -> None:
    store = DictStore()
    for_ever = AsyncMemory(store=store, clock=clock, background=False, access_retention=None)
    usual = AsyncMemory(store=store, clock=clock, background=False)
    await add(usual)
    await asked(usual)
    await usual.flush()
    clock.advance(days=29)
    assert (await usual.sweep()).accesses == 0
    clock.advance(days=1)
    assert (await for_ever.sweep()).accesses == 0
    assert (await usual.sweep()).accesses == 1
    await usual.close()
    await for_ever.close()
    with pytest.raises(ConfigurationError, match="access_retention=-1"):
        AsyncMemory(store=store, access_retention=-1)


async def test_what_is_said_of_shared_facts_goes_with_who_asked(memory: AsyncMemory) -> None:
    await add(memory, **GLOBAL)
    await asked(memory, user_id="bob")
    await memory.flush()
    about_bob = Where("access", subject=Scope.user("bob"))
    assert await memory.runtime.run(memory.runtime.store.purge(about_bob)) == 1
    assert (await memory.facts.usage("home", **GLOBAL)).access_count == 1
    assert await memory.facts.accesses("home", **GLOBAL) == []


async def test_what_was_used_in_a_session_ends_with_it(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60)
    await memory.sessions.add_message("s", "hello", user_id="ann")
    await add(memory, scope=MemoryScope.SESSION, scope_id="s")
    await asked(memory, user_id="ann", session_id="s")
    await memory.flush()
    session = Scope.session("s")
    assert (await stored(memory, "access", session), await stored(memory, "usage", session)) == (1, 1)
    clock.advance(seconds=61)
    assert (await memory.sweep()).sessions == 1
    assert (await stored(memory, "access", session), await stored(memory, "usage", session)) == (0, 0)


async def test_what_was_counted_of_a_merged_fact_stays_its_own(memory: AsyncMemory) -> None:
    for key in ("note#1", "note#2"):
        await add(memory, key, "Ann likes strong coffee")
        await memory.facts.touch(key, scope_id="ann")
    await memory.maintain(["deduplicate"], user_id="ann")
    assert [fact.key for fact in await memory.facts.archived(scope_id="ann")] == ["note#2"]
    assert [(await memory.facts.usage(key, scope_id="ann")).access_count for key in ("note#1", "note#2")] == [1, 1]


async def test_stats_show_what_is_used_and_count_what_never_was(memory: AsyncMemory) -> None:
    for number in range(8):
        await add(memory, f"k{number}", f"word{number}")
        for _ in range(number):
            await memory.facts.search(f"word{number}", scope_id="ann")
    await memory.facts.delete("k7", scope_id="ann")
    await memory.facts.archive("k6", "old", scope_id="ann")
    stats = await memory.stats("ann")
    assert [(fact.key, fact.access_count) for fact in stats.most_used] == [(f"k{n}", n) for n in (5, 4, 3, 2, 1)]
    assert [(fact.key, fact.access_count) for fact in stats.least_used] == [(f"k{n}", n) for n in (1, 2, 3, 4, 5)]
    assert (stats.facts, stats.unused) == (6, 1)
