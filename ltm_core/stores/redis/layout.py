"""Where things lie in Redis: names of keys, and which sorted sets a record stands in.

All keys of a subject share a hash tag, and so a slot of a cluster. Every part of a name is a hash, a kind or a column:
no text of a user is part of a key.

    prefix:{subject}:r:<kind>                               hash: id -> record
    prefix:{subject}:i:<kind>:<column>:<wall>               sorted set: ids by a column
    prefix:{subject}:e:<kind>:<column>:<value hash>:<wall>  sorted set: ids that have a value
    prefix:{subject}:t:<kind>:<term hash>:<wall>            sorted set: ids that have a word
    prefix:{subject}:due:<kind>                             sorted set: ids by due time
    prefix:{subject}:about                                  hash: names, number of records, stamps
    prefix:{subject}:held                                   hash: a prepared batch (cluster)
    prefix:{owner}:in                                       set: subjects among which an owner has records
    prefix:{claims:<bucket>}                                hash: record -> subjects in which it may lie
    prefix:{subjects}  prefix:{due:<kind>}                  sorted sets of subjects

A wall is an owner, or `all` for the whole subject.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha1
from typing import Any

from ..base import All, AnyOf, Compare, Condition, Not, Record

WHOLE = "all"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUCKETS = 1024
MOST = 2**53


@dataclass(frozen=True, slots=True)
class Index:
    """How a kind is found: in the order of columns, by values of columns, and by its subject too."""

    order: tuple[str, ...]
    equal: tuple[str, ...] = ()
    by_subject: bool = False


INDEXES: Mapping[str, Index] = {
    "fact": Index(("updated_at", "importance"), ("attribute", "pinned")),
    "version": Index(("number",), ("fact_id",)),
    "message": Index(("number", "created_at"), ("turn_id",), by_subject=True),
    "session": Index(("updated_at",), by_subject=True),
    "job": Index(("number", "created_at"), ("status", "turn_id"), by_subject=True),
    "lease": Index(("version",)),
    "item": Index(("updated_at",)),
    "vector": Index(("number",)),
    "summary": Index(("number",), by_subject=True),
    "checkpoint": Index(("step", "created_at"), ("key",), by_subject=True),
    "spend": Index(("updated_at",), ("day",)),
    "tag": Index(("created_at",), ("tag", "fact_id")),
    "link": Index(("created_at",), ("source", "target")),
    "access": Index(("at",), ("fact_id", "recall_id")),
    "usage": Index(("access_count", "last_accessed_at")),
}


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of all keys that begin with a prefix."""

    prefix: str

    def records(self, subject: str, kind: str) -> str:
        """The hash of a subject's records of a kind."""
        return f"{self._of(subject)}:r:{kind}"

    def ordered(self, subject: str, kind: str, column: str, wall: str) -> str:
        """The ids behind a wall, by a column."""
        return f"{self._of(subject)}:i:{kind}:{column}:{wall}"

    def valued(self, subject: str, kind: str, column: str, value: str, wall: str) -> str:
        """The ids behind a wall that have the value of that hash in a column."""
        return f"{self._of(subject)}:e:{kind}:{column}:{value}:{wall}"

    def worded(self, subject: str, kind: str, term: str, wall: str) -> str:
        """The ids behind a wall that have a word."""
        return f"{self._of(subject)}:t:{kind}:{_sha1(term)}:{wall}"

    def due(self, subject: str, kind: str) -> str:
        """The ids of a subject that are due some time."""
        return f"{self._of(subject)}:due:{kind}"

    def about(self, subject: str) -> str:
        """What is known of a subject as a whole."""
        return f"{self._of(subject)}:about"

    def inside(self, owner: str) -> str:
        """The subjects among whose records some are of `owner`."""
        return f"{self._of(owner)}:in"

    def claims(self, kind: str, record_id: str) -> str:
        """The hash that says in which subjects a record may lie."""
        place = blake2b(_encoded(claim(kind, record_id)), digest_size=8).digest()
        return f"{self.prefix}:{{claims:{int.from_bytes(place, 'big') % _BUCKETS}}}"

    @property
    def subjects(self) -> str:
        """Everybody who may have records."""
        return f"{self.prefix}:{{subjects}}"

    def due_subjects(self, kind: str) -> str:
        """Everybody who may have something due, by the earliest time."""
        return f"{self.prefix}:{{due:{kind}}}"

    @property
    def schema(self) -> str:
        """The version of this layout."""
        return f"{self.prefix}:{{schema}}"

    @property
    def batches(self) -> str:
        """The batches over several slots that are under way: their subjects, and when they began."""
        return f"{self.prefix}:{{batches}}"

    def decision(self, transaction: str) -> str:
        """What was decided of a batch over several slots."""
        return f"{self.prefix}:{{batch:{transaction}}}"

    def _of(self, token: str) -> str:
        return f"{self.prefix}:{{{token}}}"


def tag(key: str) -> str:
    """The part of a key that decides its slot."""
    return key[key.index("{") + 1 : key.index("}")]


def claim(kind: str, record_id: str) -> str:
    """A record as the claims name it."""
    return f"{kind}:{record_id}"


def walls(record: Record) -> list[str]:
    """The walls behind which a record is found."""
    return [record.scope.token, WHOLE] if INDEXES[record.kind].by_subject else [record.scope.token]


def score(value: Any) -> str:
    """A number, a time or None as the score of a sorted set; the order of scores is that of values."""
    if value is None:
        return "-inf"
    number = (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value
    return repr(float(number))


def descending(value: Any) -> str:
    """The score of a value in an index: most is asked for from the last to the first, and ties are then by id."""
    return repr(-float(score(value)))


def time_of(number: float) -> datetime:
    """The time that a score stands for."""
    return _EPOCH + timedelta(microseconds=round(number))


def value_hash(value: Any) -> str | None:
    """The hash of a value that is indexed for equality; None for values that are not."""
    if not isinstance(value, str) and value is not True:
        return None
    return _sha1(json.dumps(value))


def narrowed(kind: str, test: Condition) -> frozenset[tuple[str, str]] | None:
    """Columns and hashes of values of which every admitted record has one; None where the indexes know none."""
    if isinstance(test, Compare):
        return _narrowed_by(kind, test)
    if isinstance(test, Not):
        return None
    parts = [narrowed(kind, condition) for condition in test.conditions]
    known = [part for part in parts if part is not None]
    if isinstance(test, AnyOf):
        return frozenset[tuple[str, str]]().union(*known) if len(known) == len(parts) else None
    return min(known, key=len, default=None)


@dataclass(frozen=True, slots=True)
class Range:
    """Between which scores of a column all admitted records are; scores descend, and None is last."""

    column: str
    least: str = "-inf"
    most: str = "+inf"


def ranged(kind: str, test: Condition) -> Range | None:
    """The part of an index by order that holds all that a test admits; None where it may be anywhere."""
    if isinstance(test, All):
        found = (ranged(kind, part) for part in test.conditions)
        return next((part for part in found if part is not None), None)
    if not isinstance(test, Compare) or test.path not in INDEXES[kind].order or not _is_near(test.value):
        return None
    if test.operator in ("gt", "gte"):
        return Range(str(test.path), most=descending(test.value))
    if test.operator in ("lt", "lte"):
        return Range(str(test.path), least=descending(test.value))
    return None


def _is_near(value: Any) -> bool:
    """Whether a value is a time, or a number that a score can be compared with."""
    return isinstance(value, datetime) or (isinstance(value, int | float) and -MOST <= value <= MOST)


def _narrowed_by(kind: str, test: Compare) -> frozenset[tuple[str, str]] | None:
    if test.operator not in ("eq", "in") or test.path not in INDEXES[kind].equal:
        return None
    values = test.value if test.operator == "in" else [test.value]
    hashes = [value_hash(value) for value in values]
    return frozenset((str(test.path), one) for one in hashes if one) if all(hashes) else None


def _sha1(text: str) -> str:
    return sha1(_encoded(text), usedforsecurity=False).hexdigest()[:16]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
