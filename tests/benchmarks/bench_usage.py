"""What the log of accesses costs a recall: the same recalls with the log on and off, in turns, in one run.

    make bench ARGS="tests/benchmarks/bench_usage.py"

`LTM_BENCH_ITEMS` are the sizes (`1000,10000`). Batches are written while it measures, as in a busy process.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltm_core import Memory

SIZES = [int(size) for size in os.environ.get("LTM_BENCH_ITEMS", "1000,10000").split(",")]
WORDS = [f"{one}{two}" for one in "bdfgklmnprst" for two in ("al", "en", "ir", "ol", "um", "ast", "erd", "int")]
ROUNDS, REPEATS = 300, 5


def texts(size: int) -> Iterator[str]:
    chance = random.Random(size)
    return ("User " + " ".join(chance.choices(WORDS, k=10)) for _ in range(size))


def took(memory: Memory, query: str) -> float:
    began = time.perf_counter()
    found = memory.recall(query, user_id="u")
    ended = time.perf_counter()
    assert len(found.facts) == 10
    return ended - began


@pytest.mark.parametrize("size", SIZES)
def test_a_recall_takes_as_long_with_the_log_as_without(tmp_path: Path, size: int) -> None:
    chance, ratios = random.Random(7), []
    url = f"sqlite:///{tmp_path}/memory.db"
    with Memory(url, background=False) as memory:
        facts = ({"key": f"note#{n}", "value": text, "text": text} for n, text in enumerate(texts(size)))
        memory.facts.add_many(facts, scope_id="u")
    with Memory(url, background=False) as on, Memory(url, background=False, log_access=False) as off:
        for _ in range(REPEATS):
            with_log: list[float] = []
            without: list[float] = []
            for _ in range(ROUNDS):
                query = " ".join(chance.choices(WORDS, k=4))
                pairs = [(on, with_log), (off, without)]
                chance.shuffle(pairs)
                for memory, times in pairs:
                    times.append(took(memory, query))
            ratios.append(statistics.median(with_log[10:]) / statistics.median(without[10:]))
        print(f"\n{size:,} facts: p50 {statistics.median(without) * 1e3:.2f} ms without the log;", end=" ")  # noqa: T201
        print("with it", " ".join(f"{ratio:.3f}" for ratio in ratios), "times as long")  # noqa: T201
        assert on.flush()
        uses = sum(fact.access_count for fact in on.stats("u", estimates=False).most_used)
        assert (uses > 0, on.runtime.accesses.dropped) == (True, 0)
    assert statistics.median(ratios) < 1.1
