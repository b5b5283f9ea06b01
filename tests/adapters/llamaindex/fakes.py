"""A model that says what it is told and notes what it saw, engines and agents around it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

if os.environ.get("LTM_REQUIRE_LLAMAINDEX") != "1":
    pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed: install ltm-core[llamaindex].")

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

Reply = str | ChatMessage | Exception


class FakeLLM(FunctionCallingLLM):
    """Answers with `replies` in turn, the last one for ever; an exception is raised in the middle of a stream."""

    replies: list[Any] = Field(default_factory=lambda: ["Noted."])
    seen: list[list[ChatMessage]] = Field(default_factory=list)
    _waiting: list[Any] = PrivateAttr(default_factory=list)

    def __init__(self, *replies: Reply) -> None:
        super().__init__(replies=list(replies) or ["Noted."])
        self._waiting = list(self.replies)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True, model_name="fake")

    @property
    def texts(self) -> list[str]:
        """What was seen, one text for each call."""
        return ["\n".join(str(message) for message in messages) for messages in self.seen]

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=self._reply(messages))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self.chat(messages)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Iterator[ChatResponse]:  # type: ignore[override]
        return iter(self._parts(messages))

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncIterator[ChatResponse]:  # type: ignore[override]
        async def parts() -> AsyncIterator[ChatResponse]:
            for part in self._parts(messages):
                yield part

        return parts()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self.chat([ChatMessage(prompt)]).message.content or "")

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return self.complete(prompt)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Iterator[CompletionResponse]:  # type: ignore[override]
        yield self.complete(prompt)

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def get_tool_calls_from_response(self, response: ChatResponse, *_: Any, **__: Any) -> list[ToolSelection]:
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        return [
            ToolSelection(tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=dict(call.tool_kwargs))  # type: ignore[arg-type]
            for call in calls
        ]

    def _prepare_chat_with_tools(  # type: ignore[override]
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        asked = [ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg] if user_msg else []
        return {"messages": [*(chat_history or []), *asked]}

    def _reply(self, messages: Sequence[ChatMessage]) -> ChatMessage:
        self.seen.append([message.model_copy(deep=True) for message in messages])
        reply = self._waiting.pop(0) if len(self._waiting) > 1 else self._waiting[0]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, str):
            return ChatMessage(role=MessageRole.ASSISTANT, content=reply)
        return ChatMessage.model_validate(reply)

    def _parts(self, messages: Sequence[ChatMessage]) -> Iterator[ChatResponse]:
        message = self._reply(messages)
        yield ChatResponse(message=message, delta=message.content or "")


def call(name: str, **arguments: Any) -> ChatMessage:
    """A reply that calls a tool."""
    block = ToolCallBlock(tool_call_id=f"call-{name}", tool_name=name, tool_kwargs=arguments)
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=[block])


class OnePage(BaseRetriever):
    """Finds the same page for every question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="The handbook."), score=1.0)]


def simple(llm: FakeLLM, memory: Any) -> BaseChatEngine:
    return SimpleChatEngine.from_defaults(llm=llm, memory=memory)


def context(llm: FakeLLM, memory: Any) -> BaseChatEngine:
    return ContextChatEngine.from_defaults(retriever=OnePage(), llm=llm, memory=memory)


def condense_plus_context(llm: FakeLLM, memory: Any) -> BaseChatEngine:
    return CondensePlusContextChatEngine.from_defaults(retriever=OnePage(), llm=llm, memory=memory)


def condense_question(llm: FakeLLM, memory: Any, retriever: BaseRetriever | None = None) -> BaseChatEngine:
    pages = RetrieverQueryEngine.from_args(retriever or OnePage(), llm=llm, streaming=False)
    return CondenseQuestionChatEngine.from_defaults(query_engine=pages, llm=llm, memory=memory)


ENGINES: list[Callable[[FakeLLM, Any], BaseChatEngine]] = [simple, context, condense_plus_context]
MODES = ["chat", "stream_chat", "achat", "astream_chat"]


async def say(engine: BaseChatEngine, mode: str, message: str, **options: Any) -> str:
    """Say something to an engine in one of its ways, and hear the answer out."""
    if mode == "chat":
        return str(engine.chat(message, **options))
    if mode == "stream_chat":
        streamed = engine.stream_chat(message, **options)
        answer = "".join(streamed.response_gen)
        thread = getattr(streamed, "write_response_to_history_thread", None)
        if thread is not None:
            thread.join()
        return answer
    if mode == "achat":
        return str(await engine.achat(message, **options))
    astreamed = await engine.astream_chat(message, **options)
    answer = "".join([part async for part in astreamed.async_response_gen()])
    if astreamed.awrite_response_to_history_task is not None:
        await astreamed.awrite_response_to_history_task
    return answer
