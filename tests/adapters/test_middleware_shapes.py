"""Checks 27 and 39: whatever can be called remembers and learns, and stays what it was."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import AsyncMock

import pytest

from ltm_core import ConfigurationError, Memory
from ltm_middleware import with_memory
from tests.adapters.conftest import Recalls, learned

TURN = [("user", "Where am I?"), ("assistant", "You are here.")]


async def _result(value: Any) -> Any:
    """The whole answer, whether it is given, awaited or streamed."""
    if inspect.isawaitable(value):
        value = await value
    if hasattr(type(value), "__aiter__"):
        return [piece async for piece in value]
    return list(value) if hasattr(type(value), "__next__") else value


class Agent:
    """Keeps the prompts that it was given, and answers in every way there is."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def invoke(self, text: str, user_id: str = "ana") -> str:
        self.prompts.append(text)
        return "You are here."

    async def ainvoke(self, text: str, user_id: str = "ana") -> str:
        await asyncio.sleep(0)
        return self.invoke(text)

    def stream(self, text: str, user_id: str = "ana") -> Iterator[str]:
        yield from self.invoke(text).split(" ")[:1]
        yield " are here."

    async def astream(self, text: str, user_id: str = "ana") -> AsyncIterator[str]:
        for piece in self.stream(text):
            yield piece

    async def open_stream(self, text: str, user_id: str = "ana") -> Iterator[str]:
        return self.stream(text)

    async def open_astream(self, text: str, user_id: str = "ana") -> AsyncIterator[str]:
        return self.astream(text)

    def later(self, text: str, user_id: str = "ana") -> Awaitable[str]:
        return self.ainvoke(text)

    def task(self, text: str, user_id: str = "ana") -> asyncio.Task[str]:
        return asyncio.ensure_future(self.ainvoke(text))

    def mapped(self, text: str, user_id: str = "ana") -> Iterator[str]:
        return map(str, self.stream(text))

    def __call__(self, text: str, user_id: str = "ana") -> str:
        return self.invoke(text)


class AsyncAgent:
    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def __call__(self, text: str) -> str:
        self.prompts.append(text)
        return "You are here."


Shape = Callable[[Agent], Callable[..., Any]]
SHAPES: dict[str, Shape] = {
    "method": lambda agent: agent.invoke,
    "async method": lambda agent: agent.ainvoke,
    "generator": lambda agent: agent.stream,
    "async generator": lambda agent: agent.astream,
    "async function that returns a stream": lambda agent: agent.open_stream,
    "async function that returns an async stream": lambda agent: agent.open_astream,
    "function that returns a coroutine": lambda agent: agent.later,
    "function that returns a task": lambda agent: agent.task,
    "function that returns an iterator": lambda agent: agent.mapped,
    "callable object": lambda agent: agent,
    "lambda": lambda agent: lambda text, **_: agent.invoke(text),
    "lambda that returns a coroutine": lambda agent: lambda text, **_: agent.ainvoke(text),
    "lambda that returns a stream": lambda agent: lambda text, **_: agent.stream(text),
    "lambda that returns an async stream": lambda agent: lambda text, **_: agent.astream(text),
    "partial": lambda agent: functools.partial(agent.invoke, user_id="ana"),
    "partial of a partial": lambda agent: functools.partial(functools.partial(agent.invoke), user_id="ana"),
    "partial of an async method": lambda agent: functools.partial(agent.ainvoke, user_id="ana"),
    "partial of a generator": lambda agent: functools.partial(agent.stream, user_id="ana"),
    "async mock": lambda agent: AsyncMock(side_effect=agent.invoke),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_27_each_shape_is_given_memories_and_learned_from_once(
    shape: str, memory: Memory, recalls: Recalls
) -> None:
    agent = Agent()
    wrapped = with_memory(memory, user_id="ana")(SHAPES[shape](agent))
    answer = await _result(wrapped("Where am I?"))
    await asyncio.sleep(0)
    assert "".join(answer) == "You are here."
    assert "User lives in Oslo." in agent.prompts[0]
    assert agent.prompts[0].endswith("\n\nWhere am I?")
    assert recalls.count == 1
    memory.flush()
    assert learned(memory, "ana") == [TURN]


async def test_27_an_async_callable_object_is_awaited(memory: Memory) -> None:
    agent = AsyncAgent()
    assert await with_memory(memory, user_id="ana")(agent)("Where am I?") == "You are here."
    assert "Oslo" in agent.prompts[0]


def test_27_a_callable_object_keeps_its_attributes_and_its_class(memory: Memory) -> None:
    agent = AsyncAgent()
    wrapped = with_memory(memory, user_id="ana")(agent)
    assert isinstance(wrapped, AsyncAgent)
    assert wrapped.prompts is agent.prompts
    assert inspect.signature(wrapped) == inspect.signature(agent)
    assert inspect.iscoroutinefunction(wrapped.__call__)
    assert repr(wrapped) == repr(agent)


@pytest.mark.parametrize("shape", ["method", "async method", "generator", "async generator"])
def test_27_the_wrapper_is_of_the_kind_of_the_function(shape: str, memory: Memory) -> None:
    function = SHAPES[shape](Agent())
    wrapped = with_memory(memory)(function)
    for test in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert test(wrapped) == test(function)


def _class(memory: Memory) -> type:
    remembering = with_memory(memory)

    class Bot:
        @remembering
        def method(self, text: str, user_id: str) -> str:
            assert isinstance(self, Bot)
            return text

        @remembering
        @staticmethod
        def above_static(text: str, user_id: str) -> str:
            return text

        @staticmethod
        @remembering
        def below_static(text: str, user_id: str) -> str:
            return text

        @remembering
        @classmethod
        def above_class(cls, text: str, user_id: str) -> str:
            assert cls is Bot
            return text

        @classmethod
        @remembering
        def below_class(cls, text: str, user_id: str) -> str:
            assert cls is Bot
            return text

    return Bot


@pytest.mark.parametrize("name", ["method", "above_static", "below_static", "above_class", "below_class"])
def test_27_methods_are_decorated_above_and_below(name: str, memory: Memory) -> None:
    bot = _class(memory)()
    assert "Oslo" in getattr(bot, name)("Where am I?", "ana")
    assert "Rome" in getattr(bot, name)("Where am I?", user_id="ben")


def test_27_static_and_class_methods_need_no_instance(memory: Memory) -> None:
    bot = _class(memory)
    for name in ("above_static", "below_static", "above_class", "below_class"):
        assert "Oslo" in getattr(bot, name)("Where am I?", "ana")


def test_27_a_builtin_whose_signature_is_unknown_is_wrapped(memory: Memory) -> None:
    assert "Oslo" in with_memory(memory, user_id="ana")(str)("Where am I?")
    assert with_memory(memory, user_id="ana")(max)([1, 3, 2]) == 3


def test_27_a_future_of_a_thread_pool_is_learned_from_when_it_is_done(memory: Memory) -> None:
    agent = Agent()
    with ThreadPoolExecutor(1) as pool:
        wrapped: Any = with_memory(memory, user_id="ana")(lambda text: pool.submit(agent.invoke, text))
        future = wrapped("Where am I?")
        assert future.result() == "You are here."
    memory.flush()
    assert "Oslo" in agent.prompts[0]
    assert learned(memory, "ana") == [TURN]


def test_27_a_sync_function_works_inside_a_running_loop(memory: Memory) -> None:
    async def inside() -> str:
        return with_memory(memory, user_id="ana")(Agent().invoke)("Where am I?")

    assert asyncio.run(inside()) == "You are here."
    assert learned(memory, "ana") == [TURN]


def test_27_a_blocking_memory_serves_async_functions_in_one_loop_after_another(memory: Memory) -> None:
    wrapped = with_memory(memory, user_id="ana")(Agent().ainvoke)
    assert [asyncio.run(wrapped("Where am I?")) for _ in range(2)] == ["You are here."] * 2


def test_27_a_wrong_call_raises_what_the_function_raises(memory: Memory) -> None:
    def agent(text: str) -> str:
        return text

    with pytest.raises(TypeError, match="positional argument"):
        with_memory(memory, user_id="ana")(agent)("a", "b")  # type: ignore[call-arg]
    assert learned(memory, "ana") == []


def test_27_what_cannot_be_called_is_refused(memory: Memory) -> None:
    with pytest.raises(ConfigurationError, match="cannot be called"):
        with_memory(memory)(3)


def test_27_wrap_is_the_same_as_with_memory_bare_and_with_options(memory: Memory) -> None:
    def agent(text: str, user_id: str) -> str:
        return text

    ways = [memory.wrap(agent), memory.wrap(inject="system")(agent), with_memory(memory)(agent)]
    assert all("lives in Oslo" in way("Where am I?", "ana") for way in ways)


def for_pickle(text: str) -> str:
    """Says it again."""
    return text


_UNPICKLED = for_pickle
_MEMORY = Memory("memory://")
for_pickle = with_memory(_MEMORY, user_id="ana")(for_pickle)


def test_39_a_decorated_function_of_a_module_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(for_pickle)) is for_pickle


def test_39_signature_documentation_and_the_wrapped_function_are_kept() -> None:
    assert inspect.signature(for_pickle) == inspect.signature(_UNPICKLED)
    assert for_pickle.__doc__ == "Says it again."
    assert for_pickle.__name__ == "for_pickle"
    assert for_pickle.__wrapped__ is _UNPICKLED  # type: ignore[attr-defined]


def test_39_attributes_of_the_function_are_kept(memory: Memory) -> None:
    def agent(text: str) -> str:
        return text

    agent.version = 3  # type: ignore[attr-defined]
    assert with_memory(memory)(agent).version == 3  # type: ignore[attr-defined]
