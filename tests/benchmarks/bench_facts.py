"""What walks and pages cost: ratios to the same CTE run by hand, and of a page in a large scope to one in a small.

    make bench ARGS="tests/benchmarks/bench_facts.py"

Calls that are compared take turns, so that a busy machine slows all of them alike. Times are medians.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from ltm_core import PersistentFacts
from ltm_core.knowledge.edits import made
from ltm_core.knowledge.links import link_writes
from ltm_core.knowledge.links import made as made_link
from ltm_core.model import Fact
from ltm_core.records import fact_record
from ltm_core.scope import Scope
from ltm_core.stores import open_store
from ltm_core.stores.base import Put, Store, Write
from ltm_core.stores.tags import tags_of

FACTS, LINKS = 10_000, 50_000
SMALL, LARGE = 1_000, 100_000
ROUNDS = 60
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
ANN, BOB = Scope.user("ann"), Scope.user("bob")
TYPES = ("fact", "preference", "goal", "event", "insight")

BY_HAND = """
WITH RECURSIVE near(id, depth) AS (
  SELECT id, 0 FROM fact WHERE id = :start
  UNION
  SELECT fact.id, near.depth + 1 FROM near
  CROSS JOIN link ON link.owner = :owner AND link.source = near.id
  CROSS JOIN fact ON fact.id = link.target AND fact.owner = :owner AND fact.deleted_at IS NULL
    AND fact.archived_at IS NULL
    AND (fact.expires_at IS NULL OR fact.expires_at > :now)
    AND (fact.valid_to IS NULL OR fact.valid_to > :now)
  WHERE near.depth < 3
),
nearest(id, depth) AS (SELECT id, min(depth) FROM near GROUP BY id)
SELECT fact.*, nearest.depth, link.* FROM nearest CROSS JOIN fact ON fact.id = nearest.id
CROSS JOIN link ON link.owner = :owner AND link.target = nearest.id
CROSS JOIN nearest before ON before.id = link.source AND before.depth = nearest.depth - 1
WHERE nearest.depth > 0 ORDER BY nearest.depth, nearest.id
"""

Call = Callable[[], Awaitable[object]]


async def in_turns(calls: Mapping[str, Call], rounds: int = ROUNDS) -> dict[str, float]:
    """The median seconds of each call, made in turns."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 5):
        for name, call in calls.items():
            before = time.perf_counter()
            await call()
            took[name].append(time.perf_counter() - before)
    return {name: statistics.median(times[5:]) for name, times in took.items()}


def tell(what: str, ratio: float, times: Mapping[str, float]) -> None:
    said = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in times.items())
    print(f"{what:58} {ratio:6.2f}  ({said})")  # noqa: T201


async def written(store: Store, writes: Sequence[Write]) -> None:
    for start in range(0, len(writes), 2000):
        await store.apply(writes[start : start + 2000])


def facts_of(owner: Scope, count: int) -> list[Fact]:
    """Facts with tags, types and dates: one in ten has the tag `ui`, one in five each type, one of a minute each."""
    return [
        made(
            owner,
            "",
            f"k{number:06}",
            number,
            {"tags": [f"t{number % 7}", *(["ui"] if number % 10 == 0 else [])], "memory_type": TYPES[number // 7 % 5]},
            BEGUN + timedelta(minutes=number),
        )
        for number in range(count)
    ]


def records_of(facts: Sequence[Fact]) -> list[Write]:
    records = [fact_record(fact, fact.owner) for fact in facts]
    return [Put(one, 0) for record in records for one in (record, *tags_of(record))]


@pytest.mark.asyncio
async def test_related_costs_about_what_the_same_query_costs_by_hand(tmp_path: Path) -> None:
    path, chance = tmp_path / "links.db", random.Random(7)
    facts = facts_of(ANN, FACTS)
    async with open_store(path) as store:
        await written(store, records_of(facts))
        pairs = {(chance.randrange(FACTS), chance.randrange(FACTS)) for _ in range(LINKS + 200)}
        ends = [(facts[one], facts[other]) for one, other in sorted(pairs) if one != other][:LINKS]
        links = [made_link(*pair, "causes", chance.random(), None, {"created_at": BEGUN}) for pair in ends]
        await written(store, [write for link in links for write in link_writes(link, ANN, ANN, [])])
    api = PersistentFacts(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as raw:
        starts = iter(chance.choices(facts, k=10 * ROUNDS))
        found: list[int] = []

        async def by_hand() -> None:
            named = {"start": next(starts).id, "owner": ANN.token, "now": BEGUN.isoformat()}
            raw.execute(BY_HAND, named).fetchall()

        async def related() -> None:
            found.append(len(await api.related(next(starts).key, depth=3, scope_id="ann")))

        times = await in_turns({"by hand": by_hand, "related": related})
        plan = "\n".join(
            row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {BY_HAND}", {"start": "", "owner": "", "now": ""})
        )
    await api.close()
    print(f"\n{FACTS:,} facts, {LINKS:,} links, depth 3: {statistics.mean(found):.0f} facts found\n{plan}")  # noqa: T201
    tell("related(depth=3) / the same CTE by hand", times["related"] / times["by hand"], times)


ASKED: Mapping[str, dict[str, Any]] = {
    "all": {},
    "tag": {"tags": ["ui"]},
    "type": {"memory_type": "preference"},
    "date, by date": {"order": "created_at", "created_after": "recent"},
    "tag, type and date, by date": {
        "tags": ["ui"],
        "memory_type": "preference",
        "order": "created_at",
        "created_after": "recent",
    },
    "tag and type": {"tags": ["ui"], "memory_type": "preference"},
    "tag, type and date, by key": {"tags": ["ui"], "memory_type": "preference", "created_after": "recent"},
    "date, by key": {"created_after": "recent"},
}


@pytest.mark.asyncio
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_page_costs_by_what_is_on_it(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/pages.db" if database == "sqlite" else request.getfixturevalue("one_postgres_url")
    api = PersistentFacts(url)
    async with open_store(url) as store:
        for owner, count in ((BOB, SMALL), (ANN, LARGE)):
            await written(store, records_of(facts_of(owner, count)))
    if database == "postgres":  # as autovacuum does a minute later: a planner that knows nothing goes through all
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE fact, tag")
        engine.dispose()
    print(f"\n{database}: a page of 20 in a scope of {LARGE:,}, and in one of {SMALL:,}")  # noqa: T201
    for name, asked in ASKED.items():
        calls: dict[str, Call] = {}
        for owner, count in ((BOB, SMALL), (ANN, LARGE)):
            half = BEGUN + timedelta(minutes=count // 2)
            its: dict[str, Any] = {key: half if value == "recent" else value for key, value in asked.items()}
            page = await api.filter(scope_id=owner.id, limit=count // 500, **its)  # the next begins in the midst

            async def one(owner: Scope = owner, its: dict[str, Any] = its, after: str | None = page.next) -> None:
                await api.filter(scope_id=owner.id, limit=20, after=after, **its)

            calls[f"{count:,}"] = one
        times = await in_turns(calls, 20)
        tell(name, times[f"{LARGE:,}"] / times[f"{SMALL:,}"], times)
    await api.close()
