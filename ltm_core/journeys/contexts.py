"""The context journey, step by step: read the last turns, recall for the question, take the summaries, assemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import InvalidInput
from ..index.entries import WITHDRAWN
from ..learn.turns import Turns
from ..model import Message, Recalled
from ..policies import Policies
from ..recall.context import (
    MESSAGE_TOKENS,
    Available,
    Budget,
    RoleMessage,
    Told,
    Turn,
    assemble,
    message_tokens,
    role_message,
    turns_of,
)
from ..recall.render import summary_text
from ..records import message_of
from ..scope import Identity, MemoryScope, Scope
from ..stores.base import Compare, Store, Where
from ..text.fence import SUMMARY
from .recalling import Question, Recalling
from .summarising import Summaries

LateRole = Literal["user", "system"]

PAGE = 16  # messages that are read at least, before it is known how long they are here


@dataclass(frozen=True, slots=True)
class Wanted:
    """A context for a session; `question` names it and who talks in it. Without one, it is what is remembered.

    `turn_id` is that of a turn which whoever asks adds by themselves; it may be stored in part.
    """

    question: Question
    max_tokens: int
    late_role: LateRole = "user"
    turn_id: str | None = None

    def __post_init__(self) -> None:
        if self.max_tokens <= 0:
            raise InvalidInput(f"max_tokens={self.max_tokens} leaves no room. Pass 1 or more, such as 2_000.")
        if self.late_role not in ("user", "system"):
            raise InvalidInput(f"late_role={self.late_role!r} is unknown. Use 'user' or 'system'.")


@dataclass(frozen=True, slots=True)
class Context:
    """A prompt as role messages, and what was recalled for it; `has_talk` where the session has any earlier turn."""

    messages: list[RoleMessage]
    recalled: Recalled
    has_talk: bool


class Contexts:
    """Puts together what belongs into the next prompt of a session. Reads only."""

    def __init__(
        self, store: Store, policies: Policies, turns: Turns, recalling: Recalling, summaries: Summaries
    ) -> None:
        self._store = store
        self._policies = policies
        self._turns = turns
        self._recalling = recalling
        self._summaries = summaries

    async def context(self, wanted: Wanted) -> Context:
        """What belongs into the prompt, within its budget. Raises `ScopeError` where the session is another user's."""
        who, budget = wanted.question.who, Budget(wanted.max_tokens, self._policies.count_tokens, wanted.late_role)
        talk = (
            await self._talk(who, budget, wanted.turn_id)
            if who.session_id is not None
            else Available((), from_start=True)
        )
        recalled = await self._recalling.recall(_asked(wanted.question, talk.turns, budget))
        given = replace(talk, stable=recalled.stable_text, late=recalled.late_text)
        return Context(assemble(given, budget), recalled, has_talk=bool(talk.turns or talk.summaries))

    async def _talk(self, who: Identity, budget: Budget, but: str | None) -> Available:
        """What was said in a session, and its summaries; the session lives on."""
        thread = who.scope(MemoryScope.SESSION)
        if who.user_id is not None:
            await self._turns.check(thread, who.subject)
        told, from_start = await self._told(thread, budget, but)
        turns = turns_of(told, budget.count)
        covers = await self._covers(thread, told[0][0] if told else 1)
        await self._turns.touch(thread, self._policies.clock())
        return Available(turns if from_start else turns[1:] or turns, from_start, covers, SUMMARY)

    async def _told(self, thread: Scope, budget: Budget, but: str | None) -> tuple[list[tuple[int, Message]], bool]:
        """The last messages with their numbers, a few more than fit, and whether these are all."""
        absent = [Compare(name, "exists", False) for name in ("deleted_at", "archived_at", WITHDRAWN)]
        where = Where("message", (thread,), test=Compare("role", "ne", "system")).also(*absent)
        where = where.also(*await self._turns.shown(thread, self._policies.clock()))
        where = where.also(Compare("turn_id", "ne", but)) if but is not None else where
        told: list[tuple[int, Message]] = []
        room, most, size = budget.max_tokens, self._turns.limits.messages, PAGE
        while room >= 0:
            before = where.also(Compare("number", "lt", told[-1][0])) if told else where
            page = await self._store.scan(before, order=[("number", "desc")], limit=size)
            told += [(record.fields["number"], message_of(record)) for record in page]
            room -= sum(message_tokens(role_message(message), budget.count) for _, message in told[-len(page) :])
            if len(page) < size or (most is not None and len(told) >= most):
                return told[:most][::-1], True
            size = max(PAGE, 1 + room * len(told) // (budget.max_tokens - room))
        return told[::-1], False

    async def _covers(self, thread: Scope, first: int) -> list[Told]:
        """The summaries that tell what was before message `first`, or more."""
        found = await self._summaries.until(thread, first - 1)
        return [Told(summary_text(summary), summary.last) for summary in found]


def _asked(question: Question, turns: Sequence[Turn], budget: Budget) -> Question:
    """What is asked of the memory: with the room that the last turn leaves; without a query, for what was said last."""
    last = turns[-1].tokens if turns else 0
    left = budget.max_tokens - last if last <= budget.max_tokens else budget.max_tokens
    room = min(budget.facts, left) - 2 * MESSAGE_TOKENS
    said = next((turn.said for turn in reversed(turns) if turn.said), "")
    return replace(question, query=question.query if question.query.strip() else said, max_tokens=max(room, 0))
