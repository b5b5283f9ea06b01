"""A memory block that recalls what matters for the question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.memory import BaseMemoryBlock

from ltm_core import AsyncMemory, Identity, Memory

from .binding import Binding, Resolver, async_memory, readable
from .capturing import is_captured
from .messages import Turns, asked

Texts = dict[tuple[str, Identity, str], str]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was recalled already, by block, people and question.

    Attributes:
        complete: Whether nothing is being asked, so that nothing is recalled beyond it.
    """

    texts: Texts
    complete: bool = False


_KEPT: ContextVar[Kept | None] = ContextVar("ltm_llamaindex_kept", default=None)


@contextmanager
def keeping(kept: Kept | None) -> Iterator[None]:
    """Let the same question of the same people be recalled for once inside."""
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


class LongTermMemoryBlock(BaseMemoryBlock[str]):
    """Puts what is remembered of the user, ranked for the last question, into the prompt.

    A block alone learns little: LlamaIndex hands it only what no longer fits the history. Let `LongTermMemory` or a
    `LearningChatStore` learn every turn; where one of them does, the block leaves it to them.

    Args:
        memory: A `Memory` or `AsyncMemory` of ltm_core.
        scope_resolver: Tells who talks in a session, where neither `user_id` nor `memory.scope` does.
        user_id, agent_id: Whose memory it is. Fixed here, they win over `memory.scope`.
        top_k, token_budget, strategy, min_relevance, namespace: As `limit`, `max_tokens`, … of `memory.recall`.
        summary: Whether the summary of the conversation comes first, for what no longer fits the history.
        recall_timeout: Seconds after which the agent goes on without memories; None waits for ever.
        learn: `flush` learns from messages as they leave the history; `off` never.
        require_user: Whether a session whose user is unknown has no memory at all.
        strict: Raise what goes wrong with the memory, instead of logging it once and counting it.
    """

    name: str = Field(default="long_term_memory", pattern="^[a-z_][a-z0-9_]*$")
    user_id: str | int | None = None
    agent_id: str | int | None = None
    top_k: int | None = Field(default=8, ge=0)
    token_budget: int | None = Field(default=800, ge=0)
    strategy: str | Callable[..., Any] = "relevant"
    min_relevance: float = Field(default=0.0, ge=0.0, le=1.0)
    namespace: str = ""
    summary: bool = False
    recall_timeout: float | None = Field(default=0.5, gt=0.0)
    learn: Literal["flush", "off"] = "flush"
    require_user: bool = True
    strict: bool = False

    scope_resolver: Resolver | None = Field(default=None, exclude=True)

    _memory: AsyncMemory = PrivateAttr()

    def __init__(self, memory: Memory | AsyncMemory | None = None, **fields: Any) -> None:
        found = async_memory(memory)
        super().__init__(**fields)
        self._memory = found

    @property
    def binding(self) -> Binding:
        """Which memory it is, and whose."""
        return Binding(
            memory=self._memory,
            user_id=self.user_id,
            agent_id=self.agent_id,
            resolver=self.scope_resolver,
            namespace=self.namespace,
            require_user=self.require_user,
            strict=self.strict,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LongTermMemoryBlock:
        """Itself: a memory has one life, however often what holds it is copied."""
        return self

    async def aput(
        self, messages: list[ChatMessage], from_short_term_memory: bool = False, session_id: str | None = None
    ) -> None:
        """Learn from what leaves the history, unless every turn is learned anyway."""
        unwanted = from_short_term_memory and not self.accept_short_term_memory
        if unwanted or self.learn == "off" or is_captured(self._memory, session_id):
            return
        for told in Turns().of(messages):
            await self.binding.learn(told, session_id, told.digest)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The same without the memories that were ranked last; None if that is not enough."""
        lines = content.splitlines(keepends=True)
        surplus = tokens_to_truncate * 4  # about as many characters
        for place in reversed([place for place, line in enumerate(lines) if line.startswith("- ")]):
            if surplus <= 0:
                return "".join(lines)
            surplus -= len(lines.pop(place))
        return None

    async def _aget(
        self, messages: list[ChatMessage] | None = None, session_id: str | None = None, **block_kwargs: Any
    ) -> str:
        query = asked(messages or ())
        with readable():
            return await self._recalled(query, session_id) if query.strip() else ""

    async def _recalled(self, query: str, session_id: str | None) -> str:
        turn = self.binding.turn(query, session_id, **self._how(session_id))
        kept = _KEPT.get() or Kept({})
        key = self.name, turn.who, query
        if key not in kept.texts and not kept.complete:
            kept.texts[key] = (await turn.begin()).text
        return kept.texts.get(key, "")

    def _how(self, session_id: str | None) -> dict[str, Any]:
        # Where every turn is learned, those of this session still stand in the history, or have just left it.
        captured = is_captured(self._memory, session_id)
        return {
            "pending": "elsewhere" if captured else True,
            "strategy": self.strategy,
            "limit": self.top_k,
            "max_tokens": self.token_budget,
            "min_relevance": self.min_relevance,
            "summary": self.summary,
            "recall_budget_ms": None if self.recall_timeout is None else self.recall_timeout * 1000,
        }

    async def _aput(self, messages: list[ChatMessage]) -> None:
        await self.aput(messages)
