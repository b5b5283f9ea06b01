"""Writing a turn down: its messages and the job to learn from them, in one `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from ..errors import ScopeError
from ..model import Message
from ..records import message_of, message_record
from ..scope import Identity, MemoryScope, Scope, digest
from ..stores.again import again
from ..stores.base import Compare, Put, Record, Store, Where, Write

WAITING, DONE, DEAD = "waiting", "done", "dead"

Align = Callable[[Sequence[Message], Sequence[Message]], Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, by whom, and what is to be done with it.

    Attributes:
        learn: Whether a job is to learn from it.
        aligned: Whether what is stored already is to be found in it and left out.
    """

    messages: Sequence[Message]
    who: Identity
    now: datetime
    turn_id: str | None = None
    run_at: datetime | None = None
    learn: bool = True
    aligned: bool = True
    namespace: str = ""

    @property
    def thread(self) -> Scope:
        """The conversation that the messages belong to: the session or, without one, all that the user ever said."""
        return self.who.scope(MemoryScope.SESSION) if self.who.session_id is not None else self.who.subject


@dataclass(frozen=True, slots=True)
class Written:
    """What was new of it, and the job that will learn it (None where nothing is to be learned)."""

    messages: Sequence[Message]
    job: Record | None = None


class Turns:
    """Appends turns to conversations, each message once."""

    def __init__(self, store: Store, align: Align) -> None:
        self._store = store
        self._align = align
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def write(self, sent: Sent) -> Written:
        """Store what is new of `sent`, durable on return. Raises `ScopeError` if the session is somebody else's."""
        lock = self._locks.setdefault(sent.thread.token, asyncio.Lock())
        async with lock:
            async for attempt in again():
                with attempt:
                    return await self._write(sent)
        raise AssertionError("unreachable")

    def forget(self) -> None:
        """In a forked child: what is locked is locked in the parent."""
        self._locks = WeakValueDictionary()

    async def head(self, thread: Scope) -> Record | None:
        """The record of a conversation: whose it is and how many messages it has had."""
        where = Where("session", scopes=(thread,), ids=(head_id(thread),))
        return next(iter(await self._store.scan(where)), None)

    async def subject(self, scope: Scope) -> Scope:
        """Whom records in `scope` are about: for a session its first user, else the scope itself."""
        head = await self.head(scope) if scope.level is MemoryScope.SESSION else None
        return head.subject if head is not None else scope

    async def messages(self, thread: Scope, limit: int | None = None) -> list[Message]:
        """The last `limit` messages of a conversation (all of them without), oldest first."""
        where = Where("message", (thread,), test=Compare("deleted_at", "exists", False))
        records = await self._store.scan(where, order=[("number", "desc")], limit=limit)
        return [message_of(record) for record in reversed(records)]

    async def _write(self, sent: Sent) -> Written:
        head = await self.head(sent.thread) or _new_head(sent)
        moved = await self._adopt(head, sent)
        owner = sent.who.subject if sent.who.user_id is not None else head.subject
        new, replaced, untaught = await self._compare(sent, head)
        earlier = await self._job(sent) if sent.turn_id is not None else None
        records = _message_records(sent, owner, head.fields["message_count"] + 1, new)
        taught = [*(_taught(record, owner) for record in untaught), *records] if sent.learn else []
        if not records and not taught:
            return Written((), earlier)
        job = _job_record(sent, taught, earlier) if taught else None
        await self._store.apply(
            [
                *moved,
                *(Put(record, expect=record.version - 1) for record in {r.id: r for r in [*taught, *records]}.values()),
                *(_deleted(record, sent.now) for record in replaced),
                *([Put(job, expect=job.version - 1)] if job is not None else ()),
                _advanced(replace(head, subject=owner), len(records), sent.now),
            ]
        )
        return Written([message_of(record) for record in records], job)

    async def _compare(self, sent: Sent, head: Record) -> tuple[Sequence[Message], list[Record], list[Record]]:
        """What of the turn is new, the stored answer that it regenerates, and what is stored but was never taught."""
        if not sent.aligned:
            return sent.messages, [], []
        spoken = [message for message in sent.messages if message.role != "system"]
        tail = await self._tail(sent, head, len(spoken))
        stored = [message_of(record) for record in tail]
        aligned = self._align(spoken, stored)
        replaced = [record for record, message in zip(tail, stored, strict=True) if message is aligned.replaces]
        known = len(spoken) - len(aligned.new)
        stored_already = tail[len(tail) - known :] if known else []
        return aligned.new, replaced, [r for r in stored_already if not r.fields.get("taught") and r not in replaced]

    async def _tail(self, sent: Sent, head: Record, size: int) -> list[Record]:
        """What was stored last; for a turn with an id, what was stored of that turn."""
        if not head.fields["message_count"]:
            return []
        alive = Where("message", (sent.thread,), test=Compare("deleted_at", "exists", False))
        if sent.turn_id is not None:
            of_turn = alive.also(Compare("turn_id", "eq", sent.turn_id))
            return await self._store.scan(of_turn, order=[("number", "asc")])
        room = 2 * size + 16  # tools may have spoken in between
        last = await self._store.scan(alive, order=[("number", "desc")], limit=room)
        return last[::-1]

    async def _job(self, sent: Sent) -> Record | None:
        of_turn = Where("job", (sent.thread,), test=Compare("turn_id", "eq", sent.turn_id))
        found = await self._store.scan(of_turn, order=[("number", "desc")], limit=1)
        return next(iter(found), None)

    async def _adopt(self, head: Record, sent: Sent) -> list[Write]:
        """A conversation that began with nobody known becomes its first user's; everybody else is refused."""
        if head.subject == sent.who.subject or sent.who.user_id is None:
            return []
        if head.subject.level is MemoryScope.USER:
            raise ScopeError(
                f"Session {sent.who.session_id!r} belongs to another user. Use a session_id of its own for each user."
            )
        mine = (sent.thread,)
        found = [r for kind in ("fact", "version", "message", "job") for r in await self._store.scan(Where(kind, mine))]
        return [Put(replace(record, subject=sent.who.subject), expect=record.version) for record in found]


def head_id(thread: Scope) -> str:
    """The id of a conversation's record."""
    return digest("session", thread.token)


def job_id(thread: Scope, number: int) -> str:
    """The id of the job for the turn that begins with message `number`."""
    return digest("job", thread.token, str(number))


def _new_head(sent: Sent) -> Record:
    fields = {"message_count": 0, "created_at": sent.now, "updated_at": sent.now}
    return Record("session", head_id(sent.thread), sent.thread, sent.who.subject, 0, fields)


def _advanced(head: Record, added: int, now: datetime) -> Put:
    fields = {**head.fields, "message_count": head.fields["message_count"] + added, "updated_at": now}
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
