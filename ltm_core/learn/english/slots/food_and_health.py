"""Slots for what somebody cannot or will not eat, and for conditions."""

from __future__ import annotations

from ..clause import SLOTS, Clause, Filled, after_skips, slot, without_tail
from ..lexicon import lexicon
from .things import members, thing_limit


@slot("EDIBLES", "ALLERGENS")
def _edibles(clause: Clause, at: int, limit: int) -> Filled | None:
    filled = SLOTS["THINGS"](clause, at, limit)
    if filled is None:
        return None
    known = [value for value in filled.values if any(word in _FOODS for word in value.lower().split())]
    return Filled(filled.end, known) if known and len(known) == len(filled.values) else None


_FOODS = lexicon("near_misses", "foods")


@slot("INTOLERANCE")
def _intolerance(clause: Clause, at: int, limit: int) -> Filled | None:
    if clause.lows[at : at + 1] in (["a"], ["an"]):
        at = after_skips(clause, at + 1, limit, "severe", "bad", "mild", "serious", "nasty", "strong", "slight")
    at = after_skips(clause, at, limit, "severe", "bad", "mild", "serious")
    words = clause.words[at:limit]
    if not 1 <= len(words) <= 5 or any(token.kind != "word" or token.low in _NO_INTOLERANCE for token in words):
        return None
    found = [clause.text(*span) for span in members(clause, at, limit)]
    return Filled(limit, found)


_NO_INTOLERANCE = frozenset(["no", "any", "an", "a", "the", "not", "very", "so", "food", "with", "to", "that", "some"])


@slot("CONDITIONS")
def _conditions(clause: Clause, at: int, limit: int) -> Filled | None:
    found: list[str] = []
    end = at
    for begin, stop in members(clause, at, thing_limit(clause, at, limit)):
        start = after_skips(clause, begin, stop, "been", "a", "an", "the", "some")
        last = next((i for i in range(start, stop) if clause.lows[i] in _CONDITION_ENDS), stop)
        last = without_tail(clause, start, last)
        if not _is_condition(clause, start, last):
            break
        found.append(clause.text(start, last))
        end = last
    return Filled(end, found) if found else None


_CONDITION_ENDS = frozenset(["in", "since", "from", "and", "for", "with", "at", "when", "on", "during"])


def _is_condition(clause: Clause, start: int, stop: int) -> bool:
    if not 0 < stop - start <= 5 or clause.lows[start] in ("no", "not", "any", "this", "that"):
        return False
    return any(lexicon("conditions").length_at(clause.lows, i, stop) == stop - i for i in range(start, stop))
