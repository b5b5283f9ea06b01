"""Slots for work: professions, trades, projects."""

from __future__ import annotations

import re

from ..clause import (
    ARTICLES,
    PREPOSITIONS,
    Clause,
    Filled,
    after_skips,
    closed,
    filled_with,
    phrase_end,
    slot,
    without_tail,
)
from ..lexicon import lexicon
from .phrases import verb_phrase


def role(clause: Clause, at: int, limit: int, *, bare: bool = False) -> Filled | None:
    """A profession: known by its last word. Without an article only where the word can be nothing else."""
    begin = at = after_skips(clause, at, limit, "working", "registered")
    if clause.lows[at : at + 1] == ["no"]:
        return None
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
        and (not clause.lows[at].endswith("ing") or clause.lows[at] in lexicon("industries"))
        else None
    )


_NO_JOBS = lexicon("near_misses", "no_jobs")


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


@slot("PROJECTS")
def _projects(clause: Clause, at: int, limit: int) -> Filled | None:
    if at >= limit or clause.lows[at] in lexicon("near_misses", "no_projects"):
        return None
    start = after_skips(clause, at, limit, "a", "an", "the", "my", "our", "called", "new")
    end, text = verb_phrase(clause, start, limit)
    if not text or clause.words[start].kind != "word" or clause.lows[start] in lexicon("not_a_thing", "starts"):
        return None
    named = clause.words[at].capital or clause.lows[at] in ("a", "an", "my", "our", "the", "called")
    cut = re.split(r",|\s(?:in|on|at|during)\s(?:my|our)\s", text)[0]
    if cut.lower() in _UNNAMED_PROJECTS:
        inner = end + 1 if end < limit and clause.words[end].text in _EXPLAINED_BY else limit
        return _projects(clause, inner, limit) if clause.lows[inner : inner + 1] in (["a"], ["an"]) else None
    dangles = end == limit and clause.lows[end - 1] in PREPOSITIONS
    return filled_with(end, cut) if named and not dangles and len(cut.split()) <= 12 else None


_UNNAMED_PROJECTS = frozenset(
    ["project", "projects", "difference", "few", "lot", "list", "change", "plan", "point", "mess"]
)
_EXPLAINED_BY = frozenset("-–—:,(")


@slot("TAUGHT")
def _taught(clause: Clause, at: int, limit: int) -> Filled | None:
    """What somebody teaches for a living, in a word or three: a subject and no pupils."""
    start = after_skips(clause, at, limit)
    end = phrase_end(clause, start, min(limit, start + 4))
    end = without_tail(clause, start, end)
    words = clause.lows[start:end]
    if not 1 <= len(words) <= 3 or _NOT_TAUGHT & set(words) or words[0] in lexicon("not_a_thing", "starts"):
        return None
    return filled_with(end, f"{clause.text(start, end)} teacher") if closed(clause, end, "to", "part-time") else None


_NOT_TAUGHT = frozenset(
    ["a", "an", "the", "my", "our", "your", "people", "kids", "children", "students", "others", "how", "that"]
)


@slot("BUSINESS")
def _business(clause: Clause, at: int, limit: int) -> Filled | None:
    """The owner of what somebody runs: "a small bakery" makes a small bakery owner."""
    start = after_skips(clause, at, limit, "a", "an", "my", "our", "own", "the")
    for end in range(start, min(start + 4, limit)):
        size = start > at and lexicon("businesses").length_at(clause.lows, end, limit)
        if (
            size
            and closed(clause, end + size, "called", "named", "with", "selling")
            and clause.lows[end + size + 1 : end + size + 2] != ["this"]
        ):
            return filled_with(end + size, f"{clause.text(start, end + size)} owner")
    return None


@slot("EARNING")
def _earning(clause: Clause, at: int, limit: int) -> Filled | None:
    """Work told by a verb: the "drive buses" of "I drive buses for a living"."""
    at = after_skips(clause, at, limit)
    if not 0 < limit - at <= 5 or clause.lows[at] in lexicon("not_a_thing", "starts"):
        return None
    told = clause.lows[limit : limit + 3] == ["for", "a", "living"]
    return filled_with(limit, clause.text(at, limit)) if told else None


@slot("BOOK")
def _book(clause: Clause, at: int, limit: int) -> Filled | None:
    filled = _projects(clause, at, limit)
    known = lexicon("near_misses", "books")
    return filled if filled and any(word in known for word in filled.values[0].lower().split()) else None
