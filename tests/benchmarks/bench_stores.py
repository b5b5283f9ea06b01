"""What storing and finding costs, each as a ratio to a raw limit measured in the same run.

    make bench ARGS="tests/benchmarks/bench_stores.py"

Calls that are compared take turns, so that a busy machine slows all of them alike. Times are medians.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from ltm_core import PersistentFacts, Scope
from ltm_core.knowledge.edits import made
from ltm_core.records import fact_record
from ltm_core.runtime import Runtime
from ltm_core.stores import open_store
from ltm_core.stores.base import Put, Record, Store
from ltm_core.stores.sql.tables import LAYOUTS, TABLES

ROUNDS = 200
BULK = 20_000
WRITERS = 64
EACH = 10
WRITER_ROUNDS = 9

Call = Callable[[int], Awaitable[object]]
Writer = Callable[[Sequence[Record]], Awaitable[None]]


def show(what: str, ratio: float, goal: str = "", **micros: float) -> None:
    told(what, ratio, goal, ", ".join(f"{name} {value * 1e6:,.0f} µs" for name, value in micros.items()))


def told(what: str, ratio: float, goal: str, said: str) -> None:
    print(f"{what:58} {ratio:6.2f} {goal:6} ({said})")  # noqa: T201


async def in_turns(**calls: Call) -> dict[str, float]:
    """The median seconds of each call, made in turns."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 20):
        for name, call in calls.items():
            before = time.perf_counter()
            await call(number)
            took[name].append(time.perf_counter() - before)
    return {name: statistics.median(times[20:]) for name, times in took.items()}


def record(number: int, user: str = "ann") -> Record:
    owner = Scope.user(user)
    text = f"User keeps note {number} about garden {number % 97} of Lisbon."
    fact = made(owner, "", f"note#{number}", number, {"text": text}, Runtime.now(CLOCK))
    return fact_record(fact, owner)


class _Clock:
    """What `made` needs of a runtime."""

    class policies:  # noqa: N801
        @staticmethod
        def clock() -> Any:
            from ltm_core.assemble import utc_now

            return utc_now()


CLOCK: Any = _Clock()


class Raw:
    """The same file as a program without a library would write it: one row, one full-text row, one commit."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self.connection.execute(f"PRAGMA {pragma}")
        self.connection.execute("CREATE TABLE note (id TEXT PRIMARY KEY, owner TEXT, key TEXT, value TEXT, text TEXT)")
        self.connection.execute("CREATE VIRTUAL TABLE note_words USING fts5 (owner, text)")

    def insert(self, number: int, words: bool) -> None:
        text = f"User keeps note {number} about garden {number % 97} of Lisbon."
        self.connection.execute("BEGIN IMMEDIATE")
        row = (f"id{number}", "ann", f"note#{number}", str(number), text)
        self.connection.execute("INSERT INTO note VALUES (?, ?, ?, ?, ?)", row)
        if words:
            self.connection.execute("INSERT INTO note_words VALUES (?, ?)", ("ann", text))
        self.connection.execute("COMMIT")


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Raw]:
    raw = Raw(tmp_path / "raw.db")
    yield raw
    raw.connection.close()


async def test_one_write(tmp_path: Path, raw: Raw) -> None:
    """A row without words against a bare insert: what the store itself costs."""
    async with open_store(f"sqlite:///{tmp_path}/ours.db") as store:
        bare = Scope.user("ann")

        async def ours(number: int) -> None:
            fields = {"number": number, "fact_id": "f"}
            await store.apply([Put(Record("version", f"v{number}", bare, bare, fields=fields), expect=0)])

        async def theirs(number: int) -> None:
            raw.insert(number, words=False)

        took = await in_turns(ours=ours, raw=theirs)
    show("one write / bare sqlite3 insert, FULL", took["ours"] / took["raw"], "≤ 2", **took)


async def test_one_fact(tmp_path: Path, raw: Raw) -> None:
    facts = PersistentFacts(f"sqlite:///{tmp_path}/ours.db")

    async def ours(number: int) -> None:
        text = f"User keeps note {number} about garden {number % 97} of Lisbon."
        await facts.add(f"note#{number}", number, scope_id="ann", text=text)

    async def theirs(number: int) -> None:
        raw.insert(number, words=True)

    took = await in_turns(ours=ours, raw=theirs)
    await facts.close()
    show("facts.add / raw row and FTS5 row, FULL", took["ours"] / took["raw"], "≤ 5", **took)


async def test_one_lookup(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/ours.db"
    facts, table = PersistentFacts(url), TABLES["fact"]
    await facts.add_many({"key": f"note#{n}", "value": n, "scope_id": f"u{n % 20}"} for n in range(2000))
    ids = [made(Scope.user(f"u{n % 20}"), "", f"note#{n}", n, {}, Runtime.now(CLOCK)).id for n in range(2000)]
    engine = create_async_engine(url)
    bare = sqlite3.connect(tmp_path / "ours.db", check_same_thread=False)

    async def ours(number: int) -> None:
        assert await facts.get(f"note#{number}", scope_id=f"u{number % 20}")

    async def alchemy(number: int) -> None:
        owner = Scope.user(f"u{number % 20}").token
        async with engine.connect() as connection:
            found = await connection.execute(select(table).where(table.c.id == ids[number], table.c.owner == owner))
            assert found.one()

    async def plain(number: int) -> None:
        assert bare.execute("SELECT * FROM fact WHERE id = ?", (ids[number],)).fetchone()

    with closing(bare):
        took = await in_turns(ours=ours, alchemy=alchemy, sqlite3=plain)
    await engine.dispose()
    await facts.close()
    show("PersistentFacts.get / async select built each time", took["ours"] / took["alchemy"], "≤ 0.8", **took)
    show("PersistentFacts.get / bare sqlite3", took["ours"] / took["sqlite3"])


async def test_many_writers(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/engine.db"
    async with open_store(url):
        pass  # which makes the tables
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, pool_timeout=600)
    together, alone = (f"sqlite:///{tmp_path}/{name}.db" for name in ("group", "alone"))
    await writers(together, alone, "sqlite", "≥ 8", engine=lambda records: _insert(engine, records))
    await engine.dispose()


async def writers(together: str, alone: str, name: str, goal: str, **others: Writer) -> None:
    """64 callers at once, against the same writes of which each has a transaction of its own.

    Both go through our code, which in the second case takes them one by one on a connection that is held. What a
    program without a library would do stands in `others`.
    """
    async with open_store(together) as group, open_store(alone) as single:
        single._group._most = 1  # type: ignore[attr-defined]
        ways: dict[str, Writer] = {
            "group": lambda records: _write(group, records),
            "alone": lambda records: _write(single, records),
            **others,
        }
        rates = await _rates(ways)
    for way in list(rates)[1:]:
        said = f"{way} {rates[way]:,.0f} facts/s, group {rates['group']:,.0f}"
        told(f"64 writers, group commit / each {way}, {name}", rates["group"] / rates[way], goal, said)
        goal = ""


async def _rates(ways: Mapping[str, Writer]) -> dict[str, float]:
    """Facts a second of each way, the median of rounds that take turns."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(WRITER_ROUNDS):
        given = [[record(EACH * number + n, f"writer {writer}") for n in range(EACH)] for writer in range(WRITERS)]
        for way, write in ways.items():
            began = time.perf_counter()
            await asyncio.gather(*map(write, given))
            took[way].append(time.perf_counter() - began)
    return {way: WRITERS * EACH / statistics.median(times) for way, times in took.items()}


async def _write(store: Store, records: Sequence[Record]) -> None:
    for one in records:
        await store.apply([Put(one, expect=0)])


async def _insert(engine: AsyncEngine, records: Sequence[Record]) -> None:
    for one in records:
        async with engine.begin() as connection:
            await connection.execute(insert(TABLES["fact"]), LAYOUTS["fact"].row(one))


async def test_bulk_import(tmp_path: Path) -> None:
    """Facts by `add_many`, against a raw `executemany` of the rows that it made, into the same tables and indexes."""
    facts = PersistentFacts(f"sqlite:///{tmp_path}/ours.db")
    given = [
        {"key": f"note#{n}", "value": n, "text": f"User keeps note {n} of Lisbon.", "scope_id": f"u{n % 20}"}
        for n in range(BULK)
    ]
    began = time.perf_counter()
    await facts.add_many(given)
    ours = time.perf_counter() - began
    await facts.close()
    raw = _raw_copy(tmp_path / "ours.db", tmp_path / "raw.db")
    micros = {"ours": ours / BULK, "raw": raw / BULK}
    show(f"{BULK:,} facts by add_many / raw executemany", ours / raw, "≤ 2.5", **micros)


def _raw_copy(source: Path, target: Path) -> float:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target, isolation_level=None)) as write:
        rows = read.execute("SELECT * FROM fact ORDER BY seq").fetchall()
        write.execute("PRAGMA journal_mode=WAL")
        write.execute("PRAGMA synchronous=FULL")
        # All but the tables that the text index makes for itself.
        ours = "tbl_name LIKE 'fact%' AND sql NOT NULL AND NOT (type = 'table' AND name LIKE 'fact_words_%')"
        for (sql,) in read.execute(f"SELECT sql FROM sqlite_master WHERE {ours}"):
            write.execute(sql)
        places = ", ".join("?" * len(rows[0]))
        began = time.perf_counter()
        for start in range(0, len(rows), 1000):
            write.execute("BEGIN IMMEDIATE")
            write.executemany(f"INSERT INTO fact VALUES ({places})", rows[start : start + 1000])
            write.execute("COMMIT")
        return time.perf_counter() - began
