"""What a call asks: a text, one message or a conversation; and the same with memories put in, on a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .messages import after, before, content, is_conversation, is_message, latest, role, with_content

NAMES = (
    "message",
    "messages",
    "prompt",
    "input",
    "query",
    "question",
    "text",
    "task",
    "user_input",
    "user_message",
    "user_msg",
)  # fmt: skip


class Prompt:
    """A prompt as it was passed: `said` is what the user said last, as messages; `query` their text."""

    def __init__(self, value: Any, said: Sequence[dict[str, Any]]) -> None:
        self.value = value
        self.said = said
        self.query = "\n".join(one["content"] for one in said)

    @classmethod
    def of(cls, value: Any) -> Prompt | None:
        """The prompt that `value` is, or None where it is none."""
        if isinstance(value, str):
            return cls(value, [{"role": "user", "content": value}])
        conversation = value if is_conversation(value) else [value] if is_message(value) else []
        said = latest(conversation)
        return cls(value, said) if said else None

    @property
    def has_system(self) -> bool:
        """Whether a system message is among it."""
        return isinstance(self.value, list | tuple) and any(role(one) == "system" for one in self.value)

    def with_system(self, text: str) -> Any:
        """`text` at the end of the system message, or as one; in front of a prompt that cannot have any."""
        if not is_conversation(self.value):
            return self.in_front(text)
        conversation = list(self.value)
        for place, message in enumerate(conversation):
            if role(message) == "system":
                conversation[place] = with_content(message, after(text, content(message)))
                return _like(self.value, conversation)
        system = _system(conversation[0], text)
        return self.in_front(text) if system is None else _like(self.value, [system, *conversation])

    def in_front(self, text: str) -> Any:
        """`text` and a blank line before what the user said."""
        if isinstance(self.value, str):
            return before(text, self.value)
        if not is_conversation(self.value):
            return with_content(self.value, before(text, content(self.value)))
        conversation = list(self.value)
        place = max(place for place, message in enumerate(conversation) if role(message) == "user")
        message = conversation[place]
        conversation[place] = with_content(message, before(text, content(message)))
        return _like(self.value, conversation)


def prompt_in(state: Any) -> tuple[str, Prompt] | None:
    """The prompt that a dict holds under a usual name, as graphs and chains are called, and the name."""
    for name in NAMES if isinstance(state, Mapping) else ():
        prompt = Prompt.of(state.get(name))
        if prompt is not None:
            return name, prompt
    return None


def system_text(value: Any, text: str) -> Any:
    """The value of a `system` argument with `text` added; a new one where there was none."""
    if isinstance(value, str | list | tuple):
        return after(text, value)
    return text


def _like(original: Any, conversation: list[Any]) -> Any:
    return tuple(conversation) if isinstance(original, tuple) else conversation


def _system(neighbour: Any, text: str) -> Any:
    """A system message of the make of its neighbour; None for objects, whose class only their framework knows."""
    if isinstance(neighbour, Mapping):
        return {"role": "system", "content": text}
    return ("system", text) if isinstance(neighbour, tuple) else None
