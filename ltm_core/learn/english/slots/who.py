"""Slots for who somebody is: names, numbers, dates, languages, words of a closed kind."""

from __future__ import annotations

import re

from ..clause import JOINS, SLOTS, Clause, Filled, Slot, after_skips, capitals, closed, filled_with, slot
from ..dates import read_date
from ..lexicon import canonical, lexicon
from ..tokens import Token
from .work import role


@slot("NAME")
def _name(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "still")
    end = capitals(clause, at, limit, 4)
    if end == at and at < limit and _plain_name(clause, at):
        end = at + 1
    return (
        filled_with(end, clause.text(at, end))
        if closed(
            clause, end, "from", "here", "is", "are", "whenever", "please", "or", "'s", "on", "has", "died", "passed"
        )
        else None
    )


def _plain_name(clause: Clause, at: int) -> bool:
    token = clause.words[at]
    return (
        token.kind == "word"
        and token.low.isalpha()
        and len(token.low) > 1
        and token.low not in _NO_NAMES
        and closed(clause, at + 1, "please")
    )


_NO_NAMES = lexicon("near_misses", "no_names")


@slot("FIRSTNAME")
def _first_name(clause: Clause, at: int, limit: int) -> Filled | None:
    end = capitals(clause, at, limit, 3)
    known = clause.lows[at : at + 1] and clause.lows[at] in lexicon("first_names")
    if end == at and known:
        return filled_with(at + 1, clause.text(at, at + 1)) if closed(clause, at + 1, "from") else None
    if at and clause.words[at - 1].supplied and not known:
        return None
    if end == at or any(low in _NO_NAMES or _has_meaning(clause, i) for i, low in enumerate(clause.lows[at:end], at)):
        return None
    return filled_with(end, clause.text(at, end)) if closed(clause, end, "from") else None


def _has_meaning(clause: Clause, at: int) -> bool:
    drawers = ("nationalities", "languages", "professions", "conditions", "species", "openers", "skip", "blockers")
    low = clause.lows[at]
    known = any(low in lexicon(drawer) for drawer in drawers) or any(
        (low,) in canonical(drawer) for drawer in ("diets", "statuses")
    )
    return (
        known
        or clause.words[at].text.isupper()
        or (low.endswith(("ing", "ed", "ly", "ist", "ian", "an")) and low not in _AN_NAMES)
    )


_AN_NAMES = lexicon("near_misses", "names_like_adjectives")


def _of_kind(drawer: str, *after: str) -> Slot:
    def read(clause: Clause, at: int, limit: int) -> Filled | None:
        at = after_skips(clause, at, limit, "a", "an", "best", "older", "younger", "big", "little", "dear")
        for size in (3, 2, 1):
            name = canonical(drawer).get(tuple(clause.lows[at : min(at + size, limit)]))
            if name and at + size <= limit and closed(clause, at + size, *after):
                return Filled(at + size, [name])
        return None

    return read


SLOTS["DIET"] = _of_kind(
    "diets",
    "since",
    "because",
    "diet",
    "food",
    "meals",
    "options",
    "eater",
    "person",
    "to",
    "until",
    "meal",
    "for",
    "at",
    "on",
)


SLOTS["STATUS"] = _of_kind("statuses", "to")


SLOTS["RELATION"] = _of_kind("relations", "is", "'s", "on", "called", "named")


SLOTS["RELATIONS"] = SLOTS["RELATION"]


@slot("NATIONALITY")
def _nationality(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "a", "an", "half")
    if at >= limit or clause.lows[at] not in lexicon("nationalities"):
        return None
    end, text = at + 1, clause.words[at].text.capitalize()
    if clause.words[at].text[0].islower() and clause.lows[at] in ("american", "kiwi", "thai"):
        text = clause.lows[at].capitalize()
    return (
        Filled(end, [text]) if closed(clause, end, *_AFTER_NATIONALITY) or role(clause, end, limit, bare=True) else None
    )


_AFTER_NATIONALITY = frozenset(
    ["but", "born", "living", "citizen", "national", "based", "citizenship", "nationality", "by", "passport"]
)


@slot("LANGUAGES")
def _languages(clause: Clause, at: int, limit: int) -> Filled | None:
    found: list[str] = []
    end = at
    while at < limit:
        size = lexicon("languages").length_at(clause.lows, at, limit)
        if size:
            found.append(clause.text(at, at + size).title())
            at = end = at + size
        elif _between_languages(clause.words[at]):
            at += 1
        else:
            break
    return Filled(end, found) if found else None


def _between_languages(token: Token) -> bool:
    joins = token.kind == "comma" or token.text == "+" or token.low in JOINS
    return joins or token.low in lexicon("skip") or token.low in _AMOUNTS


_AMOUNTS = lexicon("near_misses", "amounts")


@slot("PRONOUNS")
def _pronouns(clause: Clause, at: int, limit: int) -> Filled | None:
    end = at
    while end < limit and (clause.lows[end] in _PRONOUNS or (clause.words[end].text == "/" and end > at)):
        end += 1
    return filled_with(end, clause.text(at, end)) if "/" in clause.lows[at:end] else None


_PRONOUNS = lexicon("near_misses", "pronouns")


@slot("EMAIL")
def _email(clause: Clause, at: int, limit: int) -> Filled | None:
    return (
        filled_with(at + 1, clause.words[at].text.rstrip("."))
        if at < limit and "@" in clause.lows[at] and clause.words[at].kind == "address"
        else None
    )


@slot("PHONE")
def _phone(clause: Clause, at: int, limit: int) -> Filled | None:
    start, end = at, at
    while end < limit and (clause.words[end].kind == "number" or clause.words[end].text in "()-+ ") and end - at < 9:
        end += 1
    text = clause.text(start, end)
    return filled_with(end, text) if sum(char.isdigit() for char in text) >= 6 else None


@slot("AGE", "AGED")
def _age(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "a", "an")
    if (
        at >= limit
        or not (found := re.fullmatch(r"(\d{1,3})(?:yo|yrs?)?", clause.lows[at]))
        or not 1 <= int(found[1]) <= 120
    ):
        return None
    end = at + 1
    while end < limit and (clause.lows[end] in _YEARS_OLD or clause.words[end].text in "-/"):
        end += 1
    said_years = end > at + 1 or not found[0].isdecimal()
    if end < len(clause.words) and clause.words[end].kind == "symbol":
        return None
    follows = said_years or closed(clause, end, "today", "yesterday")
    return Filled(end, [int(found[1])]) if follows and clause.lows[end - 1 : end] not in (["years"], ["in"]) else None


@slot("AGES")
def _ages(clause: Clause, at: int, limit: int) -> Filled | None:
    """The ages of several: "5 and 7"."""
    end = at
    while end < limit and (_is_age(clause.lows[end]) or clause.words[end].kind == "comma" or clause.lows[end] in JOINS):
        end += 1
    while end > at and not _is_age(clause.lows[end - 1]):
        end -= 1
    several = sum(_is_age(low) for low in clause.lows[at:end]) > 1
    return filled_with(end, clause.text(at, end)) if several and closed(clause, end, "years") else None


def _is_age(low: str) -> bool:
    return low.isdecimal() and 0 < int(low[:4]) <= 120


_YEARS_OLD = frozenset(["year", "years", "yr", "yrs", "old", "y", "o", "year-old", "years-old", "yo"])


@slot("DATE")
def _date(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "on", "the", "in")
    dated = read_date(clause.words, at, clause.now)
    return filled_with(dated.end, clause.text(at, dated.end)) if dated and dated.end <= limit else None


@slot("YEAR")
def _year(clause: Clause, at: int, limit: int) -> Filled | None:
    return (
        filled_with(at + 1, clause.words[at].text)
        if at < limit and re.fullmatch(r"(?:19|20)\d\d", clause.lows[at])
        else None
    )
