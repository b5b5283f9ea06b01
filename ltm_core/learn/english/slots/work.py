"""Slots for work, study and ability."""

from __future__ import annotations

import re

from ..clause import ARTICLES, Clause, Filled, after_skips, closed, filled_with, phrase_end, slot, without_tail
from ..lexicon import canonical, lexicon
from .plans import phrase, verb_phrase
from .things import members, thing_limit


def role(clause: Clause, at: int, limit: int, *, bare: bool = False) -> Filled | None:
    """A profession: known by its last word. Without an article only where the word can be nothing else."""
    begin = at = after_skips(clause, at, limit, "working", "registered")
    if at < limit and clause.lows[at] in ("a", "an", "the", "our"):
        at = after_skips(clause, at + 1, limit)
    end = phrase_end(clause, at, limit)
    for stop in range(end, at, -1):
        if _names_profession(clause, at, stop, bare or begin != at) and closed(clause, stop, *_ROLE_ENDS):
            last = _of_what(clause, stop, limit)
            return filled_with(last, clause.text(at, last))
    return None


_ROLE_ENDS = frozenset(
    ["of", "who", "that", "to", "based", "living", "specializing", "specialising", "working", "over"]
)


def _of_what(clause: Clause, end: int, limit: int) -> int:
    if end < limit and clause.lows[end] == "of":
        return phrase_end(clause, end + 1, limit)
    return end


def _names_profession(clause: Clause, at: int, stop: int, article: bool) -> bool:
    head = clause.lows[stop - 1]
    if any(low in _NOT_ROLE_WORDS or low in ARTICLES for low in clause.lows[at:stop]) or head in lexicon(
        "professions", "not"
    ):
        return False
    if head in lexicon("professions") or (
        stop - at > 1 and lexicon("professions").length_at(clause.lows, stop - 2, stop) == 2
    ):
        return article or head not in ("student",) or stop - at > 1
    if head in ("head", "vp", "chief", "lead") and clause.lows[stop : stop + 1] == ["of"]:
        return True
    return article and head.endswith(_ROLE_SUFFIXES)


_ROLE_SUFFIXES = (
    "ologist",
    "ographer",
    "iatrist",
    "ician",
    "smith",
    "wright",
    "keeper",
    "maker",
    "worker",
    "monger",
    "therapist",
    "operator",
)


_NOT_ROLE_WORDS = lexicon("near_misses", "no_roles")


@slot("ROLE")
def _role_slot(clause: Clause, at: int, limit: int) -> Filled | None:
    return role(clause, at, limit)


@slot("JOB")
def _job(clause: Clause, at: int, limit: int) -> Filled | None:
    """Whatever stands where only a profession can stand."""
    at = after_skips(clause, at, limit, "a", "an", "the", "being")
    end = _of_what(clause, phrase_end(clause, at, limit), limit)
    value = clause.text(at, without_tail(clause, at, end))
    return (
        filled_with(end, value)
        if value
        and clause.words[at].kind == "word"
        and clause.lows[at] not in _NO_JOBS
        and not clause.lows[at].endswith("ing")
        else None
    )


_NO_JOBS = lexicon("near_misses", "no_jobs")


@slot("PROGRAMMING")
def _programming(clause: Clause, at: int, limit: int) -> Filled | None:
    found = [clause.text(*span) for span in members(clause, at, thing_limit(clause, at, limit))]
    names = [canonical("programming").get((name.lower(),)) for name in found]
    return Filled(limit, names) if names and all(names) else None


@slot("RETIRED")
def _retired(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    return (
        Filled(at + 1, ["retired"])
        if clause.lows[at : at + 1] == ["retired"] and closed(clause, at + 1, "from")
        else None
    )


@slot("UNEMPLOYED")
def _unemployed(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    return (
        Filled(at + 1, [clause.lows[at]]) if clause.lows[at : at + 1] in (["unemployed"], ["self-employed"]) else None
    )


@slot("INDUSTRY")
def _industry(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "the")
    for end in range(at, min(at + 4, limit)):
        size = lexicon("industries").length_at(clause.lows, end, limit)
        if size and closed(clause, end + size, "industry", "sector", "field", "business", "as", "at"):
            return filled_with(end + size, clause.text(at, end + size))
    return None


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


@slot("PROJECTS")
def _projects(clause: Clause, at: int, limit: int) -> Filled | None:
    if at >= limit or clause.lows[at] in (
        "it",
        "this",
        "that",
        "these",
        "something",
        "some",
        "stuff",
        "getting",
        "being",
        "myself",
        "sure",
        "things",
        "what",
        "them",
        "dinner",
        "lunch",
        "breakfast",
    ):
        return None
    start = after_skips(clause, at, limit, "a", "an", "the", "my", "our", "called", "new")
    end, text = verb_phrase(clause, start, limit)
    if not (text and clause.words[start].kind == "word" and clause.lows[start] not in lexicon("not_a_thing", "starts")):
        return None
    cut = re.split(r"\s(?:in|on|at|during)\s(?:my|our)\s", text)[0]
    return (
        filled_with(end, cut)
        if (len(cut.split()) <= 12 and clause.lows[at] in ("a", "an", "my", "our", "the", "called"))
        or clause.words[at].capital
        else None
    )


@slot("BOOK")
def _book(clause: Clause, at: int, limit: int) -> Filled | None:
    known = (
        "novel",
        "book",
        "thesis",
        "dissertation",
        "memoir",
        "screenplay",
        "blog",
        "trilogy",
        "sequel",
        "cookbook",
        "musical",
        "album",
        "paper",
        "biography",
        "poetry",
        "textbook",
    )
    filled = _projects(clause, at, limit)
    return filled if filled and any(word in known for word in filled.values[0].lower().split()) else None


@slot("DEGREE")
def _degree(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit, "a", "an", "my", "the")
    end, text = verb_phrase(clause, start, limit)
    return filled_with(end, text) if _DEGREE.search(text) else None


_DEGREE = re.compile(
    r"\b(?:ph\.?d|master['’]?s|masters|bachelor['’]?s|bachelors|b\.?sc|m\.?sc|mba|b\.?a|m\.?a|degrees?|diploma|doctorate|postdoc|undergrad|bachelor|master|apprenticeship|a-levels|ged|certificate|certification|minor|major|md|jd|course|bootcamp|beng|meng)\b",
    re.IGNORECASE,
)


@slot("SCHOOL")
def _school(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "the")
    end, text = verb_phrase(clause, at, limit)
    schooled = re.search(
        r"\b(?:university|college|school|academy|institute|uni|polytechnic|[A-Z]{3,5}|Harvard|Oxford|Cambridge|Yale|Princeton|Stanford|Berkeley|Caltech|McGill|Cornell)\b",
        text,
    )
    plain = text.lower() in (
        "school",
        "college",
        "university",
        "uni",
        "the university",
        "high school",
        "grad school",
        "law school",
        "work",
    )
    return filled_with(end, text) if schooled and not plain and not text.startswith(("my ", "a ", "school ")) else None
