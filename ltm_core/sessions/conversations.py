"""Conversations: their messages, kept in order and read back as they were, their summaries and their state."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..ambient import identity
from ..errors import InvalidInput, NotFound, ScopeError
from ..journeys.recalling import Question
from ..learn.redact import redacted
from ..learn.turns import OF_FACTS, WAITING, Sent, head_id, owned, summary_job
from ..learn.worker import waiting_ids
from ..model import Fact, Message, Session, SessionState, Summary
from ..recall.gather import current_at
from ..records import fact_of, message_id, message_of, message_record
from ..runtime import Runtime
from ..scope import MemoryScope, Scope, check_id
from ..stores.again import again
from ..stores.base import AnyOf, Compare, Condition, Delete, Put, Record, Where, Write
from .states import States

Given = Message | Mapping[str, Any] | str

# A message that was deleted while it waited to be learned: part of no conversation, and gone with the next deletion.
WITHDRAWN = "withdrawn"
FOUND = 0.001  # leaves out what only happens to be there
PER_SESSION = 10  # messages that are looked at for each session that is wanted


class Sessions:
    """The messages of conversations, by `session_id`.

    A session belongs to the first user who writes to it; another user's id on it raises `ScopeError`. Where no user is
    named, reading asks for nobody's leave: name one where the id comes from outside.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._states = States(runtime)

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
        self,
        session_id: str,
        limit: int | None = None,
        *,
        archived: bool | None = None,
        before: str | None = None,
        user_id: str | None = None,
    ) -> builtins.list[Message]:
        """The messages of a session, oldest first; with `limit`, the last ones, or those before the message `before`.

        `archived` True or False gives only those that are, or are not. Raises `NotFound` where `before` is none.
        """
        if limit is not None and limit < 0:
            raise InvalidInput("limit cannot be negative. Pass None for all messages.")
        tests = [] if archived is None else [Compare("archived_at", "exists", archived)]
        found = await self._runtime.run(self._read(await self._thread(session_id, user_id), tests, limit, before))
        return [message_of(record) for record in found]

    async def facts(self, session_id: str, message_id: str, *, user_id: str | None = None) -> builtins.list[Fact]:
        """The current facts that came from a message, by key; `facts.sources` is the way back.

        Raises `NotFound` where there is no such message.
        """
        thread = await self._thread(session_id, user_id)
        return await self._runtime.run(self._facts(thread, message_id))

    async def edit_message(
        self, session_id: str, message_id: str, content: str | builtins.list[Any], *, user_id: str | None = None
    ) -> Message:
        """Put other words into a message. What was learned from the old ones stays; summaries are made anew.

        Raises `NotFound` where there is no such message.
        """
        thread = await self._thread(session_id, user_id)
        return await self._runtime.run(self._edit(thread, message_id, content))

    async def archive_messages(self, session_id: str, ids: Sequence[str], *, user_id: str | None = None) -> int:
        """Put messages aside: they stay, and are no longer among the current ones. Returns how many were."""
        return await self._runtime.run(self._archive(await self._thread(session_id, user_id), ids))

    async def delete_messages(
        self, session_id: str, ids: Sequence[str], *, keep: bool = False, user_id: str | None = None
    ) -> int:
        """Remove messages for good, or with `keep` only from sight; returns how many.

        What was learned from them stays; summaries that tell them are made anew. One that waits to be learned leaves
        the conversation at once, and the database with the next deletion from this session after it was learned.
        """
        return await self._runtime.run(self._delete(await self._thread(session_id, user_id), ids, keep))

    async def clear(self, session_id: str, *, user_id: str | None = None) -> int:
        """Remove the messages and summaries of a session for good, and what of it waits to be learned.

        Returns how many messages. Its state and title stay, and so do facts that were learned from it: see `forget`
        and `facts.delete`.
        """
        return await self._runtime.run(self._clear(await self._thread(session_id, user_id)))

    async def delete(self, session_id: str, *, user_id: str | None = None) -> bool:
        """Remove a session for good: messages, summaries, state, and the facts that were its own. False where none is.

        Facts of the user that were learned from it stay.
        """
        return await self._runtime.run(self._end(await self._thread(session_id, user_id)))

    async def list(self, user_id: str | None = None, limit: int | None = None) -> builtins.list[Session]:
        """The sessions of a user, what was written to or edited last first. Raises `ScopeError` where none is named."""
        return await self._runtime.run(self._list(self._user(user_id), limit))

    async def search(self, query: str, user_id: str | None = None, limit: int = 10) -> builtins.list[Session]:
        """The sessions of a user whose messages fit `query`, the one with the best message first."""
        return await self._runtime.run(self._search(query, self._user(user_id), limit))

    async def rename(self, session_id: str, title: str | None, *, user_id: str | None = None) -> Session:
        """Give a session a title, or with None the one that it has by itself. Raises `NotFound` where there is none.

        That is the topics of its summary, where it has one.
        """
        return await self._runtime.run(self._rename(await self._thread(session_id, user_id), title))

    async def fork(
        self, session_id: str, new_session_id: str, *, at: str | None = None, user_id: str | None = None
    ) -> Session:
        """Begin a session with the messages of another, up to and with the message `at`; the state goes along.

        Nothing is learned from the copies. Raises `NotFound` where there is no such session or message, `ConflictError`
        where the new session has messages already.
        """
        thread = await self._thread(session_id, user_id)
        new = Scope.session(new_session_id, self._runtime.tenant)
        return await self._runtime.run(self._fork(thread, new, at))

    async def state(self, session_id: str, *, user_id: str | None = None) -> dict[str, Any]:
        """The state of a session: a JSON object, empty where none was ever set."""
        return (await self._runtime.run(self._states.read(await self._thread(session_id, user_id)))).state

    async def set_state(
        self,
        session_id: str,
        state: Mapping[str, Any],
        *,
        expected_version: int | None = None,
        user_id: str | None = None,
    ) -> SessionState:
        """Replace the state of a session. Raises `ConflictError` where `expected_version` is not the present one."""
        thread = await self._thread(session_id, user_id)
        return await self._runtime.run(self._states.replace(thread, state, expected_version))

    async def patch_state(
        self,
        session_id: str,
        patch: Mapping[str, Any],
        *,
        expected_version: int | None = None,
        user_id: str | None = None,
    ) -> SessionState:
        """Change what a JSON merge patch (RFC 7396) names of the state: None removes, objects are merged."""
        thread = await self._thread(session_id, user_id)
        return await self._runtime.run(self._states.patch(thread, patch, expected_version))

    async def state_versions(self, session_id: str, *, user_id: str | None = None) -> builtins.list[SessionState]:
        """Every state that a session had, oldest first, the present one last."""
        return await self._runtime.run(self._states.versions(await self._thread(session_id, user_id)))

    async def summarize(self, session_id: str, *, user_id: str | None = None) -> str:
        """Summarise all that was said in a session, now; empty where nothing was.

        Continues from the last summary. Raises `ExtractionError` where a model fails; it is tried again later.
        """
        thread = await self._thread(session_id, user_id)
        while (job := await self._runtime.run(self._ask_summary(thread))) is not None:
            await self._runtime.teach(self._runtime.worker.finish(job.subject, job.id))
        summary = await self.summary(session_id, user_id=user_id)
        return summary.text if summary is not None else ""

    async def summary(self, session_id: str, *, user_id: str | None = None) -> Summary | None:
        """The present summary of a session, made in the background and so somewhat behind; None where there is none."""
        thread = await self._thread(session_id, user_id)
        return await self._runtime.run(self._runtime.summaries.latest(thread))

    async def summaries(self, session_id: str, *, user_id: str | None = None) -> builtins.list[Summary]:
        """The summaries that a session had since its messages were last edited, oldest first."""
        thread = await self._thread(session_id, user_id)
        return (await self._runtime.run(self._runtime.summaries.all(thread)))[::-1]

    async def sweep(self) -> int:
        """Remove for good what `session_ttl` has ended, of everybody; returns how many sessions.

        A memory with `background=True` does so by itself. What still waits to be learned is left for later.
        """
        return await self._runtime.run(self._sweep())

    async def _sweep(self) -> int:
        # A coroutine of our own: the store is open by the time that it runs.
        return await self._runtime.turns.sweep(self._runtime.now())

    def _user(self, user_id: str | None) -> Scope:
        who = identity(self._runtime.name, self._runtime.tenant, user_id=user_id)
        if who.user_id is None:
            raise ScopeError("Whose sessions? Pass user_id=, or call inside memory.scope(user_id=…).")
        return who.subject

    async def _thread(self, session_id: str, user_id: str | None) -> Scope:
        """The scope of a session. Raises `ScopeError` where it is not the user's who is named."""
        thread = Scope.session(session_id, self._runtime.tenant)
        who = identity(self._runtime.name, self._runtime.tenant, user_id=user_id)
        if who.user_id is not None:
            await self._runtime.run(self._runtime.turns.check(thread, who.subject))
        return thread

    async def _read(
        self, thread: Scope, tests: Sequence[Condition], limit: int | None, before: str | None
    ) -> builtins.list[Record]:
        """Messages to be shown, and their session lives on."""
        if before is not None:
            tests = [*tests, Compare("number", "lt", (await self._message(thread, before)).fields["number"])]
        bounds = [bound for bound in (limit, self._runtime.turns.limits.messages) if bound is not None]
        found = await self._scan(thread, tests, min(bounds, default=None))
        await self._runtime.turns.touch(thread, self._runtime.now())
        return found

    async def _message(self, thread: Scope, message_id: str) -> Record:
        found = await self._scan(thread, [_named([message_id])], 1)
        if not found:
            raise NotFound(f"Session {thread.id!r} has no message {message_id!r}. See sessions.get_messages().")
        return found[0]

    async def _scan(self, thread: Scope, tests: Sequence[Condition], limit: int | None = None) -> builtins.list[Record]:
        alive = [Compare("deleted_at", "exists", False), Compare(WITHDRAWN, "exists", False)]
        shown = await self._runtime.turns.shown(thread, self._runtime.now())
        where = Where("message", (thread,)).also(*alive, *shown, *tests)
        found = await self._runtime.store.scan(where, order=[("number", "desc")], limit=limit)
        return found[::-1]

    async def _facts(self, thread: Scope, message_id: str) -> builtins.list[Fact]:
        message = await self._message(thread, message_id)
        learned = Where("fact", (message.subject, thread), test=Compare("sources", "contains", message.id))
        found = await self._runtime.store.scan(learned.also(*current_at(self._runtime.now())), order=[("key", "asc")])
        return [fact_of(record) for record in found]

    async def _edit(self, thread: Scope, message_id: str, content: Any) -> Message:
        async for attempt in again():
            with attempt:
                old = await self._message(thread, message_id)
                told = Message.of({**message_of(old).model_dump(exclude={"id"}), "content": content})
                told = redacted(told, self._runtime.policies.redact)
                fresh = message_record(told, thread, old.subject, old.fields["number"])
                fields = {**old.fields, **fresh.fields, "edited_at": self._stamp()}
                changed = replace(old, fields=fields, terms=fresh.terms)
                await self._revise(thread, [Put(replace(changed, version=old.version + 1), old.version)], [old])
        return message_of(changed)

    async def _archive(self, thread: Scope, ids: Sequence[str]) -> int:
        current = [_named(ids), Compare("archived_at", "exists", False)]
        count = 0
        async for attempt in again():
            with attempt:
                found = await self._scan(thread, current)
                count = len(found)
                await self._runtime.store.apply([_changed(record, archived_at=self._stamp()) for record in found])
        return count

    async def _delete(self, thread: Scope, ids: Sequence[str], keep: bool) -> int:
        count = 0
        async for attempt in again():
            with attempt:
                found = await self._scan(thread, [_named(ids)])
                count = len(found)
                await self._revise(thread, await self._removal(thread, found, keep), found)
        return count

    async def _revise(self, thread: Scope, writes: Sequence[Write], touched: Sequence[Record]) -> None:
        """Write, and have the summaries that tell what was touched made anew."""
        numbers = [record.fields["number"] for record in touched]
        with_them = await self._runtime.summaries.revised(thread, numbers, self._runtime.now())
        await self._runtime.store.apply([*writes, *with_them])
        self._runtime.wake()

    async def _removal(self, thread: Scope, found: Sequence[Record], keep: bool) -> builtins.list[Write]:
        """The writes that remove what nobody waits for, withdrawn messages of before included, and hide the rest."""
        if keep:
            return [_hidden(record, self._runtime.now()) for record in found]
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
        async for attempt in again():
            with attempt:
                await store.apply(await self._runtime.summaries.cleared(thread))
        await store.purge(Where("summary", (thread,)))
        return await store.purge(Where("message", (thread,)))

    async def _end(self, thread: Scope) -> bool:
        await self._clear(thread)
        for kind in ("job", *OF_FACTS, "checkpoint"):
            await self._runtime.store.purge(owned(kind, thread))
        return await self._runtime.store.purge(Where("session", (thread,))) > 0

    async def _list(self, subject: Scope, limit: int | None) -> builtins.list[Session]:
        now = self._runtime.now()
        lives = AnyOf(Compare("expires_at", "exists", False), Compare("expires_at", "gt", now))
        heads = Where("session", subject=subject, test=lives)
        found = await self._runtime.store.scan(heads, order=[("updated_at", "desc")])
        sessions = [_session(record) for record in found if record.scope.level is MemoryScope.SESSION]
        return sessions[:limit]

    async def _search(self, query: str, user: Scope, limit: int) -> builtins.list[Session]:
        who = identity(self._runtime.name, user.tenant, user_id=user.id)
        asked = Question(
            query, who, include=("messages",), limit=limit * PER_SESSION, min_relevance=FOUND, pending=False
        )
        found = await self._runtime.recalling.recall(asked)
        best = dict.fromkeys(message.session_id for message in found.messages)
        known = {session.id: session for session in await self._list(user, None)}
        return [known[one] for one in best if one in known][:limit]

    async def _rename(self, thread: Scope, title: str | None) -> Session:
        async for attempt in again():
            with attempt:
                head = _changed(await self._head(thread), title=title)
                await self._runtime.store.apply([head])
        return _session(head.record)

    async def _head(self, thread: Scope) -> Record:
        head = await self._runtime.turns.head(thread)
        if head is None:
            raise NotFound(f"There is no session {thread.id!r}. See sessions.list().")
        return head

    async def _fork(self, thread: Scope, new: Scope, at: str | None) -> Session:
        head = await self._head(thread)
        until = [] if at is None else [Compare("number", "lte", (await self._message(thread, at)).fields["number"])]
        told = await self._scan(thread, until)
        await self._runtime.store.apply(forked(head, told, new, self._runtime.now()))
        state = await self._states.read(thread)
        if state.version:
            await self._states.replace(new, state.state, None)
        return _session(await self._head(new))

    async def _ask_summary(self, thread: Scope) -> Record | None:
        """A job to summarise what no summary tells yet; None where there is nothing."""
        if not await self._runtime.summaries.is_behind(thread):
            return None
        async for attempt in again():
            with attempt:
                head = await self._head(thread)
                asked = summary_job(head, head.fields["message_count"], self._runtime.now(), keep=0)
                await self._runtime.store.apply([asked, _changed(head, unasked=[0, 0])])
        return asked.record

    def _stamp(self) -> str:
        return self._runtime.now().isoformat()


def _named(ids: Sequence[str]) -> Condition:
    """Messages by the ids that they show: their own or, where they came without, those of their records."""
    return AnyOf(Compare("id", "in", tuple(ids)), Compare("message_id", "in", tuple(ids)))


def _changed(record: Record, **fields: Any) -> Put:
    return Put(replace(record, fields={**record.fields, **fields}, version=record.version + 1), expect=record.version)


def _hidden(record: Record, now: datetime) -> Put:
    gone = _changed(record, deleted_at=now)
    return replace(gone, record=replace(gone.record, terms=()))


def forked(head: Record, told: Sequence[Record], new: Scope, now: datetime) -> builtins.list[Write]:
    """The writes that begin the session `new` with what was told in another."""
    copies = [_copied(record, new, number) for number, record in enumerate(told, 1)]
    times = {"created_at": now, "updated_at": now}
    fields = {"message_count": len(copies), "forked_from": head.scope.id, **times}
    begun = Record("session", head_id(new), new, head.subject, 1, fields)
    return [Put(begun, expect=0), *(Put(copy, expect=0) for copy in copies)]


def _copied(record: Record, new: Scope, number: int) -> Record:
    """A message at its place in another session, with the id that it shows; nothing more is learned from it."""
    shown = record.fields.get("message_id") or record.id
    fields = {**record.fields, "number": number, "taught": True, "session_id": new.id, "message_id": shown}
    return replace(record, id=message_id(new, number), scope=new, version=1, fields=fields)


def _session(record: Record) -> Session:
    user_id = record.subject.id if record.subject.level is MemoryScope.USER else None
    known = {name: record.fields.get(name) for name in ("message_count", "created_at", "updated_at")}
    known["title"] = record.fields.get("title") or record.fields.get("topics")
    return Session.model_validate({**known, "id": record.scope.id, "user_id": user_id})
