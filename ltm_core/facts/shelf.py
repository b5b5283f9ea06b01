"""The facts of one scope and namespace: what the verbs of the fact API do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from ..errors import ConflictError, NotFound
from ..index.entries import WITHDRAWN
from ..journeys.learning import Destination, Learning
from ..knowledge.belief import believed, contradictions
from ..knowledge.edits import deleted, following, made, missing, restored, successor
from ..knowledge.filters import condition
from ..knowledge.lifecycle import is_archived
from ..knowledge.versions import Moment, version_in
from ..learn.commit import history, writes_for
from ..model import Candidate, Fact, FactUpdate, Message, Operation
from ..recall.gather import current_at
from ..recall.past import as_they_were, past_store
from ..records import fact_id, fact_of, message_of, stored_version_of, version_of
from ..runtime import Runtime
from ..scope import Identity, MemoryScope, Scope
from ..stores.again import again as attempts
from ..stores.base import All, AnyOf, Compare, Condition, Order, Put, Record, Where
from .bulk import Batch
from .paging import Page, Sorting, page_of

_KEYED: Order = (("key", "asc"),)
_SAID: Order = (("created_at", "asc"), ("number", "asc"))

Follow = Callable[[Fact, Fact], Fact]  # the new fact, as it follows the old one


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is kept in one scope and namespace. Its coroutines run on the loop of the store."""

    runtime: Runtime
    owner: Scope
    namespace: str

    async def add(self, key: str, value: Any, given: dict[str, Any]) -> Fact:
        """Store a fact, or the next version under its key."""
        fact = made(self.owner, self.namespace, key, value, given, self.runtime.now())
        subject = await self.runtime.turns.subject(self.owner)
        try:
            added = FactUpdate(operation="ADD", fact=fact, reason=fact.reason)
            await self.runtime.store.apply(writes_for([added], subject, fact.created_at))
        except ConflictError:
            return await self.change(key, lambda old, now: successor(old, fact, given, now))
        return fact

    async def update(self, key: str, value: Any, expected: int | None, given: dict[str, Any], follow: Follow) -> Fact:
        """Replace the value of a fact that is current."""
        fact = made(self.owner, self.namespace, key, value, given, self.runtime.now())

        def change(old: Fact, now: datetime) -> Fact:
            if not old.is_current(now):
                raise missing(key)
            if expected not in (None, old.version):
                raise ConflictError(f"{key!r} is at version {old.version}, not {expected}. Read it again and retry.")
            return successor(old, follow(old, fact), given, now)

        return await self.change(key, change, again=expected is None)

    async def delete(self, key: str) -> bool:
        """Delete a fact; False where there is none."""
        try:
            await self.change(key, lambda old, now: deleted(old, key, now))
        except NotFound:
            return False
        return True

    async def change(self, key: str, change: Callable[[Fact, datetime], Fact], *, again: bool = True) -> Fact:
        """Read, change and write; from the start again when somebody else wrote in between."""
        async for attempt in attempts(30 if again else 1):
            with attempt:
                old = await self.stored(key)
                if old is None:
                    raise missing(key)
                new = change(old, self.runtime.now())
                if new is not old:
                    await self._write(old, new, *following(old, new, new.updated_at))
        return new

    async def rollback(self, key: str, number: int, reason: str) -> Fact:
        """Make a fact again what it was."""
        async for attempt in attempts(30):
            with attempt:
                versions = await self.versions(key)
                wanted = version_in(versions, key, number)
                new = restored(versions[-1], wanted, self.runtime.now(), reason)
                await self._write(versions[-1], new)
        return new

    async def archived(self) -> list[Fact]:
        """The archived facts, by key."""
        now = self.runtime.now()
        tests = (Compare("namespace", "eq", self.namespace), Compare("archived_at", "lte", now))
        found = await self.runtime.store.scan(Where("fact", (self.owner,), test=All(*tests)), order=_KEYED)
        return [fact for fact in map(fact_of, found) if is_archived(fact, now)]

    async def _write(self, *chain: Fact) -> None:
        """Write versions of a fact that follow each other, of which the first is stored."""
        updates = [_update(old, new) for old, new in pairwise(chain)]
        new = chain[-1]
        subject = await self.runtime.turns.subject(new.owner)
        writes = writes_for(updates, subject, new.updated_at)
        if new.deleted_at:  # no summary may tell what is forgotten
            writes += await self.runtime.summaries.withheld(subject, new.sources, new.updated_at)
        await self.runtime.store.apply(writes)

    async def stored(self, key: str) -> Fact | None:
        """What is stored under a key, current or not."""
        where = Where("fact", (self.owner,), ids=(fact_id(self.owner, self.namespace, key),))
        return next(map(fact_of, await self.runtime.store.scan(where)), None)

    async def get(self, key: str, moment: Moment | None) -> Fact | None:
        """The current fact, or that of another moment."""
        if moment is not None:
            its = fact_id(self.owner, self.namespace, key)
            found = await as_they_were(self.runtime.store, (self.owner,), self.namespace, moment, fact_id=its)
            return next(iter(found), None)
        fact = await self.stored(key)
        return fact if fact is not None and fact.is_current(self.runtime.now()) else None

    async def filter(
        self, tests: Sequence[Condition], pages: tuple[Sorting, int | None, str | None], moment: Moment | None
    ) -> Page:
        """A page of facts."""
        store, now = self.runtime.store, self.runtime.now()
        if moment is not None:
            store, now = await past_store(await as_they_were(store, (self.owner,), self.namespace, moment)), moment.at
        narrow = (Compare("namespace", "eq", self.namespace), *tests, *current_at(now))
        return await page_of(store, Where("fact", (self.owner,)).also(*narrow), *pages)

    async def history(self, key: str, read: Callable[[Record], Fact] = version_of) -> list[Fact]:
        """Every version, oldest first."""
        of_fact = Compare("fact_id", "eq", fact_id(self.owner, self.namespace, key))
        present = await self.stored(key)
        past = await self.runtime.store.scan(Where("version", (self.owner,), test=of_fact), order=[("number", "asc")])
        return history(present, [read(record) for record in past])

    async def confidence(self, key: str) -> float:
        """How sure a fact is by now."""
        present, versions = await self.get(key, None), await self.versions(key)
        if present is None:
            raise missing(key)
        subject = await self.runtime.turns.subject(self.owner)
        since = Compare("created_at", "gte", present.updated_at)
        jobs = await self.runtime.store.scan(Where("job", subject=subject, test=since))
        done = [update for job in jobs if not job.fields.get("undone") for update in job.fields.get("updates") or ()]
        repeated = sum(update["operation"] == "NOOP" and update["fact_id"] == present.id for update in done)
        return believed(present.confidence, repeated, contradictions(versions))

    async def versions(self, key: str) -> list[Fact]:
        """Every version as it was stored."""
        return await self.history(key, stored_version_of)

    async def sources(self, key: str) -> list[Message]:
        """The messages that a fact came from, as far as they are still shown."""
        fact = await self.get(key, None)
        if fact is None:
            raise missing(key)
        subject = await self.runtime.turns.subject(self.owner)
        alive = All(Compare("deleted_at", "exists", False), Compare(WITHDRAWN, "exists", False))
        where = Where("message", subject=subject, ids=tuple(fact.sources), test=alive)
        found = await self.runtime.store.scan(where, order=_SAID) if fact.sources else []
        return [message_of(record) for record in found]

    async def learn(self, candidates: Sequence[Candidate], learning: Learning, *, dry_run: bool) -> list[FactUpdate]:
        """Store candidates as learning does, or only say what that would do."""
        into = Destination(self.owner, await self.runtime.turns.subject(self.owner), self.namespace)
        async for attempt in attempts(30):
            with attempt:
                now = self.runtime.now()
                updates = await learning.updates(candidates, into, now)
                if not dry_run:
                    await self.runtime.store.apply(writes_for(updates, into.subject, now))
        return updates


async def store_batch(runtime: Runtime, batch: Batch) -> int:
    """Write a batch as if all were new; where some are not, look and write again."""
    subjects = {owner: await runtime.turns.subject(owner) for owner in batch.owners}
    stored: dict[str, Fact] = {}
    async for attempt in attempts(30):
        with attempt:
            if attempt.retry_state.attempt_number > 1:
                stored = {record.id: fact_of(record) for record in await runtime.store.scan(batch.where)}
            writes = batch.writes(stored, subjects, runtime.now())
            await runtime.store.apply(writes)
    return sum(isinstance(write, Put) and write.record.kind == "fact" for write in writes)


async def forget(runtime: Runtime, what: str | Mapping[str, Any], who: Identity, namespace: str) -> int:
    """Delete what has this key or id, or passes these filters, in the user's and the session's own scopes.

    What is archived, or holds no more, is forgotten too.
    """
    named = AnyOf(Compare("id", "eq", what), Compare("key", "eq", what)) if isinstance(what, str) else condition(what)
    mine = tuple(scope for scope in who.scopes if scope.level in (MemoryScope.USER, MemoryScope.SESSION))
    where = Where("fact", mine).also(Compare("namespace", "eq", namespace), Compare("deleted_at", "exists", False))
    found = await runtime.store.scan(where.also(named) if named else where)
    return sum([await Shelf(runtime, fact.owner, namespace).delete(fact.key) for fact in map(fact_of, found)])


def _update(old: Fact, new: Fact) -> FactUpdate:
    operation: Operation = "DELETE" if new.deleted_at else "UPDATE"
    return FactUpdate(operation=operation, fact=new, previous=old, reason=new.reason)
