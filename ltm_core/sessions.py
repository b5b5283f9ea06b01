"""Conversations: their messages, kept in order and read back as they were."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .ambient import identity
from .errors import InvalidInput, ScopeError
from .learn.turns import WAITING, Sent
from .learn.worker import waiting_ids
from .model import Message, Session
from .records import message_of
from .redaction import redacted
from .runtime import Runtime
from .scope import MemoryScope, Scope, check_id
from .stores.again import again
from .stores.base import AnyOf, Compare, Condition, Delete, Put, Record, Where, Write

Given = Message | Mapping[str, Any] | str

# A message that was deleted while it waited to be learned: part of no conversation, and gone with the next deletion.
WITHDRAWN = "withdrawn"


class Sessions:
    """The messages of conversations, by `session_id`.

    A session belongs to the first user who writes to it; another user's id on it raises `ScopeError`.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def add_message(self, session_id: str, message: Given, user_id: str | None = None) -> Message:
        """Append a message and return it as stored. Nothing is learned from it: that is what `observe` does."""
        (stored,) = await self.add_messages(session_id, [message], user_id)
        return stored

    async def add_messages(
        self, session_id: str, messages: Sequence[Given], user_id: str | None = None
    ) -> builtins.list[Message]:
        """The same for several messages, all of them or none."""
        who = identity(self._runtime.name, self._runtime.tenant, session_id=check_id(session_id, "session_id"),
                       user_id=user_id)  # fmt: skip
        told = [redacted(Message.of(message), self._runtime.policies.redact) for message in messages]
        sent = Sent(told, who, self._runtime.now(), learn=False, aligned=False)
        written = await self._runtime.run(self._runtime.turns.write(sent))
        return builtins.list(written.messages)

    async def get_messages(
        self, session_id: str, limit: int | None = None, *, archived: bool | None = None
    ) -> builtins.list[Message]:
        """The messages of a session, oldest first; with `limit`, the last ones.

        `archived` True or False gives only those that are, or are not.
        """
        if limit is not None and limit < 0:
            raise InvalidInput("limit cannot be negative. Pass None for all messages.")
        tests = [] if archived is None else [Compare("archived_at", "exists", archived)]
        found = await self._runtime.run(self._read(self._thread(session_id), tests, limit))
        return [message_of(record) for record in found]

    async def archive_messages(self, session_id: str, ids: Sequence[str]) -> int:
        """Put messages aside: they stay, and are no longer among the current ones. Returns how many were."""
        return await self._runtime.run(self._archive(self._thread(session_id), ids))

    async def delete_messages(self, session_id: str, ids: Sequence[str]) -> int:
        """Remove messages for good; returns how many.

        What was learned from them stays. One that waits to be learned leaves the conversation at once, and the
        database with the next deletion from this session after it was learned.
        """
        return await self._runtime.run(self._delete(self._thread(session_id), ids))

    async def clear(self, session_id: str) -> int:
        """Remove the messages of a session for good, and what of it waits to be learned; returns how many messages.

        Facts that were learned from it stay: see `forget` and `facts.delete`.
        """
        return await self._runtime.run(self._clear(self._thread(session_id)))

    async def list(self, user_id: str | None = None, limit: int | None = None) -> builtins.list[Session]:
        """The sessions of a user, those with the latest messages first. Raises `ScopeError` where none is named."""
        who = identity(self._runtime.name, self._runtime.tenant, user_id=user_id)
        if who.user_id is None:
            raise ScopeError("Whose sessions? Pass user_id=, or call inside memory.scope(user_id=…).")
        return await self._runtime.run(self._list(who.subject, limit))

    async def sweep(self) -> int:
        """Remove for good what `session_ttl` has ended, of everybody; returns how many sessions.

        A memory with `background=True` does so by itself. What still waits to be learned is left for later.
        """
        return await self._runtime.run(self._sweep())

    async def _sweep(self) -> int:
        # A coroutine of our own: the store is open by the time that it runs.
        return await self._runtime.turns.sweep(self._runtime.now())

    async def _read(self, thread: Scope, tests: Sequence[Condition], limit: int | None) -> builtins.list[Record]:
        """Messages to be shown, and their session lives on."""
        bounds = [bound for bound in (limit, self._runtime.turns.limits.messages) if bound is not None]
        found = await self._scan(thread, tests, min(bounds, default=None))
        await self._runtime.turns.touch(thread, self._runtime.now())
        return found

    def _thread(self, session_id: str) -> Scope:
        return Scope.session(session_id, self._runtime.tenant)

    async def _scan(self, thread: Scope, tests: Sequence[Condition], limit: int | None = None) -> builtins.list[Record]:
        alive = [Compare("deleted_at", "exists", False), Compare(WITHDRAWN, "exists", False)]
        shown = await self._runtime.turns.shown(thread, self._runtime.now())
        where = Where("message", (thread,)).also(*alive, *shown, *tests)
        found = await self._runtime.store.scan(where, order=[("number", "desc")], limit=limit)
        return found[::-1]

    async def _archive(self, thread: Scope, ids: Sequence[str]) -> int:
        current = [_named(ids), Compare("archived_at", "exists", False)]
        count = 0
        async for attempt in again():
            with attempt:
                found = await self._scan(thread, current)
                count = len(found)
                await self._runtime.store.apply([_changed(record, archived_at=self._stamp()) for record in found])
        return count

    async def _delete(self, thread: Scope, ids: Sequence[str]) -> int:
        count = 0
        async for attempt in again():
            with attempt:
                found = await self._scan(thread, [_named(ids)])
                count = len(found)
                await self._runtime.store.apply(await self._removal(thread, found))
        return count

    async def _removal(self, thread: Scope, found: Sequence[Record]) -> builtins.list[Write]:
        """The writes that remove what nobody waits for, withdrawn messages of before included, and hide the rest."""
        store = self._runtime.store
        jobs = await store.scan(Where("job", (thread,), test=Compare("status", "eq", WAITING)))
        awaited = {one for job in jobs for one in waiting_ids(job)}
        earlier = await store.scan(Where("message", (thread,), test=Compare(WITHDRAWN, "eq", True)))
        gone = [record for record in [*earlier, *found] if record.id not in awaited]
        hidden = [record for record in found if record.id in awaited]
        removed = [Delete("message", record.id, record.scope, expect=record.version) for record in gone]
        return [*removed, *(_changed(record, **{WITHDRAWN: True}) for record in hidden)]

    async def _clear(self, thread: Scope) -> int:
        store = self._runtime.store
        waiting = Where("job", (thread,), test=Compare("status", "eq", WAITING))
        await store.purge(waiting)
        return await store.purge(Where("message", (thread,)))

    async def _list(self, subject: Scope, limit: int | None) -> builtins.list[Session]:
        now = self._runtime.now()
        lives = AnyOf(Compare("expires_at", "exists", False), Compare("expires_at", "gt", now))
        heads = Where("session", subject=subject, test=lives)
        found = await self._runtime.store.scan(heads, order=[("updated_at", "desc")])
        sessions = [_session(record) for record in found if record.scope.level is MemoryScope.SESSION]
        return sessions[:limit]

    def _stamp(self) -> str:
        return self._runtime.now().isoformat()


def _named(ids: Sequence[str]) -> Condition:
    """Messages by the ids that they show: their own or, where they came without, those of their records."""
    return AnyOf(Compare("id", "in", tuple(ids)), Compare("message_id", "in", tuple(ids)))


def _changed(record: Record, **fields: Any) -> Put:
    return Put(replace(record, fields={**record.fields, **fields}, version=record.version + 1), expect=record.version)


def _session(record: Record) -> Session:
    user_id = record.subject.id if record.subject.level is MemoryScope.USER else None
    known = {name: record.fields.get(name) for name in ("title", "message_count", "created_at", "updated_at")}
    return Session.model_validate({**known, "id": record.scope.id, "user_id": user_id})
