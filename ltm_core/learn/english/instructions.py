"""Orders that are meant to last: how the assistant shall answer, from now on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .lexicon import lexicon
from .tokens import Token

MAX_QUOTED = 40
"""A longer quotation in an order is a text to work on, no example of what to say."""

_LEADING = frozenset(["please", "and", "so", "also", ",", "just"])
_WORKS = lexicon("standing", "after_always")
_OF_FRIENDS = lexicon("standing", "not_after_always")
_FREELY_SAID = frozenset(["always", "never", "do"])
_OF_THE_MOMENT = frozenset(["this", "that", "these", "those", "it"])


def standing_order(tokens: Sequence[Token], *, standing: bool = False) -> Sequence[Token]:
    """The words of a lasting order that `tokens` give; none where they give no such order.

    `standing` says that one was announced: "From now on: short answers".
    """
    lows = [token.low for token in _without_please(tokens)]
    if not lows:
        return ()
    known = is_standing(lows) or (standing and lows[0] in lexicon("imperatives"))
    return _without_please(tokens) if known else ()


def polite_order(tokens: Sequence[Token]) -> Sequence[Token]:
    """The order in a question: "Can you answer in Spanish from now on?"."""
    lows = [token.low for token in tokens]
    start = next((at for at in range(min(4, len(lows))) if _asks_politely(lows[at : at + 2])), -1)
    if start < 0:
        return ()
    rest = tokens[start + 2 :]
    lasts = lexicon_anywhere("lasting", lows) and is_standing(lows[start + 2 :])
    return _without_please(rest) if lasts and not _OF_THE_MOMENT & set(lows) else ()


def _asks_politely(pair: list[str]) -> bool:
    return pair[:1] != [] and pair[0] in ("can", "could", "would", "will") and pair[1:] == ["you"]


def conditional_order(tokens: Sequence[Token]) -> Sequence[Token]:
    """An order for every time of a kind: "When you write code for me, use type hints"."""
    tokens = _without_please(tokens)
    lows = [token.low for token in tokens]
    opening = lexicon("standing", "whenever").length_at(lows)
    if not opening or len(lows) < opening + 4 or _OF_THE_MOMENT & set(lows):
        return ()
    who, does = lows[opening : opening + 2]
    if who not in ("i", "you") or does not in lexicon("standing", f"when_{who}"):
        return ()
    return tokens if any(_begins_order(lows, at) for at in range(opening + 2, len(lows) - 1)) else ()


def _begins_order(lows: list[str], at: int) -> bool:
    known = lows[at] in lexicon("imperatives") or lows[at] in lexicon("standing", "verbs")
    return known and lows[at - 1] not in ("to", "and", "or", "you", "i", "can", "should", "a", "the", "my")


def wanted_of_you(body: Sequence[Token]) -> Sequence[Token]:
    """The order in "I would like you to answer in German"."""
    lows = [token.low for token in body[:7]]
    for at in range(1, len(lows) - 1):
        if lows[at : at + 2] == ["you", "to"] and any(
            low in ("like", "want", "prefer", "need", "love") for low in lows[:at]
        ):
            return standing_order(body[at + 2 :])
    return ()


def is_standing(lows: list[str]) -> bool:
    """Whether an order is meant to last, or is about the way of answering."""
    while lows and lows[0] in _LEADING:
        lows = lows[1:]
    if len(lows) < 2:
        return False
    if lexicon("always").length_at(lows):
        return _lasts(lows)
    return _is_lasting(lows) or _is_about_manner(lows)


def _lasts(lows: list[str]) -> bool:
    """Whether what begins with "always" or "never" is an order to an assistant, no "never give up"."""
    if lows[0] not in _FREELY_SAID:
        return True
    rest = lows[lexicon("always").length_at(lows) :]
    while rest and rest[0] in lexicon("skip"):
        rest = rest[1:]
    if not rest or _OF_FRIENDS.length_at(rest):
        return False
    return any(rest[0] in words for words in (lexicon("imperatives"), lexicon("standing", "verbs"), _WORKS))


def _is_lasting(lows: list[str]) -> bool:
    verb = lows[2] if _is_denied(lows) else lows[0]
    known = verb in lexicon("imperatives") or verb in lexicon("standing", "verbs")
    return known and lexicon_anywhere("lasting", lows)


def _is_denied(lows: list[str]) -> bool:
    return lows[:2] == ["do", "not"] and len(lows) > 2


def _is_about_manner(lows: list[str]) -> bool:
    if lows[0] == "no":
        return len(lows) < 5 and lows[1] in lexicon("standing", "about")
    denied = _is_denied(lows)
    verb = lows[2] if denied else lows[0]
    if denied and verb in lexicon("standing", "denied"):
        return True
    if verb not in lexicon("standing", "verbs") or any(low in lexicon("standing", "now") for low in lows[1:]):
        return False
    return any(low in lexicon("standing", "about") for low in lows[1:])


def lexicon_anywhere(row: str, lows: list[str]) -> bool:
    """Whether a phrase of that row of "standing" occurs."""
    return any(lexicon("standing", row).length_at(lows, at) for at in range(len(lows)))


def _without_please(tokens: Sequence[Token]) -> Sequence[Token]:
    start = 0
    while start < len(tokens) and tokens[start].low in _LEADING:
        start += 1
    end = next((at for at in range(start + 1, len(tokens)) if _cuts(tokens[at])), len(tokens))
    return tokens[start:end]


def _cuts(token: Token) -> bool:
    return token.kind == "stop" or (token.kind == "hidden" and len(token.text) > MAX_QUOTED)


def as_written(quote: str) -> str:
    """An order without the courtesies at its end."""
    return re.sub(r"(?:[,\s]+(?:please|thanks|thank you|ok|okay|lol|if possible))+$", "", quote, flags=re.IGNORECASE)
