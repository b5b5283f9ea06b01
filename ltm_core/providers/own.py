"""Our memory as a provider: each fact of a user is one memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput, NotFound
from ..knowledge.filters import condition
from ..model import Fact, Message, messages_of, valid_json
from ..policies import Policies, Ranked, Ranking
from ..recall.gather import current_at
from ..records import fact_of
from ..scope import Identity, MemoryScope, Scope, digest
from ..stores.base import All, AnyOf, Compare, Condition, Record, Store, Where
from ..wrapping.memories import fact_dict
from .base import MemoryProvider

if TYPE_CHECKING:
    from ..memory import AsyncMemory

CANDIDATES = 200


class OwnProvider(MemoryProvider):
    """The facts of one memory, by user. What the extractor does not understand is kept word for word, as a note.

    With a `ttl` whatever is added or updated is forgotten after that time, unless it is added or updated again.
    """

    def __init__(self, memory: AsyncMemory, *, ttl: timedelta | None = None) -> None:
        self.memory = memory
        self._ttl = ttl

    async def add(
        self, user_id: str, content: str | list[dict[str, Any]], metadata: dict[str, Any] | None = None
    ) -> str:
        """Learn from `content` now; the id is that of the first fact that it tells.

        `metadata` replaces that of every fact that it tells. Raises `ExtractionError` where a model fails; the content
        stays queued then.
        """
        told = messages_of(content)
        if not any(message.text.strip() for message in told):
            raise InvalidInput("There is nothing to remember in this content. Pass a text or messages with text.")
        given = None if metadata is None else valid_json(metadata)
        work = self.memory._observe(told, self._who(user_id), "", None, aligned=False)
        ticket = await self.memory.runtime.run(work)
        facts = [update.fact for update in await ticket if update.fact is not None]
        if not facts:
            return await self._note(user_id, ticket.messages, given)
        if given is not None or self._ttl is not None:
            for fact in facts:
                if fact.deleted_at is None:
                    await self._change(fact, **({} if given is None else {"metadata": given}))
        return facts[0].id

    async def search(
        self, user_id: str, query: str, limit: int = 10, filters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Facts by relevance to `query`. A filter on `category` and the like means the field or the metadata."""
        if limit < 0:
            raise InvalidInput("limit cannot be negative. Pass how many memories you want at most.")
        asked = self._ranking(self._owner(user_id), query, _condition(filters))
        ranked = sorted(self._policies.rank(await asked), key=_relevance, reverse=True)
        return [_dict(each) for each in ranked[:limit]]

    async def get(self, user_id: str, memory_id: str) -> dict[str, Any] | None:
        """One fact of the user by its id."""
        fact = await self._find(user_id, memory_id)
        return fact_dict(fact) if fact is not None else None

    async def get_all(self, user_id: str, limit: int = 100) -> list[dict[str, Any]]:
        """The facts of the user, the one that changed last first."""
        return [fact_dict(fact) for fact in await self._facts(user_id, limit=limit)]

    async def update(
        self, user_id: str, memory_id: str, content: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Replace content or metadata of a fact; what it was stays in its history."""
        fact = await self._find(user_id, memory_id)
        if fact is None:
            raise _missing(memory_id)
        said = {} if content is None else {"value": content, "text": content}
        await self._change(fact, **said, **({} if metadata is None else {"metadata": metadata}))

    async def delete(self, user_id: str, memory_id: str) -> None:
        """Delete a fact; its history stays."""
        fact = await self._find(user_id, memory_id)
        if fact is None or not await self.memory.facts.delete(fact.key, fact.scope, fact.scope_id):
            raise _missing(memory_id)

    async def delete_all(self, user_id: str) -> int:
        """Delete all facts of the user; `memory.erase` also removes what was said."""
        facts = await self._facts(user_id)
        return sum([await self.memory.facts.delete(fact.key, fact.scope, fact.scope_id) for fact in facts])

    @property
    def _policies(self) -> Policies:
        return self.memory.runtime.policies

    def _who(self, user_id: str) -> Identity:
        return Identity(user_id=self._owner(user_id).id, tenant=self.memory.runtime.tenant)

    def _owner(self, user_id: str) -> Scope:
        return Scope.user(user_id, self.memory.runtime.tenant)

    async def _note(self, user_id: str, messages: Sequence[Message], metadata: dict[str, Any] | None) -> str:
        text = _transcript(messages)
        key = f"note#{digest(text)[:16]}"
        fact = await self.memory.facts.add(
            key,
            text,
            MemoryScope.USER,
            user_id,
            metadata=metadata,
            text=text,
            source_type="conversation",
            **self._expiry(),
        )
        return fact.id

    async def _change(self, fact: Fact, **changed: Any) -> None:
        kept = {name: getattr(fact, name) for name in ("value", "text", "valid_from", "schema_type", "source_type")}
        fields = {**kept, **self._expiry(), **changed}
        await self.memory.facts.update(fact.key, scope=fact.scope, scope_id=fact.scope_id, **fields)

    def _expiry(self) -> dict[str, Any]:
        return {} if self._ttl is None else {"expires_at": self.memory.runtime.now() + self._ttl}

    async def _find(self, user_id: str, memory_id: str) -> Fact | None:
        return next(iter(await self._facts(user_id, ids=(memory_id,))), None)

    async def _facts(self, user_id: str, *, ids: tuple[str, ...] | None = None, limit: int | None = None) -> list[Fact]:
        runtime = self.memory.runtime
        where = Where("fact", (self._owner(user_id),), ids=ids).also(*_current(runtime.now()))
        found = await runtime.run(_scan(runtime.store, where, limit))
        return [fact_of(record) for record in found]

    async def _ranking(self, owner: Scope, query: str, filters: Condition | None) -> Ranking:
        work = self.memory.runtime.recalling.candidates(
            _Only((owner,)), query, namespace="", filters=filters, limit=CANDIDATES
        )
        return await self.memory.runtime.run(work)


@dataclass(frozen=True, slots=True)
class _Only:
    """Somebody who sees these scopes and no other."""

    scopes: tuple[Scope, ...]


async def _scan(store: Store, where: Where, limit: int | None) -> list[Record]:
    # A coroutine of our own: the store is open by the time that it runs.
    return await store.scan(where, order=[("updated_at", "desc"), ("key", "asc")], limit=limit)


def _current(now: datetime) -> list[Condition]:
    return [Compare("namespace", "eq", ""), *current_at(now)]


def _condition(filters: Mapping[str, Any] | None) -> Condition | None:
    tests = [_either(name, asked) for name, asked in (filters or {}).items()]
    return All(*tests) if tests else None


def _either(name: str, asked: Any) -> Condition:
    """A field of facts of that name, or what was added as metadata."""
    paths = [f"metadata.{name}", *([name] if name.partition(".")[0] in Fact.model_fields else [])]
    return AnyOf(*(test for path in paths if (test := condition({path: asked})) is not None))


def _relevance(ranked: Ranked) -> tuple[float, float]:
    return ranked.relevance, ranked.score


def _dict(ranked: Ranked) -> dict[str, Any]:
    assert isinstance(ranked.item.content, Fact)
    return fact_dict(ranked.item.content, ranked.relevance)


def _transcript(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return messages[0].text
    return "\n".join(f"{message.role}: {message.text}" for message in messages if message.text)


def _missing(memory_id: str) -> NotFound:
    return NotFound(f"This user has no memory {memory_id!r}. List them with get_all().")
