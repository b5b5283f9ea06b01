"""Wrappers: what each adds, and that it changes nothing else."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Scope
from ltm_core.assemble import _database
from ltm_core.errors import ConfigurationError, ConflictError, StoreError, StoreUnavailable
from ltm_core.records import vector_record
from ltm_core.stores.base import All, AnyOf, Compare, Condition, Delete, Not, Put, Record, Scan, Store, Where, Write
from ltm_core.stores.memory import DictStore
from ltm_core.stores.portable import checksum, from_json, to_json
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.stores.wrappers import Cached, Call, Observed, ReadOnly, Retrying, Wrapper
from ltm_core.stores.wrappers.cached import _asked
from ltm_core.testing import strategies as draw
from ltm_core.testing.store_contract import ANN, BOB, NOW, StoreContract, fact, names, of, put
from ltm_core.vectors import pack

VERBS = {
    name
    for name, member in inspect.getmembers(Store, inspect.isfunction)
    if not name.startswith("_") or name in ("__aenter__", "__aexit__")
} - {"__aenter__", "__aexit__"}


def cached(inner: Store, url: str, **options: Any) -> Cached:
    return Cached(inner, url, **{"name": uuid4().hex, "patience": 5.0, **options})


class TestWrapper(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        async with Wrapper(SqliteStore()) as store:
            yield store


class TestRetrying(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        async with Retrying(SqliteStore()) as store:
            yield store


class TestObserved(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        async with Observed(SqliteStore(), lambda _: None) as store:
            yield store


class TestCached(StoreContract):
    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[Store]:
        async with cached(SqliteStore(), redis_url) as store:
            yield store


class TestAllTogether(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, redis_url: str, tmp_path: Path) -> AsyncIterator[Store]:
        inner = Retrying(Observed(SqliteStore(tmp_path / "ltm.db"), lambda _: None))
        async with cached(inner, redis_url) as store:
            yield store


# Every verb


class Recorder(DictStore):
    """Notes which verbs are called, and with what."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in VERBS:
            return found

        def heard(*args: Any, **kwargs: Any) -> Any:
            self.heard.append((name, args, kwargs))
            return found(*args, **kwargs)

        return heard


@pytest.mark.parametrize("wrapper", [Wrapper, ReadOnly, Retrying, Observed, Cached])
def test_no_verb_of_the_seam_is_left_to_the_base_class(wrapper: type[Wrapper]) -> None:
    inherited = {name for name in VERBS if getattr(wrapper, name) is getattr(Store, name)}
    assert inherited == set()


@pytest.mark.parametrize("name", sorted(VERBS))
async def test_every_verb_reaches_the_wrapped_store_with_what_it_was_given(name: str) -> None:
    given: dict[str, Any] = {
        "writes": [Put(fact(ANN, "a"))],
        "where": of(ANN),
        "scopes": [ANN],
        "by": "status",
        "start": ["a"],
        "depth": 1,
        "types": ["x"],
        "direction": "out",
        "order": [("created_at", "desc")],
        "limit": 7,
        "after": (None, "x"),
        "terms": ["oslo"],
        "space": "s",
        "vector": pack([1.0]),
        "kind": "job",
        "before": NOW,
        "record_id": "x",
        "kinds": ["fact"],
        "asked": [Scan(of(ANN))],
    }
    inner = Recorder()
    signature = inspect.signature(getattr(Store, name))
    wanted = {one: given[one] for one in list(signature.parameters)[1:] if (name, one) != ("subjects", "after")}
    called = getattr(Wrapper(inner), name)(**wanted)
    if inspect.isawaitable(called):
        await called
    verb, args, kwargs = inner.heard[0]
    heard = signature.bind(None, *args, **kwargs)
    heard.apply_defaults()
    assert verb == name
    assert {one: heard.arguments[one] for one in wanted} == wanted


@pytest.mark.parametrize("wrap", [Wrapper, Retrying, lambda inner: Observed(inner, lambda _: None)])
async def test_a_memory_works_on_a_wrapped_store(wrap: Callable[[Store], Store], tmp_path: Path) -> None:
    store = wrap(SqliteStore(tmp_path / "ltm.db"))
    async with AsyncMemory(store=store) as memory:
        await memory.remember("I live in Oslo.", user_id="ann")
        assert [one.value for one in (await memory.recall("Where do I live?", user_id="ann")).facts] == ["Oslo"]


# ReadOnly


async def test_a_read_only_store_reads_and_refuses_each_write_with_what_to_do() -> None:
    inner = DictStore()
    await put(inner, fact(ANN, "a", terms=["oslo"]))
    store = ReadOnly(inner)
    refused: list[Any] = [store.apply([Put(fact(ANN, "b"))]), store.apply([Delete("fact", fact(ANN, "a").id, ANN)])]
    for write in [*refused, store.purge(of(ANN))]:
        with pytest.raises(StoreError, match=r"read-only\. Write through the store inside it"):
            await write
    await store.apply([])
    assert names(await store.scan(of(ANN))) == names(await store.search_text(of(ANN), ["oslo"], 5)) == ["a"]
    assert await store.count(of(ANN)) == 1


async def test_a_memory_recalls_from_a_read_only_store(tmp_path: Path) -> None:
    async with AsyncMemory(tmp_path / "ltm.db") as memory:
        await memory.remember("I live in Oslo.", user_id="ann")
    async with AsyncMemory(store=ReadOnly(SqliteStore(tmp_path / "ltm.db")), background=False) as memory:
        assert [one.value for one in (await memory.recall("Where do I live?", user_id="ann")).facts] == ["Oslo"]
        with pytest.raises(StoreError, match="read-only"):
            await memory.remember("I live in Rome.", user_id="ann")


# Retrying


class Faulty(Wrapper):
    """Loses the connection before or after what it was asked to do, as often as it was told."""

    def __init__(self, inner: Store, *faults: str) -> None:
        super().__init__(inner)
        self.faults = list(faults)
        self.calls = 0

    async def _through(self, verb: str, kind: str | None, call: Callable[[], Any]) -> Any:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "before":
            raise StoreUnavailable("The connection is lost. Retry.")
        result = await call()
        if fault == "after":
            raise StoreUnavailable("The acknowledgement is lost. Read again.")
        return result


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_reads_are_tried_again(fault: str) -> None:
    inner = DictStore()
    await put(inner, fact(ANN, "a"))
    faulty = Faulty(inner, fault, fault)
    assert names(await Retrying(faulty, pause=0).scan(of(ANN))) == ["a"]
    assert faulty.calls == 3


async def test_tries_end_and_the_last_error_is_raised() -> None:
    faulty = Faulty(DictStore(), *["before"] * 9)
    with pytest.raises(StoreUnavailable, match="Retry"):
        await Retrying(faulty, tries=3, pause=0).count(of(ANN))
    assert faulty.calls == 3


async def test_other_errors_are_not_tried_again() -> None:
    faulty = Faulty(DictStore())
    with pytest.raises(ConflictError):
        await Retrying(faulty, pause=0).apply([Put(fact(ANN, "a"), expect=1)])
    assert faulty.calls == 1


@pytest.mark.parametrize("faults", [("before",), ("after",), ("before", "after"), ("after", "before", "after")])
async def test_a_write_whose_acknowledgement_was_lost_is_done_once_and_does_not_conflict_with_itself(
    faults: tuple[str, ...],
) -> None:
    inner = DictStore()
    await put(inner, fact(ANN, "old"), fact(ANN, "gone"))
    writes: list[Write] = [
        Put(fact(ANN, "new", created_at=NOW), expect=0),
        Put(fact(ANN, "old", version=2), expect=1),
        Delete("fact", fact(ANN, "gone").id, ANN, expect=1),
    ]
    await Retrying(Faulty(inner, *faults), pause=0).apply(writes)
    assert [(name, one.version) for one in await inner.scan(of(ANN)) for name in names([one])] == [
        ("new", 1),
        ("old", 2),
    ]


class Overtaken(Faulty):
    """Between a lost acknowledgement and the next try, somebody else writes."""

    def __init__(self, inner: Store, *others: Write) -> None:
        super().__init__(inner, "after")
        self.others = others

    async def _through(self, verb: str, kind: str | None, call: Callable[[], Any]) -> Any:
        try:
            return await super()._through(verb, kind, call)
        except StoreUnavailable:
            await self.inner.apply(self.others)
            raise


async def test_a_write_that_others_have_built_on_is_known_by_what_is_left_of_it() -> None:
    inner = DictStore()
    theirs = Put(fact(ANN, "head", version=2), expect=1)
    writes = [Put(fact(ANN, "head"), expect=0), Put(fact(ANN, "message"), expect=0)]
    await Retrying(Overtaken(inner, theirs), pause=0).apply(writes)
    assert [one.version for one in await inner.scan(of(ANN))] == [2, 1]


@pytest.mark.parametrize(
    "write", [Put(fact(ANN, "a", value="mine"), expect=0), Delete("fact", fact(ANN, "b").id, ANN, expect=1)]
)
async def test_where_nobody_can_tell_whether_a_write_was_done_the_conflict_is_raised(write: Write) -> None:
    inner = DictStore()
    await put(inner, fact(ANN, "b"))
    theirs = Put(fact(ANN, "a", version=2, value="theirs"))
    with pytest.raises(ConflictError):
        await Retrying(Overtaken(inner, theirs), pause=0).apply([write])


async def test_a_real_conflict_after_a_lost_connection_stays_one() -> None:
    inner = DictStore()
    await put(inner, fact(ANN, "a", value="theirs"))
    with pytest.raises(ConflictError):
        await Retrying(Faulty(inner, "before"), pause=0).apply(
            [Put(fact(ANN, "a", value="mine"), expect=0), Put(fact(ANN, "b"))]
        )
    assert [one.fields["value"] for one in await inner.scan(of(ANN))] == ["theirs"]


# Observed


async def test_each_call_is_told_with_its_verb_kind_size_and_time() -> None:
    told: list[Call] = []
    ticks = iter(range(99))
    store = Observed(DictStore(), told.append, clock=lambda: float(next(ticks)))
    await store.apply([Put(fact(ANN, "a")), Put(fact(ANN, "b"))])
    await store.apply([Put(fact(ANN, "c")), Delete("job", "none", ANN)])
    await store.scan(of(ANN))
    await store.count(of(ANN))
    await store.purge(of(ANN))
    await store.due("job", NOW, 5)
    assert told == [
        Call("apply", "fact", 1.0, 2),
        Call("apply", None, 1.0, 2),
        Call("scan", "fact", 1.0, 3),
        Call("count", "fact", 1.0, 3),
        Call("purge", "fact", 1.0, 3),
        Call("due", "job", 1.0, 0),
    ]


async def test_a_call_says_nothing_of_what_is_stored_or_whose() -> None:
    assert [one.name for one in fields(Call)] == ["verb", "kind", "seconds", "records", "error"]
    told: list[Call] = []
    with pytest.raises(ConflictError):
        await Observed(DictStore(), told.append).apply([Put(fact(ANN, "secret"), expect=3)])
    assert (told[0].records, told[0].error) == (0, "ConflictError")
    assert "ann" not in repr(told)
    assert "secret" not in repr(told)


async def test_an_observer_that_fails_costs_no_call_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Observed(DictStore(), lambda call: 1 / 0)
    for _ in range(3):
        assert await store.scan(of(ANN)) == []
    assert len(caplog.records) == 1


# Records as JSON


@given(content=draw.facts, words=st.lists(draw.words, max_size=3))
def test_a_record_comes_back_from_json_as_it_was(content: dict[str, Any], words: list[str]) -> None:
    record = fact(Scope.session("s", "acme"), "x", Scope.user("ü", "acme"), terms=words, **content)
    assert from_json(to_json(record)) == record
    vector = vector_record(record, "s", [1.0, 2.0], at=NOW)
    assert from_json(to_json(vector)) == vector


def test_a_checksum_is_that_of_equal_records_and_of_no_other() -> None:
    record = fact(ANN, "a", created_at=NOW, importance=1, value={"a": 1, "b": [True]})
    elsewhere = NOW.astimezone(tz=datetime.now().astimezone().tzinfo)
    same = fact(ANN, "a", value={"b": [True], "a": 1}, importance=1.0, created_at=elsewhere)
    assert checksum(record) == checksum(same)
    others = [fact(ANN, "b"), replace(record, version=2), replace(record, terms=("x",)), replace(record, subject=BOB)]
    others += [replace(record, fields={**record.fields, "value": value}) for value in ({"a": True, "b": [1]}, None)]
    assert len({checksum(one) for one in [record, *others]}) == 7


# Cached


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Pair:
    """Two processes, as it were: two caches of one name in front of one database."""

    def __init__(self, inner: Store, url: str, clock: Clock) -> None:
        name = uuid4().hex
        self.inner = Faulty(inner)
        self.here = cached(self.inner, url, name=name, clock=clock)
        self.there = cached(inner, url, name=name, clock=clock)


@pytest.fixture
async def pair(redis_url: str, clock: Clock) -> AsyncIterator[Pair]:
    pair = Pair(DictStore(), redis_url, clock)
    async with pair.here, pair.there:
        pair.inner.calls = 0
        yield pair


async def test_what_was_asked_before_is_answered_without_the_database(pair: Pair) -> None:
    record = fact(ANN, "a", created_at=NOW, value={"x": [1, None]}, terms=["oslo"])
    await put(pair.there, record, vector_record(record, "s", [3, 4]))
    near = await pair.here.search_vector(of(ANN), "s", pack([1, 0]), 5)
    for _ in range(3):
        assert await pair.here.scan(of(ANN)) == await pair.here.search_text(of(ANN), ["oslo"], 5) == [record]
        assert await pair.here.count(of(ANN)) == 1
        assert await pair.here.search_vector(of(ANN), "s", pack([1, 0]), 5) == near
    assert pair.inner.calls == 4
    assert (pair.here.redis.counts.hits, pair.here.redis.counts.misses) == (9, 4)


async def test_an_empty_answer_is_an_answer(pair: Pair) -> None:
    assert await pair.here.scan(of(ANN)) == await pair.here.scan(of(ANN)) == []
    assert pair.inner.calls == 1


async def test_every_write_by_anybody_shows_at_once(pair: Pair) -> None:
    async def seen() -> tuple[list[str], int]:
        return names(await pair.here.scan(of(ANN))), await pair.here.count(of(ANN))

    assert await seen() == ([], 0)
    await put(pair.there, fact(ANN, "a"))
    assert await seen() == (["a"], 1)
    await put(pair.here, fact(ANN, "b"))
    assert await seen() == (["a", "b"], 2)
    await pair.there.apply([Delete("fact", fact(ANN, "a").id, ANN)])
    assert await seen() == (["b"], 1)
    assert await pair.there.purge(Where("fact", subject=ANN)) == 1
    assert await seen() == ([], 0)


async def test_a_write_to_one_leaves_the_answers_of_others(pair: Pair) -> None:
    await pair.here.scan(of(ANN))
    await put(pair.there, fact(BOB, "a"))
    await pair.here.scan(of(ANN))
    assert pair.inner.calls == 1
    await pair.here.scan(of(ANN, BOB))
    await put(pair.there, fact(BOB, "b"))
    assert len(await pair.here.scan(of(ANN, BOB))) == 2


async def test_what_is_logged_after_a_recall_leaves_its_answers(pair: Pair) -> None:
    await put(pair.there, fact(ANN, "a"))
    assert names(await pair.here.scan(of(ANN))) == ["a"]
    asked = pair.inner.calls
    fields = {"fact_id": fact(ANN, "a").id, "at": NOW, "recall_id": "r", "how": "recall"}
    await put(pair.there, Record("access", "a1", ANN, ANN, 1, fields), Record("usage", "u1", ANN, ANN, 1, {}))
    assert await pair.there.purge(Where("access", subject=ANN)) == 1
    assert names(await pair.here.scan(of(ANN))) == ["a"]
    assert pair.inner.calls == asked
    both = [Put(Record("usage", "u2", ANN, ANN, 1, {})), Put(fact(ANN, "b"))]
    await pair.there.apply(both)
    assert names(await pair.here.scan(of(ANN))) == ["a", "b"]


async def test_who_reads_while_another_writes_leaves_nothing_old_behind(pair: Pair) -> None:
    async def written_meanwhile() -> list[Record]:
        old = await inner.scan(of(ANN))
        await put(pair.there, fact(ANN, "new"))
        return old

    inner = pair.inner.inner
    pair.inner.scan = lambda *_, **__: written_meanwhile()  # type: ignore[method-assign]
    assert await pair.here.scan(of(ANN)) == []
    del pair.inner.scan
    for store in (pair.here, pair.there):
        assert names(await store.scan(of(ANN))) == ["new"]


async def test_after_a_conflict_is_read_from_the_database(pair: Pair) -> None:
    await pair.here.scan(of(ANN))
    await put(pair.inner.inner, fact(ANN, "past the cache"))
    assert await pair.here.scan(of(ANN)) == []
    with pytest.raises(ConflictError):
        await pair.here.apply([Put(fact(ANN, "past the cache", version=2), expect=0)])
    assert names(await pair.here.scan(of(ANN))) == ["past the cache"]


async def test_what_was_written_past_the_cache_shows_after_the_max_age(pair: Pair, clock: Clock) -> None:
    await pair.here.scan(of(ANN))
    await put(pair.inner.inner, fact(ANN, "a"))
    clock.pass_by(seconds=10)
    assert await pair.here.scan(of(ANN)) == []
    clock.pass_by(microseconds=1)
    assert names(await pair.here.scan(of(ANN))) == ["a"]


async def test_tenants_levels_and_names_do_not_share_answers(redis_url: str) -> None:
    here, other = DictStore(), DictStore()
    scopes = [Scope.user("x"), Scope.session("x"), Scope.user("x", "acme"), Scope.user("user:x"), Scope.GLOBAL]
    async with cached(here, redis_url) as store, cached(other, redis_url) as elsewhere:
        await put(store, *(fact(scope, "a") for scope in scopes))
        for _ in range(2):
            assert [(await store.scan(of(scope)))[0].scope for scope in scopes] == scopes
            assert [await elsewhere.scan(of(scope)) for scope in scopes] == [[]] * len(scopes)


async def test_as_time_goes_on_an_answer_stays_until_something_in_it_ends(pair: Pair, clock: Clock) -> None:
    ends = AnyOf(Compare("expires_at", "exists", False), Compare("expires_at", "gt", NOW))

    def current() -> Where:
        return of(ANN, test=All(replace_time(ends, clock.now)))

    await put(pair.there, fact(ANN, "a"), fact(ANN, "b", expires_at=NOW + timedelta(seconds=3)))
    for _ in range(3):
        assert names(await pair.here.scan(current())) == ["a", "b"]
        clock.pass_by(seconds=1)
    assert pair.inner.calls == 1
    assert names(await pair.here.scan(current())) == ["a"]
    clock.pass_by(seconds=-2)
    assert names(await pair.here.scan(current())) == ["a", "b"]


def replace_time(condition: AnyOf, now: datetime) -> AnyOf:
    first, last = condition.conditions
    assert isinstance(last, Compare)
    return AnyOf(first, replace(last, value=now))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    facts=st.lists(draw.facts, max_size=4),
    test=draw.conditions,
    then=draw.times,
    later=st.timedeltas(min_value=timedelta(days=-99), max_value=timedelta(days=9999)),
    limit=st.integers(1, 3),
)
async def test_no_question_is_answered_with_the_answer_of_another(
    redis_url: str, facts: list[dict[str, Any]], test: Condition, then: datetime, later: timedelta, limit: int
) -> None:
    inner = DictStore()
    await put(inner, *(fact(ANN, str(number), **content) for number, content in enumerate(facts)))
    async with cached(inner, redis_url, max_age=timedelta(days=1), clock=lambda: NOW) as store:
        for time in (then, then + later):
            for condition in (
                All(test, AnyOf(Compare("created_at", "gt", time), Compare("created_at", "exists", False))),
                All(test, Not(Compare("created_at", "gt", time))),
                All(test, Compare("created_at", "lt", time)),
            ):
                where = of(ANN, test=condition)
                assert await store.scan(where, limit=limit) == await inner.scan(where, limit=limit)
                assert await store.count(where) == await inner.count(where)


def test_the_key_of_a_question_tells_everything_apart_that_may_change_its_answer() -> None:
    tests: Sequence[Condition] = [
        All(),
        *(Compare("value", "eq", value) for value in (1, True, 1.0, "1", None, (1,), "None")),
        Compare("value", "gt", None),
        Not(Compare("created_at", "gt", NOW)),
        Compare("created_at", "lt", NOW),
    ]
    wheres = [of(ANN, test=test) for test in tests] + [of(BOB), of(ANN, BOB), Where("message", (ANN,))]
    wheres += [Where("fact", (ANN,), ids=ids) for ids in ((), ("a",), ("a", "b"))] + [Where("fact", (ANN,), ANN)]
    hows = [("scan", (), None, None), ("scan", (), 1, None), ("scan", (("key", "asc"),), 1, None), ("count",)]
    keys = {_asked(where, how, NOW, exact=False).key for where in wheres for how in hows}
    assert len(keys) == len(wheres) * len(hows)


async def test_leases_jobs_and_questions_about_a_subject_are_always_asked_anew(pair: Pair) -> None:
    for where in (Where("lease", (ANN,)), Where("job", (ANN,)), Where("fact", subject=ANN)):
        await pair.here.scan(where)
        await pair.here.scan(where)
    assert pair.inner.calls == 6


async def test_a_cancelled_writer_still_makes_old_answers_void(pair: Pair) -> None:
    await pair.there.scan(of(ANN))
    writing = asyncio.create_task(put(pair.here, fact(ANN, "a")))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    await pair.here.close()
    assert names(await pair.there.scan(of(ANN))) == names(await pair.inner.inner.scan(of(ANN))) == ["a"]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_without_redis_everything_works_and_it_is_said_once(
    closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ltm_core")
    async with cached(DictStore(), f"redis://:secret@127.0.0.1:{closed_port}") as store:
        for number in range(5):
            await put(store, fact(ANN, str(number)))
            assert len(await store.scan(of(ANN))) == number + 1
        assert store.redis.counts.failures == 1  # it is left alone for a while
    assert [one.message for one in caplog.records if "cache" in one.message] == [
        "The cache cannot be used (ConnectionError); the memory goes on without it. Check cache=."
    ]


async def test_a_redis_that_does_not_answer_costs_no_more_than_the_patience() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(10), cached(DictStore(), f"redis://127.0.0.1:{port}", patience=0.05) as store:
            await put(store, fact(ANN, "a"))
            assert names(await store.scan(of(ANN))) == ["a"]
            assert store.redis.counts.failures == 1


async def test_what_was_written_while_redis_was_away_shows_when_it_is_back(pair: Pair, monkeypatch: Any) -> None:
    await pair.here.scan(of(ANN))
    good, pair.here.redis._url = pair.here.redis._url, "redis://127.0.0.1:1"
    await pair.here.redis.close()
    await put(pair.here, fact(ANN, "a"))
    assert pair.here.redis.counts.failures == 1
    await pair.here.redis.close()
    pair.here.redis._url, pair.here.redis._away_until = good, 0.0
    assert names(await pair.here.scan(of(ANN))) == ["a"]
    assert names(await pair.there.scan(of(ANN))) == ["a"]


@pytest.mark.parametrize("url", ["sqlite:///x.db", "localhost:6379", "", "redis://u:pw@h:port"])
def test_a_wrong_url_of_a_cache_says_what_to_write(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://localhost:6379/0") as error:
        Cached(DictStore(), url, name="x")
    assert "pw" not in str(error.value)


# cache= of a memory


async def test_a_memory_with_a_cache_shows_every_write_at_once_and_asks_the_database_less(
    redis_url: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ltm.db"
    async with AsyncMemory(url, cache=redis_url) as one, AsyncMemory(url, cache=redis_url) as other:
        store = one.runtime.store
        assert isinstance(store, Cached)
        for city in ("Oslo", "Rome", "Bergen"):
            await other.remember(f"I live in {city}.", user_id="ann", session_id="s")
            for _ in range(3):
                found = await one.recall("Where do I live?", user_id="ann", session_id="s")
                assert [fact.value for fact in found.facts] == [city]
        assert store.redis.counts.failures == 0
        assert store.redis.counts.hits >= 2 * store.redis.counts.misses / 3


async def test_memories_of_two_databases_on_one_cache_are_apart(redis_url: str, tmp_path: Path) -> None:
    urls = (f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db", "sqlite://", "memory://", "memory://")
    for number, url in enumerate(urls):
        async with AsyncMemory(url, cache=redis_url) as memory:
            assert await memory.facts.get_all(scope_id="ann") == []
            await memory.facts.add("city", number, scope_id="ann")
            assert [fact.value for fact in await memory.facts.get_all(scope_id="ann")] == [number]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite:///./x.db", True),
        ("sqlite:///x.db", "x.db", True),
        ("sqlite:///x.db", "sqlite:///y.db", False),
        ("postgres://u:pw@h/db", "postgresql+psycopg://v@h/db", True),
        ("postgres://h/db", "postgres://h/db2", False),
        ("mysql://h/db", "mariadb+aiomysql://h/db", True),
    ],
)
def test_all_who_name_one_database_share_its_cache(one: str, other: str, *, same: bool) -> None:
    assert (_database(one, DictStore()) == _database(other, DictStore())) is same


def test_a_cache_for_a_store_object_says_how_to_name_the_database() -> None:
    with pytest.raises(ConfigurationError, match=r"Cached\(store, .*name="):
        AsyncMemory(store=DictStore(), cache="redis://localhost")
