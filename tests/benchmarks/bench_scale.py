"""Whether costs grow with the scope or with the database, and what importing a million facts takes.

    make bench ARGS="tests/benchmarks/bench_scale.py"

`LTM_BENCH_FACTS` is how many facts each of the other 999 people has: 100 unless it is set, a million in all with 1000.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Memory
from tests.benchmarks.bench_stores import told, writers
from tests.servers.fixtures import Servers, empty_database

PEOPLE = 1000
MINE = 1000
EACH = int(os.environ.get("LTM_BENCH_FACTS", "100"))
ROUNDS = 100


def given(person: int, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        text = f"User keeps note {number} about garden {number % 97} and city {(number + person) % 89}."
        yield {"key": f"note#{number}", "value": number, "text": text, "scope_id": f"u{person}"}


def times(call: Callable[[int], object]) -> list[float]:
    took = []
    for number in range(ROUNDS):
        before = time.perf_counter()
        call(number)
        took.append(time.perf_counter() - before)
    return sorted(took[5:])


def asked(memory: Memory) -> dict[str, list[float]]:
    """Searches and recalls of one person with a thousand facts."""
    return {
        "search": times(lambda n: memory.facts.search(f"garden {n % 97}", scope_id="u0")),
        "recall": times(lambda n: memory.recall(f"Which city has garden {n % 97}?", user_id="u0")),
    }


@pytest.fixture
def urls(tmp_path: Path, servers: Servers) -> dict[str, Callable[[], str]]:
    return {
        "sqlite": lambda: f"sqlite:///{tmp_path}/ltm.db",
        "postgres": lambda: empty_database(servers.url("postgres18"), "bench"),
        "redis": lambda: servers.url("redis"),
    }


@pytest.mark.parametrize("name", ["sqlite", "postgres", "redis"])
def test_one_scope_among_a_thousand(urls: dict[str, Callable[[], str]], name: str) -> None:
    with Memory(urls[name](), background=False) as memory:
        memory.facts.add_many(given(0, MINE))
        alone = asked(memory)
        began = time.perf_counter()
        memory.facts.add_many(fact for person in range(1, PEOPLE) for fact in given(person, EACH))
        seconds, size = time.perf_counter() - began, (PEOPLE - 1) * EACH
        crowded = asked(memory)
    for verb in alone:
        before, after = statistics.median(alone[verb]), statistics.median(crowded[verb])
        late = [sorted(some[verb])[int(len(some[verb]) * 0.95)] for some in (alone, crowded)]
        said = f"p50 {before * 1e3:.1f} ms alone, {after * 1e3:.1f} ms; p95 ratio {late[1] / late[0]:.2f}"
        told(f"{verb}, 1 of 1,000 scopes / alone, {name}", after / before, "≤ 1.5", said)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told(f"{size:,} facts imported, {name}: µs each", seconds / size * 1e6, "", f"{seconds:.0f} s, peak {peak:.0f} MiB")


async def test_many_writers_on_postgres(servers: Servers) -> None:
    from tests.servers.postgres import start_postgres

    server = start_postgres(os.getpid(), version=18, durable=True)
    try:
        together, alone = (empty_database(server.url, name) for name in ("together", "alone"))
        await writers(together, alone, "postgres, fsync on", "≥ 5")
    finally:
        server.stop()
