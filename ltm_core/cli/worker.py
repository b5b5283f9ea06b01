"""`ltm worker`: learns what waits in a database, until it is told to end."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from ..assemble import AccessLogging, Options, policies_of, queueing_of, store_of
from ..errors import ConfigurationError, LTMError, StoreError
from ..learn.worker import ALWAYS
from ..maintain.strategies import strategies_of
from ..memory import AsyncMemory
from ..model import FactUpdate
from ..runtime import Runtime
from ..stores.base import Store
from ..stores.memory import DictStore
from ..sync import Memory
from .place import check_there
from .show import console, one_line

Show = Callable[[str], None]

GRACE = 10.0  # seconds in which what is in hand is given back, once it is told to end
POLL = 1.0
COUNTED = 1000

_ENDING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("ltm_core")


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How a worker keeps facts in order.

    Attributes:
        strategies: By name; those of the memory of the program, if any, without.
        hours: How often.
        retention: After how many days what was deleted is removed.
        access_retention: The same for the log of accesses; as the memory of the program says, or 30, without.
    """

    strategies: Sequence[str] = ()
    hours: float = 24.0
    retention: float | None = None
    access_retention: float | None = None

    def options(self, given: Runtime | None) -> dict[str, Any]:
        """The same as a `Runtime` takes it."""
        maintain = strategies_of(self.strategies) or (given.maintain if given is not None else ())
        every = timedelta(hours=self.hours) if self.strategies or given is None else given.maintain_every
        days = timedelta(days=self.retention) if self.retention is not None else None
        retention = given.sweeping.retention if days is None and given is not None else days
        accesses = self._access_logging(given)
        return {"maintain": maintain, "maintain_every": every, "retention": retention, "access_logging": accesses}

    def _access_logging(self, given: Runtime | None) -> AccessLogging:
        if self.access_retention is not None:
            return AccessLogging(retention=timedelta(days=self.access_retention))
        return AccessLogging(retention=given.sweeping.access_retention) if given is not None else AccessLogging()


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to do.

    Attributes:
        url: The database; None for that of `program`.
        concurrency: How many people are learned about at a time.
        model: As litellm names it; offline without one.
        program: `module:name` of a memory whose policies are to be used instead.
        once: Whether to end when nothing waits any more.
        upkeep: How facts are kept in order.
        limits: Options of a memory: how long a call of the model may take, and what may be spent in a day.
    """

    url: str | None
    concurrency: int
    model: str | None = None
    program: str | None = None
    once: bool = False
    upkeep: Upkeep = Upkeep()
    limits: Mapping[str, float] = field(default_factory=dict)


def work(assignment: Assignment, *, quiet: bool) -> int:
    """Learn until a signal comes, or until nothing waits. Returns 1 if something was left that should not be."""
    say = _nothing if quiet else _say
    with _failures_told(quiet), _status(quiet) as show:
        shift = Shift(assignment, say, show)
        with _ended_by_signals(shift.end):
            complete = shift.run()
    say(shift.summary())
    return 0 if complete else 1


def _say(told: str) -> None:
    sys.stdout.write(f"{told}\n")
    sys.stdout.flush()


def _nothing(_: str) -> None:
    pass


class Shift:
    """One run of a worker. All that is awaited runs on the learning loop of its memory."""

    def __init__(self, assignment: Assignment, say: Show, show: Show) -> None:
        self._assignment = assignment
        self._say = say
        self._show = show
        self._runtime = _runtime(assignment, self._learned)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._is_told = False
        self.turns = self.changes = self.left = 0

    def run(self) -> bool:
        """Work, and give everything back. Returns whether nothing was left, where that was asked for."""
        try:
            return self._runtime.school.wait(self._work())
        finally:
            self._close()

    def end(self) -> None:
        """Let it end, from a signal handler."""
        self._is_told = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)

    def summary(self) -> str:
        """What it did."""
        told = f"{_counted(self.turns, 'turn')} learned, {_counted(self.changes, 'fact')} changed."
        return f"{told} {_left(self.left)} See: ltm jobs" if self.left else told

    async def _work(self) -> bool:
        self._loop = asyncio.get_running_loop()
        if self._is_told:
            self._over.set()
        showing = None if self._show is _nothing else asyncio.create_task(self._show_now_and_then())
        try:
            return await self._until_over(self._drain() if self._assignment.once else self._serve())
        finally:
            if showing is not None:
                showing.cancel()

    async def _until_over(self, work: Coroutine[Any, Any, bool]) -> bool:
        """`work`, cut off when this is to end; True then."""
        working, over = asyncio.create_task(work), asyncio.create_task(self._over.wait())
        await asyncio.wait([working, over], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if working.done():
            return working.result()
        self._say("Giving back what is in hand. A second signal ends it at once.")
        working.cancel()
        await asyncio.wait([working], timeout=GRACE)
        return True

    async def _serve(self) -> bool:
        await self._runtime.open()
        self._say(
            f"Learning what waits, {_counted(self._assignment.concurrency, 'person')} at a time. SIGTERM ends it."
        )
        await asyncio.Event().wait()  # what learns, sweeps and maintains is at work by itself
        return True

    async def _drain(self) -> bool:
        drained = await self._runtime.teach(self._runtime.worker.drain())
        await self._tidied()
        self.left = len(await self._waiting())
        return drained and not self.left

    async def _tidied(self) -> None:
        try:
            await self._runtime.run(self._runtime.sweeping.sweep())
            await self._runtime.maintain_due()
        except StoreError as error:
            log.warning("What is over could not be removed yet: %s", error)

    async def _show_now_and_then(self) -> None:
        while True:
            with suppress(LTMError):
                self._show(f"{self.summary()} {_left(len(await self._waiting()))} Ctrl-C ends it.")
            await asyncio.sleep(POLL)

    async def _waiting(self) -> Sequence[Any]:
        return await self._runtime.run(self._runtime.store.due("job", ALWAYS, COUNTED))

    def _learned(self, _: str, updates: Sequence[FactUpdate]) -> None:
        self.turns += 1
        self.changes += sum(update.operation != "NOOP" for update in updates)

    def _close(self) -> None:
        """Give back what is in hand; a database that does not answer cannot hold it up."""
        closing = threading.Thread(target=_closed, args=(self._runtime,), daemon=True)
        closing.start()
        closing.join(GRACE)
        if closing.is_alive():
            log.warning("The database does not answer. Turns in hand return to the queue when their lease ends.")


def _closed(runtime: Runtime) -> None:
    with suppress(LTMError, OSError):
        runtime.close_now()


def _counted(number: int, what: str) -> str:
    plural = {"person": "people"}.get(what, f"{what}s")
    return f"{number} {what if number == 1 else plural}"


def _left(number: int) -> str:
    told = f"{COUNTED} turns or more wait" if number >= COUNTED else f"{_counted(number, 'turn')} wait"
    return f"{told}{'s' if number == 1 else ''}."


def _runtime(assignment: Assignment, learned: Callable[[str, Sequence[FactUpdate]], None]) -> Runtime:
    """The same as any memory runs on, with the concurrency that was asked for."""
    given = _memory_named(assignment.program) if assignment.program is not None else None
    options = cast("Options", {"model": assignment.model, **assignment.limits})
    return Runtime(
        given.store if given is not None else _shared_store(assignment.url or ""),
        given.policies if given is not None else policies_of(**options),
        limits=given.turns.limits if given is not None else None,
        queueing=given.queueing if given is not None else queueing_of(**options),
        background=not assignment.once,
        many=assignment.concurrency,
        poll=POLL,
        learned=learned,
        **assignment.upkeep.options(given),
    )


def _shared_store(url: str) -> Store:
    """The store of a database that others write to. Raises `ConfigurationError` where nobody else can."""
    store = store_of(url)
    if isinstance(store, DictStore) or getattr(store, "in_memory", False):
        raise ConfigurationError(
            "What is kept in memory is seen by its own process alone, which learns it itself. "
            "Name a database that others write to, such as postgresql://host/database or sqlite:///ltm.db."
        )
    check_there(url, "to learn from. Check the URL, or start the program that writes to it first.")
    return store


def _memory_named(place: str) -> Runtime:
    """What `module:name` says, found as Python finds it from the working directory."""
    module, _, name = place.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"There is no {place!r} ({error}). Write --memory module:name, as in an import."
        ) from error
    if not isinstance(found, Memory | AsyncMemory):
        raise ConfigurationError(f"{place} is a {type(found).__name__}. Name a Memory or an AsyncMemory.")
    return found.runtime


@contextmanager
def _ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Let the first signal end it, and the second at once."""

    def hear(*_: object) -> None:
        for one in heard:
            signal.signal(one, signal.SIG_DFL)
        end()

    # A shell that starts something in the background has it ignore Ctrl-C.
    heard = [one for one in _ENDING if signal.getsignal(one) is not signal.SIG_IGN]
    before = [signal.signal(one, hear) for one in heard]
    try:
        yield
    finally:
        for one, handler in zip(heard, before, strict=True):
            signal.signal(one, handler)


@contextmanager
def _status(quiet: bool) -> Iterator[Show]:
    """A line on a terminal that changes, silence elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield _nothing
        return
    with console(sys.stderr).status("Starting.") as status:
        yield status.update


@contextmanager
def _failures_told(quiet: bool) -> Iterator[None]:
    """Say on stderr what the log says."""
    handler = logging.NullHandler() if quiet else _Stderr()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Stderr(logging.Handler):
    """One line for each failure, and one only while it stays the same."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._latest = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        error = record.exc_info[1] if record.exc_info else None
        said = one_line(f"{record.getMessage()}{f' {error}' if error is not None else ''}")
        if said != self._latest:
            self._latest = said
            sys.stderr.write(f"ltm: {said}\n")
