"""Slots for things and lists of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..clause import (
    HARD,
    JOINS,
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
from ..lexicon import canonical, lexicon
from ..verbs import gerund


def things(clause: Clause, at: int, limit: int, most_words: int = 7) -> Iterator[tuple[int, int]]:
    """The members of a list of things, as (start, end); it ends where a member is none."""
    end = at if clause.lows[at : at + 1] and clause.lows[at] in JOINS else thing_limit(clause, at, limit)
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
    start = after_skips(clause, start, stop, *_BEFORE_THINGS)
    if clause.lows[start : start + 2] in (["kinds", "of"], ["sorts", "of"], ["types", "of"]):
        start += 2
    if start < stop and clause.lows[start] == "of":
        start = after_skips(clause, start + 1, stop, "the", "a")
    return start


_BEFORE_THINGS = ("a", "an", "the", "some", "any", "all", "most", "lots", "plenty", "my", "our", "both", "her")


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
    if clause.lows[start - 1] in ("my", "our") and _is_kin(clause.lows[stop - 1]):
        return False
    if lexicon("not_a_thing", "starts").length_at(clause.lows, start, stop):
        return False
    inner = clause.lows[start:stop]
    if stop - start == 1 and inner[0] in lexicon("no_things"):
        return False
    return clause.words[start].kind in ("word", "number") and not any(
        low in lexicon("not_a_thing", "contains") for low in inner
    )


def _is_kin(low: str) -> bool:
    return (singular(low),) in canonical("relations") or singular(low) in lexicon("species")


def _list_of(reader: Callable[[Clause, int, int], str]) -> Slot:
    def read(clause: Clause, at: int, limit: int) -> Filled | None:
        spans = list(things(clause, at, limit))
        values = [reader(clause, start, stop) for start, stop in spans]
        return Filled(spans[-1][1], values) if spans else None

    return read


def _thing_text(clause: Clause, start: int, stop: int) -> str:
    if clause.lows[start] == "to" and stop - start > 1:
        return " ".join([gerund(clause.lows[start + 1]), clause.text(start + 2, stop)]).strip()
    return clause.text(start, stop)


SLOTS["THINGS"] = _list_of(_thing_text)


SLOTS["HEALTHS"] = SLOTS["THINGS"]


@slot("THING")
def thing(clause: Clause, at: int, limit: int) -> Filled | None:
    """The first thing of a list."""
    spans = list(things(clause, at, limit))
    return filled_with(spans[0][1], clause.text(*spans[0])) if spans else None


@slot("PREFERRED")
def _preferred(clause: Clause, at: int, limit: int) -> Filled | None:
    spans = list(things(clause, at, limit))
    return filled_with(spans[0][1], clause.text(*spans[0])) if len(spans) == 1 else None


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


@slot("FAVORITE")
def _favorite(clause: Clause, at: int, limit: int) -> Filled | None:
    if clause.lows[at : at + 2] == ["the", "one"] or (
        at < limit
        and clause.lows[at] in ("who", "which", "when", "that", "what", "how", "not", "it", "this", "because", "where")
    ):
        return None
    spans = list(things(clause, at, limit, 9))
    if not spans:
        return None
    start, end = spans[0][0], spans[-1][1]
    if start > at and clause.words[start - 1].text == "The" and clause.words[start].capital:
        start -= 1
    return filled_with(end, clause.text(start, end))


@slot("OVER")
def _over(clause: Clause, at: int, limit: int) -> Filled | None:
    """Nothing more is said: the clause ends here."""
    return Filled(at, [""]) if without_tail(clause, at, limit) == at else None


@slot("WORD")
def _word(clause: Clause, at: int, limit: int) -> Filled | None:
    return Filled(at + 1, [clause.lows[at]]) if at < limit else None
