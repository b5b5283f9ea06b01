"""What a long-term memory adds to `chat()`, with an extractor that takes a second; run with `pytest -s` by name."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ltm_core import Candidate, Memory
from ltm_core.policies import Extracting
from tests.adapters.llamaindex.fakes import FakeLLM, simple

# isort: split
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import Memory as StockMemory

from ltm_llamaindex import LongTermMemory

ROUNDS = 60


def p50(work: Callable[[str], Any]) -> float:
    """Milliseconds that half of the rounds take at most."""
    times = []
    for number in range(ROUNDS):
        start = time.perf_counter()
        work(f"Is song {number} good?")
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def by_block(memory: LongTermMemory, query: str) -> None:
    asyncio.run(memory.block.aget([ChatMessage(query)], session_id="s"))


def test_what_chat_costs(tmp_path: Path) -> None:
    over = threading.Event()

    def slow(given: Extracting) -> Sequence[Candidate]:
        over.wait(1.0)
        return []

    chats = {}
    for name, extract in (("instant", lambda given: []), ("slow", slow)):
        with Memory(f"sqlite:///{tmp_path}/{name}.db", extract=extract) as memory:
            for number in range(200):
                memory.facts.add(f"opinion#{number}", number, scope_id="ana", text=f"User likes song {number}.")
            mine = LongTermMemory.from_defaults(memory=memory, user_id="ana")
            chats[name] = p50(simple(FakeLLM(), mine).chat)
            recall = p50(partial(memory.recall, user_id="ana", limit=8, max_tokens=800))
            block = p50(partial(by_block, mine))
            over.set()
    stock = p50(simple(FakeLLM(), StockMemory.from_defaults()).chat)
    print(f"chat: stock {stock:.1f} ms, ours {chats['instant']:.1f}, with a slow extractor {chats['slow']:.1f}")  # noqa: T201
    print(f"recall {recall:.1f} ms, by the block {block:.1f} ms: {block / recall:.2f} times")  # noqa: T201
    assert chats["slow"] < chats["instant"] + 150
