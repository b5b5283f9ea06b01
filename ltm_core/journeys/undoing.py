"""The undoing journey: what a job wrote is read, and taken back by new versions, all in one `apply`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..errors import UsageError
from ..knowledge.edits import upkept
from ..knowledge.versions import changes
from ..learn.commit import writes_for
from ..learn.turns import DEAD, SUMMARY, WAITING
from ..learn.worker import summary
from ..model import Fact, FactUpdate, Operation
from ..policies import Clock
from ..records import fact_of, stored_version_of
from ..reports import LeftAlone, Undone
from ..scope import Scope
from ..stores.base import All, Compare, Put, Record, Store, Where, Write
from .summarising import Summaries

UNDO = "undo"  # as the maker of a version
AT_ONCE = 500  # facts in one query


@dataclass(frozen=True, slots=True)
class _Written:
    """What a job did to one fact.

    Attributes:
        numbers: The last versions that it wrote without anybody else in between, oldest first.
        until: When the job was done.
        present: The fact as it is now; None where it is gone.
        versions: These versions and the one before, as they were stored and as far as they are there.
    """

    fact_id: str
    key: str
    numbers: range
    until: datetime
    present: Fact | None
    versions: Mapping[int, Fact]

    @property
    def before(self) -> int:
        """The number of the version before; 0 for none."""
        return self.numbers[0] - 1

    @property
    def hindrance(self) -> str:
        """Why it is to be left alone; empty where it is not."""
        if self.present is None:
            return "it is no longer there"
        if not self._is_untouched(self.present):
            return f"it was changed since, to version {self.present.version}: {self.present.reason}"
        if self.before and self.before not in self.versions:
            return f"its version {self.before} is no longer kept"
        return ""

    def _is_untouched(self, present: Fact) -> bool:
        """Whether the job had the last word, or has it again because what followed was undone."""
        last = self.versions.get(self.numbers[-1])
        if last is None or last.updated_at > self.until:  # a fact that was swept begins anew, at version 1
            return False
        return present is last or (present.created_by == UNDO and _says(present, last))

    def sources(self) -> set[str]:
        """The messages that these versions came from."""
        return {one for number in self.numbers if number in self.versions for one in self.versions[number].sources}

    def taken_back(self, job_id: str, now: datetime) -> FactUpdate:
        """What makes the fact again what it was before."""
        assert self.present is not None
        old = self.versions[self.before] if self.before else None
        new = _again(old, self.present, now, job_id) if old is not None else _never(self.present, now, job_id)
        return FactUpdate(
            operation=_operation(self.present, new, now), fact=new, previous=self.present, reason=new.reason
        )


class Undoing:
    """Takes back what jobs wrote."""

    def __init__(self, store: Store, summaries: Summaries, clock: Clock) -> None:
        self._store = store
        self._summaries = summaries
        self._clock = clock

    async def undo(self, job: Record) -> Undone:
        """Do it. Raises `UsageError` where there is nothing yet to undo, `ConflictError` if somebody writes meanwhile.

        What was taken back before stays so, whatever became of it since.
        """
        _check(job)
        earlier = job.fields.get("taken_back") or []
        written = await self._written(job, {one["fact_id"] for one in earlier})
        left = [LeftAlone(key=one.key, fact=one.present, why=why) for one in written if (why := one.hindrance)]
        free = [one for one in written if not one.hindrance]
        now = self._clock()
        updates = [one.taken_back(job.id, now) for one in free]
        if updates or not (left or job.fields.get("undone")):
            fields = {"undone": now.isoformat(), "taken_back": [*earlier, *map(summary, updates)]}
            await self._store.apply([*await self._writes(job, free, updates, now), _marked(job, fields)])
        return Undone(job_id=job.id, before=job.fields.get("undone"), updates=updates, left=left)

    async def _writes(
        self, job: Record, free: Sequence[_Written], updates: Sequence[FactUpdate], now: datetime
    ) -> list[Write]:
        told = _told_in(job, free) if updates else []
        return [
            *writes_for(updates, job.subject, now),
            *await self._summaries.withheld(job.subject, told, now),
        ]

    async def _written(self, job: Record, but: Set[str]) -> list[_Written]:
        """What the job did to each fact besides `but`, in the order in which it did."""
        did: dict[str, list[Mapping[str, Any]]] = {}
        for one in job.fields.get("updates") or ():
            if one["operation"] != "NOOP" and one["fact_id"] not in but:
                did.setdefault(one["fact_id"], []).append(one)
        found: list[_Written] = []
        for start in range(0, len(did), AT_ONCE):
            found += await self._read(job, dict(list(did.items())[start : start + AT_ONCE]))
        return found

    async def _read(self, job: Record, did: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[_Written]:
        runs = {one: _last_run([told["version"] for told in its]) for one, its in did.items()}
        # By subject: a job may have written to the user's facts and to the session's.
        stored = await self._store.scan(Where("fact", subject=job.subject, ids=tuple(did)))
        facts = {record.id: fact_of(record) for record in stored}
        past = await self._versions({fact.owner for fact in facts.values()}, runs)
        until = job.fields["updated_at"]
        return [
            _Written(one, its[-1]["key"], runs[one], until, facts.get(one), _with(past.get(one, {}), facts.get(one)))
            for one, its in did.items()
        ]

    async def _versions(self, owners: Set[Scope], runs: Mapping[str, range]) -> dict[str, dict[int, Fact]]:
        """Of each fact the versions of its run, and the one before, that are in the history."""
        numbers = sorted({number for run in runs.values() for number in (run[0] - 1, *run)})
        test = All(Compare("fact_id", "in", tuple(runs)), Compare("number", "in", numbers))
        scopes = tuple(sorted(owners, key=lambda owner: owner.token))
        found: dict[str, dict[int, Fact]] = {}
        for record in await self._store.scan(Where("version", scopes, test=test)) if scopes else ():
            found.setdefault(record.fields["fact_id"], {})[record.fields["number"]] = stored_version_of(record)
        return found


def _check(job: Record) -> None:
    """Raises `UsageError` for a job that is not done, or was none to write facts."""
    status, one = job.fields["status"], repr(job.id)
    if status == DEAD:
        raise UsageError(
            f"Job {one} could not be learned, and only what is learned can be undone. Give it up with "
            f"memory.jobs.drop({one}), or try again with memory.jobs.retry({one})."
        )
    if status == WAITING and job.fields.get("claims"):
        raise UsageError(f"Job {one} is being learned. Wait for it with memory.flush(), then undo it.")
    if status == WAITING:
        raise UsageError(
            f"Job {one} still waits, and only what is learned can be undone. Give it up with memory.jobs.drop({one}), "
            "or learn it with memory.flush() first."
        )
    if job.fields.get("task") == SUMMARY:
        raise UsageError(f"Job {one} made a summary and no facts. Make it anew with memory.sessions.summarize().")


def _last_run(numbers: Iterable[int]) -> range:
    """The numbers up to the highest that follow each other without a gap."""
    every = sorted(set(numbers))
    first = last = every[-1]
    while first - 1 in every:
        first -= 1
    return range(first, last + 1)


def _with(past: Mapping[int, Fact], present: Fact | None) -> dict[int, Fact]:
    return {**past, **({present.version: present} if present is not None else {})}


def _says(one: Fact, other: Fact) -> bool:
    """Whether two versions say the same, whoever made them."""
    return all(change.path == "created_by" for change in changes(one, other))


def _again(old: Fact, present: Fact, now: datetime, job_id: str) -> Fact:
    """The next version of `present`, which says all that `old` said; nobody told that anew."""
    told = {"told_at": old.told_at, "told_confidence": old.told_confidence}
    reason = f"job {job_id} is undone: as in version {old.version} again"
    here = old.model_copy(update={"version": present.version})
    return upkept(here, now, reason=reason, created_by=UNDO, job_id=None, **told)


def _never(present: Fact, now: datetime, job_id: str) -> Fact:
    """The next version of `present`, deleted; for no time is it said to have been true."""
    never = present.valid_from or present.valid_to
    made = {"reason": f"job {job_id} is undone: it had added this", "created_by": UNDO, "job_id": None}
    times = {"updated_at": now, "deleted_at": now, "valid_to": never}
    return present.model_copy(update={**made, **times, "version": present.version + 1})


def _operation(old: Fact, new: Fact, now: datetime) -> Operation:
    if not new.is_current(now):
        return "DELETE"
    return "UPDATE" if old.is_current(now) else "ADD"


def _told_in(job: Record, free: Sequence[_Written]) -> list[str]:
    """The messages of the job that told what is undone; all of them where that is not known."""
    messages = job.fields["message_ids"]
    sources = {one for fact in free for one in fact.sources()}
    return [one for one in messages if one in sources] or list(messages)


def _marked(job: Record, fields: Mapping[str, Any]) -> Put:
    return Put(replace(job, fields={**job.fields, **fields}, version=job.version + 1), expect=job.version)
