"""Fields as in a profile: "Name: Carlos", "favorite film: Alien", read as the sentence that they stand for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from .lexicon import lexicon
from .tokens import Token

_FIELD_LINE = re.compile(r"(?:^|[.;][ \t])[ \t>*•-]*([A-Za-z][\w /-]{0,30}?)[ \t]*:(?!//)", re.MULTILINE)
_MAX_WORDS = 4


def is_form(text: str) -> bool:
    """Whether `text` has fields that nobody says of themselves: a mail, a configuration, somebody's file."""
    names = [tuple(found[1].lower().split()) for found in _FIELD_LINE.finditer(text)]
    return len(names) > 1 and any(_meaning(name) is None and name[0] not in LABELS for name in names if name)


def fields(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The statements that the fields of a sentence stand for; none where there are no fields."""
    if any(token.text in "={}<>\\" for token in tokens):
        return
    found = list(_found(tokens))
    for place, (_, start, means) in enumerate(found):
        end = found[place + 1][0] if place + 1 < len(found) else len(tokens)
        while end > start and (tokens[end - 1].kind in ("comma", "stop") or tokens[end - 1].low in ("and", "my")):
            end -= 1
        if end > start and tokens[start].low not in lexicon("imperatives"):
            at = tokens[start].start
            yield [*(Token(word, word.lower(), "word", at, at) for word in means), *tokens[start:end]]


def begin_of_fields(tokens: Sequence[Token]) -> int:
    """Where the first field begins; the number of tokens where there is none."""
    return next((begin for begin, _, _ in _found(tokens)), len(tokens))


def _found(tokens: Sequence[Token]) -> Iterator[tuple[int, int, Sequence[str]]]:
    """The fields as (where the name begins, where the value begins, the words that the name stands for)."""
    for colon, token in enumerate(tokens):
        if token.text != ":":
            continue
        for begin in range(max(0, colon - _MAX_WORDS), colon):
            means = _meaning(tuple(token.low for token in tokens[begin:colon])) if _may_begin(tokens, begin) else None
            if means:
                yield begin, colon + 1, means
                break


def _may_begin(tokens: Sequence[Token], at: int) -> bool:
    return not at or tokens[at - 1].kind in ("comma", "stop", "symbol") or tokens[at - 1].low in ("my", "and")


def _meaning(name: tuple[str, ...]) -> Sequence[str] | None:
    if name[:1] == ("my",):
        name = name[1:]
    if len(name) > 1 and name[0] in _FAVORITES:
        return ("my", "favorite", *(word for word in name[1:] if word not in ("ever", "of", "all", "time")), "is")
    return _labels().get(name)


_FAVORITES = frozenset(["favorite", "favourite", "fave", "fav"])


@cache
def _labels() -> dict[tuple[str, ...], Sequence[str]]:
    table = tomllib.loads((files(__package__) / "statements.toml").read_text(encoding="utf-8"))
    return {tuple(name.split()): row["means"].split() for row in table["label"] for name in row["named"]}


LABELS = lexicon("near_misses", "labels")
