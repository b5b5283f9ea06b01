"""Durable runs: finished steps are not done again, in functions of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from typing import Any

import pytest

from ltm_core import AsyncMemory, AsyncRun, ConflictError, InvalidInput, Memory, Run, ScopeError, UsageError, failures
from ltm_core.model import Message
from ltm_middleware import with_memory


class Boom(Exception):
    pass


class Work:
    """Steps that are counted, and of which one fails until it is mended."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.broken = ""

    def do(self, name: str) -> str:
        if name == self.broken:
            raise Boom(name)
        self.done.append(name)
        return f"{name} done"

    async def ado(self, name: str) -> str:
        await asyncio.sleep(0)
        return self.do(name)


@pytest.fixture
def memory(url: str) -> Iterator[Memory]:
    with Memory(url, background=False) as memory:
        yield memory


@pytest.fixture
def work() -> Work:
    return Work()


def test_a_run_goes_on_where_it_stopped(memory: Memory, work: Work) -> None:
    @with_memory(memory, durable=True)
    def trip(prompt: str, user_id: str, run: Run | None = None) -> list[str]:
        assert run is not None
        assert run is Run.current()
        return [run.step(name, work.do, name) for name in ("plan", "book", "pay")]

    work.broken = "pay"
    with pytest.raises(Boom) as stopped:
        trip("To Oslo!", user_id="ana", run_id="trip-7")  # type: ignore[call-arg] # taken off the call
    assert stopped.value.__notes__ == ["This run can be taken up where it stopped: call again with run_id='trip-7'."]
    work.broken = ""
    assert trip("To Oslo!", user_id="ana", run_id="trip-7") == ["plan done", "book done", "pay done"]  # type: ignore[call-arg]
    assert work.done == ["plan", "book", "pay"]
    assert trip("To Oslo!", user_id="ana", run_id="trip-7") == ["plan done", "book done", "pay done"]  # type: ignore[call-arg]
    assert work.done == ["plan", "book", "pay"]
    assert [checkpoint.state["step"] for checkpoint in memory.checkpoints.list("trip-7")] == ["plan", "book", "pay"]
    assert memory.checkpoints.delete_user("ana") == 3


async def test_async_steps_may_go_on_side_by_side(url: str, work: Work) -> None:
    async with AsyncMemory(url, background=False) as memory:

        @with_memory(memory, durable=True, run_id=lambda order: f"order-{order}")
        async def handle(order: int, *, user_id: str = "ana") -> list[str]:
            run = AsyncRun.current()
            sides = [run.step("side", work.ado, name) for name in ("a", "b", "c")]
            found = await asyncio.gather(*reversed(sides), return_exceptions=True)
            return [*_whole(found), await run.step("last", work.do, "last")]

        work.broken = "a"
        with pytest.raises(Boom):
            await handle(7)
        assert sorted(work.done) == ["b", "c"]
        work.broken = ""
        assert await handle(7) == ["c done", "b done", "a done", "last done"]
        assert sorted(work.done) == ["a", "b", "c", "last"]
        assert {checkpoint.run_id for checkpoint in await memory.checkpoints.list(user_id="ana")} == {"order-7"}


def _whole(found: Sequence[str | BaseException]) -> list[str]:
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [str(one) for one in found]


def test_a_generator_gives_the_pieces_of_finished_steps_again(memory: Memory, work: Work) -> None:
    @memory.wrap(durable=True)
    def pieces(prompt: str, run_id: str | None = None) -> Generator[str, None, None]:
        for name in ("one", "two", "three"):
            yield Run.current().step(name, work.do, name)

    stream = pieces("Go!", run_id="r")
    assert [next(stream), next(stream)] == ["one done", "two done"]
    stream.close()
    assert list(pieces("Go!", run_id="r")) == ["one done", "two done", "three done"]
    assert work.done == ["one", "two", "three"]


async def test_so_does_an_async_generator(url: str, work: Work) -> None:
    async with AsyncMemory(url, background=False) as memory:

        @memory.wrap(durable=True)
        async def pieces(prompt: str, run: AsyncRun | None = None) -> AsyncIterator[str]:
            assert run is not None
            for name in ("one", "two"):
                yield await run.step(name, work.ado, name)

        work.broken = "two"
        with pytest.raises(Boom):
            async for _ in pieces("Go!", run_id="r"):  # type: ignore[call-arg] # taken off the call
                pass
        work.broken = ""
        assert [piece async for piece in pieces("Go!", run_id="r")] == ["one done", "two done"]  # type: ignore[call-arg]
        assert work.done == ["one", "two"]


def test_a_run_that_takes_other_steps_is_told_so(memory: Memory, work: Work) -> None:
    names = ["plan", "book"]

    @memory.wrap(durable=True, run_id="r")
    def trip() -> list[str]:
        return [Run.current().step(name, work.do, name) for name in names]

    trip()
    names.reverse()
    with pytest.raises(UsageError, match=r"Step 1 of run 'r' was 'plan' when it was done and is 'book' now\. Do what"):
        trip()
    assert work.done == ["plan", "book"]


def test_without_an_id_each_call_is_a_run_of_its_own_that_tells_its_id(memory: Memory, work: Work) -> None:
    @memory.wrap(durable=True)
    def trip(user_id: str, run_id: str = "") -> str:
        run = Run.current()
        assert run.id == run_id or not run_id
        run.step("plan", work.do, "plan")
        return run.id

    first, second = trip("ana"), trip("ana")
    assert first != second
    assert [checkpoint.run_id for checkpoint in memory.checkpoints.list(user_id="ana")] == [first, second]
    assert trip("ana", run_id=first) == first
    assert work.done == ["plan", "plan"]


def test_what_a_step_gives_is_the_same_data_at_the_first_time_and_later(memory: Memory) -> None:
    @memory.wrap(durable=True, run_id="r")
    def trip() -> Any:
        run = Run.current()
        return [run.is_resumed, run.step("pair", lambda: (1, Message(content="hi"))), run.step("none", lambda: None)]

    first, again = trip(), trip()
    assert (first[0], again[0]) == (False, True)
    assert first[1:] == again[1:]
    assert isinstance(first[1], list)
    assert first[1][1]["content"] == "hi"


def test_a_result_that_is_no_json_is_refused_by_the_name_of_its_step(memory: Memory) -> None:
    @memory.wrap(durable=True)
    def trip() -> object:
        return Run.current().step("plan", object)

    with pytest.raises(InvalidInput, match=r"Step 1, 'plan', cannot be kept\. A object is not JSON data\. Convert"):
        trip()


def test_a_run_of_another_user_is_not_taken_up(memory: Memory, work: Work) -> None:
    @memory.wrap(durable=True, run_id="r")
    def trip(user_id: str) -> str:
        return Run.current().step("plan", work.do, "plan")

    trip("ana")
    with pytest.raises(ScopeError, match="belongs to another user"):
        trip("ben")
    assert work.done == ["plan"]


def test_of_two_who_take_a_run_up_only_the_last_goes_on(memory: Memory, work: Work) -> None:
    @memory.wrap(durable=True, run_id="r")
    def trip(first: bool) -> str:
        run = Run.current()
        run.step("plan", work.do, "plan")
        return run.step("book", trip, False) if first else run.step("book", work.do, "book")

    with pytest.raises(ConflictError, match="taken up by somebody else"):
        trip(True)
    assert work.done == ["plan", "book"]
    assert trip(False) == "book done"


def test_a_run_is_no_place_for_steps_of_another_kind(memory: Memory, work: Work) -> None:
    with pytest.raises(UsageError, match="No durable run is going on here"):
        Run.current()

    @memory.wrap(durable=True)
    def trip() -> Any:
        with pytest.raises(UsageError, match=r"kind Run\. Call Run\.current"):
            AsyncRun.current()
        return Run.current().step("plan", work.ado, "plan")

    with pytest.raises(UsageError, match="'plan' is async"):
        trip()
    memory.checkpoints.save("mine", 1, {"my": "state"})
    with pytest.raises(InvalidInput, match=r"was saved by checkpoints\.save"):
        memory.wrap(lambda: None, durable=True, run_id="mine")()


def test_a_run_that_is_taken_up_is_one_turn_to_learn_from(memory: Memory) -> None:
    @memory.wrap(durable=True)
    def answer(prompt: str, user_id: str, fails: bool = False) -> str:
        if Run.current().step("ask", lambda: fails) and not Run.current().is_resumed:
            raise Boom
        return "Noted."

    with pytest.raises(Boom):
        answer("I live in Oslo.", "ana", True, run_id="r")  # type: ignore[call-arg] # taken off the call
    for _ in range(2):
        assert answer("I live in Oslo.", "ana", True, run_id="r") == "Noted."  # type: ignore[call-arg]
    assert [job.attempts for job in memory.jobs.list(user_id="ana")] == [0]
    assert failures(memory) == {}
    assert memory.flush()
    assert [fact.value for fact in memory.recall("Where?", user_id="ana").facts] == ["Oslo"]


async def test_a_run_whose_database_is_gone_raises_although_a_memory_would_be_done_without() -> None:
    memory = Memory("memory://", background=False)

    @memory.wrap(durable=True, user_id="ana")
    def answer(prompt: str) -> str:
        return "Yes."

    await memory.as_async().close()
    with pytest.raises(UsageError, match="closed"):
        answer("Are you there?")
