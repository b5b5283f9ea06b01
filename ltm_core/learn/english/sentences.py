"""Sentences: where text ends that belongs together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .tokens import Token


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens up to a full stop, a question mark or a new line; `listed` if its commas part statements."""

    tokens: Sequence[Token]
    question: bool
    listed: bool = False


MAX_SENTENCE = 200
"""What goes on for more tokens is no talk about oneself: the rest of it is not read, which bounds the time."""


def sentences(tokens: Sequence[Token]) -> Iterator[Sentence]:
    """Cut tokens at full stops, question marks and line ends that end something."""
    current: list[Token] = []
    for place, token in enumerate(tokens):
        if token.kind == "break" and not _ends_line(tokens, place):
            continue
        if token.kind in ("end", "break"):
            if current:
                yield Sentence(current, "?" in token.text)
            current = []
        elif len(current) < MAX_SENTENCE:
            current.append(token)
    if current:
        yield Sentence(current, False)


def _ends_line(tokens: Sequence[Token], place: int) -> bool:
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    if any(token.text == ":" for token in tokens[place + 2 : place + 5]):
        return True
    return after is None or tokens[place].text.count("\n") > 1 or not (after.kind == "word" and after.text[0].islower())
