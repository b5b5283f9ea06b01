"""Slots for what somebody owns."""

from __future__ import annotations

import re

from ..clause import (
    PREPOSITIONS,
    Clause,
    Filled,
    after_skips,
    singular,
    slot,
)
from ..lexicon import lexicon
from .things import thing, things

_OWNED = frozenset(["a", "an", "my", "the", "two", "three", "both", "some", "several", "one"])


@slot("POSSESSIONS")
def _possessions(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit)
    if start >= limit or not (
        clause.lows[start] in _OWNED or clause.words[start].capital or clause.lows[at - 1] == "my"
    ):
        return None
    spans = list(things(clause, at, limit))
    values = [re.split(r" (?:to|so|for) ", clause.text(*span))[0] for span in spans]
    if not spans or any(value.lower() in _NOT_OWNED or value.lower().split()[-1] in _NOT_OWNED for value in values):
        return None
    return Filled(spans[-1][1], values)


_NOT_OWNED = lexicon("near_misses", "not_owned")


@slot("POSSESSED")
def _possessed(clause: Clause, at: int, limit: int) -> Filled | None:
    values, end = [], at
    for start, stop in things(clause, at, limit):
        if not _is_possession(clause, start, stop):
            break
        values.append(clause.text(start, stop))
        end = stop
    return (
        Filled(end, values)
        if values and clause.lows[at] in ("a", "an", "my", "two", "three", "both", "one", "the", "several")
        else None
    )


def _is_possession(clause: Clause, start: int, stop: int) -> bool:
    head = next((i for i in range(start + 1, stop) if clause.lows[i] in PREPOSITIONS), stop)
    lows = [singular(low) for low in clause.lows[start:head]]
    owned = any(lexicon("possessions").length_at(lows, i) == len(lows) - i for i in range(len(lows)))
    return owned or any(low in lexicon("near_misses", "makes") for low in lows)


@slot("MODEL")
def _model(clause: Clause, at: int, limit: int) -> Filled | None:
    filled = thing(clause, at, limit)
    words = clause.words[at : filled.end] if filled else ()
    return filled if any(token.capital or token.low in lexicon("near_misses", "makes") for token in words) else None
