"""Phrases that may be remembered as they stand, and the slots for any phrase."""

from __future__ import annotations

import re

from ..clause import (
    ARTICLES,
    PREPOSITIONS,
    Clause,
    Filled,
    after_skips,
    filled_with,
    is_hard,
    slot,
    without_tail,
)
from ..dates import find_date
from ..lexicon import lexicon


def verb_phrase(clause: Clause, at: int, limit: int) -> tuple[int, str]:
    """The words up to the end of the clause, dates and idle words at the end left out."""
    at = after_skips(clause, at, limit)
    end = next((i for i in range(at + 1, limit) if _ends_phrase(clause, i)), limit)
    span = find_date(clause.words, at + 1, end, clause.now)
    if not span or clause.lows[span[0] - 1] == "'s":
        return end, _PAST.sub("", clause.text(at, without_tail(clause, at, end)))
    begin, dated = span
    before = clause.text(at, without_tail(clause, at, begin))
    before = _PAST.sub("", before)
    if dated.end >= without_tail(clause, at, end):
        return end, before
    rest = dated.end + (clause.words[dated.end].kind == "comma")
    if clause.lows[rest : rest + 1] == [] or clause.lows[rest] not in PREPOSITIONS:
        return dated.end, before
    return end, f"{before} {clause.text(rest, without_tail(clause, rest, end))}"


_PAST = re.compile(
    r"\s+(?:yesterday|last \w+|(?:an?|two|three|few|\d+)(?: few)? (?:day|week|month|year)s? ago|with an? deadline)$"
)


def _ends_phrase(clause: Clause, at: int) -> bool:
    token, after = clause.words[at], clause.lows[at + 1 : at + 2]
    aside = token.kind == "comma" and bool(after) and after[0] in _ASIDES
    return is_hard(token) or aside or token.low in lexicon("near_misses", "ends_phrase")


_ASIDES = frozenset(["like", "especially", "particularly", "including", "such", "which", "who", "where"])


def is_phrase(clause: Clause, at: int, text: str) -> bool:
    """Whether `text` may be remembered as it stands: neither long nor about "it" or "you"."""
    words = text.split()
    return (
        0 < len(words) <= 16
        and clause.words[at].kind in ("word", "number")
        and not _POINTING & {word.lower().strip(",.") for word in words}
    )


_POINTING = frozenset(["you", "your", "yours", "yourself", "it", "that", "this", "them", "there", "what's"])


@slot("PHRASE")
def phrase(clause: Clause, at: int, limit: int) -> Filled | None:
    """Any phrase up to the end of the clause, without article and date."""
    at = after_skips(clause, at, limit)
    if at >= limit or clause.lows[at] in ("not", "no", "it", "all"):
        return None
    if clause.lows[at] in ARTICLES | {"from"}:
        at += 1
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, text) if at < limit and is_phrase(clause, at, text) else None


@slot("AIM")
def _aim(clause: Clause, at: int, limit: int) -> Filled | None:
    """A goal of more than one word, so that "my goal is clear" is none."""
    filled = phrase(clause, at, limit)
    aimed = at < limit and not clause.lows[at].startswith("comin")
    return filled if filled and aimed and len(str(filled.values[0]).split()) > 1 else None
