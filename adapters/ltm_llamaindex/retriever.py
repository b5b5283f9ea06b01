"""Facts as nodes, for query engines and everything that takes a retriever."""

from __future__ import annotations

from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ltm_core import AsyncMemory, Fact, Memory, Turn

from .binding import Binding, Resolver, async_memory, readable

# Prompt templates fill in what stands in braces, and tags could end a section of the prompt.
_HARMLESS = str.maketrans({"{": "(", "}": ")", "<": "‹", ">": "›"})


class LongTermMemoryRetriever(BaseRetriever):
    """Retrieves what is remembered of the user, best first, each fact as a node with its score.

    Args:
        memory: A `Memory` or `AsyncMemory` of ltm_core.
        user_id, session_id, agent_id: Whose memory it is, unless `memory.scope` says so.
        top_k, min_relevance, strategy, filters: As `limit`, … of `memory.recall`.
        recall_timeout: Seconds after which nothing is retrieved; None waits for ever.
        scope_resolver, namespace, require_user, strict: As for `LongTermMemoryBlock`.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        user_id: str | int | None = None,
        session_id: str | None = None,
        agent_id: str | int | None = None,
        top_k: int | None = 8,
        recall_timeout: float | None = 0.5,
        scope_resolver: Resolver | None = None,
        namespace: str = "",
        require_user: bool = True,
        strict: bool = False,
        **how: Any,
    ) -> None:
        super().__init__()
        self._binding = Binding(
            async_memory(memory), user_id, agent_id, scope_resolver, namespace, require_user, strict
        )
        self._session_id = session_id
        budget = None if recall_timeout is None else recall_timeout * 1000
        self._how = {"limit": top_k, "recall_budget_ms": budget, **how}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with readable():
            return _nodes(self._turn(query_bundle).begin_now())

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with readable():
            return _nodes(await self._turn(query_bundle).begin())

    def _turn(self, query: QueryBundle) -> Turn:
        return self._binding.turn(query.query_str, self._session_id, **self._how)


def _nodes(turn: Turn) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(fact), score=fact.score) for fact in turn.facts]


def _node(fact: Fact) -> TextNode:
    metadata = {"key": fact.key, "tags": fact.tags, "updated_at": fact.updated_at.isoformat(), **fact.metadata}
    hidden = list(metadata)
    return TextNode(
        id_=fact.id,
        text=(fact.text or f"{fact.key}: {fact.value}").translate(_HARMLESS),
        metadata=metadata,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
    )
