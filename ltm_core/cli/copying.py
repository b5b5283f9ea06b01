"""`ltm copy`: from one database to another, with a progress bar."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InvalidInput
from ..stores import open_store
from ..stores.moving import OnProgress, Progress, Report
from ..stores.moving import copy as copy_records
from .place import check_there
from .show import console


def copy(source: str, target: str, *, merge: bool) -> None:
    """Copy everything, and say how much that was."""
    check_there(source, "to copy from. Check the URL of the source.")
    if source == target:
        raise InvalidInput("Source and target are the same. Name two databases.")
    with _progress() as on_progress:
        report = asyncio.run(_copied(source, target, merge, on_progress))
    sys.stdout.write(f"{_summary(report)}\n")


async def _copied(source: str, target: str, merge: bool, on_progress: OnProgress) -> Report:
    async with open_store(source) as from_, open_store(target) as to:
        return await copy_records(from_, to, merge=merge, on_progress=on_progress)


def _summary(report: Report) -> str:
    if not report.subjects:
        return "The source is empty: nothing is copied."
    kept = f", {report.kept} of the target's own kept" if report.kept else ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
    return (
        f"{report.copied} records copied, {report.present} there already{kept}. "
        f"Compared and alike for {report.subjects} people and sessions: {kinds or 'nothing'}."
    )


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A progress bar on a terminal, silence elsewhere; and what to do after an interruption."""
    latest = Progress()

    def hear(progress: Progress) -> None:
        nonlocal latest
        latest = progress
        show(progress)

    try:
        with _bar() as show:
            yield hear
    except KeyboardInterrupt:
        sys.stderr.write(f"ltm: Stopped after {latest.copied} records. Run it again: it goes on from there.\n")
        raise


@contextmanager
def _bar() -> Iterator[OnProgress]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(progress: Progress) -> None:
            said = f"{progress.step}, {progress.copied} copied"
            bar.update(task, description=said, completed=progress.subjects, total=progress.of or None)

        yield show
