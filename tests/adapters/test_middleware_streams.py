"""Checks 27 and 40: streams are passed on as they are, and learned from once, at their end or not at all."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from ltm_core import Memory
from ltm_middleware import with_memory
from tests.adapters.conftest import Recalls, learned

PIECES = ["You ", "are ", "here."]
TURN = [("user", "Where am I?"), ("assistant", "You are here.")]
PARTIAL = [("user", "Where am I?"), ("assistant", "You ")]


def dialogue(text: str) -> Generator[str, str | None, str]:
    """Says what it was sent, forgives ValueError, and returns a text."""
    heard: str | None = "start"
    while heard is not None:
        try:
            heard = yield f"{heard} "
        except ValueError as error:
            heard = f"caught {error}"
    return "the end"


async def adialogue(text: str) -> AsyncGenerator[str, str | None]:
    heard: str | None = "start"
    while heard is not None:
        try:
            heard = yield f"{heard} "
        except ValueError as error:
            heard = f"caught {error}"


def test_27_a_generator_keeps_send_throw_and_its_value(memory: Memory) -> None:
    stream = with_memory(memory, user_id="ana")(dialogue)("Where am I?")
    assert next(stream) == "start "
    assert stream.send("one") == "one "
    assert stream.throw(ValueError("two")) == "caught two "
    with pytest.raises(StopIteration) as end:
        stream.send(None)
    assert end.value.value == "the end"
    assert learned(memory, "ana") == [[TURN[0], ("assistant", "start one caught two ")]]


async def test_27_an_async_generator_keeps_asend_and_athrow(memory: Memory) -> None:
    stream = with_memory(memory, user_id="ana")(adialogue)("Where am I?")
    assert await anext(stream) == "start "
    assert await stream.asend("one") == "one "
    assert await stream.athrow(ValueError("two")) == "caught two "
    with pytest.raises(StopAsyncIteration):
        await stream.asend(None)
    assert learned(memory, "ana") == [[TURN[0], ("assistant", "start one caught two ")]]


def test_27_the_value_of_a_generator_is_the_answer_where_it_yields_no_text(memory: Memory) -> None:
    def agent(text: str) -> Generator[int, None, str]:
        yield 1
        return "You are here."

    assert list(with_memory(memory, user_id="ana")(agent)("Where am I?")) == [1]
    assert learned(memory, "ana") == [TURN]


def test_27_a_generator_recalls_when_it_is_started_and_not_when_it_is_called(memory: Memory, recalls: Recalls) -> None:
    stream = with_memory(memory, user_id="ana")(dialogue)("Where am I?")
    assert recalls.count == 0
    next(stream)
    assert recalls.count == 1


@pytest.mark.parametrize("closes", [True, False])
def test_27_closing_a_generator_reaches_the_function(closes: bool, memory: Memory) -> None:
    ended = []

    def agent(text: str) -> Iterator[str]:
        try:
            yield from PIECES
        finally:
            ended.append(text)

    stream = with_memory(memory, user_id="ana")(agent)("Where am I?")
    next(stream)
    if closes:
        stream.close()  # type: ignore[attr-defined]
    del stream
    gc.collect()
    assert len(ended) == 1


async def test_27_closing_an_async_generator_reaches_the_function(memory: Memory) -> None:
    ended = []

    async def agent(text: str) -> AsyncGenerator[str, None]:
        try:
            for piece in PIECES:
                yield piece
        finally:
            ended.append(text)

    stream = with_memory(memory, user_id="ana")(agent)("Where am I?")
    await anext(stream)
    await stream.aclose()
    assert len(ended) == 1
    assert learned(memory, "ana") == []


def test_27_an_async_generator_may_be_read_by_one_task_after_another(memory: Memory) -> None:
    async def agent(text: str) -> AsyncIterator[str]:
        for piece in PIECES:
            await asyncio.sleep(0)
            yield piece

    async def read() -> list[str]:
        stream: Any = with_memory(memory, user_id="ana")(agent)("Where am I?")
        pieces = [await asyncio.create_task(stream.__anext__()) for _ in PIECES]
        return pieces + [piece async for piece in stream]

    assert asyncio.run(read()) == PIECES
    assert learned(memory, "ana") == [TURN]


def test_27_between_two_pieces_the_consumer_is_outside_the_turn(memory: Memory) -> None:
    outer: Any = with_memory(memory, user_id="ana")(lambda text: iter(PIECES))
    inner: Any = with_memory(memory)(lambda text: text)
    for _ in outer("Where am I?"):
        assert inner("Hi") == "Hi"
    with memory.scope(user_id="ben"):
        for _ in outer("Where am I?"):
            assert "Rome" in inner("Where am I?")


class Stream:
    """A stream as model clients have it."""

    def __init__(self) -> None:
        self.response = {"status": 200}
        self.closed = False
        self._pieces = iter(PIECES)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True


class AsyncStream:
    """The same for `async for`."""

    def __init__(self) -> None:
        self.response = {"status": 200}
        self.closed = False
        self._pieces = iter(PIECES)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.closed = True


class Lines(AsyncStream):
    """A stream whose steps are made anew by `aiter`."""

    async def __aiter__(self) -> AsyncIterator[str]:
        for piece in PIECES:
            yield piece


async def create(text: str) -> AsyncStream:
    return AsyncStream()


def test_27_a_stream_keeps_its_attributes_its_class_and_its_context_manager(memory: Memory) -> None:
    made = Stream()
    stream: Any = with_memory(memory, user_id="ana")(lambda text: made)("Where am I?")
    assert isinstance(stream, Stream)
    assert stream.response == {"status": 200}
    with stream as entered:
        assert list(entered) == PIECES
    assert made.closed
    assert stream.closed
    assert learned(memory, "ana") == [TURN]


async def test_27_an_async_stream_keeps_them_too(memory: Memory) -> None:
    stream = await with_memory(memory, user_id="ana")(create)("Where am I?")
    assert isinstance(stream, AsyncStream)
    assert stream.response == {"status": 200}
    async with stream as entered:
        assert [piece async for piece in entered] == PIECES
    assert stream.closed
    assert learned(memory, "ana") == [TURN]


async def test_27_a_stream_whose_steps_are_an_async_generator_is_read(memory: Memory) -> None:
    stream: Any = with_memory(memory, user_id="ana")(lambda text: Lines())("Where am I?")
    assert [piece async for piece in stream] == PIECES
    assert learned(memory, "ana") == [TURN]


@pytest.mark.parametrize("leave", ["close", "with", "drop"])
@pytest.mark.parametrize("on_partial", ["skip", "learn"])
def test_40_an_abandoned_stream_is_learned_as_partial_or_not_at_all(
    leave: str, on_partial: Any, memory: Memory
) -> None:
    stream: Any = with_memory(memory, user_id="ana", on_partial=on_partial)(lambda text: Stream())("Where am I?")
    next(stream)
    if leave == "with":
        with stream:
            pass
    elif leave == "close":
        stream.close()
    del stream
    _assert_partial(memory, on_partial)


@pytest.mark.parametrize("leave", ["close", "with"])
@pytest.mark.parametrize("on_partial", ["skip", "learn"])
async def test_40_the_same_holds_for_async_streams(leave: str, on_partial: Any, memory: Memory) -> None:
    stream: Any = await with_memory(memory, user_id="ana", on_partial=on_partial)(create)("Where am I?")
    await anext(stream)
    if leave == "with":
        async with stream:
            pass
    else:
        await stream.close()
    _assert_partial(memory, on_partial)


@pytest.mark.parametrize("on_partial", ["skip", "learn"])
def test_40_the_same_holds_for_generators(on_partial: Any, memory: Memory) -> None:
    for _ in with_memory(memory, user_id="ana", on_partial=on_partial)(_pieces)("Where am I?"):
        break
    _assert_partial(memory, on_partial)


@pytest.mark.parametrize("on_partial", ["skip", "learn"])
async def test_40_the_same_holds_for_async_generators(on_partial: Any, memory: Memory) -> None:
    stream = with_memory(memory, user_id="ana", on_partial=on_partial)(_apieces)("Where am I?")
    await anext(stream)
    await stream.aclose()
    _assert_partial(memory, on_partial)


def test_40_a_stream_that_fails_teaches_nothing(memory: Memory) -> None:
    def agent(text: str) -> Iterator[str]:
        yield "You "
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):
        list(with_memory(memory, user_id="ana", on_partial="learn")(agent)("Where am I?"))
    assert learned(memory, "ana") == []


def _pieces(text: str) -> Iterator[str]:
    yield from PIECES


async def _apieces(text: str) -> AsyncGenerator[str, None]:
    for piece in PIECES:
        yield piece


def _assert_partial(memory: Memory, on_partial: str) -> None:
    memory.flush()
    assert learned(memory, "ana") == ([PARTIAL] if on_partial == "learn" else [])
    for job in memory.jobs.list(user_id="ana"):
        assert memory.jobs.show(job.id).messages[-1].metadata == {"partial": True}
