"""Slots for goals, plans and habits."""

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
    singular,
    slot,
    without_tail,
)
from ..dates import find_date
from ..lexicon import lexicon
from ..verbs import infinitive


def verb_phrase(clause: Clause, at: int, limit: int) -> tuple[int, str]:
    """The words up to the end of the clause, dates and idle words at the end left out."""
    at = after_skips(clause, at, limit)
    end = limit
    for i in range(at + 1, limit):
        if (clause.words[i].kind in HARD and clause.words[i].text not in "/'#$%+-.&") or clause.lows[i] in (
            "because",
            "since",
            "though",
            "although",
            "but",
            "so",
            "which",
            "if",
            "unless",
            "until",
            "then",
            "please",
            "thanks",
            "when",
            "whereas",
            "while",
        ):
            end = i
            break
    span = find_date(clause.words, at + 1, end, clause.now)
    inner = end
    if span and span[0] > at:
        if span[1].end >= without_tail(clause, at, end):
            inner = span[0]
        else:
            before = clause.text(at, span[0])
            after = clause.text(span[1].end, without_tail(clause, span[1].end, end))
            joint = clause.words[span[1].end]
            return (end, f"{before} {after}") if joint.low in PREPOSITIONS else (span[1].end, before)
    return end, clause.text(at, without_tail(clause, at, inner))


def is_phrase(clause: Clause, at: int, text: str) -> bool:
    """Whether `text` may be remembered as it stands: neither long nor about "it" or "you"."""
    words = text.split()
    return (
        0 < len(words) <= 16
        and clause.words[at].kind in ("word", "number")
        and not ({"you", "your", "it", "that", "this"} & {word.lower().strip(",.") for word in words})
    )


@slot("PHRASE", "STUDY")
def phrase(clause: Clause, at: int, limit: int) -> Filled | None:
    """Any phrase up to the end of the clause, without article and date."""
    at = after_skips(clause, at, limit)
    if at >= limit or clause.lows[at] in ("not", "no", "it", "all"):
        return None
    if clause.lows[at] in ARTICLES | {"from"}:
        at += 1
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, text) if at < limit and is_phrase(clause, at, text) else None


@slot("ASPIRATION", "ASPIRED")
def _aspiration(clause: Clause, at: int, limit: int) -> Filled | None:
    """What a person wants to do, where that is a goal and not a request of the moment."""
    at = after_skips(clause, at, limit, "to", "someday", "eventually")
    if (
        at >= limit
        or not lexicon("goal_verbs").length_at(clause.lows, at, limit)
        or lexicon("goal_verbs", "not").length_at(clause.lows, at, limit)
    ):
        return None
    filled = phrase(clause, at, limit)
    return filled if filled and len(filled.values[0].split()) > 1 else None


@slot("LEARNED")
def _learned(clause: Clause, at: int, limit: int) -> Filled | None:
    filled = SLOTS["THINGS"](clause, at, limit)
    return (
        Filled(filled.end, [f"learn {value}" for value in filled.values])
        if filled and clause.lows[at] not in ("a", "about", "from", "that", "to", "how", "as", "so")
        else None
    )


@slot("ACTIVITY")
def _activity(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "of")
    if at >= limit or not (
        clause.lows[at].endswith("ing") or clause.lows[at] in ("yoga", "pottery", "knitting", "chess", "golf", "tennis")
    ):
        return None
    return phrase(clause, at, limit)


@slot("PLAN")
def _plan(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    if (
        at >= limit
        or clause.words[at].capital
        or (clause.lows[at] in _NOT_PLANNED and clause.lows[at : at + 2] != ["be", "in"])
        or clause.words[at].kind != "word"
    ):
        return None
    end, text = verb_phrase(clause, at, limit)
    if text.split(" ")[0].lower().endswith("ing"):
        text = infinitive(text)
    return filled_with(end, text) if is_phrase(clause, at, text) and len(text.split()) > 1 else None


_NOT_PLANNED = lexicon("near_misses", "no_plans")


@slot("DOING")
def _doing(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit)
    if at >= limit or not clause.lows[at].endswith("ing") or clause.lows[at] in _NOT_DOING:
        return None
    if clause.lows[at : at + 2] == ["going", "to"] and (clause.lows[at + 2 : at + 3] in (["bed"], ["sleep"], ["be"])):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, infinitive(text)) if is_phrase(clause, at, text) else None


_NOT_DOING = lexicon("near_misses", "no_doings")


@slot("TRAVELLING")
def _travelling(clause: Clause, at: int, limit: int) -> Filled | None:
    verbs = (
        "flying",
        "traveling",
        "travelling",
        "moving",
        "relocating",
        "visiting",
        "going",
        "heading",
        "driving",
        "returning",
    )
    at = after_skips(clause, at, limit)
    if at >= limit or clause.lows[at] not in verbs:
        return None
    place = at + 1 + (clause.lows[at + 1 : at + 2] == ["to"])
    if place >= limit or not clause.words[place].capital or (place == at + 1 and clause.lows[at] != "visiting"):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, infinitive(text)) if is_phrase(clause, at, text) else None


@slot("TRAVEL")
def _travel(clause: Clause, at: int, limit: int) -> Filled | None:
    if at + 1 >= limit or clause.lows[at] not in ("fly", "travel", "move", "visit", "relocate", "go"):
        return None
    if not clause.words[at + 1 + (clause.lows[at + 1] == "to") : at + 3] or not any(
        token.capital for token in clause.words[at + 1 : at + 4]
    ):
        return None
    end, text = verb_phrase(clause, at, limit)
    return filled_with(end, text) if is_phrase(clause, at, text) else None


@slot("PLANNED")
def _planned(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit, "a", "an", "the", "my", "our")
    if start >= limit or clause.lows[start] in lexicon("not_a_thing", "starts"):
        return None
    end, text = verb_phrase(clause, start, limit)
    return filled_with(end, text) if is_phrase(clause, start, text) else None


@slot("EVENT", "EVENTNAME")
def _event(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit, "a", "an", "the", "my", "our", "another")
    end, text = verb_phrase(clause, start, limit)
    lows = [singular(word) for word in text.lower().split()]
    if lows[-1:] in (["anniversary"], ["birthday"]):
        return None
    known = any(lexicon("events").length_at(lows, i) for i in range(len(lows)))
    return filled_with(end, text) if known and len(lows) <= 8 else None


@slot("HABIT")
def _habit(clause: Clause, at: int, limit: int) -> Filled | None:
    lows = clause.lows
    often = clause.lead or any(frequency_at(clause, i) for i in range(at, limit))
    usual = any(low in _USUALLY for low in lows[at : at + 3])
    start = after_skips(clause, at, limit)
    if start >= limit or not (often or usual) or not _is_activity(clause, start, usual and not often):
        return None
    end, text = _habit_text(clause, start, limit)
    if clause.lead and clause.lead.lower() not in text.lower():
        text = f"{text} {clause.lead}"
    return filled_with(end, text) if is_phrase(clause, start, text) and len(text.split()) > 1 else None


_USUALLY = frozenset(["usually", "typically", "normally", "generally", "always", "often"])


def _habit_text(clause: Clause, start: int, limit: int) -> tuple[int, str]:
    end = limit
    for i in range(start + 1, limit):
        if clause.words[i].kind in HARD or clause.lows[i] in (
            "because",
            "since",
            "though",
            "although",
            "but",
            "so",
            "which",
            "if",
            "unless",
            "until",
            "please",
        ):
            end = i
            break
    return end, clause.text(start, without_tail(clause, start, end))


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
    return token.base in lexicon("activities") or not only_known


_NO_HABITS = lexicon("near_misses", "no_habits")


@slot("HABITUAL")
def _habitual(clause: Clause, at: int, limit: int) -> Filled | None:
    start = after_skips(clause, at, limit)
    if start >= limit or clause.words[start].base not in lexicon("activities"):
        return None
    end, text = _habit_text(clause, start, limit)
    return filled_with(end, text) if is_phrase(clause, start, text) else None


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
