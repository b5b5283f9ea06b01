"""Streamed answers: passed on piece by piece as they come, learned from once, at their end."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any

from .call import Call


def is_stream(answer: object) -> bool:
    """Whether `answer` hands out its pieces one by one, and only once."""
    kind = type(answer)
    return hasattr(kind, "__next__") or hasattr(kind, "__aiter__")


def relayed(call: Call, stream: Any) -> Any:
    """The same stream, which learns from the turn when it ends."""
    if not call.turn.is_open:
        return stream
    if inspect.isgenerator(stream):
        return relay(call, stream)
    if inspect.isasyncgen(stream):
        return relaying(_started)(call, stream)
    sync, later = hasattr(type(stream), "__next__"), hasattr(type(stream), "__aiter__")
    return (BothStream if sync and later else AsyncStream if later else SyncStream)(call, stream)


def relay(call: Call, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A generator that does what the other does: send, throw, close and the returned value included."""
    try:
        value = yield from _Steps(call, generator)
    except GeneratorExit:
        call.abandon()
        raise
    except BaseException:
        call.close()
        raise
    call.finish_now(value)
    return value


Started = tuple[Call, AsyncGenerator[Any, Any]]


def relaying(start: Callable[..., Awaitable[Started]]) -> Callable[..., AsyncGenerator[Any, Any]]:
    """An async generator function that does what the started generator does: asend, athrow and aclose included."""

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call, generator = await start(*args, **kwargs)
        step = partial(generator.asend, None)
        while True:
            piece = await _stepped(call, step)
            if piece is _END:
                return
            try:
                sent = yield piece
            except GeneratorExit:
                with call.inside():
                    await generator.aclose()
                await call.leave()
                raise
            except BaseException as error:
                step = partial(generator.athrow, error)
            else:
                step = partial(generator.asend, sent)

    return run


_END = object()


async def _stepped(call: Call, step: Callable[[], Awaitable[Any]]) -> Any:
    """The next piece, taken inside the turn; between the steps the consumer's context is its own."""
    try:
        with call.inside():
            piece = await step()
    except StopAsyncIteration:
        await call.finish(None)
        return _END
    except BaseException:
        call.close()
        raise
    call.collect(piece)
    return piece


async def _started(call: Call, generator: AsyncGenerator[Any, Any]) -> Started:
    return call, generator


class _Steps(Generator[Any, Any, Any]):
    """The steps of a generator, each taken inside the turn."""

    def __init__(self, call: Call, generator: Generator[Any, Any, Any]) -> None:
        self._call = call
        self._generator = generator

    def send(self, value: Any) -> Any:
        return self._step(self._generator.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._generator.throw, *error)

    def close(self) -> None:
        with self._call.inside():
            self._generator.close()

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        with self._call.inside():
            piece = step(*given)
        self._call.collect(piece)
        return piece


class Stream:
    """Stands in for a stream object: the same attributes and methods, and `isinstance` says the same."""

    def __init__(self, call: Call, stream: Any) -> None:
        self._ltm_call = call
        self._ltm_stream = stream

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ltm_stream, name)
        return partial(self._ltm_close, found) if name in ("close", "aclose") else found

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._ltm_stream)

    def __repr__(self) -> str:
        return repr(self._ltm_stream)

    def __del__(self) -> None:
        call = self.__dict__.get("_ltm_call")
        if call is not None and call.turn.is_open:
            call.forsake()

    def __enter__(self) -> Any:
        entered = self._ltm_stream.__enter__()
        return self if entered is self._ltm_stream else entered

    def __exit__(self, *error: Any) -> Any:
        self._ltm_failed(error)
        try:
            return self._ltm_stream.__exit__(*error)
        finally:
            self._ltm_call.abandon()

    async def __aenter__(self) -> Any:
        entered = await self._ltm_stream.__aenter__()
        return self if entered is self._ltm_stream else entered

    async def __aexit__(self, *error: Any) -> Any:
        self._ltm_failed(error)
        try:
            return await self._ltm_stream.__aexit__(*error)
        finally:
            await self._ltm_call.leave()

    def _ltm_failed(self, error: tuple[Any, ...]) -> None:
        if error[0] is not None:
            self._ltm_call.close()

    def _ltm_close(self, close: Any) -> Any:
        result = close()
        if inspect.isawaitable(result):
            return self._ltm_closed(result)
        self._ltm_call.abandon()
        return result

    async def _ltm_closed(self, closing: Any) -> Any:
        result = await closing
        await self._ltm_call.leave()
        return result


class SyncStream(Stream):
    """A stream that is iterated with `for`."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._ltm_call
        try:
            with call.inside():
                piece = next(self._ltm_stream)
        except StopIteration as end:
            call.finish_now(end.value)
            raise
        except BaseException:
            call.close()
            raise
        call.collect(piece)
        return piece


class AsyncStream(Stream):
    """A stream that is iterated with `async for`."""

    _ltm_steps: AsyncIterator[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        self._ltm_steps = aiter(self._ltm_stream)
        return self

    async def __anext__(self) -> Any:
        piece = await _stepped(self._ltm_call, partial(anext, self._ltm_steps or self._ltm_stream))
        if piece is _END:
            raise StopAsyncIteration
        return piece


class BothStream(SyncStream, AsyncStream):
    """A stream that can be iterated either way."""
