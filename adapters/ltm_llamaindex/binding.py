"""Which memory, and whose: what every object of ours in LlamaIndex is bound to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ltm_core import AsyncMemory, ConfigurationError, Identity, LTMError, Memory, StoreError, Turn

from .messages import Told

Resolver = Callable[[str], Identity | Mapping[str, Any] | str | None]
"""Takes a session id and tells who talks in it: a user id, ids by name, an `Identity`, or None for nobody."""

# Seconds that an answer is held for the write of its turn, which goes on by itself after them.
PATIENCE = 0.1
NOBODY = {"user_id": "", "session_id": "", "agent_id": ""}


def async_memory(memory: Memory | AsyncMemory | None) -> AsyncMemory:
    """The async face of a memory, or `ConfigurationError` for what is none."""
    found = memory.as_async() if isinstance(memory, Memory) else memory
    if not isinstance(found, AsyncMemory):
        raise ConfigurationError(
            f"A {type(memory).__name__} is no memory. Pass memory=Memory('sqlite:///memory.db') of ltm_core."
        )
    return found


@dataclass(frozen=True, slots=True)
class Binding:
    """A memory and the people whose it is: as fixed here, else by `memory.scope`, else as the resolver says.

    Attributes:
        require_user: Whether a session alone is nobody; otherwise it has a memory of its own.
    """

    memory: AsyncMemory
    user_id: str | int | None = None
    agent_id: str | int | None = None
    resolver: Resolver | None = None
    namespace: str = ""
    require_user: bool = True
    strict: bool = False

    def turn(self, said: str, session_id: str | None = None, **options: Any) -> Turn:
        """A turn of whoever talks; a closed one, noted as a fault, where that is nobody."""
        turn = self._turn(said, session_id, options)
        if turn.who.user_id is None and self.resolver is not None:
            with turn.tolerance("scope_resolver"):
                turn = self._turn(said, session_id, {**options, **_ids(self.resolver(session_id or ""))})
        if turn.who.user_id is None and self.require_user:
            turn = self._turn(said, None, {**options, **NOBODY})
        return turn

    async def learn(self, told: Told, session_id: str | None, turn_id: str | None) -> None:
        """Write a turn down, to be learned in the background; without an id, unless it is written down already."""
        with readable():
            turn = self.turn(told.said, session_id, turn_id=turn_id)
            turn.answer(told.answer)
            with suppress(TimeoutError):
                await asyncio.wait_for(turn.finish(), PATIENCE)

    def _turn(self, said: str, session_id: str | None, options: dict[str, Any]) -> Turn:
        ids = {"user_id": self.user_id, "session_id": session_id, "agent_id": self.agent_id}
        return self.memory.turn(said, **{**ids, "namespace": self.namespace, "strict": self.strict, **options})


@contextmanager
def readable() -> Iterator[None]:
    """Raise errors in a form that LlamaIndex hands on: it takes every RuntimeError for one of nested event loops."""
    try:
        yield
    except Exception as error:
        if isinstance(error, LTMError) and not isinstance(error, RuntimeError):
            raise
        raise StoreError(f"The memory failed ({error}). Mend it, or leave out strict=True.") from error


def _ids(found: Identity | Mapping[str, Any] | str | None) -> dict[str, Any]:
    if isinstance(found, Identity):
        found = {"user_id": found.user_id, "session_id": found.session_id, "agent_id": found.agent_id}
    named = found if isinstance(found, Mapping) else {"user_id": found}
    return {name: one for name, one in named.items() if one is not None}
