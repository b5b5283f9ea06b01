"""The text of an answer, whatever shape it comes in: whole replies, and the chunks of a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .messages import content, is_conversation, words

Output = str | Callable[[Any], Any]

DEPTH = 4
_KEYS = ("output", "content", "response", "answer", "text", "result")
_NAMES = ("content", "output_text", "final_output", "output", "response", "text")
_PIECES = ("delta", "content", "text")


def reply_text(reply: Any, output: Output | None = None) -> str:
    """What the assistant said in `reply`; empty where no text is found.

    `output` names the key or attribute that holds it, or is a callable that takes the reply.
    """
    return _text(_chosen(reply, output), DEPTH)


def piece_text(chunk: Any, output: Output | None = None) -> str:
    """What a chunk of a stream adds to the answer."""
    if output is not None:
        return _text(_chosen(chunk, output), DEPTH)
    if isinstance(chunk, str):
        return chunk
    choice = _first(_get(chunk, "choices"))
    if choice is not None:
        return _piece(_get(choice, "delta"))
    # Some streams end a part with an event that repeats the whole of it.
    kind = _get(chunk, "type")
    return "" if isinstance(kind, str) and kind.endswith(".done") else _piece(chunk)


def _chosen(reply: Any, output: Output | None) -> Any:
    if output is None:
        return reply
    return _get(reply, output) if isinstance(output, str) else output(reply)


def _text(reply: Any, depth: int) -> str:
    if isinstance(reply, str) or depth == 0:
        return reply if isinstance(reply, str) else ""
    if isinstance(reply, list | tuple):
        return _text_of_list(reply, depth)
    for candidate in _candidates(reply):
        text = _text(candidate, depth - 1)
        if text:
            return text
    return ""


def _text_of_list(reply: Any, depth: int) -> str:
    return _text(content(reply[-1]), depth - 1) if is_conversation(reply) else words(reply)


def _candidates(reply: Any) -> list[Any]:
    choice = _first(_get(reply, "choices"))
    places = [_get(choice, "message"), _get(choice, "text")] if choice is not None else []
    names = _KEYS if isinstance(reply, Mapping) else _NAMES
    places += [_get(reply, name) for name in names]
    messages = _get(reply, "messages")
    return [*places, messages if is_conversation(messages) else None]


def _piece(chunk: Any) -> str:
    if isinstance(chunk, str):
        return chunk
    for name in _PIECES:
        found = _get(chunk, name)
        text = _piece(found) if name == "delta" and found is not None else words(found)
        if text:
            return text
    return ""


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _first(listed: Any) -> Any:
    return listed[0] if isinstance(listed, list | tuple) and listed else None
