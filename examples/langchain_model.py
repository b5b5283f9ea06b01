"""The model of the LangChain examples: a real one if LTM_EXAMPLE_MODEL names it, else one that reads a script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage


class Script(GenericFakeChatModel):
    """Says one line after the other, and prints what it was told about the user."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        for line in "\n".join(str(message.text) for message in messages).splitlines():
            if line.startswith("- "):
                print(f"   (the model is told: {line[2:]})")
        return super()._generate(messages, *args, **kwargs)


def chat_model(*lines: str | AIMessage) -> BaseChatModel:
    """`LTM_EXAMPLE_MODEL=openai:gpt-5.5 python examples/…` takes that model, otherwise `lines` are what is said."""
    name = os.environ.get("LTM_EXAMPLE_MODEL")
    return init_chat_model(name) if name else Script(messages=iter(lines))


def calls(tool: str, **args: Any) -> AIMessage:
    """A line that calls a tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": f"call-{tool}"}])
