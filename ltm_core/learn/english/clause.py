"""One clause on its way through the statement table, and what all slots share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .dates import Dated, find_date
from .lexicon import lexicon
from .tokens import Token


@dataclass(slots=True)
class Clause:
    """The words of one clause, its negation taken out and its date and frequency found.

    Attributes:
        denied: It says "not" or "never".
        ended: It says "no longer" or "not any more".
        lead: A frequency that stood before the subject ("Most mornings I …").
    """

    source: str
    words: Sequence[Token]
    now: datetime
    denied: bool = False
    ended: bool = False
    lead: str = ""
    lead_date: Dated | None = None
    lows: list[str] = field(init=False)
    _dates: list[Dated | None] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.lows = [token.low for token in self.words]

    @property
    def opening(self) -> tuple[str, str]:
        """The first two words in base form, adverbs passed over."""
        heard = [token.base for token in self.words[:8] if token.low not in lexicon("skip")]
        first, second = [*heard, "", ""][:2]
        return first, second

    @property
    def date(self) -> Dated | None:
        """The date of the clause, be it before the subject or after it."""
        if not self._dates:
            inner = find_date(self.words, 1, len(self.words), self.now)
            self._dates.append(inner[1] if inner else self.lead_date)
        return self._dates[0]

    @property
    def dated(self) -> bool:
        """Whether a date later than the day of the message is named."""
        date = self.date
        return date is not None and date.day.date() > self.now.date()

    def text(self, start: int, end: int) -> str:
        """The words as they were written."""
        return " ".join(self.source[self.words[start].start : self.words[end - 1].end].split()) if start < end else ""


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a slot ends and what it holds: values, or whole facts as (attribute, item, value)."""

    end: int
    values: list[Any]


Slot = Callable[[Clause, int, int], Filled | None]


SLOTS: dict[str, Slot] = {}


HARD = frozenset(["stop", "end", "break", "hidden", "symbol"])
_INSIDE_WORDS = "/'#$%+.&-"


def is_hard(token: Token) -> bool:
    """Whether the token ends what stands before it: a dash does, the slash of "and/or" does not."""
    return token.kind == "stop" or (token.kind in HARD and token.text not in _INSIDE_WORDS)


ARTICLES = frozenset(["a", "an", "the"])


JOINS = frozenset(["and", "or", "nor", "&", "plus"])


SMALL = frozenset(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
)
PREPOSITIONS = frozenset(["in", "on", "at", "with", "for", "from", "by", "of", "to", "about", "near", "since", "as"])


_PARTICLES = lexicon("near_misses", "particles")


def slot(*names: str) -> Callable[[Slot], Slot]:
    """Register a function as the reader of these slots."""

    def register(reader: Slot) -> Slot:
        for name in names:
            SLOTS[name] = reader
        return reader

    return register


def filled_with(end: int, value: Any) -> Filled | None:
    """One value, or a refusal where it is empty."""
    return Filled(end, [value]) if value not in ("", None) else None


def after_skips(clause: Clause, at: int, limit: int, *also: str) -> int:
    """The next place that holds no adverb and none of `also`."""
    while at < limit and (clause.lows[at] in lexicon("skip") or clause.lows[at] in also):
        at += 1
    return at


def closed(clause: Clause, at: int, *also: str) -> bool:
    """Whether what ends at `at` is complete: nothing follows that would change its meaning."""
    if at >= len(clause.words):
        return True
    token = clause.words[at]
    return (
        token.kind in ("comma", *HARD)
        or token.low in JOINS
        or token.low in lexicon("stops")
        or token.low in _TAIL
        or token.low in also
    )


_TAIL = lexicon("near_misses", "after_complete")


def capitals(clause: Clause, at: int, limit: int, most: int) -> int:
    """Where a run of at most `most` capitalised words ends, particles as in "Ludwig van" included."""
    end, count = at, 0
    while end < limit and count < most:
        token = clause.words[end]
        if token.kind == "word" and token.capital and token.text != "I":
            end, count = end + 1, count + 1
        elif end > at and token.low in _PARTICLES and end + 1 < limit and clause.words[end + 1].capital:
            end += 1
        else:
            break
    return end


def phrase_end(clause: Clause, at: int, limit: int) -> int:
    """Where a simple noun phrase ends at the latest."""
    for end in range(at, limit):
        token = clause.words[end]
        if (
            token.kind not in ("word", "number")
            or token.low in JOINS | PREPOSITIONS
            or token.low in lexicon("stops")
            or end - at > 6
        ):
            return end
    return limit


def without_tail(clause: Clause, start: int, end: int) -> int:
    """`end` moved back over words that add nothing: "too", "a lot", "these days"."""
    while end > start:
        for size in (4, 3, 2, 1):
            tail = clause.lows[max(start, end - size) : end]
            if len(tail) == size and lexicon("tails").length_at(tail) == size:
                end -= size
                break
        else:
            if clause.words[end - 1].kind in ("word", "number", "address") or clause.words[end - 1].text in "%$+#'":
                return end
            end -= 1
    return end


_IRREGULAR = {
    "mice": "mouse",
    "geese": "goose",
    "puppies": "puppy",
    "wolves": "wolf",
    "children": "child",
    "wives": "wife",
    "fish": "fish",
    "sheep": "sheep",
    "huskies": "husky",
    "babies": "baby",
    "ponies": "pony",
    "bunnies": "bunny",
    "kitties": "kitty",
    "canaries": "canary",
    "finches": "finch",
    "tortoises": "tortoise",
    "horses": "horse",
    "axolotls": "axolotl",
}


def singular(word: str) -> str:
    """`word` in the singular, as far as its ending tells."""
    low = word.lower()
    if low in _IRREGULAR:
        return _IRREGULAR[low]
    if low.endswith("ies") and len(low) > 4 and low not in ("movies", "cookies", "smoothies", "hoodies", "selfies"):
        return word[:-3] + "y"
    return word[:-1] if low.endswith("s") and not low.endswith(("ss", "us", "is")) and len(low) > 3 else word


def frequency_at(clause: Clause, at: int) -> int:
    """How many words of frequency stand at `at`: "every other day", "on weekdays", "twice a week"."""
    return frequency_length(clause.lows, at)


def frequency_length(lows: list[str], at: int) -> int:
    """How many words at `at` say how often."""
    head = lows[at : at + 5]
    for size, pattern in _FREQUENCIES:
        if len(head) >= size and re.fullmatch(pattern, " ".join(head[:size])):
            return size
    return 0


_UNIT = (
    r"(?:day|morning|afternoon|evening|night|weekend|week|month|year|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|weekday|lunchtime|summer|winter|spring|autumn|fall)s?"
)


_FREQUENCIES = tuple(
    (size, re.compile(pattern))
    for size, pattern in (
        (4, rf"every (?:other |single |second |two |three )?{_UNIT} {_UNIT}"),
        (4, rf"(?:\w+ times|once|twice) (?:a|per|every) {_UNIT}"),
        (4, rf"(?:two|three|four|five|six|several|\d) times (?:a|per) {_UNIT}"),
        (3, rf"(?:once|twice) (?:a|per|every) {_UNIT}"),
        (3, rf"every (?:other|single|second|two|three|few) {_UNIT}"),
        (3, r"in the (?:morning|evening|afternoon)s"),
        (3, rf"every {_UNIT} {_UNIT}"),
        (2, rf"(?:every|each|most) {_UNIT}"),
        (2, r"on (?:\w+days|weekends|weeknights)"),
        (2, r"at weekends"),
        (2, r"(?:\w+day) (?:mornings|nights|evenings|afternoons)"),
        (1, r"daily|weekly|nightly|monthly|everyday"),
    )
)
