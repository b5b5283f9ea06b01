"""Models that answer from a script, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

Reply = str | AIMessage | Exception


class Scripted(BaseChatModel):
    """Gives one reply after the other, then `Fine.` for ever; `seen` is what it was asked."""

    replies: list[Any] = Field(default_factory=list)
    seen: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        reply = self._next(messages)
        if reply.tool_calls:
            calls = [
                {"name": c["name"], "args": str(c["args"]).replace("'", '"'), "id": c["id"], "index": place}
                for place, c in enumerate(reply.tool_calls)
            ]
            chunk: Any = {"content": "", "tool_call_chunks": calls}
            yield ChatGenerationChunk(message=AIMessageChunk(**chunk))
            return
        for word in reply.text.split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.seen.append(list(messages))
        reply = self.replies.pop(0) if self.replies else "Fine."
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, AIMessage) else AIMessage(reply)

    @property
    def prompts(self) -> list[str]:
        """The system message of each call."""
        return [_system(messages) for messages in self.seen]


def _system(messages: list[BaseMessage]) -> str:
    return "".join(str(message.text) for message in messages if message.type == "system")


def call(name: str, /, **args: Any) -> AIMessage:
    """A reply that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{name}"}])


Config = Callable[..., Any]


def run(thread: str | None = None, **configurable: Any) -> Any:
    """The config of a run."""
    thread_id = {} if thread is None else {"thread_id": thread}
    return {"configurable": {**thread_id, **configurable}}


def said(text: str) -> Any:
    """The input of an agent."""
    return {"messages": [("user", text)]}
