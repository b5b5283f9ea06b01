"""The fact API: facts written, read, searched and traced by hand, in any scope."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from functools import partial
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from .assemble import policies_of, store_of
from .belief import believed, contradictions
from .bulk import Batch, Edit, batches
from .edits import archived, checked_key, deleted, following, made, missing, pinned, restored, successor, unarchived
from .errors import ConflictError, NotFound
from .filters import condition, fact_filters
from .index.entries import WITHDRAWN
from .learn.commit import history, writes_for
from .learning import Destination
from .lifecycle import is_archived, timed
from .linking import Linking
from .llm import Complete
from .model import (
    Access,
    Candidate,
    Fact,
    FactUpdate,
    Link,
    Message,
    Messages,
    Operation,
    RelatedFact,
    Usage,
    messages_of,
    split_key,
)
from .paging import Page, Sorting, page_of
from .recall.gather import current_at
from .recall.past import as_they_were, past_store
from .records import fact_id, fact_of, message_of, stored_version_of, version_of
from .runtime import Runtime
from .schemas import Schemas
from .scope import DEFAULT_TENANT, Identity, MemoryScope, Scope, scope_of
from .stores.again import again as attempts
from .stores.base import All, AnyOf, Compare, Condition, Direction, Order, Put, Record, Store, Where
from .usage import Uses, noted
from .versions import Change, Moment, changes, version_in

if TYPE_CHECKING:
    from .memory import AsyncMemory

_SAID: Order = (("created_at", "asc"), ("number", "asc"))


M = TypeVar("M", bound=BaseModel)


class PersistentFacts:
    """Facts of one person, session, agent or of everybody, by key.

    Args:
        storage: A store, a URL (`sqlite:///facts.db`), or an `AsyncMemory` whose facts these are.
        scope: The level that calls mean unless they say otherwise.
        auto_extract: Whether an agent should learn into these facts by itself; kept for it to ask.
        extraction_model: A model name or a callable for `extract_from_messages`; None takes the memory's own way.
        extraction_template: What to look for, as a text with `{name}` placeholders.

    Every call takes `scope` and `scope_id`; GLOBAL needs no id, the other scopes refuse None. Every call takes
    `namespace` too, a drawer within the scope; without it, that of these facts.

    >>> import asyncio
    >>> async def main():
    ...     facts = PersistentFacts("memory://")
    ...     await facts.add("theme", "dark", scope_id="sarah")
    ...     return (await facts.get("theme", scope_id="sarah")).value
    >>> asyncio.run(main())
    'dark'
    """

    def __init__(
        self,
        storage: Store | str | PathLike[str] | AsyncMemory,
        scope: MemoryScope = MemoryScope.USER,
        auto_extract: bool = True,
        extraction_model: str | Complete | None = None,
        extraction_template: str | None = None,
        *,
        tenant: str | None = None,
        namespace: str = "",
    ) -> None:
        runtime: Runtime | None = getattr(storage, "runtime", None)
        self._owned = runtime is None
        self._runtime = runtime or _runtime(storage, tenant)
        self._learning = self._runtime.learning.extracting(extraction_model, extraction_template)
        self.scope = MemoryScope(scope)
        self.auto_extract = auto_extract
        self.namespace = namespace
        self._schemas = Schemas()

    def register(self, *models: type[BaseModel]) -> None:
        """Know pydantic models by name: values with that `schema_type` must fit, and are read back as the model."""
        self._schemas.register(*models)

    def typed(self, fact: Fact, schema: type[BaseModel] | None = None) -> Fact:
        """A fact that was found or recalled, with its value as a model, as `get` gives it."""
        return self._schemas.read(fact, schema)

    async def close(self) -> None:
        """Close the storage, unless it is that of a memory."""
        if self._owned:
            await self._runtime.close()

    async def add(
        self,
        /,
        key: str,
        value: Any,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: dict[str, Any] | None = None,
        namespace: str | None = None,
        **fields: Any,
    ) -> Fact:
        """Store a fact; under a key that is taken, its next version (an equal value changes nothing).

        A deleted fact is revived. `value` is JSON data or a pydantic model; `fields` are other fields of `Fact`, such
        as `importance`, `text`, `expires_at`; or `ttl` (seconds or a timedelta), after which the fact ends and the next
        sweep removes it for good. Raises `InvalidInput` for what JSON cannot hold.
        """
        mine = self._in(namespace)
        given = timed({"tags": tags, "metadata": metadata, **fields}, mine._runtime.now())
        owner, value = mine._owner(scope, scope_id), mine._schemas.checked(value, fields.get("schema_type"))
        return await mine._runtime.run(mine._add(owner, checked_key(key), value, given))

    async def add_many(
        self,
        facts: Iterable[Mapping[str, Any]],
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> int:
        """Store facts as `add` does, a thousand to a transaction; returns how many are new or changed.

        Each of `facts` names what `add` takes: `key`, `value`, and any other. `facts` may be a generator of any length:
        a thousand are held at a time. Raises what `add` raises, and `InvalidInput` says at which fact: those of
        earlier transactions are stored, and the whole may be sent again, since what is stored is left as it is.
        """
        mine = self._in(namespace)
        count = 0
        for batch in batches(facts, lambda one: mine._edit(one, scope, scope_id)):
            count += await mine._runtime.run(mine._store(batch))
        return count

    async def get(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        schema: type[BaseModel] | None = None,
        namespace: str | None = None,
    ) -> Fact | None:
        """The current fact under `key`, or None where there is none (or no longer).

        Its value is read as `schema`, or as the registered model of its `schema_type`; where that does not fit, it
        stays JSON data and `validated` is False.

        With `as_of` what was true in the world then, with `known_at` what was stored then, with both what was thought
        then to be true at that time. Times without a zone are UTC.
        """
        mine = self._in(namespace)
        owner, moment = mine._owner(scope, scope_id), Moment.of(as_of, known_at)
        get = partial(mine._get, owner, checked_key(key), moment)
        found = await mine._runtime.run(noted(mine._runtime, owner, "get", get))
        return found and mine._schemas.read(found, schema)

    async def update(
        self,
        /,
        key: str,
        value: Any,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        expected_version: int | None = None,
        namespace: str | None = None,
        **fields: Any,
    ) -> Fact:
        """Replace the value of a fact; the old one stays in its history.

        Raises `NotFound` where there is none, `ConflictError` where `expected_version` is no longer the present one.
        """
        mine = self._in(namespace)
        owner, value = mine._owner(scope, scope_id), mine._schemas.checked(value, fields.get("schema_type"))
        given = timed(fields, mine._runtime.now())
        return await mine._runtime.run(mine._update(owner, checked_key(key), value, expected_version, given))

    async def delete(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> bool:
        """Delete a fact; False where there is none. Its history stays, and `add` revives it."""
        mine = self._in(namespace)
        return await mine._runtime.run(mine._delete(mine._owner(scope, scope_id), checked_key(key)))

    async def archive(
        self,
        key: str,
        reason: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Put a fact aside: it is kept, but no longer found or recalled. Raises `NotFound` where it is not current."""
        mine = self._in(namespace)
        return await mine._noted(scope, scope_id, key, lambda old, now: archived(old, key, reason, now))

    async def unarchive(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        reason: str = "unarchived",
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Bring a fact back that was put aside. Raises `NotFound` where there is none, or it is deleted."""
        mine = self._in(namespace)
        return await mine._noted(scope, scope_id, key, lambda old, now: unarchived(old, key, reason, now))

    async def pin(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Always show a fact, and let learning leave it as it is. Raises `NotFound` where it is not current."""
        mine = self._in(namespace)
        return await mine._noted(scope, scope_id, key, lambda old, now: pinned(old, key, True, now))

    async def unpin(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Undo `pin`."""
        mine = self._in(namespace)
        return await mine._noted(scope, scope_id, key, lambda old, now: pinned(old, key, False, now))

    async def search(
        self,
        query: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        limit: int = 10,
        *,
        namespace: str | None = None,
    ) -> list[Fact]:
        """Facts that share a word (or its stem) with `query`, best first, each with its `score`."""
        mine = self._in(namespace)
        owner = mine._owner(scope, scope_id)
        search = partial(mine._runtime.recalling.search, owner, query, namespace=mine.namespace, limit=limit)
        return await mine._runtime.run(noted(mine._runtime, owner, "search", search, query))

    async def get_all(
        self,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        namespace: str | None = None,
    ) -> list[Fact]:
        """All current facts, by key, or those of another time as in `get`."""
        mine = self._in(namespace)
        return await mine.filter(scope=scope, scope_id=scope_id, as_of=as_of, known_at=known_at)

    async def filter(
        self,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        tags: Sequence[str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        memory_type: str | None = None,
        category: str | None = None,
        about: str | None = None,
        attribute: str | None = None,
        schema_type: str | None = None,
        min_importance: float | None = None,
        where: Mapping[str, Any] | None = None,
        order: str = "key",
        limit: int | None = None,
        after: str | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        namespace: str | None = None,
    ) -> Page:
        """Current facts that have all of `tags` and pass every other test. Times are UTC; `created_after` includes.

        `where` takes filters as `recall` does, on every field, with operators, `and`, `or` and `not`. `order` is `key`,
        `created_at`, `updated_at`, `importance`, `confidence` or `memory_type`, with `-` in front from the last to the
        first. `limit` gives a page, which is a list with `next`: pass that as `after` for the page behind it. A page
        costs by its own size, where a tag, the type or nothing narrows it, or a date in whose order it is asked for.

        `as_of` and `known_at` ask for the facts of another time, as in `get`; that reads all of the scope's history.
        """
        mine = self._in(namespace)
        asked = fact_filters(
            tags,
            created_after,
            created_before,
            updated_after,
            updated_before,
            min_importance,
            memory_type=memory_type,
            category=category,
            about=about,
            attribute=attribute,
            schema_type=schema_type,
        )
        moment = Moment.of(as_of, known_at)
        tests = [test for test in (condition(asked), condition(where)) if test is not None]
        pages = (Sorting.of(order), limit, after)
        return await mine._runtime.run(mine._filter(mine._owner(scope, scope_id), tests, pages, moment))

    async def archived(
        self, scope: MemoryScope | None = None, scope_id: str | None = None, *, namespace: str | None = None
    ) -> list[Fact]:
        """The archived facts, by key, each with its `reason` and, where another fact says it now, `replaced_by`."""
        mine = self._in(namespace)
        return await mine._runtime.run(mine._archived(mine._owner(scope, scope_id)))

    async def history(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> list[Fact]:
        """Every version of a fact, oldest first, the present one included; empty where there never was one.

        Each says its `reason`, who made it (`created_by`), the messages that it came from (`sources`), when it was
        stored (`updated_at`), and from when to when it was true (`valid_from`, `valid_to`).
        """
        mine = self._in(namespace)
        return await mine._runtime.run(mine._history(mine._owner(scope, scope_id), checked_key(key)))

    async def confidence(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> float:
        """How sure a fact is by now, 0 to 1: more with each turn that repeated it, less with each other value it had.

        Computed from the history and from what turns did; see docs/explanation/reconciling.md. Raises `NotFound`.
        """
        mine = self._in(namespace)
        return await mine._runtime.run(mine._confidence(mine._owner(scope, scope_id), checked_key(key)))

    async def sources(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> list[Message]:
        """The messages that a fact came from, as they are now, oldest first; those that are gone are missing.

        Raises `NotFound` where there is no such fact. The way back is `sessions.facts`.
        """
        mine = self._in(namespace)
        return await mine._runtime.run(mine._sources(mine._owner(scope, scope_id), checked_key(key)))

    async def rollback(
        self,
        key: str,
        version: int,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        reason: str = "",
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Make a fact again what it was in `version`: a new version, which says all that that one said.

        Raises `NotFound` where there is no such version.
        """
        mine = self._in(namespace)
        owner, why = mine._owner(scope, scope_id), reason or f"rolled back to version {version}"
        return await mine._runtime.run(mine._rollback(owner, checked_key(key), version, why))

    async def diff(
        self,
        key: str,
        a: int,
        b: int,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> list[Change]:
        """What version `b` says otherwise than version `a`, field by field. Raises `NotFound`."""
        mine = self._in(namespace)
        versions = await mine._runtime.run(mine._versions(mine._owner(scope, scope_id), checked_key(key)))
        return changes(version_in(versions, key, a), version_in(versions, key, b))

    async def link(
        self,
        a: str,
        b: str,
        type: str = "related",  # noqa: A002 # the word that everybody uses
        strength: float = 1.0,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        mutual: bool | None = None,
        metadata: dict[str, Any] | None = None,
        namespace: str | None = None,
    ) -> Link:
        """Link fact `a` to fact `b`, both by key or id, in the place of a link of that type between them.

        `mutual` says whether it leads both ways; without it `similar`, `related` and `opposite` do. A fact has one
        `parent`. Raises `NotFound` for a fact that is not current, `InvalidInput` for a strength not from 0 to 1.
        """
        mine = self._in(namespace)
        work = mine._links(scope, scope_id).link(a, b, type, strength, mutual, metadata)
        return await mine._runtime.run(work)

    async def unlink(
        self,
        a: str,
        b: str,
        type: str | None = None,  # noqa: A002
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> int:
        """Remove the links from `a` to `b`, of a type or all; mutual ones lead back no more either. Returns how many.

        Raises `NotFound` for a fact that is not current.
        """
        mine = self._in(namespace)
        return await mine._runtime.run(mine._links(scope, scope_id).unlink(a, b, type))

    async def links(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        types: Sequence[str] | None = None,
        namespace: str | None = None,
    ) -> list[Link]:
        """The links from and to a fact (by key or id), the strongest first. Raises `NotFound`."""
        mine = self._in(namespace)
        return await mine._runtime.run(mine._links(scope, scope_id).links(key, types))

    async def related(
        self,
        key: str,
        depth: int = 1,
        types: Sequence[str] | None = None,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        direction: Direction = "out",
        namespace: str | None = None,
    ) -> list[RelatedFact]:
        """The current facts that links lead to from a fact (by key or id), the nearest and strongest linked first.

        At most `depth` links away, along links of `types` or all, from source to target (`out`), back (`in`), or `both`
        ways. Each has its `distance`, the `path` of links that led there, and the product of their strengths. One query
        on SQL databases; nothing where there is no such fact.
        """
        mine = self._in(namespace)
        owner, related = mine._owner(scope, scope_id), mine._links(scope, scope_id).related
        return await mine._runtime.run(
            noted(mine._runtime, owner, "link", partial(related, key, depth, types, direction))
        )

    async def graph(
        self,
        format: str = "graphml",  # noqa: A002
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        types: Sequence[str] | None = None,
        namespace: str | None = None,
    ) -> str:
        """All current facts and their links as `graphml`, or as `json` (nodes and links), for programs that draw."""
        mine = self._in(namespace)
        return await mine._runtime.run(mine._links(scope, scope_id).graph(format, types))

    async def extract_from_messages(
        self,
        messages: Messages,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> list[Fact]:
        """The facts that are told in `messages`; nothing is stored. What the speaker takes back has `deleted_at` set.

        Raises `ExtractionError` where a model's reply could not be used.
        """
        mine = self._in(namespace)
        into = mine._into(mine._owner(scope, scope_id))
        told = messages_of(messages)
        found = await mine._runtime.teach(mine._learning.candidates(told, _identity(into.scope), into))
        return [mine._learning.fact(candidate, into) for candidate in found]

    async def extract(
        self,
        messages: Messages,
        into: type[M],
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> M:
        """What is told in `messages` as a pydantic model; nothing is stored: `add` does that.

        Raises `ExtractionError` where what was found does not fit the model, such as a required field nobody told.
        """
        mine = self._in(namespace)
        place = mine._into(mine._owner(scope, scope_id))
        told = messages_of(messages)
        return await mine._runtime.teach(mine._learning.into(into, told, _identity(place.scope), place))

    async def update_intelligent(
        self,
        facts: Iterable[Fact],
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        dry_run: bool = False,
        namespace: str | None = None,
    ) -> list[FactUpdate]:
        """Store facts as learning does: ADD what is new, UPDATE what changed, DELETE what is taken back, else NOOP.

        With `dry_run`, only say what that would do.
        """
        mine = self._in(namespace)
        candidates = [_candidate(fact) for fact in facts]
        return await mine._runtime.run(mine._learn(candidates, mine._owner(scope, scope_id), dry_run))

    def _in(self, namespace: str | None) -> PersistentFacts:
        """The same facts in another namespace."""
        if namespace is None:
            return self
        other = copy(self)
        other.namespace = namespace
        return other

    def _owner(self, scope: MemoryScope | None, scope_id: str | None) -> Scope:
        level = self.scope if scope is None else MemoryScope(scope)
        if level is MemoryScope.GLOBAL:
            return Scope(level, scope_id or "", self._runtime.tenant)
        if isinstance(scope_id, str):
            return scope_of(level, scope_id, self._runtime.tenant)
        return Scope(level, scope_id, self._runtime.tenant)  # type: ignore[arg-type] # refused there, in words

    def _links(self, scope: MemoryScope | None, scope_id: str | None) -> Linking:
        return Linking(self._runtime, self._owner(scope, scope_id), self.namespace)

    def _into(self, owner: Scope) -> Destination:
        return Destination(owner, owner, self.namespace)

    def _edit(self, given: dict[str, Any], scope: MemoryScope | None, scope_id: str | None) -> Edit:
        owner = self._owner(given.pop("scope", scope), given.pop("scope_id", scope_id))
        key, value = checked_key(given.pop("key")), given.pop("value")
        given, now = timed(given, self._runtime.now()), self._runtime.now()
        return Edit(made(owner, given.pop("namespace", self.namespace), key, value, given, now), given)

    async def _store(self, batch: Batch) -> int:
        """Write a batch as if all were new; where some are not, look and write again."""
        subjects = {owner: await self._runtime.turns.subject(owner) for owner in batch.owners}
        stored: dict[str, Fact] = {}
        async for attempt in attempts(30):
            with attempt:
                if attempt.retry_state.attempt_number > 1:
                    stored = {record.id: fact_of(record) for record in await self._runtime.store.scan(batch.where)}
                writes = batch.writes(stored, subjects, self._runtime.now())
                await self._runtime.store.apply(writes)
        return sum(isinstance(write, Put) and write.record.kind == "fact" for write in writes)

    async def _add(self, owner: Scope, key: str, value: Any, given: dict[str, Any]) -> Fact:
        fact = made(owner, self.namespace, key, value, given, self._runtime.now())
        subject = await self._runtime.turns.subject(owner)
        try:
            added = FactUpdate(operation="ADD", fact=fact, reason=fact.reason)
            await self._runtime.store.apply(writes_for([added], subject, fact.created_at))
        except ConflictError:
            return await self._change(owner, key, lambda old, now: successor(old, fact, given, now))
        return fact

    async def _update(self, owner: Scope, key: str, value: Any, expected: int | None, given: dict[str, Any]) -> Fact:
        fact = made(owner, self.namespace, key, value, given, self._runtime.now())

        def change(old: Fact, now: datetime) -> Fact:
            if not old.is_current(now):
                raise missing(key)
            if expected not in (None, old.version):
                raise ConflictError(f"{key!r} is at version {old.version}, not {expected}. Read it again and retry.")
            return successor(old, self._schemas.following(old, fact), given, now)

        return await self._change(owner, key, change, again=expected is None)

    async def _delete(self, owner: Scope, key: str, namespace: str | None = None) -> bool:
        try:
            await self._change(owner, key, lambda old, now: deleted(old, key, now), namespace=namespace)
        except NotFound:
            return False
        return True

    async def _change(
        self,
        owner: Scope,
        key: str,
        change: Callable[[Fact, datetime], Fact],
        *,
        again: bool = True,
        namespace: str | None = None,
    ) -> Fact:
        """Read, change and write; from the start again when somebody else wrote in between."""
        async for attempt in attempts(30 if again else 1):
            with attempt:
                old = await self._stored(owner, key, namespace)
                if old is None:
                    raise missing(key)
                new = change(old, self._runtime.now())
                if new is not old:
                    await self._write(old, new, *following(old, new, new.updated_at))
        return new

    async def _noted(
        self, scope: MemoryScope | None, scope_id: str | None, key: str, change: Callable[[Fact, datetime], Fact]
    ) -> Fact:
        return await self._runtime.run(self._change(self._owner(scope, scope_id), checked_key(key), change))

    async def _rollback(self, owner: Scope, key: str, number: int, reason: str) -> Fact:
        async for attempt in attempts(30):
            with attempt:
                versions = await self._versions(owner, key)
                wanted = version_in(versions, key, number)
                new = restored(versions[-1], wanted, self._runtime.now(), reason)
                await self._write(versions[-1], new)
        return new

    async def _archived(self, owner: Scope) -> list[Fact]:
        now = self._runtime.now()
        tests = (Compare("namespace", "eq", self.namespace), Compare("archived_at", "lte", now))
        found = await self._runtime.store.scan(Where("fact", (owner,), test=All(*tests)), order=(("key", "asc"),))
        return [fact for fact in map(fact_of, found) if is_archived(fact, now)]

    async def _write(self, *chain: Fact) -> None:
        """Write versions of a fact that follow each other, of which the first is stored."""
        updates = [_update(old, new) for old, new in pairwise(chain)]
        new = chain[-1]
        subject = await self._runtime.turns.subject(new.owner)
        writes = writes_for(updates, subject, new.updated_at)
        if new.deleted_at:  # no summary may tell what is forgotten
            writes += await self._runtime.summaries.withheld(subject, new.sources, new.updated_at)
        await self._runtime.store.apply(writes)

    async def _stored(self, owner: Scope, key: str, namespace: str | None = None) -> Fact | None:
        place = self.namespace if namespace is None else namespace
        where = Where("fact", (owner,), ids=(fact_id(owner, place, key),))
        return next(map(fact_of, await self._runtime.store.scan(where)), None)

    async def _get(self, owner: Scope, key: str, moment: Moment | None) -> Fact | None:
        if moment is not None:
            its = fact_id(owner, self.namespace, key)
            found = await as_they_were(self._runtime.store, (owner,), self.namespace, moment, fact_id=its)
            return next(iter(found), None)
        fact = await self._stored(owner, key)
        return fact if fact is not None and fact.is_current(self._runtime.now()) else None

    async def _filter(
        self,
        owner: Scope,
        tests: Sequence[Condition],
        pages: tuple[Sorting, int | None, str | None],
        moment: Moment | None,
    ) -> Page:
        store, now = self._runtime.store, self._runtime.now()
        if moment is not None:
            store, now = await past_store(await as_they_were(store, (owner,), self.namespace, moment)), moment.at
        narrow = (Compare("namespace", "eq", self.namespace), *tests, *current_at(now))
        return await page_of(store, Where("fact", (owner,)).also(*narrow), *pages)

    async def _history(self, owner: Scope, key: str, read: Callable[[Record], Fact] = version_of) -> list[Fact]:
        of_fact = Compare("fact_id", "eq", fact_id(owner, self.namespace, key))
        present = await self._stored(owner, key)
        past = await self._runtime.store.scan(Where("version", (owner,), test=of_fact), order=[("number", "asc")])
        return history(present, [read(record) for record in past])

    async def _confidence(self, owner: Scope, key: str) -> float:
        present, versions = await self._get(owner, key, None), await self._versions(owner, key)
        if present is None:
            raise missing(key)
        subject = await self._runtime.turns.subject(owner)
        since = Compare("created_at", "gte", present.updated_at)
        jobs = await self._runtime.store.scan(Where("job", subject=subject, test=since))
        done = [update for job in jobs for update in job.fields.get("updates") or ()]
        repeated = sum(update["operation"] == "NOOP" and update["fact_id"] == present.id for update in done)
        return believed(present.confidence, repeated, contradictions(versions))

    async def _versions(self, owner: Scope, key: str) -> list[Fact]:
        """Every version as it was stored."""
        return await self._history(owner, key, stored_version_of)

    async def _sources(self, owner: Scope, key: str) -> list[Message]:
        fact = await self._get(owner, key, None)
        if fact is None:
            raise missing(key)
        subject = await self._runtime.turns.subject(owner)
        alive = All(Compare("deleted_at", "exists", False), Compare(WITHDRAWN, "exists", False))
        where = Where("message", subject=subject, ids=tuple(fact.sources), test=alive)
        found = await self._runtime.store.scan(where, order=_SAID) if fact.sources else []
        return [message_of(record) for record in found]

    async def _learn(self, candidates: Sequence[Candidate], owner: Scope, dry_run: bool) -> list[FactUpdate]:
        into = Destination(owner, await self._runtime.turns.subject(owner), self.namespace)
        async for attempt in attempts(30):
            with attempt:
                now = self._runtime.now()
                updates = await self._learning.updates(candidates, into, now)
                if not dry_run:
                    await self._runtime.store.apply(writes_for(updates, into.subject, now))
        return updates

    async def usage(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Usage:
        """How often a fact was given and was of use, and how much it matters now. Raises `NotFound`."""
        mine = self._in(namespace)
        return await mine._runtime.run(mine._uses(scope, scope_id).usage(checked_key(key)))

    async def accesses(
        self,
        key: str,
        limit: int | None = 50,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> list[Access]:
        """To whom a fact was given, the newest first: each with the query, as far back as the log is kept.

        Raises `NotFound`.
        """
        mine = self._in(namespace)
        return await mine._runtime.run(mine._uses(scope, scope_id).accesses(checked_key(key), limit))

    async def touch(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Usage:
        """Count a use by hand, at once: the fact is as fresh as if it had been recalled now, and no new version.

        Raises `NotFound`.
        """
        mine = self._in(namespace)
        return await mine._runtime.run(mine._uses(scope, scope_id).touch(checked_key(key)))

    def _uses(self, scope: MemoryScope | None, scope_id: str | None) -> Uses:
        return Uses(self._runtime, self._owner(scope, scope_id), self.namespace)


async def forget(facts: PersistentFacts, what: str | Mapping[str, Any], who: Identity, namespace: str) -> int:
    """Delete what has this key or id, or passes these filters, in the user's and the session's own scopes."""
    if isinstance(what, str):
        test: Condition | None = AnyOf(Compare("id", "eq", what), Compare("key", "eq", what))
    else:
        test = condition(what)
    mine = tuple(scope for scope in who.scopes if scope.level in (MemoryScope.USER, MemoryScope.SESSION))
    runtime = facts._runtime
    where = Where("fact", mine).also(Compare("namespace", "eq", namespace), *current_at(runtime.now()))
    found = await runtime.store.scan(where.also(test) if test else where)
    return sum([await facts._delete(fact.owner, fact.key, namespace) for fact in map(fact_of, found)])


def _update(old: Fact, new: Fact) -> FactUpdate:
    operation: Operation = "DELETE" if new.deleted_at else "UPDATE"
    return FactUpdate(operation=operation, fact=new, previous=old, reason=new.reason)


def _runtime(storage: Any, tenant: str | None) -> Runtime:
    return Runtime(store_of(storage), policies_of(), tenant=tenant or DEFAULT_TENANT, background=False)


def _candidate(fact: Fact) -> Candidate:
    shared = Candidate.model_fields.keys() & Fact.model_fields.keys()
    fields = {name: getattr(fact, name) for name in shared - {"score", "relevance", "parts", "signals"}}
    about, name, item = split_key(fact.key)
    place = {"attribute": fact.attribute or name, "item": fact.item or item}
    if not fact.attribute:
        place["about"] = about
    return Candidate.model_validate({**fields, **place, "retract": fact.deleted_at is not None})


def _identity(owner: Scope) -> Identity:
    ids = {"user": "user_id", "session": "session_id", "agent": "agent_id"}
    named = {ids[owner.level]: owner.id} if owner.level in ids else {}
    return Identity(tenant=owner.tenant, **named)
