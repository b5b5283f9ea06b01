"""What people like or hate to happen: "I hate it when people are late"."""

from __future__ import annotations

from collections.abc import Sequence

from .clauses import Part
from .lexicon import lexicon
from .tokens import Token

_PRONOUNS = frozenset(["i", "he", "she", "we", "they", "it", "you"])


def feeling(part: Part) -> str:
    """What is said of "when …" in "I hate it when …": likes or dislikes."""
    lows = [token.base for token in part.body if token.low not in lexicon("skip")]
    if part.subject is None or part.subject.about != "user" or lows[-1:] != ["it"]:
        return ""
    denied = "not" in lows
    verb = lows[-2] if len(lows) > 1 else ""
    if verb in ("hate", "dislike", "stand", "bear") and (denied or verb in ("hate", "dislike")):
        return "dislikes"
    if verb in ("like", "love", "enjoy"):
        return "dislikes" if denied else "likes"
    return ""


def occasion(words: Sequence[Token]) -> tuple[Sequence[Token], Sequence[Token]]:
    """Of "when people are late": "people" and "late", to be joined by "being"; all and nothing where that fails."""
    verb = next((at for at, token in enumerate(words[:5]) if token.low in ("is", "are")), 0)
    if verb < 2 or words[1].low in _PRONOUNS:
        return words, ()
    return words[1:verb], words[verb + 1 :]
