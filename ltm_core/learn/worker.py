"""The worker: takes waiting turns of one person, learns them in order, and commits facts and jobs together."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from types import SimpleNamespace
from typing import Any, Protocol, cast

from tenacity import RetryCallState, wait_exponential, wait_random

from ..errors import ConflictError, ExtractionError, NotFound
from ..home import Home
from ..llm.metering import Meter
from ..model import FactUpdate, Message
from ..policies import Clock
from ..records import message_of
from ..scope import Scope
from ..stores.base import Compare, Due, Put, Record, Store, Where, Write
from .lease import Lease, claim, is_lost, kept
from .spend import Hold, Ledger, charged
from .turns import DEAD, DONE, WAITING

log = logging.getLogger("ltm_core")

ALWAYS = datetime.max.replace(tzinfo=UTC)
MAX_ATTEMPTS = 5
MAX_CLAIMS = 8  # by processes that died, one after the other, over the same turn
MAX_TURNS = 20
POLL = 5.0  # seconds between two looks for what other processes wrote
TICK = 0.05  # seconds between two looks at least
MANY = 4
SEEN, SEEN_PEOPLE = 1000, 16  # jobs that one look sees, and people that it is to see among them
LONGEST = timedelta(seconds=10)  # how long after it is due a turn waits for a talk to pause
HELD = timedelta(seconds=30)  # a turn that is due later than this is held on purpose, and no other takes it along
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
        ledger: Ledger,
        *,
        poll: float = POLL,
        many: int = MANY,
        shuffle: Callable[[list[Scope]], None] = random.shuffle,
    ) -> None:
        self._store = store
        self._learn = learn
        self._home = home
        self._school = school
        self._clock = clock
        self._settled = settled
        self._ledger = ledger
        self._poll = poll
        self._many = many
        self._shuffle = shuffle
        self._running: asyncio.Task[None] | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._busy: set[str] = set()
        self._attempts: set[asyncio.Task[Any]] = set()
        self._wake = asyncio.Event()
        self._next_look = 0.0  # by the clock of the loop

    async def start(self) -> None:
        """Begin to learn in the background. Runs on the school loop, as all that follows."""
        if self._running is None or self._running.done():
            self._begin_anew()
            self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End all work; a turn in the middle of it goes back to the queue."""
        tasks = [*self._attempts, *([self._running] if self._running is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running = None

    def forget(self) -> None:
        """In a forked child: the background work is the parent's."""
        self._begin_anew()
        self._running = None

    async def wake(self, after: float = 0.0) -> None:
        """Look for work in so many seconds, or before."""
        self._next_look = min(self._next_look, asyncio.get_running_loop().time() + after)
        self._wake.set()

    async def drain(self) -> bool:
        """Learn all that waits, whenever it was meant to be tried next. Returns whether all of it was learned."""
        failed: set[str] = set()
        buried = False
        while True:
            waiting = [due for due in await self._due(ALWAYS, failed) if due.subject.token not in failed]
            if not waiting:
                return not (failed or buried)
            subjects = {due.subject.token: due.subject for due in waiting}
            outcomes = await self._attempt_all(self._shuffled(subjects.values()))
            failed |= {token for token, outcome in outcomes.items() if outcome in ("failed", "held")}
            buried = buried or "buried" in outcomes.values()
            if not {"learned", "buried"}.intersection(outcomes.values()):
                await asyncio.sleep(TICK)

    async def finish(self, subject: Scope, job_id: str) -> Record:
        """Learn until this job is no longer waiting. Raises `ExtractionError` if it could not be learned now."""
        while True:
            job = await self._home.run(self._job_or_moved(subject, job_id))
            if job is None or job.fields["status"] == DONE:
                return job if job is not None else _gone(job_id)
            if job.fields["status"] == DEAD:
                raise ExtractionError(_told_dead(job))
            outcome = await self._attempt(job.subject, ALWAYS)
            if outcome == "busy":
                await asyncio.sleep(0.02)
            elif outcome in ("failed", "held"):
                await self._raise_if_failed(job.subject, job_id)

    async def job(self, subject: Scope, job_id: str) -> Record | None:
        """The record of a job."""
        found = await self._store.scan(Where("job", subject=subject, ids=(job_id,)))
        return next(iter(found), None)

    async def find(self, job_id: str) -> Record | None:
        """The record of a job, whomever it is about."""
        subject = await self._store.whose("job", job_id)
        return await self.job(subject, job_id) if subject is not None else None

    async def _job_or_moved(self, subject: Scope, job_id: str) -> Record | None:
        """The same at the price of one look; of two where its session has become a user's meanwhile."""
        return await self.job(subject, job_id) or await self.find(job_id)

    async def _raise_if_failed(self, subject: Scope, job_id: str) -> None:
        job = await self._home.run(self.job(subject, job_id))
        if job is None or job.fields["status"] != WAITING:
            return
        if job.fields.get("held"):
            until = f"{job.fields['run_at']:%Y-%m-%d %H:%M} UTC"
            raise ExtractionError(f"{job.fields['held']} The turn waits until {until}, or for higher ceilings.")
        if job.fields.get("error"):
            raise ExtractionError(f"{job.fields['error']} The turn stays queued and is tried again.")

    async def _run(self) -> None:
        slots = asyncio.Semaphore(self._many)
        while True:
            self._next_look = math.inf
            wait = await self._look(slots)
            await self.wake(wait)
            await self._rest()

    async def _rest(self) -> None:
        """Sleep until the next look, which may come to be earlier meanwhile."""
        now = asyncio.get_running_loop().time
        while (left := self._next_look - now()) > 0:
            self._wake.clear()
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    async def _look(self, slots: asyncio.Semaphore) -> float:
        """Begin to learn about whoever is due, as slots become free; returns the seconds until the next look."""
        try:
            found = await self._due(self._clock() + timedelta(seconds=self._poll), self._busy)
        except Exception:
            log.exception("The memory could not look for turns to learn; it tries again in %.0f s.", self._poll)
            return self._poll
        now = self._clock()
        subjects = {due.subject.token: due.subject for due in found if due.at <= now}
        for subject in self._shuffled(subjects.values()):
            if subject.token not in self._busy:
                await slots.acquire()
                task = asyncio.create_task(self._attempt_by_itself(subject, slots))
                self._attempts.add(task)
                task.add_done_callback(self._attempts.discard)
        later = min((due.at for due in found if due.at > now), default=None)
        return self._poll if later is None else max((later - self._clock()).total_seconds(), TICK)

    async def _attempt_by_itself(self, subject: Scope, slots: asyncio.Semaphore) -> None:
        try:
            outcome = await self._attempt(subject, self._clock())
        except Exception:
            log.exception("The turns of one person could not be learned; they are tried again in %.0f s.", self._poll)
        else:
            if outcome not in ("idle", "busy"):
                await self.wake()
        finally:
            slots.release()

    def _shuffled(self, subjects: Iterable[Scope]) -> list[Scope]:
        """In another order than other workers, so that they do not always reach for the same person."""
        order = list(subjects)
        self._shuffle(order)
        return order

    async def _attempt_all(self, subjects: Sequence[Scope]) -> dict[str, str]:
        """Learn one batch of each, a few at a time; outcomes by token. Raises the first error when all have ended."""
        limit = asyncio.Semaphore(self._many)

        async def one(subject: Scope) -> str:
            async with limit:
                return await self._attempt(subject, ALWAYS)

        outcomes = await asyncio.gather(*map(one, subjects), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return {subject.token: str(outcome) for subject, outcome in zip(subjects, outcomes, strict=True)}

    async def _due(self, before: datetime, but: Set[str]) -> list[Due]:
        """What is due, of so many people besides `but` that one with thousands of turns hides nobody."""
        limit = SEEN
        while True:
            found = await self._home.run(self._store.due("job", before, limit))
            others = {due.subject.token for due in found} - but
            if len(found) < limit or len(others) >= SEEN_PEOPLE:
                return found
            limit *= 8

    async def _attempt(self, subject: Scope, ready: datetime) -> str:
        """Learn one batch of `subject`.

        Returns 'learned', 'failed', 'buried' (given up), 'held' (by a ceiling), 'busy' (somebody else is at it) or
        'idle' (nothing is due).
        """
        if subject.token in self._busy:
            await asyncio.sleep(0)
            return "busy"
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._busy.add(subject.token)
        self._attempts.add(task)
        try:
            return await self._learn_batch(subject, ready)
        finally:
            self._busy.discard(subject.token)
            self._attempts.discard(task)

    async def _learn_batch(self, subject: Scope, ready: datetime) -> str:
        waiting = await self._home.run(self._waiting(subject))
        jobs = due_together(waiting, ready)
        if not jobs:
            return "idle"
        now = self._clock()
        if _claims(jobs[0]) >= MAX_CLAIMS:
            await self._home.run(self._bury(jobs[0], now))
            return "buried"
        hold = await self._home.run(self._ledger.hold(subject, now))
        if hold is not None:
            await self._home.run(self._hold(waiting, hold))
            return "held"
        return await self._learn_jobs(subject, [_tried(job, now) for job in jobs])

    async def _learn_jobs(self, subject: Scope, jobs: Sequence[Record]) -> str:
        claiming = asyncio.ensure_future(self._claimed(subject, jobs))
        try:
            attempt = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            if attempt := await claiming:
                await self._home.run(self._give_back(attempt))
            raise
        if attempt is None:
            return "busy"
        try:
            batch = Batch(jobs, await self._home.run(self._messages(jobs)))
            found = await self._extract(batch, attempt)
            await self._home.run(self._commit(batch, attempt, found))
        except asyncio.CancelledError:
            await asyncio.shield(self._home.run(self._give_back(attempt)))
            raise
        except Exception as error:
            await self._home.run(self._fail(attempt, error))
            return "failed"
        return "learned"

    async def _claimed(self, subject: Scope, jobs: Sequence[Record]) -> _Attempt | None:
        lease = await self._home.run(claim(self._store, subject, self._clock(), list(map(_put, jobs))))
        return _Attempt(jobs, lease, self._ledger.meter()) if lease is not None else None

    async def _extract(self, batch: Batch, attempt: _Attempt) -> Any:
        try:
            async with kept(attempt.lease, self._write, self._clock):
                with attempt.meter.running():
                    return await self._learn.extract(batch)
        finally:
            await asyncio.shield(self._home.run(self._ledger.add(attempt.meter, self._clock())))

    async def _waiting(self, subject: Scope) -> list[Record]:
        where = Where("job", subject=subject, test=Compare("status", "eq", WAITING))
        return await self._store.scan(where, order=[("created_at", "asc"), ("number", "asc")], limit=1000)

    async def _bury(self, job: Record, now: datetime) -> None:
        with suppress(ConflictError):  # somebody else did it, or its turn was completed: it is looked at again
            await self._store.apply([_put(_buried(job, now))])

    async def _hold(self, waiting: Sequence[Record], hold: Hold) -> None:
        """Let turns wait, and say why. What is changed meanwhile is held at the next look."""
        held = [_held(job, hold) for job in waiting if job.fields["run_at"] < hold.until or not job.fields.get("held")]
        with suppress(ConflictError):
            await self._store.apply(list(map(_put, held)))

    async def _messages(self, jobs: Sequence[Record]) -> list[Message]:
        ids = tuple(one for job in jobs for one in waiting_ids(job))
        where = Where("message", (jobs[0].scope,), ids=ids, test=Compare("deleted_at", "exists", False))
        found = await self._store.scan(where, order=[("number", "asc")])
        return [message_of(record).model_copy(update={"id": record.id}) for record in found]

    async def _write(self, put: Put) -> None:
        await self._home.run(self._store.apply([put]))

    async def _commit(self, batch: Batch, attempt: _Attempt, found: Any) -> None:
        """Decide and write, again from the start as long as somebody else writes in between."""
        jobs: Sequence[Record] = batch.jobs
        while True:
            updates, writes = await self._learn.decide(batch, found)
            now = self._clock()
            shares = zip(jobs, batch.jobs, _shares(batch, updates), strict=True)
            done = attempt.charged([_done(job, learned, share, now) for job, learned, share in shares])
            spent = await self._ledger.entry(batch.subject, attempt.meter, now)
            try:
                await self._store.apply([*writes, *done, *spent, attempt.lease.released(now)])
            except ConflictError:
                if await is_lost(self._store, attempt.lease):
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

    async def _fail(self, attempt: _Attempt, error: Exception) -> None:
        log.warning("A turn could not be learned and stays queued: %s", error)
        now = self._clock()
        await self._close(attempt, lambda job: _failed(job, error, now))

    async def _give_back(self, attempt: _Attempt) -> None:
        now = self._clock()
        await self._close(attempt, lambda job: _next_version(job, claims=_claims(job) - 1, run_at=now))

    async def _close(self, attempt: _Attempt, change: Callable[[Record], Record]) -> None:
        """Give the lease back and leave the jobs that are still there for another try."""
        while not await is_lost(self._store, attempt.lease):
            found = [await self.job(job.subject, job.id) for job in attempt.jobs]
            writes = attempt.charged([change(job) for job in found if job is not None])
            now = self._clock()
            spent = await self._ledger.entry(attempt.jobs[0].subject, attempt.meter, now)
            with suppress(ConflictError):
                await self._store.apply([*writes, *spent, attempt.lease.released(now)])
                break


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Jobs that are being learned under a lease, and what that takes."""

    jobs: Sequence[Record]
    lease: Lease
    meter: Meter

    def charged(self, jobs: Sequence[Record]) -> list[Put]:
        """The writes of these jobs; the first one carries what all took together, so that sums are right."""
        first = [replace(job, fields=charged(dict(job.fields), self.meter)) for job in jobs[:1]]
        return [_put(job) for job in [*first, *jobs[1:]]]


def due_together(waiting: Sequence[Record], ready: datetime) -> Sequence[Record]:
    """Of turns that wait, oldest first, those to learn in the next call: of one conversation, in which it is quiet."""
    lanes: dict[tuple[Scope, str | None], list[Record]] = {}
    for job in waiting:
        lanes.setdefault(_lane(job), []).append(job)
    return next((together for lane in lanes.values() if (together := _together(lane, ready))), ())


def _together(lane: Sequence[Record], ready: datetime) -> Sequence[Record]:
    head = lane[0].fields
    if head["run_at"] > ready:
        return ()
    jobs = list(takewhile(lambda job: job.fields["run_at"] - HELD <= ready, lane[: _most(lane[0])]))
    is_full = len(jobs) == _most(lane[0])
    is_quiet = jobs[-1].fields["run_at"] <= ready
    return jobs if is_full or is_quiet or head["run_at"] <= ready - LONGEST else ()


def _most(head: Record) -> int:
    """How many turns are learned together: half as many after each death over them, so that it is found which it is."""
    if head.fields["attempts"] or head.fields.get("task"):
        return 1
    return max(MAX_TURNS >> _claims(head), 1)


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


def _claims(job: Record) -> int:
    """How often it was taken up without any end: it is being learned, or a process died over it."""
    return job.fields.get("claims") or 0


def _tried(job: Record, now: datetime) -> Record:
    """`job` as it is claimed: should the process die over it, it is tried at once, and then later and later."""
    claims = _claims(job)
    pause = timedelta(seconds=backoff(claims)) if claims else timedelta()
    return _next_version(job, claims=claims + 1, run_at=now + pause, held=None)


def _held(job: Record, hold: Hold) -> Record:
    return _next_version(job, run_at=max(job.fields["run_at"], hold.until), held=hold.reason)


def _done(job: Record, learned: Record, updates: Sequence[FactUpdate], now: datetime) -> Record:
    """`job` after `learned`, which is how it was when its messages were read: what came later waits on."""
    told = [*(job.fields.get("updates") or []), *(summary(update) for update in updates)]
    count = len(learned.fields["message_ids"])
    if count < len(job.fields["message_ids"]):
        return _next_version(job, learned=count, attempts=0, claims=0, run_at=now, updated_at=now, updates=told)
    fields = {"learned": count, "claims": 0, "run_at": None, "updated_at": now, "error": None, "updates": told}
    return _next_version(job, status=DONE, **fields)


def waiting_ids(job: Record) -> tuple[str, ...]:
    """The messages of a job that are not learned yet."""
    return tuple(job.fields["message_ids"][job.fields.get("learned") or 0 :])


def _failed(job: Record, error: Exception, now: datetime) -> Record:
    told = f"{type(error).__name__}: {error}"
    fields = {"attempts": job.fields["attempts"] + 1, "claims": 0, "updated_at": now, "error": told}
    if fields["attempts"] >= MAX_ATTEMPTS:
        return _next_version(job, **fields, status=DEAD, run_at=None)
    return _next_version(job, **fields, run_at=now + timedelta(seconds=backoff(fields["attempts"])))


def _buried(job: Record, now: datetime) -> Record:
    told = f"The process died {_claims(job)} times while it learned this turn."
    return _next_version(job, status=DEAD, run_at=None, updated_at=now, error=told)


def _told_dead(job: Record) -> str:
    again = f"memory.jobs.retry({job.id!r}) tries it again, drop gives it up"
    return f"{job.fields['error']} The turn is kept as a dead letter: {again}."


def _gone(job_id: str) -> Record:
    raise NotFound(f"Job {job_id} is no longer there: it was dropped or erased. Nothing is left to wait for.")
