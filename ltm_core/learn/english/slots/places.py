"""Slots for places, employers and time zones."""

from __future__ import annotations

import re

from ..clause import JOINS, PREPOSITIONS, SMALL, Clause, Filled, after_skips, capitals, closed, filled_with, slot
from ..dates import read_date
from ..lexicon import lexicon
from ..tokens import Token


@slot("PLACE")
def _place(clause: Clause, at: int, limit: int) -> Filled | None:
    at = after_skips(clause, at, limit, "the", "outside", "central", "sunny")
    if at < limit and clause.lows[at] in ("of",):
        at += 1
    if at >= limit or read_date(clause.words, at, clause.now):
        return None
    if clause.lows[at] in ("a", "an") and _SETTLEMENTS & set(clause.lows[at:limit]):
        last = max((i + 1 for i in range(at, limit) if _named_place(clause, i)), default=at)
        return filled_with(last, clause.text(at + 1, last))
    end = capitals(clause, at, limit, 5)
    end = _region(clause, end if end > at else _plain_place(clause, at, limit), limit)
    return filled_with(end, clause.text(at, end)) if end > at and not _not_a_place(clause, at, end) else None


_SETTLEMENTS = frozenset(["town", "village", "city", "suburb", "island", "hamlet"])


def _named_place(clause: Clause, at: int) -> bool:
    return clause.words[at].capital or clause.lows[at] in lexicon("places")


def _not_a_place(clause: Clause, at: int, end: int) -> bool:
    after = clause.words[end] if end < len(clause.words) else None
    return (
        after is not None
        and after.kind == "word"
        and not (closed(clause, end, "originally") or after.low in _PLACE_ENDS)
    )


_PLACE_ENDS = frozenset(
    [
        "on",
        "since",
        "for",
        "with",
        "near",
        "last",
        "in",
        "where",
        "about",
        "when",
        "this",
        "next",
        "during",
        "alone",
        "and",
        "from",
        "to",
        "back",
        "almost",
        "around",
        "after",
        "before",
        "at",
        "by",
        "of",
        "my",
        "born",
        "a",
        "some",
        *SMALL,
    ]
)


def _region(clause: Clause, end: int, limit: int) -> int:
    """Past "…, Oregon" of "Portland, Oregon", unless a list of more goes on."""
    known = lexicon("places").length_at(clause.lows, end + 1, limit)
    if known and clause.words[end].kind == "comma" and closed(clause, end + 1 + known, *_PLACE_ENDS):
        return end + 1 + known if clause.lows[end + 1 + known : end + 2 + known] not in (["and"], [","]) else end
    if end + 1 < limit and clause.words[end].kind == "comma" and clause.words[end + 1].capital:
        after = capitals(clause, end + 1, limit, 3)
        ends_here = after >= len(clause.words) or closed(clause, after, *_PLACE_ENDS)
        if ends_here and clause.lows[end + 1] not in lexicon("openers"):
            return after
    return end


def _plain_place(clause: Clause, at: int, limit: int) -> int:
    """A place in lower case: one to three words, then the clause must be over."""
    if lexicon("generic_places", "starts").length_at(clause.lows, at):
        return at
    for end in range(at, min(at + 4, limit)):
        if clause.words[end].base in ("be", "have"):
            return at
        if clause.words[end].kind != "word" or closed(clause, end, *_PLACE_ENDS):
            return end
    return min(at + 4, limit) if limit - at <= 3 else at


@slot("ORG")
def _org(clause: Clause, at: int, limit: int) -> Filled | None:
    named = next((i + 1 for i in range(at, min(at + 8, limit)) if clause.lows[i] in ("called", "named")), at)
    if clause.lows[at : at + 1] == ["the"]:
        at = named = max(at + 1, named)
    elif clause.lows[at : at + 1] in (["a"], ["an"]) and named == at:
        return _plain_org(clause, at + 1, limit)
    end = capitals(clause, named, limit, 5)
    if (
        end > named
        and end + 1 < limit
        and clause.lows[end] in ("&", "and")
        and clause.words[end + 1].capital
        and clause.words[end].text == "&"
    ):
        end = capitals(clause, end + 1, limit, 3)
    if end == named and limit - named >= 1 and _lower_org(clause, named):
        end = named + 1
    return filled_with(end, clause.text(named, end))


def _plain_org(clause: Clause, at: int, limit: int) -> Filled | None:
    for end in range(at, min(at + 5, limit)):
        size = lexicon("orgs").length_at(clause.lows, end, limit)
        if size and closed(clause, end + size, "that", "called"):
            return filled_with(end + size, clause.text(at, end + size))
    return None


def _lower_org(clause: Clause, at: int) -> bool:
    token = clause.words[at]
    return (
        token.kind == "word"
        and token.low not in _NO_ORGS
        and not lexicon("industries").length_at(clause.lows, at)
        and closed(clause, at + 1)
    )


_NO_ORGS = lexicon("near_misses", "no_orgs")


@slot("TIMEZONE")
def _timezone(clause: Clause, at: int, limit: int) -> Filled | None:
    end = at
    while end < limit and end - at < 4 and _zone_word(clause.words[end]):
        end += 1
    text = clause.text(at, end)
    if text == "it":
        return None
    return filled_with(end, text) if _ZONE.search(text) else None


_ZONE = re.compile(
    r"^(?:utc|gmt)|^(?:[A-Z]{1,2}[SD]?T|CES?T|EES?T|WES?T|AE[SD]T|AW[SD]T|AC[SD]T|AKST|AKDT|NZ[SD]T|SGT|HKT|IST|JST|KST|BST|MSK|SAST|WAT|EAT|CAT|PKT|HST|WIB)$"
    r"|^(?:[ap]st|[cmep][sd]t|cet|cest|ist|bst|jst)$|^[A-Z]\w+/[A-Z]\w+"
    r"|^(?:(?:us )?(?:eastern|pacific|central|mountain|atlantic)(?: (?:standard |daylight |european )?time)?)$",
    re.IGNORECASE,
)


def _zone_word(token: Token) -> bool:
    return (
        token.text in "+-−/:"
        or token.kind == "number"
        or (
            token.kind == "word"
            and token.low not in JOINS | PREPOSITIONS
            and token.low not in lexicon("tails")
            and token.low not in ("timezone", "zone", "so", "here")
        )
    )


@slot("CITY")
def _city(clause: Clause, at: int, limit: int) -> Filled | None:
    """A place that is written like a name."""
    filled = _place(clause, at, limit)
    return filled if filled and any(token.capital for token in clause.words[at : filled.end]) else None


@slot("HERE")
def _here(clause: Clause, at: int, limit: int) -> Filled | None:
    """A place that one is in for good as far as the words tell: nothing follows, and it is known or a name."""
    size = lexicon("places").length_at(clause.lows, at, limit)
    end = at + size or capitals(clause, at, limit, 4)
    end = _region(clause, max(end, capitals(clause, at, limit, 4)), limit) if end > at else end
    over = end >= len(clause.words) or clause.words[end].kind == "comma" or clause.lows[end] in ("and", "btw", "but")
    return filled_with(end, clause.text(at, end)) if end > at and over else None


@slot("KNOWNPLACE")
def _known_place(clause: Clause, at: int, limit: int) -> Filled | None:
    size = lexicon("places").length_at(clause.lows, at, limit)
    return (
        filled_with(at + size, clause.text(at, at + size))
        if size and closed(clause, at + size, "on", "after", "when")
        else None
    )


@slot("ORGKIND")
def _org_kind(clause: Clause, at: int, limit: int) -> Filled | None:
    """An employer without a name: "a hospital"."""
    return _plain_org(clause, at + 1, limit) if clause.lows[at : at + 1] in (["a"], ["an"]) else None


@slot("RIGHTNOW")
def _right_now(clause: Clause, at: int, limit: int) -> Filled | None:
    size = lexicon("tails").length_at(clause.lows, at, limit)
    timely = clause.lows[at : at + 1] in (["now"], ["currently"]) or size > 1
    return Filled(at + size, [""]) if size and timely else None
