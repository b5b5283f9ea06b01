"""One event loop on its own thread: where a memory lives, whoever calls it from wherever."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, TypeVar, overload

from .errors import UsageError

R = TypeVar("R")

SLICE = 0.5  # seconds of waiting after which due signal handlers get their turn


def _awaited(future: Future[R]) -> R:
    """The result, waited for in slices.

    A signal that another thread receives, or this one right before it waits, ends no wait; what its handler has to do
    would wait for ever.
    """
    while not future.done():
        with suppress(FutureTimeoutError):
            return future.result(SLICE)
    return future.result()


class Home:
    """A loop on a daemon thread, started by the first call and started anew in a forked child.

    ContextVars of the caller travel along. Calls made on the home thread itself run inline, since waiting there for
    the own loop would never end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        _HOMES.add(self)

    def submit(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """Start `work` on the home loop and return at once."""
        try:
            loop = self._running()
        except BaseException:  # Ctrl-C, while the thread starts
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, loop)

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Await `work` on the home loop, from any loop. Cancelling the caller cancels the work."""
        if self.is_here():
            return await work
        return await asyncio.wrap_future(self.submit(work))

    def wait(self, work: Coroutine[Any, Any, R], timeout: float | None = None) -> R:
        """Block until `work` is done on the home loop. Raises `UsageError` on a home thread, `TimeoutError` in time."""
        if threading.current_thread() in _threads():
            work.close()
            raise UsageError("A blocking call on the memory's own thread would never end. Use AsyncMemory and await.")
        future = self.submit(work)
        try:
            return _awaited(future) if timeout is None else future.result(timeout)
        except (FutureTimeoutError, KeyboardInterrupt):
            future.cancel()
            raise

    def is_here(self) -> bool:
        """Whether the caller runs on the home loop."""
        return self._thread is threading.current_thread()

    def stop(self, patience: float | None = None) -> None:
        """End the loop and its thread; the next call starts both anew. A thread that does not end in time is left."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(patience)

    def forget(self) -> None:
        """Drop loop and thread untouched: after a fork they belong to the parent."""
        self._lock = threading.Lock()
        if self._loop is not None:
            _ABANDONED.append(self._loop)
        self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # An empty context: what the first caller happened to have set must not stay for everybody.
                start = contextvars.Context()
                self._thread = threading.Thread(
                    target=start.run, args=(_live, self._loop), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


@overload
async def call(function: Callable[..., Awaitable[R]], *args: Any) -> R: ...
@overload
async def call(function: Callable[..., R | Awaitable[R]], *args: Any) -> R: ...
async def call(function: Callable[..., Any], *args: Any) -> Any:
    """Await a coroutine function, or run a blocking one in a thread of its own that cannot hold up the exit."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(*args)
    result = await _in_thread(function, *args)
    return await result if inspect.isawaitable(result) else result


async def _in_thread(function: Callable[..., R | Awaitable[R]], *args: Any) -> R | Awaitable[R]:
    outcome: Future[R | Awaitable[R]] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            result = context.run(function, *args)
        except BaseException as error:
            _settle(outcome.set_exception, error)
        else:
            _settle(outcome.set_result, result)

    threading.Thread(target=run, name="ltm-call", daemon=True).start()
    return await asyncio.wrap_future(outcome)


def _settle(settle: Callable[[Any], None], value: Any) -> None:
    # The caller may have gone: cancelled, or its loop closed.
    with suppress(InvalidStateError, RuntimeError):
        settle(value)


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


_HOMES: weakref.WeakSet[Home] = weakref.WeakSet()
# Loops of the parent process, kept so that they are never finalised in a forked child.
_ABANDONED: list[asyncio.AbstractEventLoop] = []


def _threads() -> set[threading.Thread | None]:
    return {home._thread for home in list(_HOMES)}


def _after_fork() -> None:
    for home in list(_HOMES):
        home.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
