"""How facts are used: counted, listed, counted by hand, and told of by those whom they were given to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import uuid4

from ..ambient import identity
from ..errors import ConfigurationError, InvalidInput, NotFound
from ..journeys.accesses import Given
from ..journeys.counting import count, counted, tell
from ..knowledge.edits import missing
from ..maintain.importance import dynamic_importance
from ..model import Access, Fact, How, Usage
from ..records import access_of
from ..runtime import Runtime
from ..scope import Identity, MemoryScope, Scope
from ..stores.base import Compare, Where
from .shelf import Shelf

Found = TypeVar("Found", bound=Fact | Sequence[Fact] | None)


class Uses:
    """The use of the facts of one scope and namespace."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._runtime = shelf.runtime
        self._owner = shelf.owner

    async def usage(self, key: str) -> Usage:
        """How a fact was used until now."""
        fact = await self._fact(key)
        await self._runtime.accesses.write()
        return await self._usage(fact)

    async def accesses(self, key: str, limit: int | None) -> list[Access]:
        """The log of a fact, newest first."""
        fact = await self._fact(key)
        await self._runtime.accesses.write()
        where = Where("access", (self._owner,), test=Compare("fact_id", "eq", fact.id))
        found = await self._runtime.store.scan(where, order=[("at", "desc")], limit=limit)
        return [access_of(record) for record in found]

    async def touch(self, key: str) -> Usage:
        """Count a use by hand."""
        fact = await self._fact(key)
        touched: list[tuple[str, Scope, How]] = [(fact.id, self._owner, "touch")]
        given = Given(uuid4().hex, touched, viewer(self._runtime, self._owner), self._runtime.now())
        await count(self._runtime.store, given.accesses())
        return await self._usage(fact)

    async def _usage(self, fact: Fact) -> Usage:
        usage = await counted(self._runtime.store, self._owner, fact.id)
        importance = dynamic_importance(fact, usage, self._runtime.now())
        return usage.model_copy(update={"importance": importance})

    async def _fact(self, key: str) -> Fact:
        """A fact that is not deleted; it may be archived, and its use say why."""
        found = await self._shelf.stored(key)
        if found is None or found.deleted_at is not None:
            raise missing(key)
        return found


async def noted(shelf: Shelf, how: How, find: Callable[[], Awaitable[Found]], query: str = "") -> Found:
    """What `find` gives of the facts there, noted in the log of accesses. On the home loop."""
    found, accesses = await find(), shelf.runtime.accesses
    if accesses.is_on:
        accesses.note(_listed(found), viewer(shelf.runtime, shelf.owner), how, query)
    return found


def _listed(found: Fact | Sequence[Fact] | None) -> Sequence[Fact]:
    return [found] if isinstance(found, Fact) else found or ()


def viewer(runtime: Runtime, owner: Scope) -> Identity:
    """Who looks at the facts of `owner`: they themselves, and whom the blocks around the call name."""
    ids = {} if owner.level is MemoryScope.GLOBAL else {f"{owner.level}_id": owner.id}
    return identity(runtime.name, runtime.tenant, **ids)


async def feedback(runtime: Runtime, recall_id: str, fact_id: str, who: Identity, *, useful: bool) -> None:
    """Tell whether a fact that was recalled was of use; `who` names nobody where this process should know."""
    if not runtime.accesses.is_on:
        raise ConfigurationError(
            "Accesses are not logged, so no recall is known. Make the memory with log_access=True."
        )
    if not isinstance(useful, bool):
        raise InvalidInput(f"useful={useful!r} says neither yes nor no. Pass True or False.")
    await runtime.accesses.write()
    await tell(runtime.store, recall_id, fact_id, _asker(runtime, recall_id, who), useful=useful)


def _asker(runtime: Runtime, recall_id: str, who: Identity) -> Identity:
    if any((who.user_id, who.session_id, who.agent_id)):
        return who
    asker = runtime.accesses.asker(recall_id)
    if asker is None:
        raise NotFound(
            f"No recall {recall_id!r} is known to this process. Pass the ids that you recalled with (user_id=, …)."
        )
    return asker
