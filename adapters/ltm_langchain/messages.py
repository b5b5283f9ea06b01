"""Messages of LangChain as role messages, and what in a conversation is really said by somebody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "HumanMessageChunk": "user"}


def role_message(message: BaseMessage) -> dict[str, Any]:
    """The words of a message: no reasoning, no images, no calls of tools."""
    said = {"role": _ROLES.get(message.type, message.type), "content": str(message.text)}
    return {**said, "name": message.name} if message.name else said


def is_own(message: BaseMessage) -> bool:
    """Whether a person wrote this, and not a middleware that summarises."""
    return message.type == "human" and not message.additional_kwargs.get("lc_source")


def last_said(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What the user said last: the last message of a person, with those directly before it."""
    places = [place for place, message in enumerate(messages, 1) if is_own(message)]
    end = places[-1] if places else 0
    return list(takewhile(is_own, reversed(messages[:end])))[::-1]


def last_answer(messages: Sequence[BaseMessage]) -> AIMessage | None:
    """The words that the turn ended with; None where it did not end in words."""
    for message in reversed(messages):
        if is_own(message):
            return None
        if isinstance(message, AIMessage) and not message.tool_calls and message.text.strip():
            return message
    return None


def answer_ids(messages: Iterable[BaseMessage]) -> list[str]:
    """The ids of what a model said."""
    return [message.id for message in messages if message.type == "ai" and message.id]
