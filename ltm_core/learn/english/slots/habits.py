"""Slots for what somebody does again and again."""

from __future__ import annotations

from ..clause import (
    ARTICLES,
    HARD,
    PREPOSITIONS,
    SLOTS,
    Clause,
    Filled,
    after_skips,
    filled_with,
    frequency_at,
    slot,
    without_tail,
)
from ..lexicon import lexicon
from .phrases import is_phrase


@slot("HABIT")
def _habit(clause: Clause, at: int, limit: int) -> Filled | None:
    lows = clause.lows
    often = clause.lead or any(frequency_at(clause, i) for i in range(at, limit))
    usual = any(low in _USUALLY for low in lows[at : at + 3])
    start = after_skips(clause, at, limit)
    if start >= limit or not (often or usual) or not _is_activity(clause, start, usual and not often):
        return None
    if clause.lows[start] in ("go", "do", "try", "come") and _is_vague(clause, start + 1):
        return None
    end, text = _habit_text(clause, start, limit)
    if clause.lead and clause.lead.lower() not in text.lower():
        text = f"{text} {clause.lead}"
    return filled_with(end, text) if is_phrase(clause, start, text) and len(text.split()) > 1 else None


def _is_vague(clause: Clause, at: int) -> bool:
    """Whether only "how often" follows: "we go a few times a week"."""
    return frequency_at(clause, at) > 0 or clause.lows[at : at + 3] == ["a", "few", "times"]


_USUALLY = frozenset(["usually", "typically", "normally", "generally", "always", "often"])


def _habit_text(clause: Clause, start: int, limit: int) -> tuple[int, str]:
    end = next((i for i in range(start + 1, limit) if _ends_habit(clause, i)), limit)
    return end, clause.text(start, without_tail(clause, start, end))


def _ends_habit(clause: Clause, at: int) -> bool:
    return clause.words[at].kind in HARD or clause.lows[at] in lexicon("near_misses", "ends_habit")


def _is_activity(clause: Clause, at: int, only_known: bool) -> bool:
    token = clause.words[at]
    if (
        token.kind != "word"
        or token.capital
        or token.low in PREPOSITIONS
        or token.low.endswith(("ing", "ed"))
        or token.base in _NO_HABITS
    ):
        return False
    if token.base == "have" and _has_done(clause, at):
        return False
    return token.base in lexicon("activities") or not only_known


def _has_done(clause: Clause, at: int) -> bool:
    """Whether "have" only helps a verb: "I have always been …", "I've started …"."""
    after = after_skips(clause, at + 1, len(clause.lows))
    return clause.lows[after : after + 1] != [] and (
        clause.words[at].text.startswith(("'", "’")) or clause.lows[after].endswith("ed") or clause.lows[after] in _DONE
    )


_DONE = lexicon("near_misses", "done")


_NO_HABITS = lexicon("near_misses", "no_habits")


@slot("HABITUAL")
def _habitual(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit)
    if start >= limit or clause.words[start].base not in lexicon("activities"):
        return None
    end, text = _habit_text(clause, start, limit)
    return filled_with(end, text) if is_phrase(clause, start, text) else None


@slot("PASTIME")
def _pastime(clause: Clause, at: int, limit: int) -> Filled | None:
    """What somebody does for fun, without saying how often: "play tennis", "collect stamps"."""
    at = after_skips(clause, at, limit)
    verb = clause.words[at].base if at < limit else ""
    if verb == "collect":
        known = clause.lows[at + 1 : at + 2] != [] and clause.lows[min(at + 2, limit) - 1] not in ARTICLES
    else:
        known = verb in _PASTIME_VERBS and any(
            lexicon("pastimes").length_at(clause.lows, i, limit) for i in range(at + 1, min(at + 4, limit))
        )
    filled = SLOTS["THINGS"](clause, at + 1, limit) if known else None
    if filled is None:
        return None
    end, text = _habit_text(clause, at, limit)
    return filled_with(end, text) if is_phrase(clause, at, text) and len(text.split()) < 9 else None


_PASTIME_VERBS = frozenset(["play", "do", "practice", "practise"])


@slot("WHERE")
def _where(clause: Clause, at: int, limit: int) -> Filled | None:
    """A habit of work: "work from home", "volunteer at a shelter"."""
    at = after_skips(clause, at, limit)
    if not lexicon("work_habits").length_at(clause.lows, at, limit):
        return None
    end, text = _habit_text(clause, at, limit)
    return filled_with(end, text) if is_phrase(clause, at, text) and len(text.split()) < 9 else None


@slot("NIGHTOWL")
def _night_owl(clause: Clause, at: int, limit: int) -> Filled | None:
    start = at + (clause.lows[at : at + 1] in (["a"], ["an"]))
    for size in (2, 1):
        text = " ".join(clause.lows[start : min(start + size, limit)])
        if text in _PERSONS:
            return filled_with(start + size, text)
    return None


_PERSONS = frozenset(
    [
        "night owl",
        "early bird",
        "early riser",
        "morning person",
        "night person",
        "late riser",
        "light sleeper",
        "heavy sleeper",
    ]
)
