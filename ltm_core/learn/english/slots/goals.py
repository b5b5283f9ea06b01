"""Slots for what somebody wants to reach."""

from __future__ import annotations

from ..clause import (
    SLOTS,
    Clause,
    Filled,
    after_skips,
    filled_with,
    slot,
)
from ..lexicon import lexicon
from ..verbs import infinitive
from .phrases import is_phrase, phrase, verb_phrase


@slot("ASPIRATION", "ASPIRED")
def _aspiration(clause: Clause, at: int, limit: int) -> Filled | None:
    """What a person wants to do, where that is a goal and not a request of the moment."""
    at = after_skips(clause, at, limit, "to", "someday", "eventually")
    if (
        at >= limit
        or not lexicon("goal_verbs").length_at(clause.lows, at, limit)
        or (lexicon("goal_verbs", "not").length_at(clause.lows, at, limit) and not _RACES & set(clause.lows[at:limit]))
    ):
        return None
    filled = phrase(clause, at, limit)
    return filled if filled and len(filled.values[0].split()) > 1 else None


_RACES = frozenset(["marathon", "half-marathon", "ultramarathon", "triathlon", "5k", "10k"])


@slot("STRIVING")
def _striving(clause: Clause, at: int, limit: int) -> Filled | None:
    """A goal that needs its verb: "training for a marathon", "saving up for a house"."""
    at = after_skips(clause, at, limit)
    size = lexicon("striving").length_at(clause.lows, at, limit)
    if not size or clause.lows[at + size : at + size + 1] in (["you"], ["me"], ["it"], ["this"], ["that"]):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, infinitive(text)) if is_phrase(clause, at, text) and len(text.split()) > size else None


@slot("LEARNED")
def _learned(clause: Clause, at: int, limit: int) -> Filled | None:
    filled = SLOTS["THINGS"](clause, at, limit)
    return (
        Filled(filled.end, [f"learn {value}" for value in filled.values])
        if filled and clause.lows[at] not in ("a", "about", "from", "that", "to", "how", "as", "so")
        else None
    )


@slot("ACTIVITY")
def _activity(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "of")
    if (
        at >= limit
        or clause.lows[at].startswith("comin")
        or not (
            clause.lows[at].endswith("ing")
            or clause.lows[at] in ("yoga", "pottery", "knitting", "chess", "golf", "tennis")
        )
    ):
        return None
    return phrase(clause, at, limit)
