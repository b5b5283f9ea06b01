"""Phrases that may be remembered as they stand, and the slots for any phrase."""

from __future__ import annotations

from ..clause import (
    ARTICLES,
    HARD,
    PREPOSITIONS,
    Clause,
    Filled,
    after_skips,
    filled_with,
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
    if not span:
        return end, clause.text(at, without_tail(clause, at, end))
    begin, dated = span
    before = clause.text(at, without_tail(clause, at, begin))
    if dated.end >= without_tail(clause, at, end):
        return end, before
    if clause.lows[dated.end] not in PREPOSITIONS:
        return dated.end, clause.text(at, begin)
    return end, f"{clause.text(at, begin)} {clause.text(dated.end, without_tail(clause, dated.end, end))}"


def _ends_phrase(clause: Clause, at: int) -> bool:
    hard = clause.words[at].kind in HARD and clause.words[at].text not in "/'#$%+-.&"
    return hard or clause.lows[at] in lexicon("near_misses", "ends_phrase")


def is_phrase(clause: Clause, at: int, text: str) -> bool:
    """Whether `text` may be remembered as it stands: neither long nor about "it" or "you"."""
    words = text.split()
    return (
        0 < len(words) <= 16
        and clause.words[at].kind in ("word", "number")
        and not ({"you", "your", "it", "that", "this"} & {word.lower().strip(",.") for word in words})
    )


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
    return filled if filled and len(str(filled.values[0]).split()) > 1 else None
