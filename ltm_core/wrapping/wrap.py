"""The wrapper around a callable: of the same kind, with the same signature, remembering on the way in and out."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import WRAPPER_ASSIGNMENTS, partial, update_wrapper
from typing import Any

from ..errors import ConfigurationError
from .call import Call
from .signatures import Kind, Parameters, kind_of
from .streams import Started, is_stream, relay, relayed, relaying
from .wiring import Wiring

Function = Callable[..., Any]


def wrap(function: Any, wiring: Wiring) -> Any:
    """`function` with a memory; a static or class method stays one."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, wiring))
    if not callable(function):
        raise ConfigurationError(f"A {type(function).__name__} cannot be called. Wrap a function, or its method.")
    kind = kind_of(function)
    parameters = Parameters(function)
    wiring.check(parameters, awaits=kind in ("coroutine", "async generator"))

    def called(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(wiring, parameters, args, kwargs)

    wrapper = _WRAPPERS[kind](function, called)
    if inspect.isroutine(function):
        return update_wrapper(wrapper, function)
    update_wrapper(wrapper, function, WRAPPER_ASSIGNMENTS, ())
    return wrapper if isinstance(function, partial | type) else Remembering(function, wrapper)


class Remembering:
    """Stands in for a callable object: the same attributes, and `isinstance` says the same."""

    def __init__(self, wrapped: Any, wrapper: Function) -> None:
        self.__wrapped__ = wrapped
        # Whoever looks here for a coroutine function finds one.
        self.__call__ = wrapper  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the object does, remembering."""
        return self.__dict__["__call__"](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


Called = Callable[[tuple[Any, ...], dict[str, Any]], Call]


def _function(function: Function, called: Called) -> Function:
    def run(*args: Any, **kwargs: Any) -> Any:
        call = called(args, kwargs)
        call.begin_now()
        try:
            with call.inside():
                answer = function(*call.args, **call.kwargs)
        except BaseException:
            call.close()
            raise
        return _settled(call, answer)

    return run


def _coroutine(function: Function, called: Called) -> Function:
    async def run(*args: Any, **kwargs: Any) -> Any:
        call = called(args, kwargs)
        await call.begin()
        return await _awaited(call, function(*call.args, **call.kwargs))

    return run


def _generator(function: Function, called: Called) -> Function:
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = called(args, kwargs)
        call.begin_now()
        return (yield from relay(call, function(*call.args, **call.kwargs)))

    return run


def _async_generator(function: Function, called: Called) -> Function:
    async def start(*args: Any, **kwargs: Any) -> Started:
        call = called(args, kwargs)
        await call.begin()
        return call, function(*call.args, **call.kwargs)

    return relaying(start)


_WRAPPERS: dict[Kind, Callable[[Function, Called], Function]] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "async generator": _async_generator,
}


def _settled(call: Call, answer: Any) -> Any:
    """What a plain function gave: an answer, or the promise of one."""
    if not call.turn.is_open:
        return answer
    if isinstance(answer, asyncio.Future | Future):
        answer.add_done_callback(call.finish_soon)  # type: ignore[arg-type] # either kind of future
        return answer
    if inspect.isawaitable(answer):
        return _awaited(call, answer)
    if is_stream(answer):
        return relayed(call, answer)
    call.finish_now(answer)
    return answer


async def _awaited(call: Call, work: Any) -> Any:
    try:
        with call.inside():
            answer = await work
    except BaseException:
        call.close()
        raise
    if call.turn.is_open and is_stream(answer):
        return relayed(call, answer)
    await call.finish(answer)
    return answer
