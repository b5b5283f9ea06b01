"""Versions of a fact: what was stored at a time, what was true at a time, and what changed. Nothing is read here.

Two times are kept apart. *System time* is when something was stored: `updated_at`, which no one chooses. *Valid time*
is when it was true in the world: from `valid_from` (None: nobody knows since when) to `valid_to`. A later version has
the say for the time that it speaks of, so a correction also corrects the past.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from ..errors import NotFound
from ..model import Fact, Json, Model, in_utc

_OF_THE_VERSION = frozenset(
    {"version", "updated_at", "reason", "job_id", "upkeep", "score", "relevance", "parts", "signals"}
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in valid time, in system time, or both.

    Attributes:
        as_of: What was true in the world then; None for whatever was current at `known_at`.
        known_at: What was stored then; None for what is stored now.
    """

    as_of: datetime | None
    known_at: datetime | None

    @classmethod
    def of(cls, as_of: datetime | None, known_at: datetime | None) -> Moment | None:
        """A moment, or None where neither time is given. Naive times are UTC."""
        if as_of is None is known_at:
            return None
        return cls(as_of and in_utc(as_of), known_at and in_utc(known_at))

    @property
    def at(self) -> datetime:
        """The time that it is in the world."""
        at = self.as_of or self.known_at
        assert at is not None
        return at


class Change(Model):
    """One difference between two versions.

    Attributes:
        path: The field, and the steps into its JSON: `value.ui_theme`.
        before, after: What stood there; None for nothing.
    """

    path: str
    before: Json = None
    after: Json = None


def closed(previous: Fact, fact: Fact, now: datetime) -> Fact:
    """`previous` with the end that `fact`, which follows it, puts to it; what had ended before keeps its end."""
    if previous.deleted_at:
        return previous
    ends = (fact.valid_to, fact.deleted_at) if fact.deleted_at else (fact.valid_from or now,)
    return previous.model_copy(update={"valid_to": min(filter(None, (previous.valid_to, *ends)))})


def as_it_was(versions: Sequence[Fact], moment: Moment) -> Fact | None:
    """Of all versions of one fact as they were stored, oldest first, the one that answers at `moment`."""
    known = [one for one in versions if moment.known_at is None or one.updated_at <= moment.known_at]
    if not known:
        return None
    if moment.as_of is None:
        return known[-1] if known[-1].is_current(moment.at) else None
    return next((one for one in reversed(_closed_by_each_other(known)) if _is_true(one, moment.as_of)), None)


def version_in(versions: Sequence[Fact], key: str, number: int) -> Fact:
    """The version of that number. Raises `NotFound`."""
    found = next((one for one in versions if one.version == number), None)
    if found is None:
        have = f"1 to {versions[-1].version}" if versions else "none"
        raise NotFound(f"{key!r} has no version {number} (there are: {have}). See history().")
    return found


def changes(before: Fact, after: Fact) -> list[Change]:
    """Every field, and every place in the JSON of one, that differs between two versions."""
    names = sorted(Fact.model_fields.keys() - _OF_THE_VERSION)
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return [change for pair in pairs for change in _changes(*pair)]


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            yield from _changes(f"{path}.{name}", before.get(name), after.get(name))
    elif before != after:
        yield Change(path=path, before=_told(before), after=_told(after))


def _told(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _closed_by_each_other(known: Sequence[Fact]) -> list[Fact]:
    return [*(closed(one, after, after.updated_at) for one, after in pairwise(known)), known[-1]]


def _is_true(fact: Fact, at: datetime) -> bool:
    """Whether a version speaks of that time; one that is deleted says only when the one before it ended."""
    begun = fact.valid_from is None or fact.valid_from <= at
    return begun and fact.deleted_at is None and fact.is_current(at)
