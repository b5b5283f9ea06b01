"""What maintenance, sweeps and counts tell: frozen models, and the same as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import Field

from .model import FactUpdate, Model


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


class Swept(Model):
    """What a sweep removed for good.

    Attributes:
        sessions: Sessions whose time was over.
        expired: Facts whose time was over.
        deleted: Facts that were deleted longer ago than is retained.
    """

    sessions: int = 0
    expired: int = 0
    deleted: int = 0
