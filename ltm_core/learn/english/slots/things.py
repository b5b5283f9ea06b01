"""Slots for things and lists of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..clause import (
    ARTICLES,
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
    is_hard,
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
    held: tuple[int, int] | None = None
    for first, last in members(clause, at, end):
        start = _thing_start(clause, first, last)
        stop = _shortened(clause, start, without_tail(clause, start, _thing_stop(clause, start, last)), most_words)
        if start >= stop or stop - start > most_words or not _is_thing(clause, start, stop):
            break
        if held and (is_addressed(clause, start, stop) or _elaborates(clause, start, held)):
            break
        if held and _belongs_to(clause, start, held) and stop - held[0] <= most_words + 1:
            held = (held[0], stop)
            continue
        if held:
            yield held
        held = (start, stop)
    if held:
        yield held


def _shortened(clause: Clause, start: int, stop: int, most_words: int) -> int:
    """Where a doing of too many words is told well enough: "going on road trips (with friends and family)"."""
    while stop - start > most_words and clause.lows[start].endswith("ing"):
        cut = next((i for i in range(stop - 1, start + 1, -1) if clause.lows[i] in PREPOSITIONS), start)
        stop = without_tail(clause, start, cut)
    return stop


def is_addressed(clause: Clause, start: int, stop: int) -> bool:
    """Whether it names whom one speaks to: "…, Caroline"."""
    named = stop == start + 1 and clause.lows[start] in lexicon("first_names") and clause.words[start].capital
    return named and clause.words[start - 1].kind == "comma" and stop >= len(clause.words)


def _elaborates(clause: Clause, start: int, before: tuple[int, int]) -> bool:
    """Whether "…, coming up with something new" only dwells on what was said before the comma."""
    long = clause.lows[start].endswith("ing") and clause.lows[start + 1 : start + 2] not in ([], [","], ["and"], ["or"])
    last = not JOINS & set(clause.lows[before[0] :])
    return long and last and clause.words[start - 1].kind == "comma" and before[1] - before[0] > 1


def _belongs_to(clause: Clause, start: int, before: tuple[int, int]) -> bool:
    """Whether a thing is part of the doing named before it: the "plots" of "getting lost in feelings and plots"."""
    lows = clause.lows[before[0] : before[1]]
    if clause.lows[start].endswith("ing") or clause.lows[start - 1] not in JOINS:
        return False
    doing = lows[0].endswith("ing") and len(lows) > 1 and lows[0] not in _DONE_TO_EACH
    return doing or not {"with", "about"}.isdisjoint(lows)


_DONE_TO_EACH = frozenset(["playing", "eating", "drinking", "watching", "reading", "cooking", "baking", "being"])


def thing_limit(clause: Clause, at: int, limit: int) -> int:
    """Where the things end: at punctuation, or where an explanation begins."""
    for end in range(at, limit):
        token = clause.words[end]
        if is_hard(token) or (end > at and token.low in lexicon("stops")):
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
    return 0 if _parts_adjectives(clause, i) else 1


def _parts_adjectives(clause: Clause, comma: int) -> bool:
    """Whether the comma stands between adjectives: "a safe, inviting place"."""
    article, adjective = clause.lows[max(0, comma - 2) : comma] if comma > 1 else ("", "")
    if clause.words[comma].kind != "comma" or article not in ARTICLES:
        return False
    follows = clause.words[comma + 1].kind == "word" if comma + 1 < len(clause.words) else False
    return follows and (adjective in lexicon("adjectives") or adjective.endswith(_ADJECTIVE_ENDS))


_ADJECTIVE_ENDS = ("ful", "ive", "ous", "able", "ible", "less", "ish")


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
    if clause.lows[start - 1] == "the" and not _is_known_to_all(clause, start, stop):
        return False
    if lexicon("not_a_thing", "starts").length_at(clause.lows, start, stop):
        return False
    inner = clause.lows[start:stop]
    if _needs_more(clause, start, stop):
        return False
    if stop - start == 1 and inner[0] in lexicon("no_things"):
        return False
    return clause.words[start].kind in ("word", "number") and not any(
        low in lexicon("not_a_thing", "contains") for low in inner
    )


def _needs_more(clause: Clause, start: int, stop: int) -> bool:
    """Whether what was cut off says which: "people who …", "getting lost in those worlds"."""
    after = clause.lows[stop : stop + 2]
    if clause.lows[stop - 1] == "'s" and stop < len(clause.words) and clause.words[stop].kind == "hidden":
        return True
    if clause.lows[stop - 1] in _GENERAL and after[:1] in (["who"], ["that"]):
        return True
    pointed = after[:1] != [] and after[0] in PREPOSITIONS and after[-1] in ("that", "those", "these", "this")
    return clause.lows[start].endswith("ing") and pointed


_GENERAL = frozenset(["people", "things", "stories", "books", "men", "women", "movies", "songs", "someone", "those"])


def _is_known_to_all(clause: Clause, start: int, stop: int) -> bool:
    """Whether "the …" is no thing that one can see or was just told of: "the ocean", "the smell of rain"."""
    wished = clause.words[0].supplied and "enjoy" in clause.lows[:3]
    if wished or clause.lows[start] in lexicon("known_to_all", "not"):
        return False
    if any(token.capital for token in clause.words[start:stop]):
        return True
    head = next((i for i in range(start + 1, stop) if clause.lows[i] in PREPOSITIONS), stop)
    noun = clause.lows[head - 1]
    return noun in lexicon("known_to_all") or singular(noun) in lexicon("known_to_all")


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
    if words[-1:] and (words[-1] in lexicon("no_heads") or "one" in words):
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
