"""What a long-term memory adds to `chat()` of LlamaIndex: by an extractor that takes a second, and by recall."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from ltm_core import Candidate, Memory
from ltm_core.policies import Extracting
from tests.adapters.llamaindex.conftest import nothing_is_left_open  # noqa: F401 # a fixture
from tests.adapters.llamaindex.fakes import FakeLLM, simple

# isort: split
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import Memory as StockMemory

from ltm_llamaindex import LongTermMemory

ROUNDS = 100
FACTS = 200

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


def p50(*works: Callable[[str], object]) -> list[float]:
    """The median milliseconds of each, measured in turns so that a busy machine slows all alike."""
    took: list[list[float]] = [[] for _ in works]
    for number in range(ROUNDS):
        for times, work in zip(took, works, strict=True):
            start = time.perf_counter()
            work(f"Is song {number} good?")
            times.append((time.perf_counter() - start) * 1000)
    return [statistics.median(times) for times in took]


def by_block(memory: LongTermMemory, query: str) -> None:
    asyncio.run(memory.block.aget([ChatMessage(query)], session_id="s"))


def with_facts(memory: Memory) -> LongTermMemory:
    for number in range(FACTS):
        memory.facts.add(f"opinion#{number}", number, scope_id="ana", text=f"User likes song {number}.")
    return LongTermMemory.from_defaults(memory=memory, user_id="ana")


def test_an_extractor_that_takes_a_second_adds_nothing_to_chat(tmp_path: Path) -> None:
    over = threading.Event()

    def slow(given: Extracting) -> Sequence[Candidate]:
        over.wait(1.0)
        return []

    with ExitStack() as stack:
        instantly, slowly = (
            with_facts(stack.enter_context(Memory(f"sqlite:///{tmp_path}/{name}.db", extract=extract)))
            for name, extract in (("instant", lambda given: []), ("slow", slow))
        )
        stack.callback(over.set)
        memories = (StockMemory.from_defaults(), instantly, slowly)
        stock, instant, late = p50(*(simple(FakeLLM(), memory).chat for memory in memories))
    print(f"\nchat: stock {stock:.1f} ms, ours {instant:.1f} ms, with a slow extractor {late:.1f} ms")  # noqa: T201
    print(f"the second of the extractor adds {late - instant:.1f} ms: {late / instant:.2f} times")  # noqa: T201


def test_recall_by_the_block_beside_memory_recall(tmp_path: Path) -> None:
    with Memory(f"sqlite:///{tmp_path}/memory.db", background=False) as memory:
        mine = with_facts(memory)

        def in_a_loop(query: str) -> None:
            how = {"user_id": "ana", "session_id": "s", "limit": 8, "max_tokens": 800}
            asyncio.run(memory.as_async().recall(query, **how))  # type: ignore[arg-type]

        recall, loop, block = p50(
            partial(memory.recall, user_id="ana", session_id="s", limit=8, max_tokens=800),
            in_a_loop,
            partial(by_block, mine),
        )
    print(f"\nmemory.recall {recall:.1f} ms, awaited in a new loop {loop:.1f} ms, by the block {block:.1f} ms")  # noqa: T201
    print(f"by the block: {block / recall:.2f} times memory.recall, {block / loop:.2f} of it awaited")  # noqa: T201
