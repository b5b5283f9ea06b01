"""What was decided, as the writes of one `apply`: facts by compare-and-set, and the versions that they replace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..knowledge.versions import closed
from ..model import Fact, FactUpdate
from ..records import fact_record, version_record
from ..scope import Scope
from ..stores.base import Delete, Put, Record, Write
from ..stores.tags import tag_records


def writes_for(updates: Sequence[FactUpdate], subject: Scope, now: datetime) -> list[Write]:
    """The writes that make `updates` true, none for a NOOP. Applied together they raise `ConflictError` if stale.

    Every write expects the version that was read (`previous`; none at all for a fact that is new), and that version
    goes into the history, closed at the moment from which the new one holds.
    """
    changes = [update for update in updates if update.operation != "NOOP"]
    return [write for change in changes if change.fact for write in _writes(change.fact, change.previous, subject, now)]


def history(current: Fact | None, versions: Sequence[Fact]) -> list[Fact]:
    """All versions of one fact, oldest first, the present one included."""
    every = [*versions, *([current] if current else ())]
    return sorted({fact.version: fact for fact in every}.values(), key=lambda fact: fact.version)


def _writes(fact: Fact, previous: Fact | None, subject: Scope, now: datetime) -> list[Write]:
    tags = _tag_writes(fact, previous, subject)
    if previous is None:
        return [Put(fact_record(fact, subject), expect=0), *tags]
    past = version_record(previous, subject, now, closed(previous, fact, now).valid_to)
    return [Put(fact_record(fact, subject), expect=previous.version), Put(past, expect=0), *tags]


def _tag_writes(fact: Fact, previous: Fact | None, subject: Scope) -> list[Write]:
    """What makes `fact` be found by its tags, and by no other that it had."""
    had = _tags(previous, subject) if previous is not None else {}
    has = _tags(fact, subject)
    gone = [Delete("tag", one, fact.owner) for one in had.keys() - has.keys()]
    return [*gone, *(Put(record) for one, record in has.items() if not _is_known(record, had.get(one)))]


def _tags(fact: Fact, subject: Scope) -> dict[str, Record]:
    made = tag_records(fact.id, fact.owner, subject, fact.version, dict(fact)) if fact.tags else ()
    return {record.id: record for record in made}


def _is_known(record: Record, known: Record | None) -> bool:
    return known is not None and known.fields == record.fields
