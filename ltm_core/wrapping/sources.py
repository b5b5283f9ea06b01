"""Where a turn recalls from and learns into: a memory of ours, or what else gives memories."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from weakref import WeakSet

from ..ambient import identity, scoped
from ..home import Home
from ..journeys.contexts import Wanted
from ..journeys.recalling import Pending, Question
from ..knowledge.filters import condition
from ..learn.turns import Writing
from ..policies import Ranked, Ranking, Strategy
from ..recall.context import total_tokens
from ..recall.render import summary_text
from ..runtime import Runtime
from ..scope import Identity, MemoryScope
from ..text.fence import SUMMARY, fenced
from ..ticket import Ticket
from .faults import Faults, faults_of
from .memories import Memories, Selector, ranked_dict

if TYPE_CHECKING:
    from ..memory import AsyncMemory
    from ..turn import Turn

# Seconds that an answer is held at most for the write of its turn, which then goes on by itself.
PATIENCE = 2.0
# Seconds that a first turn waits for the database to open, on top of its budget.
OPENING = 5.0
# How long a turn that was opened waits for its answer, to be learned with it. Who comes later finds it learned alone.
ANSWERED_WITHIN = timedelta(minutes=1)

# Least relevance in a turn, unless it is given: small talk has none.
NO_SMALL_TALK = 0.001

_READY: WeakSet[Runtime] = WeakSet()


class Source(ABC):
    """Where a turn recalls from and learns into."""

    name: str
    home: Home
    faults: Faults
    patience: float | None = PATIENCE
    context_tokens: int | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing was opened yet."""
        return False

    @abstractmethod
    async def recall(self, turn: Turn) -> Memories:
        """What matters for the turn."""

    async def ready(self) -> None:  # noqa: B027 # there may be nothing to open
        """Let a first turn wait until all is open, so that it need not fit into the budget of one recall."""

    @abstractmethod
    async def learn(self, turn: Turn, messages: Sequence[dict[str, Any]], *, opening: bool = False) -> Ticket | None:
        """Write the turn down; `opening` is the part before the answer."""

    def who(self, named: Mapping[str, str | None], fixed: Mapping[str, str | None]) -> Identity:
        """Who is talking: as the call names them, else the scope around it, else as fixed; empty ids are nobody."""
        around = self.around()
        if named["user_id"] is not None and around.user_id not in (None, named["user_id"]):
            around = Identity(tenant=around.tenant)  # another user's session is not this one's
        ids: dict[str, Any] = {name: _first(given, getattr(around, name), fixed[name]) for name, given in named.items()}
        return replace(Identity(tenant=around.tenant), **ids)

    def around(self) -> Identity:
        """Who is talking by the scope around the call."""
        return Identity()

    def scope(self, who: Identity) -> AbstractContextManager[None]:
        """A scope for what is called inside the turn."""
        return nullcontext()


class MemorySource(Source):
    """A memory of ours. `asked` says how to recall, `selector` chooses among all facts.

    With `context_tokens`, a turn in a session has its whole prompt made, which costs no more than that; with `summary`,
    the session's summary stands in front of what is recalled.
    """

    def __init__(
        self,
        memory: AsyncMemory,
        asked: Question,
        selector: Selector | None = None,
        context_tokens: int | None = None,
        *,
        summary: bool = False,
    ) -> None:
        self._memory = memory
        self._asked = asked
        self._selector = selector
        self.context_tokens = context_tokens
        self._with_summary = summary
        self.name = memory.runtime.name
        self.home = memory.runtime.home
        self.faults = faults_of(memory.runtime)

    @property
    def is_new(self) -> bool:
        """Whether the database was never opened."""
        return self._memory.runtime not in _READY

    async def ready(self) -> None:
        """Open the database."""
        runtime = self._memory.runtime
        try:
            # Whoever waits no longer does not stop it.
            async with asyncio.timeout(OPENING):
                await asyncio.shield(asyncio.ensure_future(runtime.open()))
        finally:
            _READY.add(runtime)

    async def recall(self, turn: Turn) -> Memories:
        """What matters for the turn."""
        asked = replace(self._asked, query=turn.query, who=turn.who)
        if self._selector is not None:
            asked = replace(asked, strategy=partial(self._selected, self._selector, turn))
        runtime = self._memory.runtime
        if self.context_tokens is not None:
            return await self._with_context(replace(asked, pending="elsewhere"), turn)
        memories = Memories.of(await runtime.run(runtime.recalling.recall(asked)))
        if self._with_summary and turn.who.session_id is not None:  # which recall has found to be theirs
            memories.text = await runtime.run(self._summary(turn.who)) + memories.text
        return memories

    async def _summary(self, who: Identity) -> str:
        found = await self._memory.runtime.summaries.latest(who.scope(MemoryScope.SESSION))
        return fenced(*SUMMARY, [summary_text(found)]) if found is not None else ""

    async def _with_context(self, asked: Question, turn: Turn) -> Memories:
        runtime, most = self._memory.runtime, self.context_tokens or 0
        room = most - total_tokens(turn.said, runtime.policies.count_tokens)
        wanted = Wanted(asked, max(room, 1), turn_id=turn.turn_id)  # 1 has room for nothing
        context = await runtime.run(runtime.contexts.context(wanted))
        memories = Memories.of(context.recalled)
        memories.context, memories.has_talk = context.messages, context.has_talk
        return memories

    async def learn(self, turn: Turn, messages: Sequence[dict[str, Any]], *, opening: bool = False) -> Ticket | None:
        """Write the turn down; it is learned in the background, and an opened one when it is complete."""
        run_at = self._memory.runtime.now() + ANSWERED_WITHIN if opening and turn.turn_id else None
        how: Writing = {"run_at": run_at, "completes": turn.is_written and not opening}
        work = self._memory._observe(messages, turn.who, self._asked.namespace, turn.turn_id, **how)
        return await self._memory.runtime.run(work)

    def around(self) -> Identity:
        """Who is talking by `memory.scope`."""
        nothing = {"user_id": None, "session_id": None, "agent_id": None}
        return identity(self.name, self._memory.runtime.tenant, **nothing)

    def scope(self, who: Identity) -> AbstractContextManager[None]:
        """The scope of those who talk in the turn."""
        return scoped(self.name, user_id=who.user_id, session_id=who.session_id, agent_id=who.agent_id)

    def _selected(self, selector: Selector, turn: Turn, given: Ranking) -> Sequence[Ranked]:
        ranked = self._memory.runtime.policies.rank(given)
        dicts = [ranked_dict(each) for each in ranked]
        places = {one["id"]: place for place, one in enumerate(dicts)}
        return [ranked[places[one["id"]]] for one in selector(turn.context, dicts)]


class Recalling(TypedDict, total=False):
    """How a turn recalls; as in `memory.recall`."""

    strategy: str | Strategy
    limit: int | None
    max_tokens: int | None
    min_relevance: float
    include: Sequence[str]
    filters: Mapping[str, Any] | None
    namespace: str
    pending: Pending
    neighbours: int


def question(**how: Unpack[Recalling]) -> Question:
    """What each turn asks of the memory, but for the query and who asks. Raises `InvalidInput`."""
    given: Any = {"min_relevance": NO_SMALL_TALK, **how, "filters": condition(how.get("filters"))}
    return Question("", Identity(), **given)


def _first(*ids: str | None) -> str | None:
    found = next((one for one in ids if one is not None), None)
    return found if found and found.strip() else None
