"""Slots for what is ahead."""

from __future__ import annotations

from ..clause import (
    Clause,
    Filled,
    after_skips,
    filled_with,
    singular,
    slot,
)
from ..lexicon import lexicon
from ..verbs import infinitive
from .phrases import is_phrase, verb_phrase


@slot("PLAN")
def _plan(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    if (
        at >= limit
        or clause.words[at].capital
        or (clause.lows[at] in _NOT_PLANNED and clause.lows[at : at + 2] != ["be", "in"])
        or clause.words[at].kind != "word"
    ):
        return None
    end, text = verb_phrase(clause, at, limit)
    if text.split(" ")[0].lower().endswith("ing"):
        text = infinitive(text)
    return filled_with(end, text) if is_phrase(clause, at, text) and len(text.split()) > 1 else None


_NOT_PLANNED = lexicon("near_misses", "no_plans")


@slot("DOING")
def _doing(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    if at >= limit or not clause.lows[at].endswith("ing") or clause.lows[at] in _NOT_DOING:
        return None
    if clause.lows[at : at + 2] == ["going", "to"] and (clause.lows[at + 2 : at + 3] in (["bed"], ["sleep"], ["be"])):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, infinitive(text)) if is_phrase(clause, at, text) else None


_NOT_DOING = lexicon("near_misses", "no_doings")


@slot("TRAVELLING")
def _travelling(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    if at >= limit or clause.lows[at] not in lexicon("near_misses", "travelling"):
        return None
    place = at + 1 + (clause.lows[at + 1 : at + 2] == ["to"])
    if place >= limit or not clause.words[place].capital or (place == at + 1 and clause.lows[at] != "visiting"):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, infinitive(text)) if is_phrase(clause, at, text) else None


@slot("TRAVEL")
def _travel(clause: Clause, at: int, limit: int) -> Filled | None:
    if at + 1 >= limit or clause.lows[at] not in ("fly", "travel", "move", "visit", "relocate", "go"):
        return None
    if not clause.words[at + 1 + (clause.lows[at + 1] == "to") : at + 3] or not any(
        token.capital for token in clause.words[at + 1 : at + 4]
    ):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, text) if is_phrase(clause, at, text) else None


@slot("PLANNED")
def _planned(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit, "a", "an", "the", "my", "our")
    if start >= limit or clause.lows[start] in lexicon("not_a_thing", "starts") or clause.lows[start] in _UNTOLD:
        return None
    end, text = verb_phrase(clause, start, limit)
    return filled_with(end, text) if is_phrase(clause, start, text) else None


_UNTOLD = frozenset(["to", "few", "lot", "couple", "bunch", "ahead", "something", "on"])


@slot("EVENT", "EVENTNAME")
def _event(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit, "a", "an", "the", "my", "our", "another")
    if clause.lows[start : start + 1] == ["to"] or (start == at and clause.words[start].low.endswith("ed")):
        return None
    end, text = verb_phrase(clause, start, limit)
    lows = [singular(word) for word in text.lower().split()]
    if lows[-1:] in (["anniversary"], ["birthday"]):
        return None
    known = any(lexicon("events").length_at(lows, i) for i in range(len(lows)))
    return filled_with(end, text) if known and len(lows) <= 8 else None
