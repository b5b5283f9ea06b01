"""A clause made ready for the statement table: contractions spelled out, its negation taken out of the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from .clause import Clause, frequency_length
from .dates import find_date
from .lexicon import lexicon
from .statements import Match, match
from .subjects import is_be
from .tokens import Token


def prepared(text: str, tokens: Sequence[Token], now: datetime, head: Sequence[Token]) -> Clause | None:
    """The clause with its negation taken out, or None where it denies what was ("did not")."""
    words = _spell_out(tokens)
    verbs = _verb_group(words)
    lows = [token.low for token in words[:verbs]]
    if "did" in lows and _DENIALS & set(lows):
        return None
    kept = [token for place, token in enumerate(words) if place >= verbs or not _negates(words, place)]
    kept, no_more = _without_any_more(kept)
    denied = bool(_DENIALS & set(lows))
    ended = any(pair == ("no", "longer") for pair in pairwise(lows)) or (denied and no_more)
    date = find_date(head, 0, len(head), now)
    lead = _frequency(text, head)
    return Clause(text, kept, now, denied and not ended, ended, lead, date[1] if date else None)


_DENIALS = frozenset(["not", "never"])


def _verb_group(words: Sequence[Token]) -> int:
    """Where the helping verbs, adverbs and negations after the subject end."""
    named = bool(words) and words[0].low == "my"
    for place, token in enumerate(words):
        named = named and token.base != "be"
        known = token.low in _HELPERS or token.low in _DENIALS or token.low in lexicon("skip")
        if place and not (known or named or token.low in ("no", "longer", "did")):
            return place
    return len(words)


def _negates(words: Sequence[Token], place: int) -> bool:
    """Whether the word only carries the negation: "do not", "never", "no longer"."""
    low = words[place].low
    if low == "longer" or (low == "no" and place + 1 < len(words)):
        return "longer" in (low, words[place + 1].low if low == "no" else "")
    return low in _DENIALS or (low in ("do", "does") and _helps(words, place))


_HELPERS = lexicon("near_misses", "helpers")


def _helps(words: Sequence[Token], place: int) -> bool:
    ahead = [token.low for token in words[place + 1 : place + 4]]
    return (
        "not" in ahead[:2]
        or "never" in ahead[:1]
        or (
            bool(ahead)
            and ahead[0]
            in ("love", "like", "enjoy", "have", "live", "work", "hate", "prefer", "speak", "own", "really")
        )
    )


def _without_any_more(words: list[Token]) -> tuple[list[Token], bool]:
    lows = [token.low for token in words]
    while lows and (
        lows[-1] in ("btw", "though", "lol", "now", "tho", "actually", "sadly", "unfortunately")
        or words[len(lows) - 1].kind == "comma"
    ):
        lows = lows[:-1]
    for at in range(1, len(lows)):
        if lows[at] == "anymore":
            return words[:at] + words[at + 1 :], True
        if lows[at : at + 2] in (["any", "more"], ["any", "longer"]) and at + 2 >= len(lows):
            return words[:at] + words[at + 2 :], True
    return words, False


def _spell_out(tokens: Sequence[Token]) -> list[Token]:
    words: list[Token] = []
    for place, token in enumerate(tokens):
        if token.low == "'s" and (is_be(tokens, place) or (place == 1 and tokens[0].low == "i")):
            after = tokens[place + 1].low if place + 1 < len(tokens) else ""
            words.append(
                replace(
                    token, low="has" if after in ("got", "been", "had", "moved", "worked", "lived", "always") else "is"
                )
            )
        elif token.low == "got" and words and words[-1].base == "have" and _plain_got(tokens, place):
            continue
        else:
            words.append(token)
    return words


def _plain_got(tokens: Sequence[Token], place: int) -> bool:
    after = tokens[place + 1].low if place + 1 < len(tokens) else ""
    return after not in ("into", "to", "used", "better", "rid", "married", "engaged", "promoted", "back", "divorced")


def _frequency(text: str, head: Sequence[Token]) -> str:
    lows = [token.low for token in head]
    for at in range(len(lows)):
        if size := frequency_length(lows, at):
            return " ".join(text[head[at].start : head[at + size - 1].end].split()).lower()
    return ""


def with_instead(clause: Clause) -> Match | None:
    """For "not X but Y": the statement with Y in the place of X."""
    lows = clause.lows
    if not clause.denied or "but" not in lows:
        return None
    but = lows.index("but")
    for keep in range(1, min(but, 6)):
        words = [*clause.words[:keep], *clause.words[but + 1 :]]
        other = Clause(clause.source, words, clause.now, lead=clause.lead, lead_date=clause.lead_date)
        if fitted := match(other):
            return replace(fitted, end=len(clause.words))
    return None
