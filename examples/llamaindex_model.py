"""The model of the LlamaIndex examples: answers from a list, so that they run without a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM


def scripted(*answers: str) -> MockFunctionCallingLLM:
    """A model that gives `answers` in turn, and shows what it remembers."""
    waiting = list(answers)

    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        for line in "\n".join(message.content or "" for message in messages).splitlines():
            if line.startswith("- "):
                print(f"   (the model is reminded: {line[2:]})")
        return ChatMessage(role="assistant", content=waiting.pop(0))

    return MockFunctionCallingLLM(response_generator=answer, is_chat_model=True)
