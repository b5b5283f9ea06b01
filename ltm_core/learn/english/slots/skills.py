"""Slots for what somebody can do."""

from __future__ import annotations

from ..clause import (
    Clause,
    Filled,
    after_skips,
    filled_with,
    phrase_end,
    slot,
)
from ..lexicon import canonical, lexicon
from .phrases import phrase
from .things import members, thing_limit


@slot("PROGRAMMING")
def _programming(clause: Clause, at: int, limit: int) -> Filled | None:
    found = [clause.text(*span) for span in members(clause, at, thing_limit(clause, at, limit))]
    names = [canonical("programming").get(tuple(name.lower().split())) for name in found]
    return Filled(limit, names) if names and all(names) else None


@slot("ABILITY")
def _ability(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    if at >= limit or clause.lows[at] not in lexicon("skills"):
        return None
    return phrase(clause, at, limit)


@slot("INSTRUMENT")
def _instrument(clause: Clause, at: int, limit: int) -> Filled | None:
    end = phrase_end(clause, at, limit)
    start = at + (clause.lows[at : at + 1] in (["a"], ["an"]))
    for stop in range(start, end):
        size = lexicon("instruments").length_at(clause.lows, stop, end)
        if size:
            return filled_with(stop + size, clause.text(start, stop + size))
    return None
