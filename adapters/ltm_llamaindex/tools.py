"""Tools with which an agent remembers, recalls and forgets on its own account."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from llama_index.core.tools import BaseTool, FunctionTool

from ltm_core import AsyncMemory, Identity, Memory, MemoryScope, ScopeError

from .binding import Binding, async_memory, readable


def memory_tools(
    memory: Memory | AsyncMemory,
    *,
    user_id: str | int | None = None,
    session_id: str | None = None,
    agent_id: str | int | None = None,
    top_k: int = 8,
) -> list[BaseTool | Callable[..., Any]]:
    """The tools `remember`, `recall` and `forget`, for FunctionAgent and others.

    Whose memory it is, is fixed here or by `memory.scope` around the run, and is never the model's to say.
    """
    hands = _Hands(Binding(async_memory(memory), user_id, agent_id, require_user=False), session_id, top_k)
    return [_tool(hands.remember), _tool(hands.recall), _tool(hands.forget)]


def _tool(function: Callable[..., Awaitable[str]]) -> FunctionTool:
    return FunctionTool.from_defaults(async_fn=function)


@dataclass(frozen=True, slots=True)
class _Hands:
    """What the tools do. Their docstrings are what the model reads."""

    binding: Binding
    session_id: str | None
    top_k: int

    async def remember(self, text: str) -> str:
        """Remember something about the user for later conversations. Say it as one short sentence."""
        with readable():
            who = self._who()
            updates = await self._memory.remember(text, **_ids(who))
            if not updates:
                level = MemoryScope.SESSION if who.user_id is None else MemoryScope.USER
                await self._memory.facts.add(
                    f"note#{' '.join(text.casefold().split())[:200]}", text, level, who.scope(level).id, text=text
                )
            return "Remembered."

    async def recall(self, query: str) -> str:
        """Look up what is remembered about the user. Gives facts as JSON, each with its key."""
        with readable():
            recalled = await self._memory.recall(query, limit=self.top_k, **_ids(self._who()))
            facts = [{"key": fact.key, "text": fact.text or fact.value} for fact in recalled.facts]
            told = [{"text": message.text} for message in recalled.pending]
            return json.dumps([*facts, *told], ensure_ascii=False)

    async def forget(self, key: str) -> str:
        """Forget one remembered fact for good. Takes its key as given by the recall tool."""
        with readable():
            who = self._who()
            count = await self._memory.forget(key, user_id=who.user_id, session_id=who.session_id)
            return "Forgotten." if count else "Nothing is remembered under this key. Look it up with recall."

    @property
    def _memory(self) -> AsyncMemory:
        return self.binding.memory

    def _who(self) -> Identity:
        who = self.binding.turn("", self.session_id).who
        if who.user_id is who.session_id is None:
            raise ScopeError("Nobody is named. Pass user_id= to memory_tools, or run inside memory.scope(user_id=…).")
        return who


def _ids(who: Identity) -> dict[str, Any]:
    return {"user_id": who.user_id, "session_id": who.session_id, "agent_id": who.agent_id}
