"""Slots for family and animals, with their names."""

from __future__ import annotations

import re
from typing import Any

from ..clause import JOINS, PREPOSITIONS, SMALL, Clause, Filled, capitals, closed, filled_with, singular, slot
from ..lexicon import canonical, lexicon

_BREED_WORDS = lexicon("near_misses", "breed_words")


@slot("PETKIND")
def _pet_kind(clause: Clause, at: int, limit: int) -> Filled | None:
    kind = _species(clause, at, limit)
    return filled_with(*kind) if kind else None


def _species(clause: Clause, at: int, limit: int) -> tuple[int, str] | None:
    """The animal that is named at `at`, adjectives before it passed over: "an old beagle" is a beagle."""
    for end in range(at, min(at + 5, limit)):
        size = lexicon("species").length_at([singular(low) for low in clause.lows[end : end + 3]], 0, limit - end)
        if size:
            while end + size < limit and singular(clause.lows[end + size]) in lexicon("species"):
                size += 1
            start = end
            while start > at and clause.lows[start - 1] in _BREED_WORDS:
                start -= 1
            words = [token.text for token in clause.words[start : end + size]]
            words[-1] = singular(words[-1])
            if len(words) > 1 and words[-1].lower() in ("puppy", "kitten", "pup"):
                words = words[:-1]
            return (end + size, _PET_NAMES.get(" ".join(words).lower(), " ".join(words)))
        if clause.words[end].kind not in ("word", "number") or clause.lows[end] in PREPOSITIONS | JOINS:
            return None
    return None


_PET_NAMES = {"doggo": "dog", "pup": "dog", "kitty": "cat", "bunny": "rabbit"}


def _named(clause: Clause, at: int, limit: int) -> tuple[int, list[str]]:
    """Names that follow: "called Walter", ", Miso and Tofu", "(Rex)"; none gives `at` back."""
    start = at
    if start < limit and clause.lows[start] in ("whose",) and clause.lows[start + 1 : start + 2] == ["name"]:
        start += 2 + (clause.lows[start + 2 : start + 3] in (["is"], ["are"]))
    called = start > at
    if start < limit and clause.lows[start] in ("called", "named"):
        start, called = start + 1, True
    elif not called and start < limit and clause.words[start].kind == "comma":
        start += 1
    names: list[str] = []
    end = at
    while start < limit and (stop := capitals(clause, start, limit, 2)) > start:
        names.append(clause.text(start, stop))
        end = start = stop
        if start < limit and (clause.words[start].kind == "comma" or clause.lows[start] in ("and", "&")):
            start += 1 + (clause.lows[start + 1 : start + 2] == ["and"])
    if called and not names and start < limit and clause.lows[start].isalpha():
        return start + 1, [clause.text(start, start + 1)]
    return (end, names) if names else (at, [])


@slot("PETS")
def _pets(clause: Clause, at: int, limit: int) -> Filled | None:
    facts: list[tuple[str, str, Any]] = []
    end = at
    while at < limit:
        if clause.lows[at] in ("no", "my", "your") or not (kind := _species(clause, at, limit)):
            break
        stop, species = kind
        if clause.lows[stop : stop + 2] == ["for", "you"] or not _ONLY_FELT.isdisjoint(clause.lows[at:stop]):
            break
        if (
            stop < limit
            and clause.words[stop].kind == "word"
            and not closed(clause, stop, "called", "named", "whose", "who", "that", "at", "from", "last")
        ):
            break
        end, names = _named(clause, stop, limit)
        facts += [("pet", name.lower(), species) for name in names] or [("pet", species.lower(), species)]
        at = end
        while at < limit and (clause.words[at].kind == "comma" or clause.lows[at] in JOINS):
            at += 1
    return Filled(end, facts) if facts else None


_ONLY_FELT = frozenset(["liked", "loved", "wanted", "hated", "seen", "considered", "enjoyed", "adored", "feared"])


@slot("FAMILY")
def _family(clause: Clause, at: int, limit: int) -> Filled | None:
    facts: list[tuple[str, str | None, Any]] = []
    end = at
    while at < limit and (member := _member(clause, at, limit)):
        end, found = member
        facts += found
        at = end
        while at < limit and (
            clause.words[at].kind == "comma" or clause.lows[at] in JOINS or clause.lows[at] == "with"
        ):
            at += 1
    return Filled(end, facts) if facts else None


_FAMILY_SKIPS = lexicon("near_misses", "before_relations")


def _aged(relation: str, clause: Clause, at: int, end: int) -> list[tuple[str, str | None, Any]]:
    """The ages in "a 6 year old son", "two kids, 5 and 7", "our son (4)"."""
    before = re.search(r"(\d{1,2})[- ](?:years?|yrs?)[- ]olds?", " ".join(clause.lows[at:end]))
    if before:
        return [(f"{relation}/age", None, int(before[1]))]
    after = re.match(
        r"(?:, |\( ?|,? ?aged )((?:\d{1,2}(?:, | and | & ))*\d{1,2})(?= \)|$| ,)", " ".join(clause.lows[end:])
    )
    if not after:
        return []
    return [(f"{relation}/age", None, int(after[1]) if after[1].isdecimal() else after[1].replace(" ,", ","))]


def _member(clause: Clause, at: int, limit: int) -> tuple[int, list[tuple[str, str | None, Any]]] | None:
    begin, many = at, False
    while at < limit and (clause.lows[at] in _FAMILY_SKIPS or _is_count(clause, at)):
        many = many or _is_count(clause, at)
        at += 1
        while at < limit and (clause.words[at].text == "-" or clause.lows[at] in _YEARS):
            at += 1
    if at < limit and re.fullmatch(r"\d+-year-old", clause.lows[at]):
        at += 1
    word = clause.lows[at] if at < limit else ""
    relation = canonical("relations").get((singular(word),)) or canonical("relations").get((word,))
    if (
        not relation
        or begin == at
        or (at + 1 < limit and not closed(clause, at + 1, "called", "named", "whose", "who", "that", "at", "aged"))
    ):
        return None
    end, names = _named(clause, at + 1, limit)
    plural = word != singular(word)
    item = word if plural else relation
    if not plural and clause.lows[begin] not in _FAMILY_SKIPS:
        return None
    if plural and relation in ("friend", "colleague", "neighbor", "teacher", "doctor", "dentist") and not names:
        return None
    if item in _RARE and not names:
        return None
    return end, [("relation", item, " and ".join(names) or "yes"), *_aged(item, clause, begin, end)]


_YEARS = frozenset(["year", "years", "yr", "yo", "old", "month", "months", "week", "weeks"])


_RARE = lexicon("near_misses", "only_by_name")


def _is_count(clause: Clause, at: int) -> bool:
    return clause.lows[at] in SMALL or (clause.lows[at].isdecimal() and len(clause.lows[at]) < 3)


@slot("SPOUSE")
def _spouse(clause: Clause, at: int, limit: int) -> Filled | None:
    at += clause.lows[at : at + 1] == [","]
    end = capitals(clause, at, limit, 2)
    if end == at or not closed(clause, end):
        return None
    verb = next((low for low in clause.lows[:at] if low in ("married", "engaged", "dating")), "")
    relation = {"married": "spouse", "engaged": "fiance"}.get(verb, "partner")
    status = [] if verb == "dating" else [("relationship_status", None, verb)]
    return Filled(end, [("relation", relation, clause.text(at, end)), *status])
