"""Slots for things: lists of them, favorites, preferences, belongings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..clause import (
    HARD,
    JOINS,
    PREPOSITIONS,
    SLOTS,
    SMALL,
    Clause,
    Filled,
    Slot,
    after_skips,
    filled_with,
    frequency_at,
    singular,
    slot,
    without_tail,
)
from ..dates import read_date
from ..lexicon import lexicon
from ..verbs import gerund
from .plans import is_phrase, verb_phrase


def _things(clause: Clause, at: int, limit: int, most_words: int = 7) -> Iterator[tuple[int, int]]:
    """The members of a list, as (start, end); it ends where a member is none."""
    end = thing_limit(clause, at, limit)
    for first, last in members(clause, at, end):
        start = _thing_start(clause, first, last)
        stop = without_tail(clause, start, _thing_stop(clause, start, last))
        if start >= stop or stop - start > most_words or not _is_thing(clause, start, stop):
            return
        yield start, stop


def thing_limit(clause: Clause, at: int, limit: int) -> int:
    """Where the things end: at punctuation, or where an explanation begins."""
    for end in range(at, limit):
        token = clause.words[end]
        if (token.kind in HARD and token.text not in "/'#$%+-.") or (end > at and token.low in lexicon("stops")):
            return end
    return limit


def members(clause: Clause, at: int, end: int) -> Iterator[tuple[int, int]]:
    """The members of "A, B and C", as (start, end)."""
    start, i = at, at
    while i < end:
        size = _join_size(clause, i, start)
        if size:
            if i > start:
                yield start, i
            start = i + size
        i += size or 1
    if start < end:
        yield start, end


def _join_size(clause: Clause, i: int, start: int) -> int:
    if clause.lows[i : i + 3] == ["as", "well", "as"]:
        return 3
    if clause.words[i].kind != "comma" and clause.lows[i] not in JOINS:
        return 0
    if any(lexicon("combos").length_at(clause.lows, k) > i - k for k in range(max(start, i - 2), i)):
        return 0
    return 1


def _thing_start(clause: Clause, start: int, stop: int) -> int:
    start = after_skips(
        clause,
        start,
        stop,
        "a",
        "an",
        "the",
        "some",
        "any",
        "all",
        "most",
        "lots",
        "plenty",
        "my",
        "our",
        "both",
        "her",
    )
    if clause.lows[start : start + 2] in (["kinds", "of"], ["sorts", "of"], ["types", "of"]):
        start += 2
    if start < stop and clause.lows[start] == "of":
        start = after_skips(clause, start + 1, stop, "the", "a")
    return start


def _thing_stop(clause: Clause, start: int, stop: int) -> int:
    for end in range(start + 1, stop):
        low, after = clause.lows[end], clause.lows[end + 1 : end + 2]
        if low in ("in", "on", "at", "with", "for", "to", "from", "every", "each") and (
            (after and after[0] in _DEICTIC) or frequency_at(clause, end)
        ):
            return end
        if "ago" in clause.lows[end + 1 : end + 4] and (
            low in SMALL or low in ("a", "some", "many") or low.isdecimal()
        ):
            return end
        if low in ("last", "yesterday") or (after and low == "this" and read_date(clause.words, end, clause.now)):
            return end
        if find := read_date(clause.words, end, clause.now):
            return end if find.end <= stop else stop
    return stop


_DEICTIC = frozenset(["my", "our", "this", "these", "those", "your", "the's"])


def _is_thing(clause: Clause, start: int, stop: int) -> bool:
    if lexicon("not_a_thing", "starts").length_at(clause.lows, start, stop):
        return False
    inner = clause.lows[start:stop]
    if stop - start == 1 and inner[0] in lexicon("no_things"):
        return False
    return clause.words[start].kind in ("word", "number") and not any(
        low in lexicon("not_a_thing", "contains") for low in inner
    )


def _list_of(reader: Callable[[Clause, int, int], str]) -> Slot:
    def read(clause: Clause, at: int, limit: int) -> Filled | None:
        spans = list(_things(clause, at, limit))
        values = [reader(clause, start, stop) for start, stop in spans]
        return Filled(spans[-1][1], values) if spans else None

    return read


def _thing_text(clause: Clause, start: int, stop: int) -> str:
    if clause.lows[start] == "to" and stop - start > 1:
        return " ".join([gerund(clause.lows[start + 1]), clause.text(start + 2, stop)]).strip()
    return clause.text(start, stop)


SLOTS["THINGS"] = _list_of(_thing_text)


SLOTS["HEALTHS"] = SLOTS["THINGS"]


@slot("MODEL")
def _model(clause: Clause, at: int, limit: int) -> Filled | None:
    filled = _thing(clause, at, limit)
    return filled if filled and any(token.capital for token in clause.words[at : filled.end]) else None


@slot("THING")
def _thing(clause: Clause, at: int, limit: int) -> Filled | None:
    spans = list(_things(clause, at, limit))
    return filled_with(spans[0][1], clause.text(*spans[0])) if spans else None


@slot("CATEGORY")
def _category(clause: Clause, at: int, limit: int) -> Filled | None:
    words = [
        token.base if token.low.endswith("s") and not token.low.endswith(("ss", "us", "ies")) else token.low
        for token in clause.words[at:limit]
    ]
    if words[-1:] and words[-1] in lexicon("no_heads"):
        return None
    return (
        filled_with(limit, " ".join(words))
        if 1 <= len(words) <= 4 and all(token.kind == "word" for token in clause.words[at:limit])
        else None
    )


_OWNED = frozenset(["a", "an", "my", "the", "two", "three", "both", "some", "several", "one"])


@slot("FAVORITE")
def _favorite(clause: Clause, at: int, limit: int) -> Filled | None:
    if clause.lows[at : at + 2] == ["the", "one"] or (
        at < limit and clause.lows[at] in ("when", "that", "what", "how", "not", "it", "this", "because", "where")
    ):
        return None
    spans = list(_things(clause, at, limit, 9))
    if not spans:
        return None
    start, end = spans[0][0], spans[-1][1]
    if start > at and clause.words[start - 1].text == "The" and clause.words[start].capital:
        start -= 1
    return filled_with(end, clause.text(start, end))


@slot("WORD")
def _word(clause: Clause, at: int, limit: int) -> Filled | None:
    return Filled(at + 1, [clause.lows[at]]) if at < limit else None


@slot("POSSESSIONS")
def _possessions(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit)
    if start >= limit or not (
        clause.lows[start] in _OWNED or clause.words[start].capital or clause.lows[at - 1] == "my"
    ):
        return None
    spans = list(_things(clause, at, limit))
    values = [clause.text(*span) for span in spans]
    if not spans or any(value.lower() in _NOT_OWNED or value.lower().split()[-1] in _NOT_OWNED for value in values):
        return None
    return Filled(spans[-1][1], values)


_NOT_OWNED = lexicon("near_misses", "not_owned")


@slot("POSSESSED")
def _possessed(clause: Clause, at: int, limit: int) -> Filled | None:
    values, end = [], at
    for start, stop in _things(clause, at, limit):
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
    return owned or any(
        low
        in (
            "tesla",
            "toyota",
            "honda",
            "ford",
            "bmw",
            "audi",
            "volvo",
            "subaru",
            "mazda",
            "macbook",
            "iphone",
            "ipad",
            "vw",
            "kindle",
            "ps5",
            "pixel",
            "yamaha",
            "volkswagen",
            "fender",
            "gibson",
            "nikon",
            "canon",
            "harley",
            "porsche",
            "thinkpad",
            "galaxy",
        )
        for low in lows
    )


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


@slot("PREFERRED")
def _preferred(clause: Clause, at: int, limit: int) -> Filled | None:
    spans = list(_things(clause, at, limit))
    return filled_with(spans[0][1], clause.text(*spans[0])) if len(spans) == 1 else None


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
    for start, stop in _things(clause, at, limit):
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
        and all(token.kind == "word" for token in tokens)
        and (not tokens[0].low.endswith("ing") or tokens[0].low in ("morning", "evening"))
    ):
        return ("preference", singular(tokens[-1].low), clause.text(start, head - 1))
    return ("preference", clause.text(start, stop).lower(), "yes")
