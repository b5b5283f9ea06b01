"""`ltm maintain`, `ltm sweep`, `ltm stats`, and pins and archives: keeping facts in order, and counting them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any

import typer

from .. import Memory, MemoryScope
from ..maintain.strategies import STRATEGIES, USUAL, strategies_of
from ..reports import MaintenanceReport, Stats, UsedFact
from ..upkeep import maintained_everybody
from . import show
from .place import Place, located

SHOWN = 50  # changes; --json has them all

Strategies = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STRATEGY]…",
        help=f"In this order; of {', '.join(STRATEGIES)}. With parameters: prune:max_tokens=2000.",
        show_default=" ".join(USUAL),
    ),
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="As `ltm facts list` shows it.", show_default=False)]
OwnedBy = Annotated[MemoryScope, typer.Option("--scope", help="Whose fact: the user's, the session's, …")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Days = Annotated[
    float | None,
    typer.Option(
        "--retention", min=0, metavar="DAYS", help="Remove facts that were deleted longer ago.", show_default=False
    ),
]
AccessDays = Annotated[
    float | None,
    typer.Option(
        "--access-retention", min=0, max=36_500, metavar="DAYS", help="How long to keep the log of accesses: 30 days."
    ),
]


@located
def maintain(
    place: Place,
    strategies: Strategies = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Writes what summarise makes.")] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", envvar="LTM_EMBEDDER", metavar="NAME", help="Whose vectors merge reads.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Keep the facts of one user in order, or without --user those of everybody.

    Nothing is deleted: what goes is archived, and what was done is a job (`ltm jobs`).
    """
    chosen = strategies or USUAL
    with place.memory(model=model, embedder=embedder) as memory:
        report = _maintained(memory, place, chosen, dry_run=dry_run)
    if json:
        show.as_json({**report.model_dump(mode="json"), "text": report.text})
    else:
        _tell(report)


def _maintained(memory: Memory, place: Place, chosen: Sequence[str], *, dry_run: bool) -> MaintenanceReport:
    if any(place.who.values()):
        return memory.maintain(chosen, dry_run=dry_run, **place.who)
    runtime = memory.runtime
    with _counting() as tell:
        work = maintained_everybody(runtime, strategies_of(chosen), tell, dry_run=dry_run)
        return runtime.school.wait(work)


def _tell(report: MaintenanceReport) -> None:
    console = show.console()
    rows = [
        (
            step.strategy,
            str(len(step.updates)),
            f"{step.facts_before} -> {step.facts_after}",
            f"{step.tokens_before} -> {step.tokens_after}",
        )
        for step in report.strategies
    ]
    console.print(show.rows_table(("strategy", "changes", "facts", "tokens"), rows))
    changes = [(one.fact.key if one.fact else "", one.reason) for one in report.updates]
    if changes:
        console.print(show.rows_table(("fact", "because"), changes[:SHOWN]))
    if len(changes) > SHOWN:
        typer.echo(f"… and {len(changes) - SHOWN} more changes; --json shows all.")
    if report.dry_run:
        typer.echo("Nothing was written.")
    for job_id in report.job_ids[:SHOWN]:
        typer.echo(f"Job {job_id}")


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """How many people are done, on a terminal; silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.completed} people"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=show.console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda count: bar.update(task, completed=count)


@located
def pin(place: Place, key: Key, scope: OwnedBy = MemoryScope.USER) -> None:
    """Always show a fact, and let neither learning nor maintenance touch it."""
    with place.memory() as memory:
        memory.facts.pin(key, **place.owner(scope))
    typer.echo(show.printable(f"{key} is pinned."))


@located
def unpin(place: Place, key: Key, scope: OwnedBy = MemoryScope.USER) -> None:
    """Undo `pin`."""
    with place.memory() as memory:
        memory.facts.unpin(key, **place.owner(scope))
    typer.echo(show.printable(f"{key} is not pinned."))


@located
def archive(
    place: Place,
    key: Key,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "archived by hand",
    scope: OwnedBy = MemoryScope.USER,
) -> None:
    """Put a fact aside: kept, but not found or recalled. See them with: ltm facts list --archived"""
    with place.memory() as memory:
        memory.facts.archive(key, reason, **place.owner(scope))
    typer.echo(show.printable(f"{key} is archived."))


@located
def unarchive(place: Place, key: Key, scope: OwnedBy = MemoryScope.USER) -> None:
    """Bring a fact back that was put aside."""
    with place.memory() as memory:
        fact = memory.facts.unarchive(key, **place.owner(scope))
    typer.echo(show.printable(f"{key} = {show.value_of(fact)}"))


@located
def sweep(place: Place, retention: Days = None, access_retention: AccessDays = None, json: AsJson = False) -> None:
    """Remove for good what is over, of everybody: sessions, facts that expired or were deleted long ago, old logs."""
    with place.memory(retention=_days(retention), access_retention=_days(access_retention)) as memory:
        swept = memory.sweep()
    if json:
        show.as_json(swept)
    else:
        typer.echo(
            f"Removed: {swept.sessions} sessions, {swept.expired} expired and {swept.deleted} deleted facts, "
            f"{swept.accesses} logged accesses."
        )


def _days(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(days=number)


@located
def stats(
    place: Place,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what the database counts: no tokens, duplicates, junk.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Count what is remembered of one user, or without --user of everybody."""
    with place.memory() as memory:
        counted = memory.stats(place.user, session_id=place.session, agent_id=place.agent, estimates=not quick)
    if json:
        show.as_json(counted)
    else:
        _show(counted)


def _show(counted: Stats) -> None:
    console = show.console()
    for heading, rows in _tables(counted):
        if rows:
            console.print(show.rows_table(heading, rows))


def _tables(counted: Stats) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    names = ("people", "facts", "archived", "deleted", "unused", "tokens", "duplicates", "junk")
    numbers = {name: getattr(counted, name) for name in names}
    yield ("what", "number"), _rows({name: number for name, number in numbers.items() if number is not None})
    for name in ("type", "category", "scope", "source"):
        yield (name, "facts"), _rows(getattr(counted, f"by_{name}"))
    for name in ("day", "week"):
        made: Mapping[Any, int] = getattr(counted, f"per_{name}")
        yield (f"{name} (UTC)", "facts made"), _rows({when: number for when, number in made.items() if number})
    yield ("most used", "says", "times", "last (UTC)"), [_used(fact) for fact in counted.most_used]
    yield ("least used", "says", "times", "last (UTC)"), [_used(fact) for fact in counted.least_used]


def _rows(numbers: Mapping[Any, int]) -> list[tuple[str, ...]]:
    return [(str(name), f"{number:,}") for name, number in numbers.items()]


def _used(fact: UsedFact) -> tuple[str, ...]:
    return (fact.key, fact.text, str(fact.access_count), show.when(fact.last_accessed_at))
