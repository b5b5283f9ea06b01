"""What writing a turn or a message down costs, and what learning it in the background adds to an answer.

    make bench ARGS="tests/benchmarks/bench_observe.py"

Each figure is a ratio to a raw limit measured in the same run; calls that are compared take turns. Both sides wait for
the disk at every commit (`synchronous=FULL`).
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from ltm_core import AsyncMemory, Candidate, Memory
from ltm_core.policies import Extracting

ROUNDS = 300
CALLERS = 100
EACH = 10
EXTRACTION = 2.0  # seconds


class Bare:
    """A loop without a library: one row, one commit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE IF NOT EXISTS turn (id INTEGER PRIMARY KEY, session TEXT, said TEXT)")

    def insert(self, session: str, said: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO turn (session, said) VALUES (?, ?)", (session, said))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    bare = Bare(tmp_path / "bare.db")
    yield bare
    bare.close()


def timed(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def told(what: str, ratio: float, goal: str, said: str) -> None:
    print(f"{what:62} {ratio:6.2f} {goal:6} ({said})")  # noqa: T201


def turn(number: int) -> list[dict[str, str]]:
    """One turn as an agent has it."""
    return [
        {"role": "user", "content": f"This is question {number} about the garden."},
        {"role": "assistant", "content": f"This is answer {number} about the garden."},
    ]


async def in_turns(write: Callable[[int], Awaitable[object]], bare: Bare) -> tuple[float, float]:
    """The median seconds of `write` and of a bare insert, made in turns."""
    ours, theirs = [], []
    for number in range(ROUNDS + 20):
        before = time.perf_counter()
        await write(number)
        ours.append(time.perf_counter() - before)
        theirs.append(timed(partial(bare.insert, "s", str(turn(number)))))
    return statistics.median(ours[20:]), statistics.median(theirs[20:])


@pytest.mark.parametrize("sessions", ["one session", "new sessions"])
async def test_one_turn(tmp_path: Path, bare: Bare, sessions: str) -> None:
    async with AsyncMemory(f"sqlite:///{tmp_path}/ours.db", background=False) as memory:

        async def observe(number: int) -> None:
            await memory.observe(turn(number), user_id="ana", session_id=session(sessions, number))

        ours, theirs = await in_turns(observe, bare)
    micros = f"{ours * 1e6:,.0f} / {theirs * 1e6:,.0f} µs"
    told(f"observe / bare insert and commit, p50, {sessions}", ours / theirs, "≤ 4", micros)


@pytest.mark.parametrize("sessions", ["one session", "new sessions"])
async def test_one_message(tmp_path: Path, bare: Bare, sessions: str) -> None:
    async with AsyncMemory(f"sqlite:///{tmp_path}/ours.db", background=False) as memory:

        async def append(number: int) -> None:
            await memory.sessions.add_message(session(sessions, number), turn(number)[0], "ana")

        ours, theirs = await in_turns(append, bare)
    micros = f"{ours * 1e6:,.0f} / {theirs * 1e6:,.0f} µs"
    told(f"add_message / bare insert and commit, p50, {sessions}", ours / theirs, "≤ 4", micros)


def session(which: str, number: int) -> str:
    return "s" if which == "one session" else f"s{number}"


async def test_a_hundred_callers(tmp_path: Path) -> None:
    """Callers at once, each with a conversation of its own; the bare ones with a thread and a connection each."""
    async with AsyncMemory(f"sqlite:///{tmp_path}/ours.db", background=False) as memory:
        await memory.observe("hello", user_id="nobody")

        async def talk(caller: int) -> None:
            for number in range(EACH):
                await memory.observe(turn(number), user_id=f"u{caller}", session_id=f"s{caller}")

        before = time.perf_counter()
        await asyncio.gather(*map(talk, range(CALLERS)))
        ours = CALLERS * EACH / (time.perf_counter() - before)
    theirs = await asyncio.to_thread(bare_crowd, tmp_path / "bare.db")
    rates = f"{ours:,.0f} / {theirs:,.0f} turns/s"
    told(f"turns per second, {CALLERS} callers, observe / bare", ours / theirs, "> 1", rates)


def bare_crowd(path: Path) -> float:
    def talk(caller: int) -> None:
        bare = Bare(path)
        for number in range(EACH):
            bare.insert(f"s{caller}", str(turn(number)))
        bare.close()

    Bare(path).close()
    with ThreadPoolExecutor(CALLERS) as everybody:
        before = time.perf_counter()
        list(everybody.map(talk, range(CALLERS)))
    return CALLERS * EACH / (time.perf_counter() - before)


async def at_once(given: Extracting) -> list[Candidate]:
    return []


async def slowly(given: Extracting) -> list[Candidate]:
    await asyncio.sleep(EXTRACTION)
    return []


def test_what_a_slow_extractor_adds_to_an_answer(tmp_path: Path) -> None:
    """A decorated agent whose turns are learned in the background, with an extractor of two seconds and with none."""
    took: dict[str, list[float]] = {"slow": [], "instant": []}
    with (
        Memory(f"sqlite:///{tmp_path}/slow.db", extract=slowly) as slow,
        Memory(f"sqlite:///{tmp_path}/instant.db", extract=at_once) as instant,
    ):
        agents = {"slow": slow.wrap(answer), "instant": instant.wrap(answer)}
        for number in range(ROUNDS + 20):
            for name in sorted(agents, reverse=bool(number % 2)):
                ask = partial(agents[name], f"Question {number}", user_id=f"u{number}")
                took[name].append(timed(ask))
                instant.flush()  # else what it learns just now would slow the other one's answer
    medians = {name: statistics.median(times[20:]) for name, times in took.items()}
    said = ", ".join(f"{name} {median * 1e3:,.2f} ms" for name, median in medians.items())
    told("an answer with a 2 s extractor / with an instant one, p50", medians["slow"] / medians["instant"], "≈ 1", said)
    worst = {name: statistics.quantiles(times[20:], n=20)[-1] for name, times in took.items()}
    said = ", ".join(f"{name} {time * 1e3:,.2f} ms" for name, time in worst.items())
    told("the same, p95", worst["slow"] / worst["instant"], "≈ 1", said)


def answer(said: str, user_id: str) -> str:
    return f"You said: {said}"
