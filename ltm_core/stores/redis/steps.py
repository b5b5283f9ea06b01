"""Writes as steps of single subjects, which the script does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import ConflictError
from ..base import Put, Record, Write
from ..kinds import KINDS
from .content import content, names
from .layout import Keys, claim, score

Place = tuple[str, str]
Note = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One change among the records of one subject."""

    op: str
    subject: str
    names: str
    kind: str
    id: str
    owner: str
    expect: int | None
    content: bytes

    @property
    def arguments(self) -> tuple[str | bytes, ...]:
        """What the script takes."""
        expect = "" if self.expect is None else str(self.expect)
        return (self.op, self.subject, self.names, self.kind, self.id, self.owner, expect, self.content)


def place_of(write: Write) -> Place:
    """What a write is about."""
    return (write.record.kind, write.record.id) if isinstance(write, Put) else (write.kind, write.id)


def notes_for(keys: Keys, writes: Sequence[Write]) -> list[Note]:
    """What must be noted before `writes` are done: one claim for each, in order, and whose records they are."""
    claims = [_claim(keys, write) for write in writes]
    others = {note for write in writes if isinstance(write, Put) for note in _notes(keys, write.record)}
    return [*claims, *sorted(others)]


def planned(writes: Iterable[Write], places: Mapping[Place, str]) -> list[Step]:
    """The steps of `writes`, given the subjects where the records lie now. A record may move to another subject."""
    here, steps = dict(places), list[Step]()
    for write in writes:
        place = place_of(write)
        if isinstance(write, Put):
            steps += _putting(write, here.get(place))
            here[place] = write.record.subject.token
        elif place in here:
            steps.append(_deletion(here[place], place, write.scope.token, write.expect))
        elif write.expect:
            raise ConflictError(
                f"A {write.kind} is at version 0, not {write.expect}. Read it again and retry the change."
            )
    return steps


def removal(record: Record) -> Step:
    """The step that removes a record which was read."""
    return _deletion(record.subject.token, (record.kind, record.id), record.scope.token, record.version)


def _putting(put: Put, here: str | None) -> list[Step]:
    record, subject = put.record, put.record.subject.token
    moved = here is not None and here != subject
    step = Step(
        "put",
        subject,
        names(record),
        record.kind,
        record.id,
        record.scope.token,
        0 if moved else put.expect,
        content(record),
    )
    if here is None or not moved:
        return [step]
    return [_deletion(here, (record.kind, record.id), record.scope.token, put.expect), step]


def _deletion(subject: str, place: Place, owner: str, expect: int | None) -> Step:
    return Step("delete", subject, "", *place, owner, expect, b"")


def _claim(keys: Keys, write: Write) -> Note:
    place = place_of(write)
    subject = write.record.subject.token if isinstance(write, Put) else ""
    return ("claim", keys.claims(*place), claim(*place), subject)


def _notes(keys: Keys, record: Record) -> Iterable[Note]:
    owner, subject, due = record.scope.token, record.subject.token, KINDS[record.kind].due
    yield ("subject", keys.subjects, subject, "")
    if owner != subject:
        yield ("owner", keys.inside(owner), subject, "")
    if due and record.get(due) is not None:
        yield ("due", keys.due_subjects(record.kind), subject, score(record.get(due)))
