"""Checks 30, 31 and 37: the agent's errors pass through, the memory's stay away from it."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from ltm_core import Memory, StoreUnavailable, UsageError
from ltm_core.model import Candidate
from ltm_core.policies import Extracting
from ltm_core.stores.base import Record, Where
from ltm_core.stores.memory import DictStore
from ltm_core.wrapping.sources import MemorySource
from ltm_middleware import failures, with_memory
from tests.adapters.conftest import learned
from tests.conftest import told


class Boom(Exception):
    """What an agent raises."""


class BrokenStore(DictStore):
    """A store that fails to read facts, or takes its time with them, when it is told to."""

    failing = False
    seconds = 0.0

    async def scan(self, where: Where, **how: Any) -> list[Record]:
        if self.failing:
            raise StoreUnavailable("The disk is on fire. Put it out.")
        await asyncio.sleep(self.seconds)
        return await super().scan(where, **how)


@pytest.fixture
def store() -> BrokenStore:
    return BrokenStore()


@pytest.fixture
def broken(store: BrokenStore) -> Iterator[Memory]:
    with Memory(store=store, extract=told, background=False) as memory:
        memory.facts.add("location", "Oslo", scope_id="ana")
        yield memory
        store.failing, store.seconds = False, 0.0


def echo(text: str) -> str:
    return text


def fails(text: str) -> str:
    raise Boom(text, 3)


async def afails(text: str) -> str:
    await asyncio.sleep(0)
    raise Boom(text, 3)


@pytest.mark.parametrize("agent", [fails, afails])
def test_30_an_error_of_the_agent_comes_out_as_it_was_raised_and_teaches_nothing(
    agent: Callable[[str], Any], memory: Memory
) -> None:
    wrapped = with_memory(memory, user_id="ana", inject="none")(agent)
    with pytest.raises(Boom) as raised:
        asyncio.run(wrapped("Where am I?")) if agent is afails else wrapped("Where am I?")
    assert raised.value.args == ("Where am I?", 3)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert traceback.extract_tb(raised.value.__traceback__)[-1].name == agent.__name__
    assert learned(memory, "ana") == []


@pytest.mark.parametrize("error", [StopIteration("x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_30_exceptions_with_a_meaning_of_their_own_pass_too(error: BaseException, memory: Memory) -> None:
    def agent(text: str) -> str:
        raise error

    with pytest.raises(type(error)) as raised:
        with_memory(memory, user_id="ana")(agent)("Where am I?")
    assert raised.value is error
    assert learned(memory, "ana") == []


async def test_30_a_cancelled_agent_ends_at_once_and_teaches_nothing(memory: Memory) -> None:
    started = asyncio.Event()

    async def agent(text: str) -> str:
        started.set()
        await asyncio.sleep(60)
        return "never"

    task = asyncio.create_task(with_memory(memory, user_id="ana")(agent)("Where am I?"))
    await started.wait()
    before = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - before < 0.05
    assert learned(memory, "ana") == []


async def test_30_a_call_that_is_cancelled_while_it_recalls_ends_at_once(broken: Memory, store: BrokenStore) -> None:
    called = []

    async def agent(text: str) -> None:
        called.append(text)

    store.seconds = 60
    wrapped = with_memory(broken, user_id="ana", recall_budget_ms=None)(agent)
    task = asyncio.create_task(wrapped("Where am I?"))
    await asyncio.sleep(0.01)
    before = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - before < 0.05
    assert called == []


@pytest.mark.parametrize("is_async", [False, True])
def test_31_a_slow_recall_costs_its_budget_and_no_more(is_async: bool, broken: Memory, store: BrokenStore) -> None:
    async def agent(text: str) -> str:
        return text

    store.seconds = 2
    options: Any = {"user_id": "ana", "recall_budget_ms": 100, "learn": False}
    before = time.perf_counter()
    if is_async:
        answer = asyncio.run(with_memory(broken, **options)(agent)("Where am I?"))
    else:
        answer = with_memory(broken, **options)(echo)("Where am I?")
    assert answer == "Where am I?"
    assert 0.09 < time.perf_counter() - before < 0.3
    assert failures(broken) == {"recall: TimeoutError": 1}


def test_31_a_slow_write_holds_no_answer_and_is_not_lost(
    broken: Memory, store: BrokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemorySource, "patience", 0.02)
    store.seconds = 0.05
    with_memory(broken, user_id="ana", recall_budget_ms=10)(lambda text: text)("Where am I?")
    assert failures(broken) == {"recall: TimeoutError": 1, "learn: TimeoutError": 1}
    while not learned(broken, "ana"):
        pass


def test_31_strict_says_how_long_is_too_long(broken: Memory, store: BrokenStore) -> None:
    store.seconds = 2
    with pytest.raises(StoreUnavailable, match="recall_budget_ms"):
        with_memory(broken, user_id="ana", recall_budget_ms=20, strict=True)(lambda text: text)("Where am I?")


def test_31_a_broken_memory_is_logged_once_counted_always_and_never_raised(
    broken: Memory, store: BrokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.failing = True
    agent: Any = with_memory(broken, user_id="ana")(lambda text: text)
    assert [agent("Where am I?") for _ in range(3)] == ["Where am I?"] * 3
    assert failures(broken) == {"recall: StoreUnavailable": 3, "learn: StoreUnavailable": 3}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "The disk is on fire. Put it out." in caplog.text


async def test_31_the_same_holds_for_async_functions(broken: Memory, store: BrokenStore) -> None:
    store.failing = True

    async def agent(text: str) -> str:
        return text

    assert await with_memory(broken, user_id="ana")(agent)("Where am I?") == "Where am I?"
    assert failures(broken) == {"recall: StoreUnavailable": 1, "learn: StoreUnavailable": 1}


def test_31_strict_raises_what_went_wrong(broken: Memory, store: BrokenStore) -> None:
    store.failing = True
    with pytest.raises(StoreUnavailable, match="on fire"):
        with_memory(broken, user_id="ana", strict=True)(lambda text: text)("Where am I?")


@pytest.mark.parametrize("strict", [False, True])
async def test_31_a_closed_memory_costs_no_answer(strict: bool, memory: Memory) -> None:
    async def agent(text: str) -> str:
        return text

    memory.close()
    wrapped = with_memory(memory, user_id="ana", strict=strict)(agent)
    if strict:
        with pytest.raises(UsageError, match="closed"):
            await wrapped("Where am I?")
    else:
        assert await wrapped("Where am I?") == "Where am I?"


@pytest.mark.parametrize("step", ["input", "output", "pre", "post", "user_id"])
def test_31_callables_of_the_developer_that_fail_cost_no_answer(step: str, memory: Memory) -> None:
    def fail(*_: object) -> Any:
        raise Boom(step)

    options: Any = {"user_id": "ana", step: fail}
    answer: Any = with_memory(memory, **options)(lambda text: "ok")("Where am I?")
    assert answer == "ok"
    assert sum(failures(memory).values()) == 1
    with pytest.raises(Boom):
        with_memory(memory, **options, strict=True)(lambda text: "ok")("Where am I?")


def test_37_a_blocking_call_on_the_thread_of_the_memory_does_not_wait_for_itself() -> None:
    answers: list[str] = []

    def extract(given: Extracting) -> Sequence[Candidate]:
        answers.append("extracted")
        return told(given)

    with Memory("memory://", extract=extract, background=False) as memory:
        wrapped = with_memory(memory, user_id="ana")(echo)

        async def on_home() -> str:
            return wrapped("set location Oslo")

        async def on_both() -> str:
            return await memory.runtime.home.run(on_home())

        assert memory.runtime.home.wait(on_both(), 5) == "set location Oslo"
        assert memory.runtime.school.wait(on_home(), 5) == "set location Oslo"
        assert memory.flush(5)
        assert answers
        assert memory.facts.get("location", scope_id="ana") is not None
