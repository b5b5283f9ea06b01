"""Checked, not run: a wrapped callable keeps its type. `tests/adapters/test_middleware_typing.py` has it checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, assert_type, overload

from ltm_core import AsyncMemory, Memory, MemoryProvider
from ltm_middleware import inject_memory, with_memory

memory = Memory("memory://")
amemory = AsyncMemory("memory://")


@with_memory(memory)
def answer(text: str, *, user_id: str = "ana") -> int:
    return len(text)


@with_memory(amemory, user_id="ana", inject="prepend")
async def aanswer(text: str) -> int:
    return len(text)


@memory.wrap
def pieces(text: str) -> Iterator[str]:
    yield text


@amemory.wrap(user_id=lambda text: text, on_partial="learn")
async def apieces(text: str) -> AsyncIterator[str]:
    yield text


@overload
def either(given: int) -> int: ...
@overload
def either(given: str) -> str: ...
def either(given: int | str) -> int | str:
    return given


class Agent:
    @with_memory(memory)
    def invoke(self, text: str) -> int:
        return len(text)

    @with_memory(memory)
    @staticmethod
    def static(text: str) -> int:
        return len(text)

    @with_memory(memory)
    @classmethod
    def of(cls, text: str) -> int:
        return len(text)

    def __call__(self, text: str) -> int:
        return len(text)


async def shapes(provider: MemoryProvider) -> None:
    assert_type(answer("hi", user_id="ben"), int)
    waiting: Coroutine[Any, Any, int] = aanswer("hi")
    assert_type(await waiting, int)
    assert_type(await aanswer("hi"), int)
    assert_type(pieces("hi"), Iterator[str])
    assert_type(apieces("hi"), AsyncIterator[str])
    assert_type(Agent().invoke("hi"), int)
    assert_type(Agent().static("hi"), int)
    assert_type(Agent.static("hi"), int)
    assert_type(Agent.of("hi"), int)
    assert_type(memory.wrap(Agent().invoke)("hi"), int)
    assert_type(memory.wrap(Agent())("hi"), int)
    assert_type(memory.wrap(Agent()), Agent)
    assert_type(memory.wrap(either)(1), int)
    assert_type(memory.wrap(either)("hi"), str)
    assert_type(memory.wrap(partial(Agent().invoke, "hi"))(), int)
    kept: Callable[[str], int] = inject_memory(provider, strategy="recent")(Agent().invoke)
    assert_type(kept("hi"), int)
    with memory.turn("hi", user_id=3, strategy="all") as turn:
        assert_type(turn.text, str)
    async with amemory.turn([{"role": "user", "content": "hi"}], session_id="s") as turn:
        turn.answer("ho")
