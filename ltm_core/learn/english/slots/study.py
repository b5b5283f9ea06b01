"""Slots for study."""

from __future__ import annotations

import re

from ..clause import (
    PREPOSITIONS,
    Clause,
    Filled,
    after_skips,
    filled_with,
    slot,
)
from ..lexicon import lexicon
from .phrases import phrase, verb_phrase


@slot("STUDY")
def _study(clause: Clause, at: int, limit: int) -> Filled | None:
    """A subject of study, no way of studying: not "for the exam", not "the docs"."""
    if at >= limit or clause.lows[at] in PREPOSITIONS | _NO_SUBJECTS:
        return None
    return phrase(clause, at, limit)


_NO_SUBJECTS = frozenset(
    ["the", "a", "my", "your", "hard", "every", "abroad", "late", "together", "how", "what", "it", "alone"]
)


@slot("DEGREE")
def _degree(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit, "a", "an", "my", "the")
    end, text = verb_phrase(clause, start, limit)
    named = _head(clause, start, end)
    undone = clause.lows[start : start + 1] != [] and clause.lows[start].endswith(("ed", "been"))
    return filled_with(end, text) if _DEGREE.search(named) and not undone else None


def _head(clause: Clause, start: int, end: int) -> str:
    """The words before the first preposition."""
    stop = next((i for i in range(start, end) if clause.lows[i] in PREPOSITIONS), end)
    return clause.text(start, stop)


_DEGREE = re.compile(
    r"\b(?:ph\.?d|master['’]?s|masters|bachelor['’]?s|bachelors|b\.?sc|m\.?sc|mba|b\.?a|m\.?a|degrees?|diploma|doctorate|postdoc|undergrad|bachelor|master|apprenticeship|a-levels|ged|certificate|certification|minor|major|md|jd|course|bootcamp|beng|meng)\b",
    re.IGNORECASE,
)


_VISITS = lexicon("near_misses", "visits")


@slot("SCHOOL")
def _school(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "the")
    end, text = verb_phrase(clause, at, limit)
    schooled = re.search(
        r"\b(?:university|college|school|academy|institute|uni|polytechnic|^[A-Z]{3,5}(?= (?:for|in|to)\b|$)"
        r"|Harvard|Oxford|Cambridge|Yale|Princeton|Stanford|Berkeley|Caltech|McGill|Cornell)\b",
        text,
    )
    visited = any(word in _VISITS for word in text.lower().split())
    plain = visited or text.lower() in (
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
