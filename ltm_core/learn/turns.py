"""Writing a turn down: its messages and the job to learn from them, in one `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict
from weakref import WeakValueDictionary

from ..errors import ConflictError, ScopeError
from ..model import Message
from ..records import message_of, message_record
from ..scope import Identity, MemoryScope, Scope, digest
from ..stores.again import tried
from ..stores.base import All, AnyOf, Compare, Delete, Put, Record, Scan, Store, Where, Write

WAITING, DONE, DEAD = "waiting", "done", "dead"
SUMMARY = "summary"  # what a job is to do, where it is not to learn a turn
# Under what the state of a thread is kept among the checkpoints of its session; other checkpoints are of runs.
THREAD = "thread"
STATE = "session-state"
BESIDE_FACTS = ("tag", "link", "access", "usage")
OF_FACTS = ("fact", "version", *BESIDE_FACTS)
NEAR = 2  # messages that mostly tell whether one turn was stored already

Align = Callable[[Sequence[Message], Sequence[Message]], Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, by whom, and what is to be done with it.

    Attributes:
        learn: Whether a job is to learn from it.
        run_at: When to learn from it at the earliest; now without.
        completes: Whether it only adds to a turn that is stored: if that was learned meanwhile, this is kept unlearned.
        aligned: Whether what is stored already is to be found in it and left out.
    """

    messages: Sequence[Message]
    who: Identity
    now: datetime
    turn_id: str | None = None
    run_at: datetime | None = None
    completes: bool = False
    learn: bool = True
    aligned: bool = True
    namespace: str = ""

    @property
    def thread(self) -> Scope:
        """The conversation that the messages belong to: the session or, without one, all that the user ever said."""
        return self.who.scope(MemoryScope.SESSION) if self.who.session_id is not None else self.who.subject

    @property
    def spoken(self) -> list[Message]:
        """What of it belongs to the conversation."""
        return [message for message in self.messages if message.role != "system"]


class Writing(TypedDict, total=False):
    """How to write a turn down; as in `Sent`."""

    run_at: datetime | None
    completes: bool
    aligned: bool


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lives after its last use, and how many of its messages are kept; None for no limit."""

    ttl: timedelta | None = None
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class SummaryTrigger:
    """After how much new talk a session is summarised anew: tokens, as `count` counts them, or messages."""

    tokens: int
    messages: int
    count: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Written:
    """What was new of it, and the job that will learn it (None where nothing is to be learned)."""

    messages: Sequence[Message]
    job: Record | None = None


class Turns:
    """Appends turns to conversations, each message once."""

    def __init__(
        self,
        store: Store,
        align: Align,
        limits: SessionLimits | None = None,
        trigger: SummaryTrigger | None = None,
    ) -> None:
        self._store = store
        self._align = align
        self.limits = limits or SessionLimits()
        self._trigger = trigger
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def write(self, sent: Sent) -> Written:
        """Store what is new of `sent`, durable on return. Raises `ScopeError` if the session is somebody else's."""
        lock = self._locks.setdefault(sent.thread.token, asyncio.Lock())
        async with lock:
            written = await tried(lambda: self._write(sent))
            if surplus := await self.surplus(sent.thread):
                with suppress(ConflictError):  # somebody is at it; the next turn removes what is too much
                    await self._store.apply(surplus)
        return written

    def forget(self) -> None:
        """In a forked child: what is locked is locked in the parent."""
        self._locks = WeakValueDictionary()

    async def head(self, thread: Scope) -> Record | None:
        """The record of a conversation: whose it is and how many messages it has had."""
        return next(iter(await self._store.scan(_head_of(thread))), None)

    async def subject(self, scope: Scope) -> Scope:
        """Whom records in `scope` are about: for a session its first user, else the scope itself."""
        head = await self.head(scope) if scope.level is MemoryScope.SESSION else None
        return head.subject if head is not None else scope

    async def check(self, thread: Scope, user: Scope) -> None:
        """Raises `ScopeError` where a session is another user's than `user`."""
        head = await self.head(thread)
        if head is not None and head.subject.level is MemoryScope.USER and head.subject != user:
            raise ScopeError(f"Session {thread.id!r} belongs to another user. Use a session_id of its own.")

    async def lives(self, thread: Scope, now: datetime) -> bool:
        """Whether the time of a session is not over."""
        head = await self.head(thread) if self.limits.ttl is not None else None
        return head is None or not _is_over(head, now)

    async def claim(self, who: Identity, now: datetime) -> tuple[Scope, list[Write]]:
        """Whom records of a session are about when `who` adds some, and what to write along to make sure of it.

        Raises `ScopeError` if the session is somebody else's. What is a user's stays so: then nothing is written along
        but, where sessions expire, that it was used.
        """
        sent = Sent((), who, now)
        head = _begun(await self.head(sent.thread), sent) or _new_head(sent)
        moved = await self._adopt(head, sent)
        owner = who.subject if who.user_id is not None else head.subject
        if head.version and head.subject == owner and owner.level is MemoryScope.USER and self.limits.ttl is None:
            return owner, []
        expires = self._expiry(sent.thread, now)
        return owner, [*moved, _advanced(replace(head, subject=owner), 0, now, expires)]

    async def shown(self, thread: Scope, now: datetime) -> list[Compare]:
        """What a message of a conversation must meet to be shown, where sessions expire."""
        head = await self.head(thread) if self.limits.ttl is not None else None
        if head is None:
            return []
        return [Compare("number", "gt", head.fields["message_count"])] if _is_over(head, now) else _since(head)

    async def touch(self, thread: Scope, now: datetime) -> None:
        """Let a session live on because it was used; written only after a tenth of its time."""
        head = await self.head(thread) if self.limits.ttl is not None else None
        expires = self._expiry(thread, now)
        if head is None or expires is None or _is_over(head, now):
            return
        stored = head.fields.get("expires_at")
        if stored is None or expires - stored >= (expires - now) / 10:
            with suppress(ConflictError):
                await self._store.apply([_advanced(head, 0, head.fields["updated_at"], expires)])

    async def surplus(self, thread: Scope, learned: frozenset[str] = frozenset()) -> list[Delete]:
        """The writes that remove the messages of a session beyond the newest, but for those that wait to be learned.

        `learned` names messages whose jobs are being completed.
        """
        first = await self._first_kept(thread) if thread.level is MemoryScope.SESSION else 0
        if first <= 1:
            return []
        found = await self._store.scan(Where("message", (thread,), test=Compare("number", "lt", first)))
        awaited = await self._awaited(thread) - learned if found else learned
        return [Delete("message", one.id, thread, expect=one.version) for one in found if one.id not in awaited]

    async def _first_kept(self, thread: Scope) -> int:
        """The number of the first message that a session is to keep; 0 for all."""
        head = await self.head(thread) if self.limits.ttl is not None else None
        begins = (head.fields.get("over") or 0) + 1 if head is not None else 0
        most = self.limits.messages
        if most is None:
            return begins
        alive = Where("message", (thread,), test=Compare("deleted_at", "exists", False))
        newest = await self._store.scan(alive, order=[("number", "desc")], limit=most)
        return max(begins, newest[-1].fields["number"]) if len(newest) == most else begins

    async def sweep(self, now: datetime) -> int:
        """Remove the sessions whose time is over for good, but for those that wait to be learned; returns how many."""
        ended = 0
        for due in await self._store.due("session", now, 1000):
            found = await self._store.scan(Where("session", subject=due.subject, ids=(due.id,)))
            for head in found:
                ended += await self._end(head, now)
        return ended

    async def _end(self, head: Record, now: datetime) -> bool:
        thread, last = head.scope, head.fields["message_count"]
        if not _is_over(head, now) or await self._awaited(thread):
            return False
        over = replace(head, fields={**head.fields, "over": last}, version=head.version + 1)
        with suppress(ConflictError):
            await self._store.apply([Put(over, expect=head.version)])  # who writes from now on begins anew
            await self._end_facts(thread, head.fields["expires_at"])
            for kind, until in (("message", last), ("job", last), ("version", None), ("summary", None)):
                await self._store.purge(_ended(kind, thread, until, head.fields["expires_at"]))
            until_then = Compare("created_at", "lte", head.fields["expires_at"])
            await self._store.purge(owned("checkpoint", thread).also(until_then))
            await self._store.apply([Delete("session", head.id, thread, expect=over.version)])
            return True
        return False

    async def _end_facts(self, thread: Scope, ended_at: datetime) -> None:
        """Remove the facts that were a session's own, with what stands beside them."""
        ended = _ended("fact", thread, None, ended_at)
        ids = tuple(record.id for record in await self._store.scan(ended))
        await self._store.purge(ended)
        for kind in BESIDE_FACTS if ids else ():
            named = ("source", "target") if kind == "link" else ("fact_id",)
            theirs = AnyOf(*(Compare(name, "in", ids) for name in named))
            await self._store.purge(Where(kind, (thread,), test=theirs))

    async def _awaited(self, thread: Scope) -> frozenset[str]:
        """The messages of a conversation that are still to be learned, or that could not be."""
        unlearned = Where("job", (thread,), test=Compare("status", "ne", DONE))
        return frozenset(one for job in await self._store.scan(unlearned) for one in job.fields["message_ids"])

    def _expiry(self, thread: Scope, now: datetime) -> datetime | None:
        lives = self.limits.ttl if thread.level is MemoryScope.SESSION else None
        return None if lives is None else now + lives

    async def _write(self, sent: Sent) -> Written:
        stored = await self._read(sent)
        head, earlier = stored.head, stored.job
        moved = await self._adopt(head, sent)
        owner = sent.who.subject if sent.who.user_id is not None else head.subject
        new, replaced, untaught = await self._compare(sent, stored)
        records = _message_records(sent, owner, head.fields["message_count"] + 1, new)
        is_late = sent.completes and earlier is not None and earlier.fields["status"] != WAITING
        taught = [*(_taught(record, owner) for record in untaught), *records] if sent.learn and not is_late else []
        if not records and not taught:
            return Written((), earlier)
        job = _job_record(sent, taught, earlier) if taught else None
        head, asked = self._talked(replace(head, subject=owner), records, sent)
        await self._store.apply(
            [
                *moved,
                *asked,
                *(Put(record, expect=record.version - 1) for record in {r.id: r for r in [*taught, *records]}.values()),
                *(_deleted(record, sent.now) for record in replaced),
                *([Put(job, expect=job.version - 1)] if job is not None else ()),
                _advanced(head, len(records), sent.now, self._expiry(sent.thread, sent.now)),
            ]
        )
        return Written([message_of(record) for record in records], earlier if is_late else job)

    def _talked(self, head: Record, records: Sequence[Record], sent: Sent) -> tuple[Record, list[Put]]:
        """The head with what was said since a summary was last asked for; and the job to make one, where it is time."""
        trigger = self._trigger
        if trigger is None or head.scope.level is not MemoryScope.SESSION:
            return head, []
        tokens, messages = head.fields.get("unasked") or (0, 0)
        tokens += sum(trigger.count(record.fields["text"]) for record in records)
        messages += len(records)
        if tokens < trigger.tokens and messages < trigger.messages:
            return replace(head, fields={**head.fields, "unasked": [tokens, messages]}), []
        last = head.fields["message_count"] + len(records)
        return replace(head, fields={**head.fields, "unasked": [0, 0]}), [
            summary_job(head, last, sent.now, run_at=sent.run_at)
        ]

    async def _read(self, sent: Sent) -> _Stored:
        """What is stored of the conversation that matters for what was sent.

        The head comes first: whoever writes after that makes it stale, and this turn is tried anew.
        """
        job = [_job_of(sent)] if sent.turn_id is not None else []
        tail = [_tail_of(sent, _reach(sent)[0])] if sent.aligned else []
        heads, *found = await self._store.scans([Scan(_head_of(sent.thread)), *job, *tail])
        head = _begun(next(iter(heads), None), sent) or _new_head(sent)
        newest = _in_order(found[-1], head) if tail else []
        return _Stored(head, newest, next(iter(found[0]), None) if job else None)

    async def _compare(self, sent: Sent, stored: _Stored) -> tuple[Sequence[Message], list[Record], list[Record]]:
        """What of the turn is new, the stored answer that it regenerates, and what is stored but was never taught."""
        if not sent.aligned:
            return sent.messages, [], []
        tail, (near, *far) = stored.tail, _reach(sent)
        messages = [message_of(record) for record in tail]
        aligned = self._align(sent.spoken, messages)
        if far and not aligned.is_certain and len(tail) >= near:
            [found] = await self._store.scans([_tail_of(sent, far[0])])
            tail = _in_order(found, stored.head)
            messages = [message_of(record) for record in tail]
            aligned = self._align(sent.spoken, messages)
        replaced = [record for record, message in zip(tail, messages, strict=True) if message is aligned.replaces]
        known = len(sent.spoken) - len(aligned.new)
        stored_already = tail[len(tail) - known :] if known else []
        return aligned.new, replaced, [r for r in stored_already if not r.fields.get("taught") and r not in replaced]

    async def _adopt(self, head: Record, sent: Sent) -> list[Write]:
        """A conversation that began with nobody known becomes its first user's; everybody else is refused."""
        if head.subject == sent.who.subject or sent.who.user_id is None:
            return []
        if head.subject.level is MemoryScope.USER:
            raise ScopeError(
                f"Session {sent.who.session_id!r} belongs to another user. Use a session_id of its own for each user."
            )
        kinds = (*OF_FACTS, "message", "job", "summary", "checkpoint")
        found = [record for kind in kinds for record in await self._store.scan(owned(kind, sent.thread))]
        return [Put(replace(record, subject=sent.who.subject), expect=record.version) for record in found]


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored of a conversation: its head, or a new one; its last messages; the job of the turn with an id."""

    head: Record
    tail: Sequence[Record]
    job: Record | None


def _head_of(thread: Scope) -> Where:
    return Where("session", scopes=(thread,), ids=(head_id(thread),))


def _job_of(sent: Sent) -> Scan:
    of_turn = Where("job", (sent.thread,), test=Compare("turn_id", "eq", sent.turn_id))
    return Scan(of_turn, [("number", "desc")], 1)


def _tail_of(sent: Sent, limit: int) -> Scan:
    """What was stored last, the newest first; for a turn with an id, what was stored of that turn."""
    alive = Where("message", (sent.thread,), test=Compare("deleted_at", "exists", False))
    if sent.turn_id is not None:
        return Scan(alive.also(Compare("turn_id", "eq", sent.turn_id)), [("number", "desc")])
    return Scan(alive, [("number", "desc")], limit)


def _in_order(found: Sequence[Record], head: Record) -> list[Record]:
    """The messages of a tail that the head knows and that are not over, oldest first."""
    over, last = head.fields.get("over") or 0, head.fields["message_count"]
    return [record for record in reversed(found) if over < record.fields["number"] <= last]


def head_id(thread: Scope) -> str:
    """The id of a conversation's record."""
    return digest("session", thread.token)


def job_id(thread: Scope, number: int) -> str:
    """The id of the job for the turn that begins with message `number`."""
    return digest("job", thread.token, str(number))


def summary_job(head: Record, last: int, now: datetime, keep: int | None = None, run_at: datetime | None = None) -> Put:
    """The job to summarise a session up to message `last`, but for its newest `keep`; now, or at `run_at`.

    It is the subject's and not the session's, so that no turn waits for it.
    """
    fields = {
        "status": WAITING,
        "task": SUMMARY,
        "attempts": 0,
        "number": last,
        "keep": keep,
        "run_at": run_at or now,
        "created_at": now,
        "updated_at": now,
        "session_id": head.scope.id,
        "message_ids": [],
    }
    made = digest("summary-job", head.scope.token, str(last), str(head.version))
    return Put(Record("job", made, head.subject, head.subject, 1, fields), expect=0)


def _new_head(sent: Sent) -> Record:
    fields = {"message_count": 0, "created_at": sent.now, "updated_at": sent.now}
    return Record("session", head_id(sent.thread), sent.thread, sent.who.subject, 0, fields)


def _begun(head: Record | None, sent: Sent) -> Record | None:
    """The head of a session as a new turn finds it: what has expired is over, and the conversation begins anew."""
    if head is None or not _is_over(head, sent.now):
        return head
    return replace(head, fields={**head.fields, "over": head.fields["message_count"]})


def _is_over(head: Record, now: datetime) -> bool:
    expires = head.fields.get("expires_at")
    return expires is not None and expires <= now


def _reach(sent: Sent) -> Sequence[int]:
    """How many stored messages to compare with: few where they mostly tell, else all that may have been sent again."""
    room = 2 * len(sent.spoken) + 16  # tools may have spoken in between
    return (NEAR, room) if len(sent.spoken) <= 2 and sent.turn_id is None else (room,)


def _since(head: Record) -> list[Compare]:
    """That a message belongs to what is not over of a conversation."""
    over = head.fields.get("over")
    return [Compare("number", "gt", over)] if over else []


def _advanced(head: Record, added: int, now: datetime, expires_at: datetime | None) -> Put:
    fields = {**head.fields, "message_count": head.fields["message_count"] + added, "updated_at": now}
    if expires_at is not None or "expires_at" in head.fields:
        fields["expires_at"] = expires_at
    return Put(replace(head, fields=fields, version=head.version + 1), expect=head.version)


def _deleted(message: Record, now: datetime) -> Put:
    fields = {**message.fields, "deleted_at": now}
    return Put(replace(message, fields=fields, terms=(), version=message.version + 1), expect=message.version)


def _taught(message: Record, owner: Scope) -> Record:
    fields = {**message.fields, "taught": True}
    return replace(message, subject=owner, fields=fields, version=message.version + 1)


def _message_records(sent: Sent, owner: Scope, first: int, new: Sequence[Message]) -> list[Record]:
    stamp = {"session_id": sent.who.session_id, "turn_id": sent.turn_id}
    stamped = [message.model_copy(update={**stamp, "created_at": message.created_at or sent.now}) for message in new]
    records = [message_record(message, sent.thread, owner, number) for number, message in enumerate(stamped, first)]
    return [replace(record, fields={**record.fields, "taught": sent.learn}) for record in records]


def _job_record(sent: Sent, records: Sequence[Record], earlier: Record | None) -> Record:
    ids, due = [record.id for record in records], {"run_at": sent.run_at or sent.now}
    if earlier is not None and earlier.fields["status"] == WAITING:
        fields = {**earlier.fields, "message_ids": [*earlier.fields["message_ids"], *ids], **due}
        return replace(earlier, subject=records[0].subject, fields=fields, version=earlier.version + 1)
    number = records[0].fields["number"]
    fields = {
        "status": WAITING,
        "turn_id": sent.turn_id,
        "attempts": 0,
        "number": number,
        **due,
        "created_at": sent.now,
        "updated_at": sent.now,
        "session_id": sent.who.session_id,
        "user_id": sent.who.user_id,
        "agent_id": sent.who.agent_id,
        "namespace": sent.namespace,
        "message_ids": ids,
    }
    return Record("job", job_id(sent.thread, number), sent.thread, records[0].subject, 1, fields)


def owned(kind: str, thread: Scope) -> Where:
    """What belongs to a session: of checkpoints the state of its thread, and no run that happens to have its name."""
    of_session = AnyOf(Compare("namespace", "under", THREAD), Compare("namespace", "eq", STATE))
    return Where(kind, (thread,), test=of_session if kind == "checkpoint" else All())


def _ended(kind: str, thread: Scope, last: int | None, ended_at: datetime) -> Where:
    """What ends with a session: its messages and jobs up to `last`, and the facts that were its own."""
    time = {"fact": "updated_at", "version": "superseded_at", "summary": "created_at"}
    test = Compare("number", "lte", last) if kind not in time else Compare(time[kind], "lte", ended_at)
    return Where(kind, (thread,), test=test)
