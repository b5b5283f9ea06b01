"""The fact API: facts written, read, searched and traced by hand, in any scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ..assemble import policies_of, store_of
from ..journeys.learning import Destination
from ..knowledge.edits import archived, checked_key, made, pinned, unarchived
from ..knowledge.filters import condition, fact_filters
from ..knowledge.lifecycle import timed
from ..knowledge.versions import Change, Moment, changes, version_in
from ..llm import Complete
from ..model import (
    Access,
    Candidate,
    Fact,
    FactUpdate,
    Link,
    Message,
    Messages,
    RelatedFact,
    Usage,
    messages_of,
    split_key,
)
from ..runtime import Runtime
from ..scope import DEFAULT_TENANT, Identity, MemoryScope, Scope, scope_of
from ..stores.base import Direction, Order, Store
from .bulk import Edit, batches
from .linking import Linking
from .paging import Page, Sorting
from .schemas import Schemas
from .shelf import Shelf, store_batch
from .usage import Uses, noted

if TYPE_CHECKING:
    from ..memory import AsyncMemory

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
        given = timed({"tags": tags, "metadata": metadata, **fields}, self._runtime.now())
        value, shelf = self._schemas.checked(value, fields.get("schema_type")), self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(shelf.add(checked_key(key), value, given))

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
        count = 0
        for batch in batches(facts, lambda one: self._edit(one, scope, scope_id, namespace)):
            count += await self._runtime.run(store_batch(self._runtime, batch))
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
        shelf, moment = self._shelf(scope, scope_id, namespace), Moment.of(as_of, known_at)
        found = await self._runtime.run(noted(shelf, "get", partial(shelf.get, checked_key(key), moment)))
        return found and self._schemas.read(found, schema)

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
        given, follow = timed(fields, self._runtime.now()), self._schemas.following
        value, shelf = self._schemas.checked(value, fields.get("schema_type")), self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(shelf.update(checked_key(key), value, expected_version, given, follow))

    async def delete(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> bool:
        """Delete a fact; False where there is none. Its history stays, and `add` revives it."""
        return await self._runtime.run(self._shelf(scope, scope_id, namespace).delete(checked_key(key)))

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
        shelf = self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(shelf.change(checked_key(key), lambda old, now: archived(old, key, reason, now)))

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
        shelf = self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(
            shelf.change(checked_key(key), lambda old, now: unarchived(old, key, reason, now))
        )

    async def pin(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Always show a fact, and let learning leave it as it is. Raises `NotFound` where it is not current."""
        shelf = self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(shelf.change(checked_key(key), lambda old, now: pinned(old, key, True, now)))

    async def unpin(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Fact:
        """Undo `pin`."""
        shelf = self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(shelf.change(checked_key(key), lambda old, now: pinned(old, key, False, now)))

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
        shelf = self._shelf(scope, scope_id, namespace)
        search = partial(self._runtime.recalling.search, shelf.owner, query, namespace=shelf.namespace, limit=limit)
        return await self._runtime.run(noted(shelf, "search", search, query))

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
        shelf, moment = self._shelf(scope, scope_id, namespace), Moment.of(as_of, known_at)
        return await self._runtime.run(shelf.filter((), (Sorting.of("key"), None, None), moment))

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
        return await self._runtime.run(self._shelf(scope, scope_id, namespace).filter(tests, pages, moment))

    async def archived(
        self, scope: MemoryScope | None = None, scope_id: str | None = None, *, namespace: str | None = None
    ) -> list[Fact]:
        """The archived facts, by key, each with its `reason` and, where another fact says it now, `replaced_by`."""
        return await self._runtime.run(self._shelf(scope, scope_id, namespace).archived())

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
        return await self._runtime.run(self._shelf(scope, scope_id, namespace).history(checked_key(key)))

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
        return await self._runtime.run(self._shelf(scope, scope_id, namespace).confidence(checked_key(key)))

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
        return await self._runtime.run(self._shelf(scope, scope_id, namespace).sources(checked_key(key)))

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
        shelf, why = self._shelf(scope, scope_id, namespace), reason or f"rolled back to version {version}"
        return await self._runtime.run(shelf.rollback(checked_key(key), version, why))

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
        versions = await self._runtime.run(self._shelf(scope, scope_id, namespace).versions(checked_key(key)))
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
        work = self._links(scope, scope_id, namespace).link(a, b, type, strength, mutual, metadata)
        return await self._runtime.run(work)

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
        return await self._runtime.run(self._links(scope, scope_id, namespace).unlink(a, b, type))

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
        return await self._runtime.run(self._links(scope, scope_id, namespace).links(key, types))

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
        shelf, links = self._shelf(scope, scope_id, namespace), self._links(scope, scope_id, namespace)
        return await self._runtime.run(noted(shelf, "link", partial(links.related, key, depth, types, direction)))

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
        return await self._runtime.run(self._links(scope, scope_id, namespace).graph(format, types))

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
        into = self._into(scope, scope_id, namespace)
        told = messages_of(messages)
        found = await self._runtime.teach(self._learning.candidates(told, _identity(into.scope), into))
        return [self._learning.fact(candidate, into) for candidate in found]

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
        place = self._into(scope, scope_id, namespace)
        told = messages_of(messages)
        return await self._runtime.teach(self._learning.into(into, told, _identity(place.scope), place))

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
        candidates, shelf = [_candidate(fact) for fact in facts], self._shelf(scope, scope_id, namespace)
        return await self._runtime.run(shelf.learn(candidates, self._learning, dry_run=dry_run))

    async def usage(
        self,
        key: str,
        scope: MemoryScope | None = None,
        scope_id: str | None = None,
        *,
        namespace: str | None = None,
    ) -> Usage:
        """How often a fact was given and was of use, and how much it matters now. Raises `NotFound`."""
        return await self._runtime.run(Uses(self._shelf(scope, scope_id, namespace)).usage(checked_key(key)))

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
        return await self._runtime.run(Uses(self._shelf(scope, scope_id, namespace)).accesses(checked_key(key), limit))

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
        return await self._runtime.run(Uses(self._shelf(scope, scope_id, namespace)).touch(checked_key(key)))

    def _shelf(self, scope: MemoryScope | None, scope_id: str | None, namespace: str | None) -> Shelf:
        place = self.namespace if namespace is None else namespace
        return Shelf(self._runtime, self._owner(scope, scope_id), place)

    def _owner(self, scope: MemoryScope | None, scope_id: str | None) -> Scope:
        level = self.scope if scope is None else MemoryScope(scope)
        if level is MemoryScope.GLOBAL:
            return Scope(level, scope_id or "", self._runtime.tenant)
        if isinstance(scope_id, str):
            return scope_of(level, scope_id, self._runtime.tenant)
        return Scope(level, scope_id, self._runtime.tenant)  # type: ignore[arg-type] # refused there, in words

    def _links(self, scope: MemoryScope | None, scope_id: str | None, namespace: str | None) -> Linking:
        shelf = self._shelf(scope, scope_id, namespace)
        return Linking(self._runtime, shelf.owner, shelf.namespace)

    def _into(self, scope: MemoryScope | None, scope_id: str | None, namespace: str | None) -> Destination:
        shelf = self._shelf(scope, scope_id, namespace)
        return Destination(shelf.owner, shelf.owner, shelf.namespace)

    def _edit(
        self, given: dict[str, Any], scope: MemoryScope | None, scope_id: str | None, namespace: str | None
    ) -> Edit:
        place = (given.pop("scope", scope), given.pop("scope_id", scope_id), given.pop("namespace", namespace))
        key, value, now = checked_key(given.pop("key")), given.pop("value"), self._runtime.now()
        shelf, given = self._shelf(*place), timed(given, now)
        return Edit(made(shelf.owner, shelf.namespace, key, value, given, now), given)


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
