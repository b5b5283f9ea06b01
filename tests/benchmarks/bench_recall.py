"""What a warm recall costs, beside the raw limit in the same run: embedding the query, one product, one FTS5 query.

    make bench ARGS="tests/benchmarks/bench_recall.py"

Needs the extra `local`. `LTM_BENCH_ITEMS` are the sizes (`1000,10000,100000`); with `LTM_BENCH_PICTURE` the curve is
drawn into that file as SVG.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Memory
from ltm_core.text.words import terms

SIZES = [int(size) for size in os.environ.get("LTM_BENCH_ITEMS", "1000,10000,100000").split(",")]
WORDS = [
    f"{first}{second}" for first in "bdfgklmnprst" for second in ("al", "en", "ir", "ol", "um", "ast", "erd", "int")
]
ROUNDS = 60
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Point:
    """What was measured at one size, in milliseconds."""

    size: int
    recall: float
    limit: float


def texts(size: int) -> Iterator[str]:
    chance = random.Random(size)
    words = [one + other for one in WORDS for other in WORDS[:40]]
    for _ in range(size):
        yield "User " + " ".join(words[int(len(words) * chance.random() ** 2)] for _ in range(10))


def asked(size: int) -> list[str]:
    chance = random.Random(7)
    return [" ".join(chance.sample(text.split()[1:], 4)) for text, _ in zip(texts(size), range(ROUNDS), strict=False)]


def p50(call: Callable[[str], object], queries: list[str]) -> float:
    took = []
    for query in queries:
        began = time.perf_counter()
        call(query)
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took[5:])


def filled(path: Path, size: int, people: int = 1) -> Memory:
    """Facts of some people, written long ago and embedded."""
    clock = [LONG_AGO]
    memory = Memory(f"sqlite:///{path}", background=False, embedder="local", clock=lambda: clock[0])
    for person in range(people):
        given = ({"key": f"note#{n}", "value": text, "text": text} for n, text in enumerate(texts(size)))
        memory.facts.add_many(given, scope_id=f"u{person}")
    memory.flush()
    clock[0] = LONG_AGO + timedelta(days=1)
    return memory


def raw_limit(size: int, others: int = 0) -> Callable[[str], object]:
    """Embedding the query, a product over as many vectors, and a query of a text index that has the owner inside."""
    import numpy

    from ltm_core.llm.embedding import local

    embed: Any = local()
    stacked = numpy.asarray([numpy.asarray(v, "f4") for v in embed(list(texts(size)))])
    database = sqlite3.connect(":memory:")
    database.execute("create virtual table facts using fts5(terms, owner)")
    for person in range(others + 1):
        rows = ((" ".join(terms(text)), f"u{person}") for text in texts(size))
        database.executemany("insert into facts values (?, ?)", rows)
    sql = "select rowid from facts where facts match ? order by rank limit 10"

    def limit(query: str) -> object:
        found = stacked @ numpy.asarray(embed([query])[0], "f4")
        words = " OR ".join(f'"{term}"' for term in terms(query))
        return found, database.execute(sql, [f"terms : ({words}) AND owner : u0"]).fetchall()

    return limit


def told(line: str) -> None:
    print(line)  # noqa: T201


pytestmark = pytest.mark.skipif(find_spec("wordllama") is None, reason="Install the extra `local` to measure this.")


def test_warm_recall_costs_about_what_its_parts_do(tmp_path: Path) -> None:
    points = []
    for size in SIZES:
        memory = filled(tmp_path / f"{size}.db", size)
        queries = asked(size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        memory.recall(queries[0], user_id="u0")
        cold = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        limit = raw_limit(size)
        point = Point(size, p50(lambda q, m=memory: m.recall(q, user_id="u0"), queries), p50(limit, queries))  # type: ignore[misc]
        points.append(point)
        told(
            f"{size:,} items: recall p50 {point.recall:.2f} ms, raw limit {point.limit:.2f} ms, ratio "
            f"{point.recall / point.limit:.2f}; cold {cold * 1e3:.0f} ms, peak memory +{after - before:.0f} MiB"
        )
        _one_changed(memory, size)
        memory.close()
    picture = os.environ.get("LTM_BENCH_PICTURE")
    if picture:
        Path(picture).write_text(drawn(points), encoding="utf-8")


def _one_changed(memory: Memory, size: int) -> None:
    memory.facts.update("note#1", "a quokka", scope_id="u0", text="User saw a quokka.")
    began = time.perf_counter()
    found = memory.recall("quokka", user_id="u0").facts[0].text
    took = time.perf_counter() - began
    assert found == "User saw a quokka."
    told(f"  the first recall after a change: {took * 1e3:.2f} ms, of {size:,}")


def test_other_people_cost_nothing(tmp_path: Path) -> None:
    queries = asked(1000)
    alone, crowded = filled(tmp_path / "one.db", 1000), filled(tmp_path / "all.db", 1000, people=100)
    times: list[Any] = [p50(lambda q, m=memory: m.recall(q, user_id="u0"), queries) for memory in (alone, crowded)]  # type: ignore[misc]
    told(f"100 people with 1,000 each: {times[1]:.2f} ms, alone {times[0]:.2f} ms, ratio {times[1] / times[0]:.2f}")
    alone.close()
    crowded.close()
    asyncio.run(asyncio.sleep(0))


def drawn(points: list[Point]) -> str:
    """Recall and raw limit by size, both logarithmic, as SVG."""
    from math import log10

    top = max(max(point.recall, point.limit) for point in points)
    least, most = log10(points[0].size), log10(points[-1].size)

    def place(size: int, took: float) -> str:
        right = 60 + 400 * (log10(size) - least) / max(most - least, 1e-9)
        up = 250 - 200 * (log10(took) - log10(0.05)) / (log10(top) - log10(0.05))
        return f"{right:.0f},{up:.0f}"

    lines = []
    for name, colour in (("recall", "#1f6feb"), ("limit", "#8b949e")):
        path = " ".join(place(point.size, getattr(point, name)) for point in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            x, y = place(point.size, getattr(point, name)).split(",")
            lines.append(
                f'<text x="{x}" y="{int(y) - 6}" fill="{colour}" text-anchor="middle">{getattr(point, name):.2f}</text>'
            )
    sizes = [
        f'<text x="{place(point.size, 1).split(",")[0]}" y="275" text-anchor="middle">{point.size:,}</text>'
        for point in points
    ]
    legend = (
        '<text x="60" y="18" fill="#1f6feb">recall, ms</text><text x="160" y="18" fill="#8b949e">raw limit, ms</text>'
    )
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 290" font-family="sans-serif" font-size="12">'
    return "\n".join([head, legend, *lines, *sizes, "</svg>"]) + "\n"
