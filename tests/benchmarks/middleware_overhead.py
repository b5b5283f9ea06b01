"""What `with_memory` adds to an instant function: p50 in µs, and as a ratio to one recall.

    python tests/benchmarks/middleware_overhead.py

The store answers at once and keeps nothing, so what is left is the memory's own work, the trips to its thread, and the
wrapper. `nested` is a call inside a turn: the wrapper alone.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from ltm_core import Memory
from ltm_core.stores.base import Record, Where, Write
from ltm_core.stores.memory import DictStore
from ltm_middleware import with_memory

TURN = [{"role": "user", "content": "Where am I?"}, {"role": "assistant", "content": "Where am I?"}]
ROUNDS = 300
WARM_UP = 30


class Instant(DictStore):
    """A store that takes no time: it holds nothing and forgets what is written."""

    async def apply(self, writes: Sequence[Write]) -> None:
        return None

    async def scan(self, where: Where, **how: Any) -> list[Record]:
        return []


def echo(text: str, user_id: str) -> str:
    return text


async def aecho(text: str, user_id: str) -> str:
    return text


def p50(call: Callable[[], object]) -> float:
    """The median time of a call, in µs."""
    return statistics.median(_times(call)) * 1e6


def _times(call: Callable[[], object]) -> Iterator[float]:
    for number in range(WARM_UP + ROUNDS):
        before = time.perf_counter()
        call()
        if number >= WARM_UP:
            yield time.perf_counter() - before


async def ap50(call: Callable[[], Awaitable[object]]) -> float:
    """The median time of an awaited call, in µs."""
    times = []
    for _ in range(WARM_UP + ROUNDS):
        before = time.perf_counter()
        await call()
        times.append(time.perf_counter() - before)
    return statistics.median(times[WARM_UP:]) * 1e6


def measured() -> dict[str, float]:
    """The times of one recall, one observe and the wrapped functions."""
    with Memory(store=Instant(), extract=lambda given: [], background=False) as memory:
        sync, later = with_memory(memory)(echo), with_memory(memory)(aecho)
        mute = with_memory(memory, learn=False)(echo)
        times = {
            "recall": p50(lambda: memory.recall("Where am I?", user_id="ana")),
            "observe": p50(lambda: memory.observe(TURN, user_id="ana")),
            "wrapped": p50(lambda: sync("Where am I?", "ana")),
            "wrapped, async": asyncio.run(ap50(lambda: later("Where am I?", "ana"))),
            "wrapped, without learning": p50(lambda: mute("Where am I?", "ana")),
        }
        with memory.turn("Where am I?", user_id="ana", learn=False):
            times["nested"] = p50(lambda: sync("Where am I?", "ana"))
    return times


def main() -> None:
    times = measured()
    for name, microseconds in times.items():
        print(f"{name:28} {microseconds:8.0f} µs   {microseconds / times['recall']:5.2f} of a recall")  # noqa: T201
    both = times["recall"] + times["observe"]
    print(f"{'wrapped / (recall + observe)':28} {times['wrapped'] / both:8.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
