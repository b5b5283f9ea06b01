"""Dates in a question ("on 7 May", "last summer", "two weeks ago"), as days of the calendar that lie behind."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "couple": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_MONTH = "|".join((*_MONTHS, *(month[:3] for month in _MONTHS)))
_NTH = r"(\d{1,2})(?:st|nd|rd|th)?"


@dataclass(frozen=True, slots=True)
class Days:
    """From one day to another, both as 20260507; or each year's, where no year was said: as 507."""

    first: int
    last: int

    @property
    def is_yearly(self) -> bool:
        """Whether the year was left out."""
        return self.first < 10_000


def days_in(text: str, now: datetime) -> Days | None:
    """The days that `text` speaks of, read at `now`; None for none. Whole days in UTC, as times are stored.

    >>> days_in("Where were we on 7 May 2024?", datetime(2026, 1, 1))
    Days(first=20240507, last=20240507)
    >>> days_in("What did I cook last week?", datetime(2026, 11, 26))
    Days(first=20261116, last=20261122)
    >>> days_in("May I ask who was there in June?", datetime(2026, 1, 1))
    Days(first=601, last=631)
    """
    today = (now.astimezone(UTC) if now.tzinfo else now).date()
    for pattern, read in _READERS:
        for found in pattern.finditer(text):
            days = read(found, today)
            if days is not None:
                return days
    return None


def _calendar(found: re.Match[str], today: date) -> Days | None:
    del today
    groups = found.groupdict()
    name = groups["month"]
    day, year = groups.get("before") or groups.get("behind"), groups.get("year")
    if name.lower() == "may" and not (name == "May" and (day or year or groups.get("lead"))):
        return None
    month = next(number for number, full in enumerate(_MONTHS, 1) if full.startswith(name.lower()[:3]))
    start = (int(year) * 10_000 if year else 0) + month * 100
    if day and 1 <= int(day) <= 31:
        return Days(start + int(day), start + int(day))
    return Days(start + 1, start + 31)


def _iso(found: re.Match[str], today: date) -> Days:
    del today
    day = int("".join(found.groups()))
    return Days(day, day)


def _year(found: re.Match[str], today: date) -> Days:
    del today
    year = int(found[1]) * 10_000
    return Days(year + 101, year + 1231)


def _near(found: re.Match[str], today: date) -> Days:
    day = today - timedelta(days=found[0].lower() == "yesterday")
    return _span(day, day)


def _weekday(found: re.Match[str], today: date) -> Days:
    day = today - timedelta(days=(today.weekday() - _WEEKDAYS.index(found[1].lower()) - 1) % 7 + 1)
    return _span(day, day)


def _last(found: re.Match[str], today: date) -> Days:
    ago, unit = int(found[1].lower() == "last"), found[2].lower()
    if unit in _SEASONS:
        return _season(_SEASONS[unit], ago, today)
    if unit.startswith("week"):
        monday = today - timedelta(days=today.weekday() + 7 * ago)
        return _span(monday + timedelta(days=5 if unit == "weekend" else 0), monday + timedelta(days=6))
    if unit == "year":
        return Days((today.year - ago) * 10_000 + 101, (today.year - ago) * 10_000 + 1231)
    return _month(today, ago)


def _season(month: int, ago: int, today: date) -> Days:
    """A season that has begun; the one before, where it goes on and the last one is meant."""
    begun = date(today.year if today.month >= month else today.year - 1, month, 1)
    end = _ahead(begun, 3)
    if ago and end > today:
        begun, end = date(begun.year - 1, month, 1), _ahead(date(begun.year - 1, month, 1), 3)
    return _span(begun, end - timedelta(days=1))


def _ago(found: re.Match[str], today: date) -> Days | None:
    said, unit = found[1].lower(), found[2].lower()
    count = int(said) if said.isdecimal() else _COUNTS[said]
    if unit in ("month", "year"):
        return _month(today, count * (12 if unit == "year" else 1)) if count < 1000 else None
    day = today - timedelta(days=min(count, 9999) * (7 if unit == "week" else 1))
    slack = timedelta(days=3 if unit == "week" else 0)
    return _span(day - slack, day + slack)


def _month(today: date, ago: int) -> Days:
    first = _ahead(today.replace(day=1), -ago)
    return _span(first, first.replace(day=monthrange(first.year, first.month)[1]))


def _ahead(first: date, months: int) -> date:
    years, month = divmod(first.month - 1 + months, 12)
    return date(max(first.year + years, 1), month + 1, 1)


def _span(first: date, last: date) -> Days:
    return Days(int(f"{first:%Y%m%d}"), int(f"{last:%Y%m%d}"))


def _reader(
    pattern: str, read: Callable[[re.Match[str], date], Days | None]
) -> tuple[re.Pattern[str], Callable[[re.Match[str], date], Days | None]]:
    return re.compile(rf"\b{pattern}\b", re.IGNORECASE), read


_AFTER = (
    rf"(?P<lead>in|on|of|since|during|last)?\s*(?P<month>{_MONTH})\.?(?:\s+(?P<behind>\d{{1,2}})(?:st|nd|rd|th)?\b)?"
)
_READERS = (
    _reader(r"(\d{4})-(\d\d)-(\d\d)", _iso),
    _reader(
        rf"{_NTH.replace('(', '(?P<before>', 1)}\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?(?:,?\s+(?P<year>\d{{4}}))?",
        _calendar,
    ),
    _reader(rf"{_AFTER}(?:,?\s+(?P<year>\d{{4}}))?", _calendar),
    _reader(r"(?:today|yesterday)", _near),
    _reader(r"(?:on|last)\s+(" + "|".join(_WEEKDAYS) + ")", _weekday),
    _reader(r"(last|this)\s+(weekend|week|month|year|" + "|".join(_SEASONS) + ")", _last),
    _reader(r"(\d{1,3}|" + "|".join(_COUNTS) + r")\s+(?:of\s+)?(day|week|month|year)s?\s+ago", _ago),
    _reader(r"(?:in|of|during|since)\s+((?:19|20)\d\d)", _year),
)


_WRITTEN = (
    re.compile(rf"(?P<month>{_MONTH})\.? {_NTH.replace('(', '(?P<day>', 1)}(?:,? (?P<year>\d{{4}}))?"),
    re.compile(rf"(?:the )?{_NTH.replace('(', '(?P<day>', 1)}(?: of)? (?P<month>{_MONTH})\.?(?:,? (?P<year>\d{{4}}))?"),
)


def calendar_form(text: str) -> str:
    """A day in one form where all of `text`, in lower case, writes one with the name of its month; else nothing.

    >>> calendar_form("march 3rd, 1990"), calendar_form("the 3rd of march"), calendar_form("march")
    ('1990-03-03', '--03-03', '')
    """
    found = next((found for pattern in _WRITTEN if (found := pattern.fullmatch(text))), None)
    if found is None:
        return ""
    month = next(number for number, name in enumerate(_MONTHS, 1) if name.startswith(found["month"][:3]))
    return f"{found['year'] or '-'}-{month:02}-{int(found['day']):02}"
