"""`ltm ingest`: a whole conversation, chunk by chunk; each chunk is stored and learned before the next."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from .. import ExtractionError, FactUpdate, Memory, Message, Ticket
from ..scope import digest
from .exports import STDIN, as_told_to, read
from .place import Place
from .show import console

CHUNK = 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """A few messages of one session, in order."""

    session: str
    start: int
    messages: Sequence[Message]

    @property
    def turn_id(self) -> str:
        """The same whenever the same messages come again, also when more have been written behind them."""
        return digest("ingest", str(self.start), self.messages[0].digest)


@dataclass(slots=True)
class Counts:
    """What one run did."""

    read: int = 0
    stored: int = 0
    dead: int = 0
    operations: dict[str, int] = field(default_factory=dict)

    def add(self, updates: Sequence[FactUpdate]) -> None:
        """Count what learning did."""
        for update in updates:
            self.operations[update.operation] = self.operations.get(update.operation, 0) + 1

    def sentence(self, seconds: float) -> str:
        """All of it in one line."""
        did = [f"{self.operations.get(operation, 0)} {word}" for operation, word in _WORDS.items()]
        return f"{self.read} messages read, {self.stored} stored; facts: {', '.join(did)}; {seconds:.1f} s"


_WORDS = {"ADD": "added", "UPDATE": "updated", "DELETE": "deleted"}


def ingest(place: Place, path: Path, *, speaker: str | None = None, model: str | None = None) -> None:
    """Store and learn what `path` holds. Raises `ExtractionError` where a model failed; what is stored stays stored."""
    began = perf_counter()
    messages = as_told_to(place.user, speaker, read(path))
    counts = Counts()
    with _resumable(counts, len(messages)), place.memory(model=model) as memory, _progress(len(messages)) as advance:
        for chunk in _chunks(messages, place, "stdin" if path == STDIN else path.stem):
            _teach(memory, chunk, place, counts)
            counts.read += len(chunk.messages)
            advance(len(chunk.messages))
    sys.stdout.write(counts.sentence(perf_counter() - began) + "\n")
    if counts.dead:
        raise ExtractionError(f"{counts.dead} turns could not be learned. See them with: ltm jobs --status dead")


def _teach(memory: Memory, chunk: Chunk, place: Place, counts: Counts) -> None:
    who = replace(place, session=chunk.session).who
    ticket = memory.observe(chunk.messages, turn_id=chunk.turn_id, **who)
    counts.stored += len(ticket.messages)
    try:
        counts.add(_learned(ticket))
    except ExtractionError:
        if ticket.id is None or memory.jobs.show(ticket.id).status != "dead":
            raise
        counts.dead += 1


def _learned(ticket: Ticket) -> Sequence[FactUpdate]:
    """What this run learned from a chunk, but not what an earlier run did."""
    updates = ticket.wait()
    return updates if ticket.messages else ticket.updates


def _chunks(messages: Sequence[Message], place: Place, name: str) -> Iterator[Chunk]:
    sessions: dict[str, list[Message]] = {}
    for message in messages:
        sessions.setdefault(_session(message, place, name), []).append(message)
    for session, said in sessions.items():
        for start in range(0, len(said), CHUNK):
            yield Chunk(session, start, said[start : start + CHUNK])


def _session(message: Message, place: Place, name: str) -> str:
    """Named after user and file: two users may be taught from files of one name, or from the same file."""
    if place.session is not None:
        return place.session
    if message.session_id is not None:
        return message.session_id
    own: Any = message.metadata.get("session")
    return "/".join(str(part) for part in (place.user, name, own) if part is not None)


@contextmanager
def _resumable(counts: Counts, total: int) -> Iterator[None]:
    """Say how far it came where it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"ltm: Stopped after {counts.read} of {total} messages. Run it again to go on from there.\n")
        raise


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), "messages", TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)
