"""Role messages of any make: dicts, objects, and (role, text) pairs, read and rebuilt without touching the original."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "developer": "system"}


def is_message(value: object) -> bool:
    """Whether `value` has a role and a content."""
    if isinstance(value, Mapping):
        return isinstance(value.get("role"), str) and "content" in value
    if isinstance(value, tuple):
        return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str | list)
    return not isinstance(value, str) and bool(role(value)) and hasattr(value, "content")


def is_conversation(value: object) -> bool:
    """Whether `value` is a list of role messages, with one at least."""
    return isinstance(value, list | tuple) and bool(value) and all(map(is_message, value))


def role(message: Any) -> str:
    """`user`, `assistant`, `system` or what else it calls itself; empty for what has no role."""
    if isinstance(message, Mapping):
        found = message.get("role")
    elif isinstance(message, tuple):
        found = message[0]
    else:
        found = getattr(message, "role", None) or getattr(message, "type", None)
    name = getattr(found, "value", found)
    return _ROLES.get(name, name) if isinstance(name, str) else ""


def content(message: Any) -> Any:
    """What the message says: a text or a list of parts."""
    if isinstance(message, Mapping):
        return message.get("content")
    return message[1] if isinstance(message, tuple) else message.content


def words(said: Any) -> str:
    """The text of a content; of a list of parts, its text parts joined by new lines."""
    if isinstance(said, str):
        return said
    parts = map(_part, said) if isinstance(said, list | tuple) else ()
    return "\n".join(part for part in parts if part)


def with_content(message: Any, new: Any) -> Any:
    """A copy of `message` that says something else."""
    if isinstance(message, Mapping):
        return {**message, "content": new}
    if isinstance(message, tuple):
        return (message[0], new)
    if "content" in getattr(type(message), "model_fields", ()):
        return message.model_copy(update={"content": new})
    rebuilt = copy.copy(message)
    rebuilt.content = new
    return rebuilt


def before(text: str, said: Any) -> Any:
    """The content `said` with `text` in front of it; a list stays a list of parts."""
    return [_text_part(text), *said] if isinstance(said, list | tuple) else f"{text.rstrip()}\n\n{said or ''}"


def after(text: str, said: Any) -> Any:
    """The content `said` with `text` behind it; a list stays a list of parts."""
    return [*said, _text_part(text)] if isinstance(said, list | tuple) else f"{said}\n\n{text}" if said else text


def latest(conversation: Sequence[Any]) -> list[dict[str, Any]]:
    """What the user said last, as messages to learn: all that follows the last answer, or else the last one."""
    tail = list(_since_answer(conversation)) or [one for one in conversation if role(one) == "user"][-1:]
    return [{"role": "user", "content": words(content(one)), **_name(one)} for one in tail]


def _since_answer(conversation: Sequence[Any]) -> Iterable[Any]:
    start = max((place for place, one in enumerate(conversation, 1) if role(one) == "assistant"), default=0)
    return (one for one in conversation[start:] if role(one) == "user")


def _name(message: Any) -> dict[str, str]:
    name = message.get("name") if isinstance(message, Mapping) else getattr(message, "name", None)
    return {"name": name} if isinstance(name, str) and name else {}


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, Mapping) else getattr(part, "text", None)
    return text if isinstance(text, str) else ""


def _text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
