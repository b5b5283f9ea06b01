"""What the options of PostgreSQL cost and bring, each against the same work without it, in turns.

    LTM_TEST_POSTGRES_URL=… make bench ARGS=tests/benchmarks/bench_postgres.py

Use a server that waits for the disk: `.venv/bin/python -m tests.servers postgres18 --durable` starts one.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import psycopg
import sqlalchemy as sa

from ltm_core import Scope
from ltm_core.learn.lease import claim
from ltm_core.records import vector_record
from ltm_core.stores.base import Put, Record, Store, Where
from ltm_core.stores.postgres import PostgresStore
from ltm_core.stores.schema import Extras, bring_up_to_date
from ltm_core.vectors import pack
from tests.benchmarks.bench_stores import in_turns, record, show, told

ROOT = Path(__file__).parents[2]
DIMENSIONS, SPACE = 256, "bench"
SIZES = [int(size) for size in os.environ.get("LTM_BENCH_VECTORS", "1000,10000,50000,100000").split(",")]
QUERIES, NEAREST = 10, 10
FACTS = 1_000
PROCESSES, SUBJECTS, ROUNDS = 4, 50, 4
NEVER, ALWAYS = 10**9, 0


# Vectors


def drawn(count: int, seed: int) -> Any:
    """Unit vectors that lie in clusters, as those of texts do: 200 topics in 24 directions, and noise in all."""
    shape, draw = numpy.random.default_rng(0), numpy.random.default_rng(seed)
    topics, spread = shape.normal(size=(200, 24)) * 1.5, shape.normal(size=(24, DIMENSIONS))
    points = (topics[draw.integers(0, 200, count)] + draw.normal(size=(count, 24))) @ spread
    points += draw.normal(size=(count, DIMENSIONS))
    return (points / numpy.linalg.norm(points, axis=1, keepdims=True)).astype("f4")


async def fill(url: str, owner: Scope, vectors: Any) -> None:
    """Facts with a vector each: the first through the store, the others copied from it by the database."""
    first = record(0, owner.id)
    async with PostgresStore(url) as store:
        await store.apply([Put(first), Put(vector_record(first, SPACE, vectors[0].tolist()))])
    with psycopg.connect(url, autocommit=True) as connection:
        for table, more, values in (("fact", "", ""), ("embedding", ", target", f", '{owner.token}.f' || n")):
            rest = _columns(connection, table, {"seq", "id", "target"})
            connection.execute(
                f"INSERT INTO {table} (id{more}, {rest}) SELECT '{owner.token}.{table[0]}' || n{values}, {rest}"
                f" FROM {table}, generate_series(1, {len(vectors) - 1}) n WHERE owner = '{owner.token}'"
            )
        _spread(connection, owner, vectors)


def _columns(connection: psycopg.Connection[Any], table: str, but: set[str]) -> str:
    found = connection.execute("SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table])
    return ", ".join(f'"{name}"' for (name,) in found if name not in but)


def _spread(connection: psycopg.Connection[Any], owner: Scope, vectors: Any) -> None:
    """Give each row a vector of its own."""
    connection.execute("CREATE TEMP TABLE given (id text, embedding real[])")
    with connection.cursor().copy("COPY given FROM STDIN") as copying:
        for number, vector in enumerate(vectors):
            copying.write_row((f"{owner.token}.e{number}", "{" + ",".join(map(str, vector.tolist())) + "}"))
    connection.execute("UPDATE embedding SET embedding = given.embedding FROM given WHERE given.id = embedding.id")
    connection.execute("DROP TABLE given")


async def test_nearest_by_index_or_by_comparing_each(one_postgres_url: str) -> None:
    owners = [Scope.user(f"with {size}") for size in SIZES]
    for seed, (owner, size) in enumerate(zip(owners, SIZES, strict=True)):
        await fill(one_postgres_url, owner, drawn(size, seed + 1))
    before = await _one_write(one_postgres_url)
    began = time.perf_counter()
    await bring_up_to_date(one_postgres_url, Extras(vector_index=(SPACE, DIMENSIONS)))
    took = time.perf_counter() - began
    print(f"index over {sum(SIZES):,} vectors built in {took:.0f} s")  # noqa: T201
    with psycopg.connect(one_postgres_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    show("one vector written with an index / without", (await _one_write(one_postgres_url)) / before)
    wanted = [pack(vector.tolist()) for vector in drawn(QUERIES, 99)]
    async with (
        PostgresStore(one_postgres_url, index_threshold=NEVER) as exact,
        PostgresStore(one_postgres_url, index_threshold=ALWAYS) as indexed,
        PostgresStore(one_postgres_url) as weighed,
    ):
        for owner, size in zip(owners, SIZES, strict=True):
            await _compare(owner, size, wanted, exact=exact, index=indexed, weighed=weighed)


async def _compare(owner: Scope, size: int, wanted: Sequence[bytes], **stores: Store) -> None:
    times: dict[str, list[float]] = {name: [] for name in stores}
    hits, where = 0, Where("fact", (owner,))
    for vector in wanted:
        found = {}
        for name, store in stores.items():
            began = time.perf_counter()
            found[name] = {near.record.id for near in await store.search_vector(where, SPACE, vector, NEAREST)}
            times[name].append(time.perf_counter() - began)
        hits += len(found["exact"] & found["index"])
    took = {name: statistics.median(some) for name, some in times.items()}
    recall = hits / (len(wanted) * NEAREST)
    show(f"{size:,} vectors: index / exact (recall {recall:.2f})", took["index"] / took["exact"], "", **took)


async def _one_write(url: str) -> float:
    """The median seconds in which a vector is written."""
    async with PostgresStore(url) as store:
        target = record(0, f"writer {time.time_ns()}")
        vectors = drawn(1000, 7).tolist()

        async def write(number: int) -> None:
            await store.apply([Put(vector_record(target, SPACE, vectors[number], number=number))])

        return (await in_turns(write=write))["write"]


# Policies and partitions


async def test_policies(one_postgres_url: str) -> None:
    role = "ltm_bench"
    await _as_superuser(one_postgres_url, f"DROP OWNED BY {role}; DROP ROLE {role}", may_fail=True)
    await _as_superuser(one_postgres_url, f"CREATE ROLE {role} LOGIN")
    await bring_up_to_date(f"{one_postgres_url}?schema=behind", Extras(row_security=role))
    bound = sa.make_url(one_postgres_url).set(username=role).render_as_string(hide_password=False)
    await _side_by_side("behind policies", plain=one_postgres_url, other=f"{bound}?schema=behind&row_security=on")


async def test_partitions(one_postgres_url: str) -> None:
    url = f"{one_postgres_url}?schema=split"
    await bring_up_to_date(url, Extras(partitions=16))
    await _side_by_side("in 16 partitions", plain=one_postgres_url, other=url)


async def _as_superuser(url: str, statements: str, *, may_fail: bool = False) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements.split(";"):
            try:
                connection.execute(statement)
            except psycopg.Error:
                if not may_fail:
                    raise


async def _side_by_side(what: str, **urls: str) -> None:
    async with AsyncExitStack() as stack:
        stores = {name: await stack.enter_async_context(PostgresStore(url)) for name, url in urls.items()}
        for store in stores.values():
            for user in range(20):
                await store.apply([Put(record(number, f"user {user}")) for number in range(FACTS)])
        await _as_superuser(urls["plain"], "ANALYZE")
        for name, work in _WORK.items():
            took = await in_turns(**{side: _on(store, work) for side, store in stores.items()})
            show(f"{name}, {what} / plain", took["other"] / took["plain"], "", **took)


def _on(store: Store, work: Callable[..., Any]) -> Callable[[int], Any]:
    return lambda number: work(store, number)


def _owner(number: int) -> Scope:
    return Scope.user(f"user {number % 20}")


async def _lookup(store: Store, number: int) -> None:
    one = record(number, _owner(number).id)
    assert await store.scan(Where("fact", (one.scope,), ids=(one.id,)))


async def _search(store: Store, number: int) -> None:
    assert await store.search_text(Where("fact", (_owner(number),)), ["garden", "lisbon"], 50)


async def _write(store: Store, number: int) -> None:
    await store.apply([Put(record(number + FACTS, _owner(number).id))])


async def _hundred(store: Store, number: int) -> None:
    some = range(number * 100, number * 100 + 100)
    await store.apply([Put(record(one, f"importer {one % 20}")) for one in some])


async def _of_subject(store: Store, number: int) -> None:
    assert await store.count(Where("fact", subject=_owner(number)))


async def _everybody(store: Store, number: int) -> None:
    assert await store.subjects(limit=20)


_WORK = {
    "key lookup": _lookup,
    "search for words": _search,
    "one write": _write,
    "100 writes at once": _hundred,
    "count by subject": _of_subject,
    "subjects": _everybody,
}


# Claims


async def test_competing_claims(one_postgres_url: str) -> None:
    """Processes that go through the same people and claim each, with a job, and give it back: the worst case."""
    async with PostgresStore(one_postgres_url) as store:
        for subject in _claimed():
            held = await claim(store, subject, datetime.now(UTC))
            assert held
            await store.apply([held.released(datetime.now(UTC))])
    for processes in (1, PROCESSES):
        begin = time.time() + 4
        runs = [await _competitor(one_postgres_url, begin) for _ in range(processes)]
        told_by = [json.loads((await run.communicate())[0]) for run in runs]
        won, lost, spent = (sum(one[name] for one in told_by) for name in ("won", "lost", "spent"))
        rate = won / max(one["took"] for one in told_by)
        told(
            f"time in lost claims / all time, {processes} processes",
            spent / sum(one["took"] for one in told_by),
            "",
            f"{won} won, {lost} lost, {rate:.0f} claims/s",
        )


async def _competitor(url: str, begin: float) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.bench_postgres", url, str(begin)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


def _claimed() -> list[Scope]:
    return [Scope.user(f"claimed {number}") for number in range(SUBJECTS)]


async def compete(url: str, begin: float) -> dict[str, float]:
    """Claim everybody in turn, from the time `begin` on."""
    counts: dict[str, float] = {"won": 0, "lost": 0, "spent": 0.0}
    async with PostgresStore(url) as store:
        await asyncio.sleep(max(0.0, begin - time.time()))
        began = time.perf_counter()
        for number in range(ROUNDS):
            for subject in _claimed():
                await _claim(store, subject, number, counts)
        counts["took"] = time.perf_counter() - began
    return counts


async def _claim(store: Store, subject: Scope, number: int, counts: dict[str, float]) -> None:
    job = Record("job", f"job of {subject.id}", subject, subject, fields={"status": "running", "attempts": number})
    before = time.perf_counter()
    held = await claim(store, subject, datetime.now(UTC), [Put(job)])
    if held is None:
        counts["lost"] += 1
        counts["spent"] += time.perf_counter() - before
    else:
        counts["won"] += 1
        await store.apply([held.released(datetime.now(UTC))])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(compete(sys.argv[1], float(sys.argv[2])))))  # noqa: T201
