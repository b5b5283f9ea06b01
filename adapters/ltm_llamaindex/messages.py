"""LlamaIndex's messages: what was said in them, and where a turn begins and ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock

_REASONED = re.compile(r"\A\s*Thought:.*?^\s*Answer:", re.DOTALL | re.MULTILINE)


def text_of(message: ChatMessage) -> str:
    """The words of a message; empty for one that is an image."""
    return message.content or ""


def asked(messages: Sequence[ChatMessage]) -> str:
    """What the user said last."""
    return next((text_of(one) for one in reversed(messages) if one.role == MessageRole.USER), "")


def answer_of(message: ChatMessage) -> str:
    """The answer that an assistant's message gives, without the thoughts of a ReAct agent; empty for a tool call."""
    if message.role != MessageRole.ASSISTANT or _calls_tools(message):
        return ""
    return _REASONED.sub("", text_of(message)).strip()


def is_plain(message: ChatMessage) -> bool:
    """Whether a message is one text and nothing else."""
    return len(message.blocks) == 1 and isinstance(message.blocks[0], TextBlock)


def _calls_tools(message: ChatMessage) -> bool:
    calls = any(block.block_type == "tool_call" for block in message.blocks)
    return calls or bool(message.additional_kwargs.get("tool_calls"))


@dataclass(frozen=True, slots=True)
class Told:
    """One turn: what the user said and what was answered.

    Attributes:
        plain: Whether the history holds just these two texts for it; not where tools were called in between.
    """

    said: str
    answer: str
    plain: bool = True

    @property
    def digest(self) -> str:
        """The same for the same words."""
        return sha256(f"{self.said}\0{self.answer}".encode("utf-8", "replace")).hexdigest()


class Turns:
    """Finds the turns in messages that come one by one: from what a user says to the first answer in words."""

    def __init__(self, said: str = "") -> None:
        self.said = said
        self._plain = True

    def of(self, messages: Sequence[ChatMessage]) -> Iterator[Told]:
        """The turns that `messages` complete."""
        for message in messages:
            answer = answer_of(message)
            if message.role == MessageRole.USER:
                self.said, self._plain = text_of(message), is_plain(message)
            elif self.said.strip() and answer:
                yield Told(self.said, answer, self._plain and is_plain(message) and answer == text_of(message))
                self.said = ""
            else:
                self._plain = False

    def replace(self, history: Sequence[ChatMessage]) -> None:
        """Begin again behind `history`: what is answered there is old, what is not is being asked now."""
        self.said = ""
        for _ in self.of(history[-1:]):
            pass
