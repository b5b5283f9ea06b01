"""The recall journey, step by step: gather candidates, rank them, fit the budget, render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from . import words
from .errors import InvalidInput, ScopeError
from .fence import fenced
from .learn.turns import WAITING, Turns
from .learn.worker import waiting_ids
from .model import Fact, Message, Recalled
from .policies import CountTokens, Item, Policies, Ranked, Ranking, Rendering, Strategy
from .recall.budget import Prices, fit, fit_pending, stable_facts
from .recall.gather import gather_facts, gather_messages, gather_stable, total
from .recall.rank import STRATEGIES
from .recall.render import LATE, STABLE, line, pending_line
from .records import message_of
from .scope import Identity, MemoryScope, Scope
from .stores.base import Compare, Condition, Store, Where

Pending = bool | Literal["elsewhere"]

CANDIDATES = 64
MOST_PENDING = 10


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the memory, by whom, and how much may come back."""

    query: str
    who: Identity
    namespace: str = ""
    strategy: str | Strategy = "relevant"
    limit: int | None = 10
    max_tokens: int | None = None
    min_relevance: float = 0.0
    include: Sequence[str] = ("facts",)
    filters: Condition | None = None
    pending: Pending = True

    def __post_init__(self) -> None:
        if isinstance(self.strategy, str) and self.strategy not in STRATEGIES:
            raise InvalidInput(f"There is no strategy {self.strategy!r}. Use {', '.join(STRATEGIES)} or a callable.")
        unknown = set(self.include) - {"facts", "messages"}
        if unknown or isinstance(self.include, str):
            raise InvalidInput(
                f"Nothing to include is called {self.include!r}. Use ('facts',) or ('facts', 'messages')."
            )
        if (self.limit or 0) < 0 or (self.max_tokens or 0) < 0:
            raise InvalidInput("limit and max_tokens cannot be negative. Pass None for no limit.")


class Recalling:
    """Finds what matters for a query. Reads only."""

    def __init__(self, store: Store, policies: Policies, turns: Turns) -> None:
        self._store = store
        self._policies = policies
        self._turns = turns
        self._prices = _prices(policies.count_tokens)

    async def recall(self, asked: Question) -> Recalled:
        """What `asked` is about, ranked, within its budget, and as text. Raises `ScopeError` for a foreign session."""
        await self._check_session(asked.who)
        ranked = self._ranked(asked, await self._gather(asked))
        stable = await self._stable(asked)
        pending = fit_pending(await self._pending(asked), max_tokens=asked.max_tokens, prices=self._prices)
        fitted = fit(
            ranked,
            stable=stable,
            pending=pending,
            limit=asked.limit,
            max_tokens=asked.max_tokens,
            min_relevance=asked.min_relevance if asked.query.strip() else 0.0,
            prices=self._prices,
        )
        found = [_scored(each) for each in fitted.ranked]
        facts = [one for one in found if isinstance(one, Fact)]
        messages = [one for one in found if isinstance(one, Message)]
        rendered = self._policies.render(Rendering(fitted.stable, facts, messages, pending, self._policies.clock()))
        return Recalled(
            id=uuid4().hex,
            query=asked.query,
            facts=facts,
            messages=messages,
            pending=pending,
            stable_text=rendered.stable,
            late_text=rendered.late,
            tokens=self._policies.count_tokens(rendered.stable + rendered.late),
            left_out=list(fitted.left_out),
        )

    async def search(self, scope: Scope, query: str, *, namespace: str, limit: int) -> list[Fact]:
        """Facts of one scope that share a word with `query`, best first."""
        terms = words.terms(query)
        now = self._policies.clock()
        items = await gather_facts(self._store, _Only((scope,)), terms, namespace=namespace, now=now, limit=CANDIDATES)
        ranking = Ranking(query, terms, items, len(items), now)
        found = [_scored(each) for each in self._policies.rank(ranking) if each.relevance > 0]
        return [fact for fact in found if isinstance(fact, Fact)][:limit]

    async def _check_session(self, who: Identity) -> None:
        if who.session_id is None or who.user_id is None:
            return
        head = await self._turns.head(who.scope(MemoryScope.SESSION))
        if head is not None and head.subject.level is MemoryScope.USER and head.subject != who.subject:
            raise ScopeError(f"Session {who.session_id!r} belongs to another user. Use a session_id of its own.")

    async def _gather(self, asked: Question) -> Ranking:
        terms, now = words.terms(asked.query), self._policies.clock()
        items: list[Item] = []
        size = 0
        most = max(CANDIDATES, asked.limit or 0) if asked.limit is not None else 100_000
        if "facts" in asked.include:
            items += await gather_facts(
                self._store,
                asked.who,
                terms,
                namespace=asked.namespace,
                now=now,
                filters=asked.filters,
                limit=most,
            )
            size += await total(self._store, asked.who, "fact")
        if "messages" in asked.include:
            items += await gather_messages(self._store, asked.who, terms, now=now, limit=most)
            size += await total(self._store, asked.who, "message")
        return Ranking(asked.query, terms, items, size, now)

    def _ranked(self, asked: Question, given: Ranking) -> Sequence[Ranked]:
        if callable(asked.strategy):
            return asked.strategy(given)
        if asked.strategy == "relevant":
            return self._policies.rank(given)
        return STRATEGIES[asked.strategy](given)

    async def _stable(self, asked: Question) -> list[Fact]:
        if "facts" not in asked.include or asked.filters is not None or asked.limit == 0:
            return []
        now = self._policies.clock()
        return stable_facts(await gather_stable(self._store, asked.who, namespace=asked.namespace, now=now))

    async def _pending(self, asked: Question) -> list[Message]:
        """What the person told and is not learned yet, newest last."""
        who = asked.who
        if not asked.pending or (who.user_id is None and who.session_id is None):
            return []
        subject = await self._subject(who)
        where = Where("job", subject=subject, test=Compare("status", "eq", WAITING))
        if asked.pending == "elsewhere":
            where = where.also(Compare("session_id", "ne", who.session_id))
        jobs = await self._store.scan(where, order=[("created_at", "desc")], limit=MOST_PENDING)
        ids = tuple(one for job in jobs for one in waiting_ids(job))
        if not ids:
            return []
        told = Compare("role", "eq", "user")
        said = Where("message", subject=subject, ids=ids, test=Compare("deleted_at", "exists", False)).also(told)
        found = await self._store.scan(said, order=[("created_at", "asc"), ("number", "asc")])
        return [message_of(record) for record in found][-MOST_PENDING:]

    async def _subject(self, who: Identity) -> Scope:
        return who.subject if who.user_id is not None else await self._turns.subject(who.subject)


@dataclass(frozen=True, slots=True)
class _Only:
    """Somebody who sees these scopes and no other."""

    scopes: tuple[Scope, ...]


def _scored(each: Ranked) -> Fact | Message:
    return each.item.content.model_copy(update={"score": each.score, "parts": dict(each.parts)})


def _prices(count: CountTokens) -> Prices:
    return Prices(
        line=lambda content: count(line(content)),
        pending_line=lambda message: count(pending_line(message)),
        stable_fence=count(fenced(*STABLE, ())),
        late_fence=count(fenced(*LATE, ())),
    )
