"""Orders to the assistant: what it shall remember, and how it shall answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .asserted import is_order
from .lexicon import lexicon
from .tokens import Token

_BEGINS_STATEMENT = frozenset(["i", "my", "we", "our", "the"])


def requests(tokens: Sequence[Token]) -> Iterator[tuple[int, int, bool]]:
    """Cut a sentence at "remember that …": (start, end, whether it is to be remembered)."""
    lows = [token.low for token in tokens]
    for at in range(len(lows)):
        size = _asks_to_remember(lows, at)
        if size:
            end = next((i for i in range(at + size + 1, len(lows)) if _order_follows(tokens, i)), len(lows))
            yield 0, at, False
            yield at + size, end, True
            if end < len(lows):
                yield end + 1, len(lows), False
            return
    yield 0, len(lows), False


def _asks_to_remember(lows: list[str], at: int) -> int:
    if not (is_order(lows[:at], at) or (at and lows[at - 1] in (",", "and", "so", "please"))):
        return 0
    if size := lexicon("remember").length_at(lows, at):
        return size
    size = lexicon("remember", "before_statement").length_at(lows, at)
    return size if size and lows[at + size : at + size + 1] and lows[at + size] in _BEGINS_STATEMENT else 0


def _order_follows(tokens: Sequence[Token], at: int) -> bool:
    before, token = tokens[at - 1], tokens[at]
    follows = tokens[at + 1].low if at + 1 < len(tokens) else ""
    joined = token.kind == "comma" or token.low == "and"
    if joined and follows in ("and", "so", "then"):
        follows = tokens[at + 2].low if at + 2 < len(tokens) else ""
    return (
        joined
        and before.kind != "comma"
        and (follows in lexicon("imperatives") or follows in ("what", "which", "how", "do", "so"))
    )


def is_standing(lows: list[str]) -> bool:
    """Whether an order is meant to last, or is about the way of answering."""
    while lows and lows[0] in ("please", "and", "so", "also", ","):
        lows = lows[1:]
    if len(lows) < 2:
        return False
    if lexicon("always").length_at(lows):
        after = lows[1] if lows[0] in ("always", "never") else ""
        return after not in (
            "mind",
            "been",
            "again",
            "a",
            "the",
            "had",
            "heard",
            "seen",
            "ever",
            "knew",
            "forget",
            "said",
            "gonna",
        )
    denied = lows[:2] == ["do", "not"]
    verb = lows[2] if denied and len(lows) > 2 else lows[0]
    if verb not in lexicon("standing", "verbs") or any(low in lexicon("standing", "now") for low in lows[1:]):
        return False
    return (
        any(low in lexicon("standing", "about") for low in lows[1:])
        or ("from" in lows[-3:] and lows[-2:] == ["now", "on"])
        or (denied and verb in ("suggest", "call"))
    )
