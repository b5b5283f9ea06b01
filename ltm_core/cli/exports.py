"""Reading an exported conversation: JSONL or a JSON list, with the line of whatever is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from ..model import Message
from .values import strict_json

STDIN = Path("-")


def read(path: Path) -> list[Message]:
    """The messages of a file, or of stdin for `-`. Raises `InvalidInput` before anything is done with any of them."""
    name = "stdin" if path == STDIN else path.name
    text = _text(path, name)
    places = _from_list(text, name) if text.lstrip().startswith("[") else _from_lines(text, name)
    messages = [_message(given, place) for place, given in places]
    if not messages:
        raise InvalidInput(f'{name} holds no messages. Write one {{"role": "user", "content": "…"}} per line.')
    return messages


def _text(path: Path, name: str) -> str:
    data = _bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name}, line {line}: this is not UTF-8 text. Convert the file to UTF-8.") from error


def _bytes(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}. Name one file, or - for stdin.") from error


def _from_lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): what Unicode calls a line break may stand inside a JSON text.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{name}, line {number}", _parsed(line, name, number)


def _from_list(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(_parsed(text, name, 1), 1):
        yield f"{name}, message {number}", item


def _parsed(text: str, name: str, line: int) -> Any:
    try:
        return strict_json(text)
    except json.JSONDecodeError as error:
        place = f"{name}, line {line + error.lineno - 1}"
        raise InvalidInput(f"{place}: this is not JSON ({error.msg}, column {error.colno}). Correct it.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name}, from line {line}: this JSON cannot be read ({error}). Correct it.") from error


def _message(given: Any, place: str) -> Message:
    if not isinstance(given, dict):
        raise InvalidInput(f'{place}: this is no message. Write {{"role": "user", "content": "…"}}.')
    if not (given.get("content") or given.get("tool_calls")):
        raise InvalidInput(f'{place}: this message has no content. Write {{"role": "user", "content": "…"}}.')
    try:
        return Message.of(given)
    except InvalidInput as error:
        raise InvalidInput(f"{place}: {error}") from error


def as_told_to(user: str | None, speaker: str | None, messages: Sequence[Message]) -> list[Message]:
    """The same conversation as one user had it: what other named people said is the other side of it.

    Raises `InvalidInput` where it cannot be told which of several speakers the user is.
    """
    names = list(dict.fromkeys(one.name for one in messages if one.role == "user" and one.name))
    if speaker is None and len(names) < 2:
        return list(messages)
    chosen = _chosen(speaker or user or "", names)
    if chosen is None:
        known = " and ".join(names) or "nobody by name"
        raise InvalidInput(f"The user messages are by {known}. Say with --speaker which of them is meant.")
    return [_other_side(one) if _is_of_another(one, chosen) else one for one in messages]


def _chosen(wanted: str, names: Sequence[str]) -> str | None:
    return next((name for name in names if name.casefold() == wanted.casefold()), None)


def _is_of_another(message: Message, speaker: str) -> bool:
    return message.role == "user" and message.name is not None and message.name != speaker


def _other_side(message: Message) -> Message:
    return message.model_copy(update={"role": "assistant"})
