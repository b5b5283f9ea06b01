"""Dates as people say them ("next Friday", "on 7 May", "in June 2027"), read relative to the day they were said."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .lexicon import lexicon
from .tokens import Token

_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_NUMBERS = {
    word: n
    for n, words in enumerate(
        ["a an one", "two couple", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], 1
    )
    for word in words.split()
}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_LEADS = lexicon("near_misses", "leads")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?$")
_ISO = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")
_YEAR = re.compile(r"(?:19|20)\d\d$")


@dataclass(frozen=True, slots=True)
class Dated:
    """A date expression: where it ends, the day it starts on (midnight UTC), and how exactly it was given."""

    end: int
    day: datetime
    has_day: bool = True


def read_date(tokens: Sequence[Token], start: int, now: datetime) -> Dated | None:
    """The date expression that begins at `start`, prepositions included, or None."""
    words = [token.low for token in tokens[start : start + 8]]
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    at = 0
    while at < len(words) and words[at] in _LEADS:
        at += 1
    lead = set(words[:at])
    for reader in _READERS:
        found = reader(words, at, today, lead)
        if found:
            return Dated(start + found.end, found.day, found.has_day)
    return None


def find_date(tokens: Sequence[Token], start: int, end: int, now: datetime) -> tuple[int, Dated] | None:
    """The first date expression between `start` and `end`, with the place where it begins."""
    for at in range(start, end):
        dated = read_date(tokens, at, now)
        if dated and dated.end <= end:
            return at, dated
    return None


def _relative(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    near = {"today": 0, "tonight": 0, "tomorrow": 1}
    if words[at : at + 1] and words[at] in near:
        end = at + 2 if words[at + 1 : at + 2] and words[at + 1] in _PARTS else at + 1
        return Dated(end, today + timedelta(days=near[words[at]]))
    if words[at : at + 3] == ["day", "after", "tomorrow"]:
        return Dated(at + 3, today + timedelta(days=2))
    return None


_PARTS = frozenset(["morning", "afternoon", "evening", "night"])


def _weekday(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    if at >= len(words) or words[at] not in _DAYS or not (lead & {"on", "this", "next", "coming", "by"} or at == 0):
        return None
    ahead = (_DAYS.index(words[at]) - today.weekday() - 1) % 7 + 1
    if "next" in lead:
        ahead = _DAYS.index(words[at]) - today.weekday() + 7
    end = at + 2 if words[at + 1 : at + 2] and words[at + 1] in _PARTS else at + 1
    return Dated(end, today + timedelta(days=ahead))


def _span(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    if at >= len(words) or not lead & {"next", "this", "coming"}:
        return None
    unit, later = words[at], "next" in lead
    if unit == "week":
        return Dated(at + 1, today - timedelta(days=today.weekday()) + timedelta(days=7 if later else 0), False)
    if unit == "weekend":
        return Dated(at + 1, today - timedelta(days=today.weekday()) + timedelta(days=12 if later else 5), False)
    if unit == "month":
        return Dated(at + 1, _plus_months(today, 1 if later else 0).replace(day=1), False)
    if unit == "year":
        return Dated(at + 1, today.replace(year=today.year + (1 if later else 0), month=1, day=1), False)
    if unit in _SEASONS:
        day = _upcoming(today, _SEASONS[unit], 1)
        return Dated(at + 1, day, False)
    return None


def _distance(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    if "in" not in lead or at + 1 >= len(words):
        return None
    count = int(words[at]) if words[at].isdecimal() and len(words[at]) < 4 else _NUMBERS.get(words[at])
    if words[at : at + 3] == ["a", "couple", "of"] or words[at : at + 3] == ["a", "few", "of"]:
        at, count = at + 2, 2
    if count is None or at + 1 >= len(words):
        return None
    unit = words[at + 1].removesuffix("s")
    if unit in ("day", "week"):
        return Dated(at + 2, today + timedelta(days=count * (7 if unit == "week" else 1)))
    if unit in ("month", "year"):
        return Dated(at + 2, _plus_months(today, count * (12 if unit == "year" else 1)), False)
    return None


def _calendar(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    day, at = _day_of(words, at)
    if day and words[at : at + 1] == ["of"]:
        at += 1
    month = _month(words[at]) if at < len(words) else 0
    if not month or (
        words[at] in ("may", "march", "mar", "dec", "sun") and not (day or lead or _day_of(words, at + 1)[0])
    ):
        return None
    at += 1
    if not day:
        day, at = _day_of(words, at)
    year, at = _year_of(words, at)
    return _made(at, today, year, month, day)


def _made(end: int, today: datetime, year: int | None, month: int, day: int | None) -> Dated | None:
    if year is None:
        ahead = _upcoming(today, month, day or monthrange(today.year, month)[1])
        return Dated(end, ahead.replace(day=day or 1), day is not None) if ahead else None
    if day and day > monthrange(year, month)[1]:
        return None
    return Dated(end, today.replace(year=year, month=month, day=day or 1), day is not None)


def _iso(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    found = _ISO.match(words[at]) if at < len(words) else None
    if not found:
        return None
    year, month, day = map(int, found.groups())
    if not (1 <= month <= 12 and 1 <= year <= 9999 and 1 <= day <= monthrange(year, month)[1]):
        return None
    return Dated(at + 1, today.replace(year=year, month=month, day=day))


def _year(words: list[str], at: int, today: datetime, lead: set[str]) -> Dated | None:
    if at < len(words) and lead & {"in", "by", "early", "late", "until"} and _YEAR.match(words[at]):
        return Dated(at + 1, today.replace(year=int(words[at]), month=1, day=1), False)
    return None


_Reader = Callable[[list[str], int, datetime, set[str]], Dated | None]
_READERS: tuple[_Reader, ...] = (_iso, _relative, _calendar, _weekday, _span, _distance, _year)


def _month(word: str) -> int:
    if len(word) < 3:
        return 0
    stem = word.removesuffix(".")
    return next((n for n, name in enumerate(_MONTHS, 1) if stem in (name, name[:3]) or stem == "sept" == name[:4]), 0)


def _day_of(words: list[str], at: int) -> tuple[int | None, int]:
    found = _DAY.match(words[at]) if at < len(words) else None
    return (int(found[1]), at + 1) if found and 1 <= int(found[1]) <= 31 else (None, at)


def _year_of(words: list[str], at: int) -> tuple[int | None, int]:
    skip = 1 if words[at : at + 1] and words[at] in (",", "of") else 0
    if at + skip < len(words) and _YEAR.match(words[at + skip]):
        return int(words[at + skip]), at + skip + 1
    return None, at


def _upcoming(today: datetime, month: int, day: int) -> datetime:
    for year in range(today.year, today.year + 9):
        if day <= monthrange(year, month)[1]:
            ahead = today.replace(year=year, month=month, day=day)
            if ahead >= today:
                return ahead
    return today.replace(month=month, day=1)


def _plus_months(today: datetime, count: int) -> datetime:
    years, month = divmod(today.month - 1 + count, 12)
    year = today.year + years
    return today.replace(year=year, month=month + 1, day=min(today.day, monthrange(year, month + 1)[1]))
