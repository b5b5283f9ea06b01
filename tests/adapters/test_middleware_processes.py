"""Checks 33 and 34: turns outlive their process, and a forked child has a memory of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Memory
from ltm_middleware import with_memory

AGENT = """
import os, signal, sys
from ltm_core import Memory
from ltm_middleware import with_memory

def slow(given):
    import time
    time.sleep(60)
    return []

memory = Memory(sys.argv[1], extract=slow)
answer = with_memory(memory, user_id="ana")(lambda text: "Noted.")(sys.argv[2])
print(answer, flush=True)
if sys.argv[3] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_33_a_turn_outlives_a_process_that_ends_right_after_the_answer(end: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", AGENT, url, "I moved to Oslo.", end], capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "Noted.\n", done.stderr
    assert done.returncode == (-signal.SIGKILL if end == "kill" else 0), done.stderr
    assert time.perf_counter() - before < 20, "the exit waited for the extractor"
    with Memory(url) as memory:
        assert "I moved to Oslo." in memory.recall("Where do I live?", user_id="ana").text
        assert memory.flush(10)
        assert [fact.value for fact in memory.recall("Where do I live?", user_id="ana").facts] == ["Oslo"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_34_a_forked_child_recalls_and_learns(tmp_path: Path) -> None:
    memory = Memory(f"sqlite:///{tmp_path}/memory.db")
    agent: Any = with_memory(memory, strict=True, recall_budget_ms=None)(lambda text, user_id: text)
    memory.remember("I live in Oslo.", user_id="ana")
    agent("Hello there.", "ana")
    child = os.fork()
    if child == 0:
        os._exit(_in_child(memory, agent))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "lives in Oslo" in agent("Where do I live?", "ana")
    assert "lives in Rome" in agent("Where do I live?", "ben")
    memory.close()


def _in_child(memory: Memory, agent: Any) -> int:
    """0, or the number of the first thing that went wrong."""
    try:
        before = time.perf_counter()
        if "lives in Oslo" not in agent("Where do I live?", "ana"):
            return 1
        agent("I live in Rome.", "ben")
        if time.perf_counter() - before > 1:
            return 2
        if not memory.flush(10):
            return 3
        memory.close()
    except BaseException:
        return 4
    return 0
