"""What is remembered, as documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, ensure_config
from pydantic import Field, field_validator

from ltm_core import AsyncMemory, Fact, Memory, Message, Recalled

from .faces import apart, async_face, tolerance, wait
from .people import Ids, People

NOBODY = Ids(user_id="", session_id="", agent_id=None)


class LongTermMemoryRetriever(BaseRetriever):
    """Finds what a memory knows that is relevant to a query.

    The user is `user_id`, here or in `invoke`, or comes from the run as in `LongTermMemoryMiddleware`; where nobody is
    named nothing is found.

    Attributes:
        k: Most facts that come back, and most messages; `invoke(query, k=2)` says it for once.
        min_relevance: From 0 to 1: how probable it must be that a fact is of use.
        filters: As in `memory.recall`.
        include: `facts`, `messages`, or both.
        strict: Raise what goes wrong with the memory, instead of logging it and finding nothing.
    """

    memory: Any = Field(exclude=True, repr=False)
    user_id: Any = None
    session_id: Any = None
    agent_id: Any = None
    user_id_key: str = "user_id"
    k: int = 4
    min_relevance: float = 0.0
    filters: dict[str, Any] | None = None
    include: tuple[str, ...] = ("facts",)
    strict: bool = False

    @field_validator("memory")
    @classmethod
    def _async(cls, memory: Memory | AsyncMemory) -> AsyncMemory:
        return async_face(memory)

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:  # noqa: A002
        """The documents for a query, best first."""
        return super().invoke(input, config, **self._named(config, kwargs))

    async def ainvoke(
        self,
        input: str,  # noqa: A002 # the name that it has in LangChain
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The same as `invoke`, without blocking the loop."""
        return await super().ainvoke(input, config, **self._named(config, kwargs))

    def _named(self, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        user_id = kwargs.pop("user_id", None)
        with tolerance(self.memory, "who", strict=self.strict):
            people = People(user_id or self.user_id, self.session_id, self.agent_id, self.user_id_key)
            return {**kwargs, "who": people.find(config=ensure_config(config))}
        return {**kwargs, "who": NOBODY}

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, who: Ids | None = None, k: int | None = None
    ) -> list[Document]:
        with tolerance(self.memory, "recall", strict=self.strict):
            return _documents(wait(self.memory, self._recall(query, who, k)))
        return []

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        who: Ids | None = None,
        k: int | None = None,
    ) -> list[Document]:
        with tolerance(self.memory, "recall", strict=self.strict), apart():
            return _documents(await self._recall(query, who, k))
        return []

    async def _recall(self, query: str, who: Ids | None, k: int | None) -> Recalled:
        found: Recalled = await self.memory.recall(
            query,
            **(who or NOBODY),
            limit=self.k if k is None else k,
            min_relevance=self.min_relevance,
            filters=self.filters,
            include=self.include,
            pending=False,
        )
        return found


def _documents(recalled: Recalled) -> list[Document]:
    items: Sequence[Fact | Message] = [*recalled.facts, *recalled.messages]
    return [_document(item) for item in items]


def _document(item: Fact | Message) -> Document:
    if isinstance(item, Message):
        about: dict[str, Any] = {"role": item.role, "session_id": item.session_id, "created_at": item.created_at}
    else:
        about = {
            "key": item.key,
            "value": item.value,
            "scope": item.scope.value,
            "tags": item.tags,
            "created_at": item.created_at,
            "updated_at": item.updated_at,
        }
    return Document(item.text, id=item.id, metadata={**item.metadata, **about, "score": item.score})
