"""The Redis store: what the contract does not say. Everything on real servers, a cluster of three nodes included."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from ltm_core import Memory
from ltm_core.errors import ConfigurationError, ConflictError, SchemaError, StoreUnavailable, UsageError
from ltm_core.scope import Scope
from ltm_core.stores.base import All, AnyOf, Compare, Condition, Delete, Not, Put, Record, Where
from ltm_core.stores.memory import DictStore
from ltm_core.stores.redis import RedisStore, batches
from ltm_core.stores.redis import store as redis_store
from ltm_core.stores.redis.layout import score
from ltm_core.testing import strategies as draw
from ltm_core.testing.store_contract import ANN, BOB, NOW, TRICKY_IDS, _take, fact, names, of, put
from tests.conftest import told
from tests.stores.redis_consistency import check

SERVERS = ["redis", "valkey", "redis-cluster"]
_some = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param.replace("-", "_") + "_url"))


@pytest.fixture
def prefix() -> str:
    return f"test:{uuid4().hex}"


@pytest.fixture
async def store(url: str, prefix: str) -> AsyncIterator[RedisStore]:
    async with RedisStore(url, prefix=prefix) as store:
        yield store


@pytest.fixture
async def split(redis_cluster_url: str, prefix: str) -> AsyncIterator[RedisStore]:
    """A store on a cluster, where Ann and Bob do not share a slot."""
    async with RedisStore(redis_cluster_url, prefix=prefix) as store:
        yield store


# What is derived from the records


@_some
@given(walk=st.lists(draw.units | draw.conditions, max_size=8))
async def test_after_any_walk_indexes_counts_and_directories_fit_the_records(url: str, walk: list[Any]) -> None:
    prefix, model = f"test:{uuid4().hex}", DictStore()
    scopes = (ANN, Scope.session("ann"), Scope.user("ann", "acme"))
    async with RedisStore(url, prefix=prefix) as store:
        for step in walk:
            assert await _take(store, step, scopes) == await _take(model, step, scopes)
    records = await asyncio.to_thread(check, url, prefix)
    everything = [record for scope in scopes for record in await model.scan(of(scope))]
    assert sorted(records, key=lambda r: r.id) == sorted(everything, key=lambda r: r.id)


async def test_a_record_that_moves_to_another_subject_leaves_nothing_behind(
    store: RedisStore, url: str, prefix: str
) -> None:
    talk = Scope.session("s")
    await put(store, replace(fact(talk, "a", terms=["oslo"]), kind="message"))
    moved = replace(fact(talk, "a", ANN, version=2, terms=["oslo"]), kind="message")
    await store.apply([Put(moved, expect=1)])
    assert await asyncio.to_thread(check, url, prefix) == [moved]
    assert await store.scan(Where("message", (talk,))) == await store.scan(Where("message", subject=ANN)) == [moved]
    assert await store.scan(Where("message", subject=talk)) == []
    assert await store.subjects() == [ANN]
    back = replace(moved, subject=talk, version=3)
    await store.apply([Put(back, expect=2)])
    await store.apply([Delete("message", back.id, talk, expect=3)])
    assert await asyncio.to_thread(check, url, prefix) == []


async def test_keys_hold_hashes_and_no_text_of_users(store: RedisStore, url: str, prefix: str) -> None:
    records = [
        Record("job", f"{name}}}:{{", Scope.session(name), Scope.user(name), fields={"status": name, "run_at": NOW})
        for name in TRICKY_IDS
    ]
    await put(store, *records, *(fact(Scope.user(name), name, attribute=name, terms=[name]) for name in TRICKY_IDS))
    await asyncio.to_thread(check, url, prefix)
    client = store._server.client
    shape = re.compile(rf"{prefix}:\{{[a-z0-9:]+\}}(:[a-z]+(:[a-z_0-9]+)*)?")
    async for key in client.scan_iter(f"{prefix}:*", count=1000):
        assert shape.fullmatch(key.decode()), key


# Reading by an index is reading all and choosing

_words = st.sampled_from(["waiting", "done", ""])
_few = st.none() | st.sampled_from([0, 1])
_times = st.none() | st.sampled_from([NOW, NOW + timedelta(days=1)])
_contents = {
    "job": st.fixed_dictionaries({"status": st.none() | _words, "number": _few, "created_at": _times}),
    "fact": st.fixed_dictionaries(
        {"attribute": st.none() | _words, "pinned": st.booleans(), "importance": _few, "updated_at": _times}
    ),
}


def _conditions(column: str) -> st.SearchStrategy[Condition]:
    leaves = (
        st.builds(Compare, st.just(column), st.sampled_from(["eq", "ne"]), st.none() | _words)
        | st.builds(Compare, st.just(column), st.just("in"), st.lists(_words, max_size=2))
        | st.builds(Compare, st.just("pinned"), st.just("eq"), st.booleans() | st.just(1))
    )
    return leaves | st.lists(leaves, max_size=3).flatmap(
        lambda parts: st.sampled_from([All(*parts), AnyOf(*parts), Not(AnyOf(*parts)), All(AnyOf(*parts))])
    )


@st.composite
def _questions(draw_one: st.DrawFn) -> tuple[str, list[dict[str, Any]], Condition, list[Any], int]:
    kind = draw_one(st.sampled_from(["job", "fact"]))
    test = draw_one(_conditions({"job": "status", "fact": "attribute"}[kind]) | st.just(All()))
    columns = st.sampled_from({"job": ["number", "created_at"], "fact": ["importance", "updated_at"]}[kind])
    parts = st.tuples(columns, st.sampled_from(["asc", "desc"]))
    order = draw_one(st.lists(parts, max_size=2, unique_by=lambda part: part[0]))
    return kind, draw_one(st.lists(_contents[kind], max_size=24)), test, order, draw_one(st.integers(0, 5))


@settings(_some, max_examples=200)
@given(question=_questions())
async def test_an_index_gives_what_reading_everything_would(redis_url: str, question: Any) -> None:
    kind, contents, test, order, limit = question
    model, talk = DictStore(), Scope.session("s")
    records = [
        replace(fact((ANN, talk)[n % 5 // 4], f"{n:02}", ANN, **fields), kind=kind) for n, fields in enumerate(contents)
    ]
    async with RedisStore(redis_url, prefix=f"test:{uuid4().hex}") as store:
        await put(store, *records)
        await put(model, *records)
        for where in (Where(kind, (ANN, talk), test=test), Where(kind, (talk,), ANN, test), Where(kind, (), ANN, test)):
            for most in (limit, None):
                wanted = await model.scan(where, order=order, limit=most)
                assert await store.scan(where, order=order, limit=most) == wanted
            assert await store.count(where) == await model.count(where)


async def test_many_ties_are_given_by_id_without_reading_them_all(redis_url: str, prefix: str) -> None:
    async with RedisStore(redis_url, prefix=prefix) as store:
        facts = [fact(ANN, f"{n:04}", importance=0.5, updated_at=NOW) for n in range(1000)]
        await put(store, *facts)
        before = await _reads(store)
        assert await store.scan(of(ANN), order=[("importance", "desc")], limit=10) == facts[:10]
        assert await _reads(store) - before < 50


@pytest.mark.parametrize("order", [[("importance", "asc")], [("importance", "desc"), ("updated_at", "desc")]])
async def test_ties_that_an_index_gives_in_another_order_are_all_looked_at(
    redis_url: str, prefix: str, order: Any
) -> None:
    model = DictStore()
    facts = [fact(ANN, f"{n:04}", importance=0.5, updated_at=NOW + timedelta(days=n)) for n in range(200)]
    async with RedisStore(redis_url, prefix=prefix) as store:
        await put(store, *facts)
        await put(model, *facts)
        assert await store.scan(of(ANN), order=order, limit=3) == await model.scan(of(ANN), order=order, limit=3)


async def _reads(store: RedisStore) -> int:
    told = (await store._server.client.info("commandstats")).get("cmdstat_hget", {"calls": 0})
    return int(told["calls"])


# A cluster, and what is left behind there


@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize("found_by", ["a writer", "opening"])
async def test_a_batch_over_slots_that_was_left_behind_is_finished(
    split: RedisStore, redis_cluster_url: str, prefix: str, decided: bool, found_by: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(batches, "ABANDONED", 0.0)
    both = [fact(ANN, "a", terms=["oslo"]), fact(BOB, "b", terms=["oslo"])]
    await _leave_behind(split, both, decided)
    assert await split.scan(of(ANN, BOB)) == []
    if found_by == "a writer":
        await put(split, fact(ANN, "later"))
    else:
        async with RedisStore(redis_cluster_url, prefix=prefix):
            pass
    seen = names(await split.search_text(of(ANN, BOB), ["oslo"], 9))
    assert sorted(seen) == (["a", "b"] if decided else [])
    await asyncio.to_thread(check, redis_cluster_url, prefix)


async def _leave_behind(store: RedisStore, records: list[Record], decided: bool) -> None:
    """Do what a process has done that dies just before, or just after, it decides to commit."""
    inner, transaction = store._batches, uuid4().hex
    made: list[Any] = []

    async def keep(steps: Any) -> None:
        made.extend(steps)

    whole, inner.do = inner.do, keep  # type: ignore[method-assign]
    await put(store, *records)
    inner.do = whole  # type: ignore[method-assign]
    subjects = sorted({step.subject for step in made})
    note = json.dumps({"at": time() - 1, "subjects": subjects})
    await store._server.do("HSET", store._keys.batches, transaction, note)
    for subject in subjects:
        await inner._patiently("prepare", transaction, [step for step in made if step.subject == subject])
    if decided:
        await store._server.do("SET", store._keys.decision(transaction), "commit", "NX")


async def test_a_refused_part_of_a_batch_over_slots_undoes_the_others(
    split: RedisStore, redis_cluster_url: str, prefix: str
) -> None:
    await put(split, fact(BOB, "b"))
    for _ in range(3):
        with pytest.raises(ConflictError, match="at version 1, not 0"):
            await split.apply([Put(fact(ANN, "a"), expect=0), Put(fact(BOB, "b"), expect=0)])
    assert await asyncio.to_thread(check, redis_cluster_url, prefix) == [fact(BOB, "b")]


async def test_batches_over_slots_that_meet_do_not_stop_each_other(
    split: RedisStore, redis_cluster_url: str, prefix: str
) -> None:
    people = [Scope.user(str(n)) for n in range(5)]

    async def write(number: int) -> None:
        some = random.Random(number).sample(people, 3)
        await put(split, *(fact(person, f"{number}") for person in some))

    await asyncio.gather(*(write(number) for number in range(30)))
    assert len(await asyncio.to_thread(check, redis_cluster_url, prefix)) == 90


PAIRS = textwrap.dedent("""
    import asyncio, sys
    from ltm_core.stores.redis import RedisStore
    from ltm_core.testing.store_contract import ANN, BOB, fact, put

    async def main(url, prefix, first):
        async with RedisStore(url, prefix=prefix) as store:
            for number in range(first, first + 1000):
                await put(store, *(fact(who, str(number), terms=["oslo"]) for who in (ANN, BOB)))
                print(number, flush=True)

    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
""")


def test_a_killed_writer_loses_no_acknowledged_batch_and_leaves_none_half_done(
    url: str, prefix: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(batches, "ABANDONED", 0.0)
    acknowledged, chance = set[str](), random.Random(3)
    for round_ in range(6):
        acknowledged |= _heard_before_the_kill(url, prefix, 1000 * round_, chance.randrange(5, 40))

    async def opened() -> None:
        async with RedisStore(url, prefix=prefix):
            pass

    asyncio.run(opened())
    records = check(url, prefix)
    whose = {who: set(names([one for one in records if one.scope == who])) for who in (ANN, BOB)}
    assert whose[ANN] == whose[BOB] >= acknowledged


def _heard_before_the_kill(url: str, prefix: str, first: int, after: int) -> set[str]:
    with subprocess.Popen(
        [sys.executable, "-c", PAIRS, url, prefix, str(first)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as writer:
        assert writer.stdout is not None
        heard = [writer.stdout.readline() for _ in range(after)]
        writer.kill()
        heard += writer.stdout.readlines()
    return {line.strip() for line in heard if line.endswith("\n")}


# A network that fails


class Mute:
    """Stands before a server, and cuts the connection off instead of passing on the reply to a command."""

    def __init__(self, port: int) -> None:
        self._port, self.swallow, self.swallowed = port, b"\xff", 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, down = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while asked := await reader.read(2**20):
                down.write(asked)
                answer = await upstream.read(2**20)
                if self.swallow in asked and not self.swallowed:
                    self.swallowed += 1
                    break
                writer.write(answer)
        finally:
            for end in (writer, down):
                end.close()


async def test_a_write_whose_reply_was_lost_is_sent_again_and_done_once(redis_url: str, prefix: str) -> None:
    host, _, path = redis_url.removeprefix("redis://").partition("/")
    mute = Mute(int(host.rpartition(":")[2]))
    async with await asyncio.start_server(mute, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        async with RedisStore(f"redis://127.0.0.1:{port}/{path}", prefix=prefix) as store:
            await put(store, fact(BOB, "b"))  # from now on the server knows the script
            mute.swallow = b"apply"
            await store.apply([Put(fact(ANN, "a"), expect=0)])
            assert mute.swallowed == 1
            assert await store.scan(of(ANN)) == [fact(ANN, "a")]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "valkey"])
async def test_a_server_that_is_not_there_is_told_without_the_password(scheme: str, closed_port: int) -> None:
    with pytest.raises(StoreUnavailable, match="Check that it runs, and its URL") as error:
        await RedisStore(f"{scheme}://me:secret@127.0.0.1:{closed_port}").open()
    assert "secret" not in str(error.value)


async def test_a_wrong_password_is_told(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="refused the password") as error:
        await RedisStore(url.replace("://", "://nobody:secret@")).open()
    assert "secret" not in str(error.value)


async def test_a_database_that_is_not_there_is_told(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="no database of that number"):
        await RedisStore(f"{redis_url.rpartition('/')[0]}/123456").open()


async def test_a_user_who_may_not_write_is_told(redis_url: str, prefix: str) -> None:
    async with Redis.from_url(redis_url) as admin:
        await admin.execute_command("ACL", "SETUSER", prefix, "on", ">pw", "~*", "+@all", "-evalsha")  # type: ignore[no-untyped-call]
        try:
            async with RedisStore(redis_url.replace("://", f"://{prefix.replace(':', '%3A')}:pw@")) as store:
                with pytest.raises(StoreUnavailable, match="Allow it the keys of the prefix, and scripts"):
                    await put(store, fact(ANN, "a"))
        finally:
            await admin.execute_command("ACL", "DELUSER", prefix)  # type: ignore[no-untyped-call]


# Opening and closing


async def test_a_node_of_a_cluster_is_recognised(redis_cluster_url: str, prefix: str) -> None:
    async with RedisStore(redis_cluster_url.replace("+cluster", ""), prefix=prefix) as store:
        await put(store, fact(ANN, "a"), fact(BOB, "b"))
        assert sorted(names(await store.scan(of(ANN, BOB)))) == ["a", "b"]
        assert store._server.is_cluster


async def test_a_client_that_was_handed_in_stays_open(redis_url: str, redis_cluster_url: str, prefix: str) -> None:
    clients: list[Any] = [Redis.from_url(redis_url), RedisCluster.from_url(redis_cluster_url.replace("+cluster", ""))]
    for client in clients:
        async with client:
            async with RedisStore(client, prefix=prefix) as store:
                await put(store, fact(ANN, "a"))
            assert await client.ping()


async def test_a_client_that_cannot_serve_is_refused(redis_url: str) -> None:
    client = Redis.from_url(redis_url, decode_responses=True)
    with pytest.raises(ConfigurationError, match="decode_responses=False"):
        RedisStore(client)
    await client.aclose()


async def test_a_client_of_one_node_of_a_cluster_is_refused(redis_cluster_url: str) -> None:
    async with Redis.from_url(redis_cluster_url.replace("+cluster", "")) as client:
        with pytest.raises(ConfigurationError, match="Pass a RedisCluster"):
            await RedisStore(client).open()
        assert await client.ping()


async def test_records_of_a_later_layout_are_left_alone(store: RedisStore, url: str, prefix: str) -> None:
    await store._server.do("SET", store._keys.schema, redis_store.SCHEMA + 1)
    with pytest.raises(SchemaError, match="Upgrade ltm-core, or give another prefix"):
        await RedisStore(url, prefix=prefix).open()


async def test_a_server_that_forgets_is_told_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with RedisStore(url) as store:
        await store.open()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["Redis keeps no append-only file"]


async def test_prefixes_do_not_see_each_other(store: RedisStore, url: str, prefix: str) -> None:
    await put(store, fact(ANN, "a"))
    async with RedisStore(url, prefix=f"{prefix}:x") as other:
        assert (await other.scan(of(ANN)), await other.subjects()) == ([], [])


@pytest.mark.parametrize("bad", ["", "a{b}", "a b", "é", "a*"])
def test_a_prefix_that_could_break_out_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="Use letters, digits"):
        RedisStore("redis://localhost", prefix=bad)


@pytest.mark.parametrize("bad", ["http://h", "localhost:6379", "", "redis://h:port"])
async def test_what_is_no_url_of_redis_is_told(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://localhost:6379/0"):
        await RedisStore(bad).open()


async def test_a_store_that_is_not_open_says_so() -> None:
    with pytest.raises(UsageError, match="Await open"):
        await RedisStore("redis://localhost").scan(of(ANN))


async def test_connections_of_a_parent_process_are_dropped_unclosed(redis_url: str, prefix: str) -> None:
    store = RedisStore(redis_url, prefix=prefix)
    await store.open()
    parent = store._server.client
    store.forget_connections()
    async with store:
        await put(store, fact(ANN, "a"))
        assert await parent.ping()
    await parent.aclose()


# For workers


async def test_a_subject_with_nothing_due_is_not_asked_again(store: RedisStore, monkeypatch: Any) -> None:
    jobs = [Record("job", f"j{n}", ANN, ANN, fields={"run_at": NOW + timedelta(days=n)}) for n in range(2)]
    await put(store, *jobs)
    await put(store, replace(jobs[0], fields={"run_at": None}, version=2))
    directory = store._keys.due_subjects("job")
    assert await store.due("job", NOW, 9) == []
    assert len(await store._server.do("ZRANGEBYSCORE", directory, "-inf", score(NOW))) == 1
    monkeypatch.setattr(redis_store, "LATELY", -1)
    assert await store.due("job", NOW, 9) == []
    assert await store._server.do("ZRANGEBYSCORE", directory, "-inf", score(NOW)) == []
    assert [due.id for due in await store.due("job", NOW + timedelta(days=1), 9)] == ["j1"]


# The whole journey


def test_what_was_told_is_learned_and_recalled_after_a_restart(url: str, prefix: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(RedisStore.__init__, "__kwdefaults__", {"prefix": prefix})
    with Memory(url, extract=told) as memory:
        memory.observe([{"role": "user", "content": "set city Oslo"}], user_id="ann", session_id="s").wait()
        memory.facts.update("city", "Bergen", scope_id="ann")
    with Memory(url) as memory:
        assert "Bergen" in memory.recall("which city?", user_id="ann").text
        assert memory.recall("which city?", user_id="bob").facts == []
        assert [fact.value for fact in memory.facts.history("city", scope_id="ann")] == ["Oslo", "Bergen"]
    records = check(url, prefix)
    assert {record.kind for record in records} >= {"fact", "version", "message", "job", "session"}


async def test_facts_of_an_earlier_layout_get_their_tags(url: str, prefix: str) -> None:
    told = fact(ANN, "a", key="theme", tags=["ui", "x"], created_at=NOW, memory_type="preference")
    async with RedisStore(url, prefix=prefix) as store:
        await put(store, told, fact(BOB, "b"))
        await store._server.do("SET", store._keys.schema, 1)
    async with RedisStore(url, prefix=prefix) as store:
        found = await store.scan(Where("tag", (ANN,), test=Compare("tag", "eq", "ui")))
        assert [(record.fields["fact_id"], record.fields["created_at"]) for record in found] == [(told.id, NOW)]
        assert await store.count(Where("tag", (ANN,))) == 2
        assert await store.scan(Where("tag", (BOB,))) == []
    await asyncio.to_thread(check, url, prefix)
