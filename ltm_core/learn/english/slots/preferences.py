"""Slots for how somebody wants things."""

from __future__ import annotations

from typing import Any

from ..clause import (
    PREPOSITIONS,
    Clause,
    Filled,
    after_skips,
    singular,
    slot,
    without_tail,
)
from ..lexicon import lexicon
from .phrases import is_phrase, verb_phrase
from .things import thing_limit, things

_THEMES = {
    ("dark", "mode"): "dark",
    ("dark", "theme"): "dark",
    ("light", "mode"): "light",
    ("light", "theme"): "light",
    ("dark", "themes"): "dark",
    ("light", "themes"): "light",
    ("night", "mode"): "dark",
    ("dark", "ui"): "dark",
    ("light", "ui"): "light",
    ("dark", "interface"): "dark",
    ("dark", "interfaces"): "dark",
    ("dark", "backgrounds"): "dark",
}


@slot("THEME")
def _theme(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "a", "an", "the", "to", "my", "all", "apps", "in")
    value = _THEMES.get((clause.lows[at], clause.lows[at + 1])) if at + 1 < limit else None
    return Filled(at + 2, [("preference", "ui_theme", value)]) if value else None


@slot("MANNER")
def _manner(clause: Clause, at: int, limit: int) -> Filled | None:
    """How something is wanted: "my coffee black", "my answers short"."""
    end = without_tail(clause, at, thing_limit(clause, at, limit))
    words = clause.lows[at + 2 : end]
    known = clause.lows[at : at + 1] == ["my"] and (words[:1] in (["in"], ["as"], ["with"]) or len(words) == 1)
    if not known or not words or clause.words[end - 1].capital:
        return None
    return Filled(end, [("preference", singular(clause.lows[at + 1]), clause.text(at + 2, end))])


@slot("PREFERENCES")
def _preferences(clause: Clause, at: int, limit: int) -> Filled | None:
    facts: list[tuple[str, str, Any]] = []
    at = after_skips(clause, at, limit, "for", "using", "having", "if")
    if theme := _theme(clause, at, limit):
        return theme
    end = at
    if at < limit and clause.lows[at] == "to":
        stop, text = verb_phrase(clause, at + 1, limit)
        facts = [("preference", text.lower(), "yes")] if text and is_phrase(clause, at, text) else []
        return Filled(stop, facts) if facts else None
    for start, stop in things(clause, at, limit):
        if any(low in lexicon("no_heads") for low in clause.lows[start:stop]):
            break
        facts.append(_preference(clause, start, stop))
        end = stop
    return Filled(end, facts) if facts else None


def _preference(clause: Clause, start: int, stop: int) -> tuple[str, str, Any]:
    head = next((i for i in range(start + 1, stop) if clause.lows[i] in PREPOSITIONS | {"when"}), stop)
    tokens = clause.words[start:head]
    if value := _THEMES.get((tokens[0].low, tokens[-1].low)):
        return ("preference", "ui_theme", value)
    if (
        len(tokens) > 1
        and clause.lows[start - 1] != "the"
        and all(token.kind == "word" for token in tokens)
        and (not tokens[0].low.endswith("ing") or tokens[0].low in ("morning", "evening"))
    ):
        return ("preference", singular(tokens[-1].low), clause.text(start, head - 1))
    return ("preference", clause.text(start, stop).lower(), "yes")
