"""Redaction: what must not be stored or sent is taken out of messages before either happens."""

from __future__ import annotations

from typing import Any

from ..model import Message
from ..policies import Redact


def redacted(message: Message, redact: Redact | None) -> Message:
    """`message` with each of its texts passed through `redact`."""
    if redact is None:
        return message
    content = message.content
    if isinstance(content, str):
        return message.model_copy(update={"content": redact(content)})
    if isinstance(content, list):
        return message.model_copy(update={"content": [_part(part, redact) for part in content]})
    return message


def _part(part: Any, redact: Redact) -> Any:
    if isinstance(part, str):
        return redact(part)
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return {**part, "text": redact(part["text"])}
    return part
