"""Reading JSON out of a model's reply: between prose and fences, after its thoughts, and mended where it is broken.

What was cut off is never half used, and mending never drops an object: then the reply is refused instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import ExtractionError

MAX_CHARS = 400_000
MAX_DEPTH = 40

_THOUGHTS = re.compile(r"\s*<(think|thinking|thought|reasoning)>", re.IGNORECASE)
_THOUGHTS_END = re.compile(r"</(think|thinking|thought|reasoning)>", re.IGNORECASE)
_DATA_FIRST = re.compile(r"\s*(```|[{\[])")
_OPENING = re.compile(r"[{\[]")
# Inside of JSON: a whole string, a bracket, or the quote of a string that never ends.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|"', re.DOTALL)
_STEP = {"{": 1, "[": 1, "}": -1, "]": -1}


class UnusableReply(ExtractionError):
    """A reply that cannot be used. `problem` says why, in words that help the model to do better."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The model's reply cannot be used: {problem}. The turn stays queued and is tried again; "
            "if this repeats, raise the model's output limit or use a stronger model."
        )
        self.problem = problem


def read_json(reply: str) -> Any:
    """The JSON data in `reply`; a list of them where it holds several. Raises `UnusableReply`, and nothing else.

    >>> read_json('Sure! ```json\\n{"facts": [],}\\n```')
    {'facts': []}
    """
    if not isinstance(reply, str):
        raise UnusableReply(f"it is a {type(reply).__name__}, not text")
    if len(reply) > MAX_CHARS:
        raise UnusableReply(f"it is longer than {MAX_CHARS} characters")
    values = [_value(span) for span in _spans(_without_thoughts(reply))]
    # Prose has brackets too, "[1]" or "[as asked]"; what is asked for has objects.
    found = [value for value in values if _objects(value)] or values[-1:]
    if not found:
        raise UnusableReply("it holds no JSON")
    return found[0] if len(found) == 1 else found


def _without_thoughts(reply: str) -> str:
    end = _THOUGHTS_END.search(reply)
    if _THOUGHTS.match(reply):
        if end is None:
            raise UnusableReply("it is cut off within the thoughts")
        return reply[end.end() :]
    # Some servers keep only the closing tag.
    return reply[end.end() :] if end and not _DATA_FIRST.match(reply) else reply


def _spans(text: str) -> Iterator[str]:
    opening = _OPENING.search(text)
    while opening:
        end = _end(text, opening.start())
        yield text[opening.start() : end]
        opening = _OPENING.search(text, end)


def _end(text: str, start: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += _STEP.get(token[0], 0)
        if depth == 0:
            return token.end()
        if depth > MAX_DEPTH:
            raise UnusableReply(f"it is nested deeper than {MAX_DEPTH} levels")
        if token[0] == '"':
            break
    raise UnusableReply("it is cut off, or a bracket or quote is not closed")


def _value(span: str) -> Any:
    try:
        return json.loads(span, object_pairs_hook=_object, parse_constant=_refuse)
    except ValueError:
        return _mended(span)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands twice")
    return read


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _mended(span: str) -> Any:
    from json_repair import repair_json

    try:
        value = repair_json(span, return_objects=True, skip_json_loads=True)
    except Exception as error:  # any text may arrive there, and no failure of the mender may look like "nothing said"
        raise UnusableReply(f"it is not valid JSON ({type(error).__name__})") from error
    if _objects(value) < sum(token == "{" for token in _TOKEN.findall(span)):
        raise UnusableReply("it is not valid JSON, and mending it would lose something")
    return value


def _objects(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_objects, value.values()))
    return sum(map(_objects, value)) if isinstance(value, list) else 0
