"""The two faces of a memory, and calls to it that LangChain's callbacks do not hear."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from langchain_core.runnables.config import var_child_runnable_config

from ltm_core import AsyncMemory, ConfigurationError, Memory

R = TypeVar("R")


def async_face(memory: Memory | AsyncMemory) -> AsyncMemory:
    """The face with async verbs. Raises `ConfigurationError` for what is no memory."""
    if isinstance(memory, Memory):
        return memory.as_async()
    if isinstance(memory, AsyncMemory):
        return memory
    raise ConfigurationError(f"A {type(memory).__name__} is no memory. Pass a Memory or an AsyncMemory.")


def wait(memory: AsyncMemory, work: Coroutine[Any, Any, R]) -> R:
    """Block until a verb is done, outside of the run."""
    with apart():
        return memory.runtime.home.wait(work)


@contextmanager
def apart() -> Iterator[None]:
    """Outside of the run: a model that the memory calls must not stream its tokens to the user, nor be traced there."""
    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def tolerance(memory: AsyncMemory, step: str, *, strict: bool = False) -> AbstractContextManager[None]:
    """Keep what goes wrong with the memory from the caller: it is logged once and counted, or raised if strict."""
    return memory.turn("", user_id="nobody", strict=strict).tolerance(step)
