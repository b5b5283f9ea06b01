"""Group commit: what is waiting is written in one transaction, so that many callers share the price of one fsync."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Unit = TypeVar("Unit")
MOST = 256
ROOM = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[Unit]):
    unit: Unit
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def finish(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class GroupCommit(Generic[Unit]):
    """Hands waiting units to `commit`, at most `most` at once, and tells each caller what became of its own.

    `commit` answers with an error or None for each unit; what it raises goes to all callers of the group. At most
    `room` callers have a unit here; more of them wait outside, in the order in which they came.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Unit]], Awaitable[Sequence[Exception | None]]],
        most: int = MOST,
        room: int = ROOM,
    ) -> None:
        self._commit = commit
        self._most = most
        self._room = asyncio.Semaphore(room)
        self._callers = 0
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._waiting: OrderedDict[_Job[Unit], None] = OrderedDict()
        self._running: asyncio.Task[None] | None = None

    async def add(self, make: Callable[[], Unit]) -> None:
        """Return when a unit is committed, or raise what refused it.

        `make` makes the unit once there is room for it. A caller that is cancelled before its unit was taken takes it
        back; later it is written all the same.
        """
        self._callers += 1
        self._nobody.clear()
        try:
            async with self._room:
                await self._committed(make())
        finally:
            self._callers -= 1
            if not self._callers:
                self._nobody.set()

    async def idle(self) -> None:
        """Return when nothing waits any more, here or for room here."""
        while self._callers or self._running is not None:
            await self._nobody.wait()
            if self._running is not None:  # with what callers left behind who were cancelled
                await asyncio.wait([self._running])

    async def _committed(self, unit: Unit) -> None:
        job = _Job(unit)
        self._waiting[job] = None
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        try:
            await job.done
        except asyncio.CancelledError:
            self._waiting.pop(job, None)
            raise

    async def _drain(self) -> None:
        try:
            while group := self._take():
                await self._write(group)
        finally:
            self._running = None

    def _take(self) -> list[_Job[Unit]]:
        group: list[_Job[Unit]] = []
        while self._waiting and len(group) < self._most:
            job, _ = self._waiting.popitem(last=False)
            if not job.done.done():
                group.append(job)
        return group

    async def _write(self, group: Sequence[_Job[Unit]]) -> None:
        try:
            errors = await self._commit([job.unit for job in group])
        except Exception as error:
            errors = [error] * len(group)
        except BaseException:
            for job in [*group, *self._waiting]:
                job.done.cancel()
            self._waiting.clear()
            raise
        for job, refused in zip(group, errors, strict=True):
            job.finish(refused)
