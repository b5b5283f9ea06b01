"""What maintenance, undos, sweeps and counts tell: frozen models, and the same as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import Field

from .model import Fact, FactUpdate, Model, Time
from .scope import MemoryScope


class StrategyReport(Model):
    """What one strategy did, or would do.

    Attributes:
        updates: The facts that it changed, archived or made, each with the reason.
        tokens_before, tokens_after: What all current facts cost in a prompt.
    """

    strategy: str
    updates: list[FactUpdate] = Field(default_factory=list)
    facts_before: int = 0
    facts_after: int = 0
    tokens_before: int = 0
    tokens_after: int = 0

    def plus(self, other: StrategyReport) -> StrategyReport:
        """Both, of different people, in one."""
        counts = ("facts_before", "facts_after", "tokens_before", "tokens_after")
        summed = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return self.model_copy(update={"updates": [*self.updates, *other.updates], **summed})


class MaintenanceReport(Model):
    """What maintenance did, strategy by strategy in the order in which they ran.

    Attributes:
        job_ids: The jobs that it is kept as, one for each person whose facts changed: `memory.jobs.show(id)`.
        dry_run: Whether nothing was written.
    """

    strategies: list[StrategyReport] = Field(default_factory=list)
    job_ids: list[str] = Field(default_factory=list)
    dry_run: bool = False

    @property
    def updates(self) -> list[FactUpdate]:
        """All that was changed."""
        return [update for step in self.strategies for update in step.updates]

    @property
    def facts_before(self) -> int:
        """How many current facts there were."""
        return self.strategies[0].facts_before if self.strategies else 0

    @property
    def facts_after(self) -> int:
        """How many there are."""
        return self.strategies[-1].facts_after if self.strategies else 0

    @property
    def tokens_before(self) -> int:
        """What all current facts cost in a prompt before."""
        return self.strategies[0].tokens_before if self.strategies else 0

    @property
    def tokens_after(self) -> int:
        """What they cost now."""
        return self.strategies[-1].tokens_after if self.strategies else 0

    @property
    def text(self) -> str:
        """A table, and below it each change with its reason."""
        head = ("strategy", "changes", "facts", "tokens")
        lines = [_line(row) for row in (head, *(_row(step) for step in self.strategies))]
        lines += [f"{_name(update)}: {update.reason}" for update in self.updates]
        return "\n".join([*lines, *(["Nothing was written."] if self.dry_run else [])])

    @classmethod
    def of_all(
        cls, parts: Iterable[Sequence[StrategyReport]], job_ids: Sequence[str], *, dry_run: bool
    ) -> MaintenanceReport:
        """What was done to several people, by strategy."""
        total: list[StrategyReport] = []
        for part in parts:
            total = [one.plus(other) for one, other in zip(total, part, strict=True)] if total else list(part)
        return cls(strategies=total, job_ids=list(job_ids), dry_run=dry_run)


def _row(step: StrategyReport) -> tuple[str, ...]:
    facts = f"{step.facts_before} -> {step.facts_after}"
    return (step.strategy, str(len(step.updates)), facts, f"{step.tokens_before} -> {step.tokens_after}")


def _line(row: Sequence[str]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(row, (16, 8, 16, 0), strict=True)).rstrip()


def _name(update: FactUpdate) -> str:
    return update.fact.key if update.fact is not None else "?"


class LeftAlone(Model):
    """A fact that an undo did not touch.

    Attributes:
        fact: The fact as it is; None where it is gone.
        why: What is in the way.
    """

    key: str
    fact: Fact | None
    why: str


class Undone(Model):
    """What the undo of a job took back.

    Attributes:
        before: When the job had been undone already; then only what was left alone is looked at again.
        updates: The new versions, each with the version that it follows.
        left: Facts of the job that were not touched: somebody changed them since.
    """

    job_id: str
    before: Time | None = None
    updates: list[FactUpdate] = Field(default_factory=list)
    left: list[LeftAlone] = Field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything was changed."""
        return bool(self.updates)

    def __repr__(self) -> str:
        return f"<Undone {self.job_id}: {self.text}>"

    __str__ = __repr__

    @property
    def text(self) -> str:
        """What was done, in a line.

        >>> Undone(job_id="j").text
        'it had written nothing'
        """
        told = [f"{update.operation} {_name(update)}" for update in self.updates]
        told += [f"undone at {self.before:%Y-%m-%d %H:%M:%S} UTC already"] if self.before and not told else []
        told += [f"{one.key} is left, {one.why}" for one in self.left]
        return "; ".join(told) or "it had written nothing"


class Swept(Model):
    """What a sweep removed for good.

    Attributes:
        sessions: Sessions whose time was over.
        expired: Facts whose time was over.
        deleted: Facts that were deleted longer ago than is retained.
        accesses: Entries of the log of accesses that were older than is retained.
    """

    sessions: int = 0
    expired: int = 0
    deleted: int = 0
    accesses: int = 0


class UsedFact(Model):
    """A fact with how often it was used."""

    id: str
    key: str
    text: str
    scope: MemoryScope
    scope_id: str
    access_count: int
    last_accessed_at: datetime | None = None


class Stats(Model):
    """Counts of what is remembered of one person, or of everybody.

    Attributes:
        people: How many persons, sessions and agents have any fact.
        facts: Current facts; `archived` and `deleted` ones are counted beside them.
        by_type, by_category, by_scope, by_source: Current facts by `memory_type`, `category`, `scope`, `source_type`.
        per_day, per_week: Facts that were made on the last days, and in the last weeks (by their Monday), UTC.
        most_used, least_used: Of the current facts that were ever used.
        unused: How many current facts were never used.
        tokens: What all current facts cost in a prompt; None where it was not asked for, as for the next two.
        duplicates: How many facts `deduplicate` would archive.
        junk: How many of the others have no word that says anything, are hardly believed (confidence below 0.2), or
            would be archived by `archive`.
    """

    people: int = 0
    facts: int = 0
    archived: int = 0
    deleted: int = 0
    by_type: dict[str, int] = Field(default_factory=dict)
    by_category: dict[str, int] = Field(default_factory=dict)
    by_scope: dict[str, int] = Field(default_factory=dict)
    by_source: dict[str, int] = Field(default_factory=dict)
    per_day: dict[date, int] = Field(default_factory=dict)
    per_week: dict[date, int] = Field(default_factory=dict)
    most_used: list[UsedFact] = Field(default_factory=list)
    least_used: list[UsedFact] = Field(default_factory=list)
    unused: int = 0
    tokens: int | None = None
    duplicates: int | None = None
    junk: int | None = None

    def plus(self, other: Stats, most: int) -> Stats:
        """Both in one; of the most and the least used, `most` each."""
        numbers = ("people", "facts", "archived", "deleted", "unused", "tokens", "duplicates", "junk")
        tallies = ("by_type", "by_category", "by_scope", "by_source", "per_day", "per_week")
        used = sorted([*self.most_used, *other.most_used], key=_most_used_first)[:most]
        unused = sorted([*self.least_used, *other.least_used], key=_most_used_first, reverse=True)[:most]
        summed: dict[str, Any] = {name: _sum(getattr(self, name), getattr(other, name)) for name in numbers}
        summed |= {name: _added(getattr(self, name), getattr(other, name)) for name in tallies}
        return self.model_copy(update={**summed, "most_used": used, "least_used": unused})


def _added(one: Mapping[Any, int], other: Mapping[Any, int]) -> dict[Any, int]:
    return {
        name: one.get(name, 0) + other.get(name, 0) for name in (*one, *(name for name in other if name not in one))
    }


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None is other else (one or 0) + (other or 0)


def _most_used_first(fact: UsedFact) -> tuple[int, str]:
    return (-fact.access_count, fact.id)
