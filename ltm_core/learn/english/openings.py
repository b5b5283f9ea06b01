"""How a clause opens: words that add nothing, and an "I" that is left out."""

from __future__ import annotations

from collections.abc import Sequence

from .lexicon import lexicon
from .tokens import Token


def past_openers(tokens: Sequence[Token]) -> Sequence[Token]:
    """The words after "well", "also" and the like."""
    start = 0
    while start < len(tokens) - 1 and _is_opener(tokens, start):
        start += 1
    return tokens[start:]


def _is_opener(tokens: Sequence[Token], at: int) -> bool:
    if tokens[at].low == "no" and tokens[at + 1].low == "longer":
        return False
    return tokens[at].low in lexicon("openers") or tokens[at].kind == "comma"


def _first_word(tokens: Sequence[Token]) -> str:
    return next((token.low for token in tokens if token.low not in lexicon("skip")), "")


def may_lack_subject(own: Sequence[Token]) -> bool:
    """Whether a sentence may begin so with its "I" left out: "Love jazz", "34 years old", "No longer vegan"."""
    lows = [token.low for token in own[:3]]
    aged = lows[0].isdecimal() and lows[1:2] != [] and lows[1] in ("years", "yrs", "yo", "y")
    return (
        aged or (lows[:2] == ["no", "longer"] and not lows[-1].endswith("s")) or _first_word(own) in lexicon("elidable")
    )


def is_joint(token: Token) -> bool:
    """Whether the token joins what follows to what was said."""
    return token.kind == "comma" or token.low in ("and", "but", "plus")


def past_joint(rest: Sequence[Token]) -> tuple[Sequence[Token], bool]:
    """The words after "and", "but", a comma, and whether there was one."""
    start = 0
    while start < len(rest) and (is_joint(rest[start]) or rest[start].low in _SMALL_JOINTS or _unfolds(rest, start)):
        start += 1
    return rest[start:], start > 0


def _unfolds(rest: Sequence[Token], at: int) -> bool:
    """Whether a dash lists what was meant: "being outdoors - going for hikes, …"."""
    return rest[at].text in "-–—" and at + 1 < len(rest) and rest[at + 1].low.endswith("ing")


_SMALL_JOINTS = frozenset(["also", "so", "or", "&", "then", "currently", "now"])
