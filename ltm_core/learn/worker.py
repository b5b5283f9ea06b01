"""The worker: takes waiting turns of one person, learns them in order, and commits facts and jobs together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Protocol, cast

from tenacity import RetryCallState, wait_exponential, wait_random

from ..errors import ConflictError, ExtractionError, NotFound
from ..home import Home
from ..model import FactUpdate, Message
from ..policies import Clock
from ..records import message_of
from ..scope import Scope
from ..stores.base import Compare, Put, Record, Store, Where, Write
from .lease import LEASE, Lease, claim, is_lost
from .turns import DEAD, DONE, WAITING

log = logging.getLogger("ltm_core")

ALWAYS = datetime.max.replace(tzinfo=UTC)
MAX_ATTEMPTS = 5
MAX_TURNS = 20
POLL = 5.0  # seconds between two looks for what other processes wrote
MANY = 4
_backoff = wait_exponential(multiplier=2, max=600) + wait_random(0, 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """Waiting turns of one conversation, oldest first, that are learned in one call."""

    jobs: Sequence[Record]
    messages: Sequence[Message]

    @property
    def subject(self) -> Scope:
        """Whom the turns are about."""
        return self.jobs[0].subject

    @property
    def task(self) -> str | None:
        """What is to be done, where it is not to learn turns."""
        return self.jobs[0].fields.get("task")


class Learn(Protocol):
    """The learning journey, as the worker needs it. The first half may take long, the second reads and decides."""

    async def extract(self, batch: Batch) -> Any:
        """Candidates from the messages; runs on the learning loop."""
        ...

    async def decide(self, batch: Batch, found: Any) -> tuple[Sequence[FactUpdate], Sequence[Write]]:
        """What to do with the candidates given the facts as they are now, and the writes; runs on the home loop."""
        ...


Settled = Callable[[str, Sequence[FactUpdate]], None]


class Worker:
    """Learns what waits. The same code whether it runs in the background or somebody waits for it.

    Store calls go to `home`; extraction runs on `school`, a loop of its own, so that it never delays a recall.
    """

    def __init__(
        self,
        store: Store,
        learn: Learn,
        home: Home,
        school: Home,
        clock: Clock,
        settled: Settled,
        *,
        poll: float = POLL,
        many: int = MANY,
    ) -> None:
        self._store = store
        self._learn = learn
        self._home = home
        self._school = school
        self._clock = clock
        self._settled = settled
        self._poll = poll
        self._many = many
        self._busy: set[str] = set()
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to learn in the background. Runs on the school loop, as all that follows."""
        if self._running is None or self._running.done():
            self._busy, self._wake = set(), asyncio.Event()
            self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the background work; a turn in the middle of it goes back to the queue."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    def forget(self) -> None:
        """In a forked child: the background work is the parent's."""
        self._busy, self._wake, self._running = set(), asyncio.Event(), None

    async def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def drain(self) -> bool:
        """Learn all that waits, whenever it was meant to be tried next. Returns whether nothing is left waiting."""
        failed: set[str] = set()
        while True:
            waiting = [due for due in await self._due(ALWAYS) if due.subject.token not in failed]
            if not waiting:
                return not failed
            subjects = {due.subject.token: due.subject for due in waiting}
            outcomes = await self._attempt_all(list(subjects.values()), ALWAYS)
            failed |= {token for token, outcome in zip(subjects, outcomes, strict=True) if outcome == "failed"}
            if "learned" not in outcomes:
                await asyncio.sleep(0.02)

    async def finish(self, subject: Scope, job_id: str) -> Record:
        """Learn until this job is no longer waiting. Raises `ExtractionError` if it could not be learned now."""
        while True:
            job = await self._home.run(self.job(subject, job_id))
            if job is None or job.fields["status"] == DONE:
                return job if job is not None else _gone(job_id)
            if job.fields["status"] == DEAD:
                raise ExtractionError(f"{job.fields['error']} The turn is kept: see memory.jobs.show({job_id!r}).")
            outcome = await self._attempt(subject, ALWAYS)
            if outcome == "busy":
                await asyncio.sleep(0.02)
            elif outcome == "failed":
                await self._raise_if_failed(subject, job_id)

    async def job(self, subject: Scope, job_id: str) -> Record | None:
        """The record of a job."""
        found = await self._store.scan(Where("job", subject=subject, ids=(job_id,)))
        return next(iter(found), None)

    async def _raise_if_failed(self, subject: Scope, job_id: str) -> None:
        job = await self._home.run(self.job(subject, job_id))
        if job is not None and job.fields["status"] == WAITING and job.fields.get("error"):
            raise ExtractionError(f"{job.fields['error']} The turn stays queued and is tried again.")

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                busy = await self._pass()
            except Exception:
                log.exception("The memory could not look for turns to learn; it tries again in %.0f s.", self._poll)
                busy = False
            if not busy:
                await self._rest()

    async def _rest(self) -> None:
        # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._wake.wait()

    async def _pass(self) -> bool:
        """Learn what is due, a few people at a time. Returns whether anything was learned."""
        now = self._clock()
        subjects = {item.subject.token: item.subject for item in await self._due(now)}
        return "learned" in await self._attempt_all(list(subjects.values()), now)

    async def _attempt_all(self, subjects: Sequence[Scope], ready: datetime) -> list[str]:
        limit = asyncio.Semaphore(self._many)

        async def one(subject: Scope) -> str:
            async with limit:
                return await self._attempt(subject, ready)

        return await asyncio.gather(*map(one, subjects))

    async def _due(self, before: datetime) -> list[Any]:
        return cast("list[Any]", await self._home.run(self._store.due("job", before, 1000)))

    async def _attempt(self, subject: Scope, ready: datetime) -> str:
        """Learn one batch of `subject`: 'learned', 'failed', 'busy' (somebody else is at it) or 'idle'."""
        if subject.token in self._busy:
            await asyncio.sleep(0)
            return "busy"
        self._busy.add(subject.token)
        try:
            return await self._learn_batch(subject, ready)
        finally:
            self._busy.discard(subject.token)

    async def _learn_batch(self, subject: Scope, ready: datetime) -> str:
        waiting = await self._home.run(self._next(subject, ready))
        if waiting is None:
            return "idle"
        if waiting.jobs[0].fields["attempts"] >= MAX_ATTEMPTS:
            await self._home.run(self._store.apply([_put(_buried(waiting.jobs[0], self._clock()))]))
            return "failed"
        batch = Batch([_tried(job) for job in waiting.jobs], waiting.messages)
        lease = await self._home.run(claim(self._store, subject, self._clock(), list(map(_put, batch.jobs))))
        if lease is None:
            return "busy"
        try:
            async with self._beating(lease):
                found = await self._learn.extract(batch)
            await self._home.run(self._commit(batch, lease, found))
        except asyncio.CancelledError:
            await asyncio.shield(self._home.run(self._give_back(batch, lease)))
            raise
        except Exception as error:
            await self._home.run(self._fail(batch, lease, error))
            return "failed"
        return "learned"

    async def _next(self, subject: Scope, ready: datetime) -> Batch | None:
        where = Where("job", subject=subject, test=Compare("status", "eq", WAITING))
        waiting = await self._store.scan(where, order=[("created_at", "asc"), ("number", "asc")], limit=1000)
        heads: dict[tuple[Scope, str | None], Record] = {}
        for job in waiting:
            heads.setdefault(_lane(job), job)
        first = next((job for job in heads.values() if job.fields["run_at"] <= ready), None)
        if first is None:
            return None
        same = [job for job in waiting if _lane(job) == _lane(first)]
        jobs = same[:1] if first.fields["attempts"] or first.fields.get("task") else same[:MAX_TURNS]
        return Batch(jobs, await self._messages(jobs))

    async def _messages(self, jobs: Sequence[Record]) -> list[Message]:
        ids = tuple(one for job in jobs for one in waiting_ids(job))
        where = Where("message", (jobs[0].scope,), ids=ids, test=Compare("deleted_at", "exists", False))
        found = await self._store.scan(where, order=[("number", "asc")])
        return [message_of(record).model_copy(update={"id": record.id}) for record in found]

    @asynccontextmanager
    async def _beating(self, lease: Lease) -> AsyncIterator[None]:
        """Keep the lease while extraction runs."""
        stop = asyncio.Event()
        beat = asyncio.create_task(self._beat(lease, stop))
        try:
            yield
        finally:
            stop.set()
            await beat

    async def _beat(self, lease: Lease, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with asyncio.timeout(LEASE.total_seconds() / 3):
                    await stop.wait()
            except TimeoutError:
                await self._renew(lease)

    async def _renew(self, lease: Lease) -> None:
        put = lease.renewed(self._clock())
        try:
            await self._home.run(self._store.apply([put]))
        except ConflictError:
            return  # the commit will find that the lease is lost
        lease.record = put.record

    async def _commit(self, batch: Batch, lease: Lease, found: Any) -> None:
        """Decide and write, again from the start as long as somebody else writes in between."""
        jobs: Sequence[Record] = batch.jobs
        while True:
            updates, writes = await self._learn.decide(batch, found)
            now = self._clock()
            shares = zip(jobs, batch.jobs, _shares(batch, updates), strict=True)
            done = [_put(_done(job, learned, share, now)) for job, learned, share in shares]
            try:
                await self._store.apply([*writes, *done, lease.released(now)])
            except ConflictError:
                if await is_lost(self._store, lease):
                    raise
                jobs = await self._again(batch)
            else:
                return self._learned(batch, updates)

    async def _again(self, batch: Batch) -> Sequence[Record]:
        """The jobs as they are now: a turn may have been completed or dropped while it was learned."""
        found = [await self.job(job.subject, job.id) for job in batch.jobs]
        return [job if job is not None else _gone(old.id) for job, old in zip(found, batch.jobs, strict=True)]

    def _learned(self, batch: Batch, updates: Sequence[FactUpdate]) -> None:
        for job, share in zip(batch.jobs, _shares(batch, updates), strict=True):
            self._settled(job.id, share)

    async def _fail(self, batch: Batch, lease: Lease, error: Exception) -> None:
        log.warning("A turn could not be learned and stays queued: %s", error)
        now = self._clock()
        await self._close(batch, lease, lambda job: _failed(job, error, now))

    async def _give_back(self, batch: Batch, lease: Lease) -> None:
        await self._close(batch, lease, lambda job: _next_version(job, attempts=job.fields["attempts"] - 1))

    async def _close(self, batch: Batch, lease: Lease, change: Callable[[Record], Record]) -> None:
        """Give the lease back and leave the jobs that are still there for another try."""
        while not await is_lost(self._store, lease):
            found = [await self.job(job.subject, job.id) for job in batch.jobs]
            writes = [_put(change(job)) for job in found if job is not None]
            with suppress(ConflictError):
                await self._store.apply([*writes, lease.released(self._clock())])
                break


def backoff(attempts: int) -> float:
    """Seconds until the next try: 2, 4, 8 … 600, and up to one of jitter."""
    return float(_backoff(cast("RetryCallState", SimpleNamespace(attempt_number=attempts))))


def summary(update: FactUpdate) -> dict[str, Any]:
    """What a job remembers of what it did: no value, only where to find it."""
    fact = update.fact
    return {
        "operation": update.operation,
        "fact_id": fact.id if fact is not None else None,
        "key": fact.key if fact is not None else None,
        "version": fact.version if fact is not None else None,
        "reason": update.reason,
    }


def _shares(batch: Batch, updates: Sequence[FactUpdate]) -> list[list[FactUpdate]]:
    """The updates by job, found by the messages they came from; what names none counts for the last job."""
    shares: list[list[FactUpdate]] = [[] for _ in batch.jobs]
    places = {one: place for place, job in enumerate(batch.jobs) for one in job.fields["message_ids"]}
    for update in updates:
        sources = update.fact.sources if update.fact is not None else []
        shares[max((places[one] for one in sources if one in places), default=-1)].append(update)
    return shares


def _lane(job: Record) -> tuple[Scope, str | None]:
    """Jobs of one lane are done in order: the turns of a conversation, and other tasks beside them."""
    return job.scope, job.fields.get("task")


def _put(record: Record) -> Put:
    return Put(record, expect=record.version - 1)


def _next_version(job: Record, **changed: Any) -> Record:
    return replace(job, fields={**job.fields, **changed}, version=job.version + 1)


def _tried(job: Record) -> Record:
    return _next_version(job, attempts=job.fields["attempts"] + 1)


def _done(job: Record, learned: Record, updates: Sequence[FactUpdate], now: datetime) -> Record:
    """`job` after `learned`, which is how it was when its messages were read: what came later waits on."""
    told = [*(job.fields.get("updates") or []), *(summary(update) for update in updates)]
    count = len(learned.fields["message_ids"])
    if count < len(job.fields["message_ids"]):
        return _next_version(job, learned=count, attempts=0, run_at=now, updated_at=now, updates=told)
    return _next_version(job, status=DONE, learned=count, run_at=None, updated_at=now, error=None, updates=told)


def waiting_ids(job: Record) -> tuple[str, ...]:
    """The messages of a job that are not learned yet."""
    return tuple(job.fields["message_ids"][job.fields.get("learned") or 0 :])


def _failed(job: Record, error: Exception, now: datetime) -> Record:
    told = f"{type(error).__name__}: {error}"
    attempts = job.fields["attempts"]
    if attempts >= MAX_ATTEMPTS:
        return _next_version(job, status=DEAD, run_at=None, updated_at=now, error=told)
    return _next_version(job, run_at=now + timedelta(seconds=backoff(attempts)), updated_at=now, error=told)


def _buried(job: Record, now: datetime) -> Record:
    told = job.fields.get("error") or f"The process died {MAX_ATTEMPTS} times while it learned this turn."
    return _next_version(job, status=DEAD, run_at=None, updated_at=now, error=told)


def _gone(job_id: str) -> Record:
    raise NotFound(f"Job {job_id} is no longer there: it was dropped or erased. Nothing is left to wait for.")
