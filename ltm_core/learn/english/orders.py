"""Orders to the assistant: what it shall remember, and how it shall answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .asserted import is_order
from .lexicon import lexicon
from .tokens import Token

_BEGINS_STATEMENT = frozenset(["i", "my", "we", "our"])
_STATES = frozenset(["is", "are", "'s", "has", "have", "was", "will"])


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
    return size if size and _begins_statement(lows[at + size :]) else 0


def _begins_statement(lows: list[str]) -> bool:
    return bool(lows) and (lows[0] in _BEGINS_STATEMENT or (lows[0] == "the" and not _STATES.isdisjoint(lows)))


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
