"""What all faces of one memory share: the store, the policies, the two loops and the worker."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextvars import Context
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

from .assemble import AccessLogging, Queueing
from .errors import ConfigurationError, UsageError
from .home import Home, call
from .index.embedded import Embedded
from .journeys.accesses import AccessLog
from .journeys.contexts import Contexts
from .journeys.learning import Learning
from .journeys.maintaining import Maintenance
from .journeys.recalling import Recalling
from .journeys.summarising import Summaries
from .journeys.sweeping import Sweeping
from .learn.align import align
from .learn.lease import holder
from .learn.room import Room
from .learn.spend import Ledger
from .learn.turns import SUMMARY, SessionLimits, SummaryTrigger, Turns
from .learn.worker import MANY, POLL, Batch, Settled, Worker
from .maintain.strategies import EVERY
from .model import FactUpdate
from .policies import Clock, MaintenanceStrategy, Policies
from .scope import DEFAULT_TENANT
from .stores.base import Store, Write

R = TypeVar("R")

log = logging.getLogger("ltm_core")

REMEMBERED_OUTCOMES = 1024
SWEEP_SECONDS = 60
DELETED_SECONDS = 3600  # between two looks for facts that were deleted long ago, or are to be maintained
SUMMARY_TOKENS = 400
GRACE = 5.0  # seconds in which what is in hand is given back, before it is left to its lease


class Runtime:
    """One memory at work. Opened by its first call, closed once, opened anew in a forked child.

    It learns about `many` people at a time, looks every `poll` seconds for what other processes wrote, and calls
    `learned` with each job that it learned and what that did, on the learning loop.
    """

    def __init__(
        self,
        store: Store,
        policies: Policies,
        *,
        tenant: str = DEFAULT_TENANT,
        background: bool = True,
        limits: SessionLimits | None = None,
        trigger: SummaryTrigger | None = None,
        summary_tokens: int = SUMMARY_TOKENS,
        many: int = MANY,
        poll: float = POLL,
        learned: Settled | None = None,
        retention: timedelta | None = None,
        maintain: Sequence[MaintenanceStrategy] = (),
        maintain_every: timedelta = EVERY,
        queueing: Queueing | None = None,
        access_logging: AccessLogging | None = None,
    ) -> None:
        store = Embedded(store, policies.embedder, policies.clock) if policies.embedder else store
        self.store = store
        self.policies = policies
        self.tenant = tenant
        self.name = uuid4().hex
        self.home = Home("ltm-home")
        self.school = Home("ltm-learning")
        self.turns = Turns(store, align, limits, trigger)
        self.learning = Learning(store, policies, self.home)
        access_logging = access_logging or AccessLogging()
        self.accesses = AccessLog(store, policies, self.home, self.school, access_logging)
        self.recalling = Recalling(store, policies, self.turns, self.accesses)
        self.summaries = Summaries(store, policies, self.turns, self.home, summary_tokens)
        self.contexts = Contexts(store, policies, self.turns, self.recalling, self.summaries)
        self.maintenance = Maintenance(store, policies, self.summaries, self.home)
        self.maintain, self.maintain_every = maintain, maintain_every
        self.sweeping = Sweeping(store, self.turns, policies.clock, retention, access_logging.retention)
        self.queueing = queueing or Queueing()
        self.room = Room(store, self.queueing.bounds)
        self.ledger = Ledger(store, self.queueing.ceilings, policies.count_tokens, holder)
        tasks = _Tasks(self.learning, self.summaries, self.turns, policies.clock)
        self.worker = Worker(
            store,
            tasks,
            self.home,
            self.school,
            policies.clock,
            self._settled,
            self.ledger,
            poll=poll,
            many=many,
        )
        self._learned = learned
        self._background = background
        self._outcomes: OrderedDict[str, Sequence[FactUpdate]] = OrderedDict()
        self._opening: asyncio.Lock | None = None
        self._open = False
        self._closed = False
        self._sweeper: Future[None] | None = None
        _RUNTIMES.add(self)

    def now(self) -> datetime:
        """The time by this memory's clock."""
        return self.policies.clock()

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Await `work` on the home loop, with the store open. Raises `UsageError` after `close`."""
        return await self.home.run(self._opened(work))

    async def teach(self, work: Coroutine[Any, Any, R]) -> R:
        """Await `work` on the learning loop, with the store open."""
        try:
            await self.run(_nothing())
        except BaseException:
            work.close()
            raise
        return await self.school.run(work)

    def outcome(self, job_id: str) -> Sequence[FactUpdate] | None:
        """What learning a job did, if this process did it lately."""
        return self._outcomes.get(job_id)

    async def embedded(self) -> bool:
        """Await that all that waits has its vectors; False where the embedder fails."""
        return await self.run(self.store.drain()) if isinstance(self.store, Embedded) else True

    async def embed_all(self, tell: Callable[[int], None]) -> bool:
        """Embed what has no vector yet, of everybody; `tell` hears how many records were looked at.

        False where the embedder fails. Raises `ConfigurationError` without one.
        """
        if not isinstance(self.store, Embedded):
            raise ConfigurationError("This memory has no embedder. Pass embedder=, for example 'local'.")
        return await self.run(self.store.embed_all(tell))

    async def maintain_due(self) -> None:
        """Maintain the facts of everybody whose time has come, as this memory was told to. On the learning loop."""
        if self.maintain:
            await self.maintenance.maintain_everybody(self.maintain, self.maintain_every)

    def wake(self, after: float = 0.0) -> None:
        """Tell the worker that there is work, or will be in so many seconds."""
        if self._background and not self._closed:
            self.school.submit(self.worker.wake(after))

    async def open(self) -> None:
        """Open the store now rather than at the first call."""
        await self.run(_nothing())

    async def close(self) -> None:
        """The same as `close_now`, without blocking the caller's loop."""
        await call(self.close_now)

    def close_now(self) -> None:
        """Stop learning, give back the store, end both threads. What waits is learned at the next start.

        An extractor that blocks its loop is left behind after some seconds, and its turn to its lease.
        """
        if self._closed:
            return
        self._closed = True
        if self._open:
            if self._sweeper is not None:
                self._sweeper.cancel()
            try:
                self.school.wait(self._finish(), GRACE)
            except TimeoutError:
                log.warning("An extractor cannot be stopped. Its turn is learned anew when its lease has ended.")
            self.home.wait(self.store.close())
            self._open = False
        self.school.stop(GRACE)
        self.home.stop()

    def forget(self) -> None:
        """In a forked child: what is open belongs to the parent."""
        self.store.forget_connections()
        self.turns.forget()
        self.recalling.indexes.forget()
        self.accesses.forget()
        self.worker.forget()
        self.ledger.forget()
        self.room.forget()
        self._opening = self._sweeper = None
        self._open = False

    async def _finish(self) -> None:
        await self.worker.stop()
        await self.accesses.write()

    async def _opened(self, work: Coroutine[Any, Any, R]) -> R:
        try:
            await self._ensure_open()
        except BaseException:
            work.close()
            raise
        return await work

    async def _ensure_open(self) -> None:
        if self._closed:
            raise UsageError("This memory is closed. Make a new one to go on.")
        if self._open:
            return
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if not self._open:
                await self.store.open()
                self._open = True
                if self._background:
                    # In an empty context: the worker is nobody, and not whoever happened to open the memory.
                    Context().run(self.school.submit, self.worker.start())
                if self._background:
                    self._sweeper = Context().run(self.school.submit, self._sweep_now_and_then())

    async def _sweep_now_and_then(self) -> None:
        often = max(min(int(self.maintain_every.total_seconds()), DELETED_SECONDS), SWEEP_SECONDS)
        for seconds in count(0, SWEEP_SECONDS):
            try:
                await self.home.run(self.sweeping.sweep(deleted=seconds % DELETED_SECONDS == 0))
            except Exception:
                log.exception("What is over could not be removed; it is tried again in %d s.", SWEEP_SECONDS)
            if seconds % often < SWEEP_SECONDS:
                await self._maintain_everybody()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _maintain_everybody(self) -> None:
        try:
            await self.maintain_due()
        except Exception:
            log.exception("Facts could not be maintained; it is tried again in %d s.", DELETED_SECONDS)

    def _settled(self, job_id: str, updates: Sequence[FactUpdate]) -> None:
        self._outcomes[job_id] = updates
        while len(self._outcomes) > REMEMBERED_OUTCOMES:
            self._outcomes.popitem(last=False)
        if self._learned is not None:
            self._learned(job_id, updates)


class _Tasks:
    """What the worker does with a job: a summary, or learning, which takes along what a session has too much."""

    def __init__(self, learning: Learning, summaries: Summaries, turns: Turns, clock: Clock) -> None:
        self._learning = learning
        self._summaries = summaries
        self._turns = turns
        self._clock = clock

    async def extract(self, batch: Batch) -> Any:
        if batch.task == SUMMARY:
            return await self._summaries.draft(batch.jobs[0])
        return await self._learning.extract(batch)

    async def decide(self, batch: Batch, found: Any) -> tuple[Sequence[FactUpdate], Sequence[Write]]:
        if batch.task == SUMMARY:
            keep = batch.jobs[0].fields.get("keep")
            return [], await self._summaries.writes(found, self._clock(), keep)
        updates, writes = await self._learning.decide(batch, found)
        learned = frozenset(one for job in batch.jobs for one in job.fields["message_ids"])
        return updates, [*writes, *await self._turns.surplus(batch.jobs[0].scope, learned)]


_RUNTIMES: weakref.WeakSet[Runtime] = weakref.WeakSet()


async def _nothing() -> None:
    pass


def _after_fork() -> None:
    for runtime in list(_RUNTIMES):
        runtime.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
