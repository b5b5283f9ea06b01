"""`ltm facts import`: facts from a file of JSON lines, read as it goes, so that its size does not matter."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

from .. import InvalidInput, MemoryScope
from .exports import STDIN
from .place import Place
from .show import console
from .values import strict_json

_PEOPLE = {f"{level.value}_id": level for level in MemoryScope if level is not MemoryScope.GLOBAL}


@dataclass(slots=True)
class Counted:
    """The lines of a file, with how many of them were read."""

    lines: Iterable[bytes]
    name: str
    advance: Callable[[int], None]
    count: int = 0

    def facts(self) -> Iterator[dict[str, Any]]:
        """The facts that the lines say. Raises `InvalidInput` with the number of the line."""
        for number, line in enumerate(self.lines, 1):
            if line.strip():
                yield _fact(line, f"{self.name}, line {number}")
                self.count += 1
            self.advance(len(line))


def import_facts(place: Place, path: Path, scope: MemoryScope) -> None:
    """Store the facts of a file, and say how many. What is stored already is left as it is."""
    began = perf_counter()
    with _opened(path) as (lines, size), _progress(size) as advance, place.memory() as memory:
        read = Counted(lines, "stdin" if path == STDIN else path.name, advance)
        with _resumable(read):
            changed = memory.facts.add_many(read.facts(), **_usual_owner(place, scope))
    seconds = perf_counter() - began
    sys.stdout.write(f"{read.count} facts read, {changed} new or changed; {seconds:.1f} s\n")


def _usual_owner(place: Place, scope: MemoryScope) -> dict[str, Any]:
    """Whose the facts are of which the file does not say it; where nobody is named, the file must."""
    named = scope is MemoryScope.GLOBAL or getattr(place, scope.value) is not None
    return place.owner(scope) if named else {"scope": scope, "scope_id": None}


def _fact(line: bytes, where: str) -> dict[str, Any]:
    try:
        fact = strict_json(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise InvalidInput(f"{where}: this is not JSON in UTF-8 ({said}). Correct it.") from error
    if not isinstance(fact, dict):
        raise InvalidInput(f'{where}: this is no fact. Write {{"key": "city", "value": "Oslo", "user_id": "ann"}}.')
    for name in _PEOPLE.keys() & fact.keys():
        fact["scope"], fact["scope_id"] = _PEOPLE[name], fact.pop(name)
    return fact


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if path == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}. Name one file, or - for stdin.") from error
    with file:
        yield file, path.stat().st_size


@contextmanager
def _resumable(read: Counted) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"ltm: Stopped after {read.count} facts. Run it again: what is stored stays as it is.\n")
        raise


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar over the bytes of the file on a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=size)
        yield lambda count: bar.advance(task, count)
