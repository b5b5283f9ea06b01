"""The recall journey, step by step: gather candidates, rank them, fit the budget, render."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from ..errors import InvalidInput
from ..home import call
from ..index.contents import Contents, Reading
from ..index.embedded import Embedded
from ..index.held import Indexes
from ..index.memories import Memories
from ..index.quiet import Quiet
from ..knowledge.versions import Moment
from ..learn.turns import WAITING, Turns
from ..learn.worker import waiting_ids
from ..model import Fact, Message, Recalled, Remembered, Summary
from ..policies import CountTokens, Fitted, Item, Policies, Ranked, Ranking, Rendering, Strategy
from ..recall.budget import Prices, fit, fit_pending, stable_facts
from ..recall.gather import (
    MORE,
    Found,
    Viewer,
    candidates,
    items_of,
    read_best,
    unshadowed,
    visible_facts,
    visible_messages,
    visible_summaries,
)
from ..recall.linked import starts, with_linked
from ..recall.neighbours import ids_around, in_groups, with_neighbours
from ..recall.past import as_they_were, past_store
from ..recall.rank import ALSO, STRATEGIES, weights
from ..recall.render import line, pending_line
from ..recall.signals import Asked, Scores
from ..records import message_of
from ..scope import Identity, MemoryScope, Scope
from ..stores.base import Compare, Condition, Record, Store, Where
from ..text import words
from ..text.dates import days_in
from ..text.fence import LATE, STABLE, fenced
from ..text.small_talk import is_small_talk
from ..vectors import pack, unpack
from .accesses import AccessLog

log = logging.getLogger("ltm_core")

Pending = bool | Literal["elsewhere"]

CANDIDATES = 64  # for a strategy of one's own
LARGE = 500  # candidates of each kind from a scope that is too large to be held
STAMPED = ("fact", "message", "session", "summary", "job")  # kinds that bear on what is recalled
SPARE = 3  # read beyond the limit, for what turns out to say the same, and to tell what fell out
RERANKED = 20
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
    dates: bool = True
    neighbours: int = 0
    moment: Moment | None = None
    links: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.strategy, str) and self.strategy not in STRATEGIES:
            raise InvalidInput(f"There is no strategy {self.strategy!r}. Use {', '.join(STRATEGIES)} or a callable.")
        unknown = set(self.include) - {"facts", "messages", "summaries"}
        if unknown or isinstance(self.include, str):
            raise InvalidInput(
                f"Nothing to include is called {self.include!r}. Use some of ('facts', 'messages', 'summaries')."
            )
        if min(self.limit or 0, self.max_tokens or 0, self.neighbours, self.links) < 0:
            raise InvalidInput(
                "limit, max_tokens, neighbours and links cannot be negative. Pass None for no limit, 0 for none."
            )


class Recalling:
    """Finds what matters for a query. Reads only; which facts it gave is noted, and written later by others."""

    def __init__(self, store: Store, policies: Policies, turns: Turns, accesses: AccessLog | None = None) -> None:
        self._store = store
        self._accesses = accesses
        self._policies = policies
        self._turns = turns
        self._prices = _prices(policies.count_tokens)
        vectors = store if isinstance(store, Embedded) else None
        self._vectors = vectors
        self._contents = Contents()
        self.indexes = Indexes(store, vectors, contents=self._contents)
        self._quiet = Quiet()

    async def recall(self, asked: Question) -> Recalled:
        """What `asked` is about, ranked, within its budget, and as text. Raises `ScopeError` for a foreign session."""
        look = await self._look(_watched(asked.who), asked.moment)
        await self._check_session(asked.who)
        # before the facts: what is learned in between is seen twice, not never
        waiting = await self._pending(asked, look)
        pending = fit_pending(waiting, max_tokens=asked.max_tokens, prices=self._prices)
        fitted = await self._fitted(asked, look, pending)
        found = [_scored(each) for each in in_groups(fitted.ranked, asked.neighbours)]
        facts = [one for one in found if isinstance(one, Fact)]
        messages = [one for one in found if isinstance(one, Message)]
        summaries = [one for one in found if isinstance(one, Summary)]
        now = self._policies.clock()
        rendered = self._policies.render(Rendering(fitted.stable, facts, messages, pending, now, summaries))
        recalled = Recalled(
            id=uuid4().hex,
            query=asked.query,
            facts=facts,
            messages=messages,
            summaries=summaries,
            pending=pending,
            stable_text=rendered.stable,
            late_text=rendered.late,
            tokens=self._policies.count_tokens(rendered.stable + rendered.late),
            left_out=list(fitted.left_out),
        )
        if self._accesses is not None:
            self._accesses.note(facts, asked.who, "recall", asked.query, recalled.recall_id)
        return recalled

    async def _fitted(self, asked: Question, look: _Look, pending: Sequence[Message]) -> Fitted:
        """What is handed over. Where more than was read to spare says the same as something better, more is read."""
        spare, known = SPARE if self._policies.rerank is None else RERANKED, -1
        while True:
            given, stable = await self._gather(asked, look, spare)
            fitted = self._fit(asked, await self._in_order(asked, look, given), stable, pending)
            if fitted.repeats <= spare or len(given.items) == known:
                return fitted
            spare, known = MORE * spare, len(given.items)

    async def _in_order(self, asked: Question, look: _Look, given: Ranking) -> Sequence[Ranked]:
        ranked = await self._linked(asked, look, await self._reranked(asked, self._ranked(asked, given)))
        return await self._with_neighbours(asked, ranked) if asked.neighbours else ranked

    def _fit(
        self, asked: Question, ranked: Sequence[Ranked], stable: Sequence[Fact], pending: Sequence[Message]
    ) -> Fitted:
        is_by_relevance = asked.strategy == "relevant"
        return fit(
            ranked,
            stable=stable,
            pending=pending,
            limit=asked.limit,
            max_tokens=asked.max_tokens,
            min_relevance=asked.min_relevance if asked.query.strip() else 0.0,
            needs_use=is_by_relevance and is_small_talk(asked.query),
            by_size=is_by_relevance,
            prices=self._prices,
        )

    async def search(self, scope: Scope, query: str, *, namespace: str, limit: int) -> list[Fact]:
        """Facts of one scope that share a word with `query`, best first."""
        given = await self.candidates(_Only((scope,)), query, namespace=namespace, limit=limit)
        found = [_scored(each) for each in self._policies.rank(given) if each.item.signals["coverage"] > 0]
        return [fact for fact in found if isinstance(fact, Fact)][:limit]

    async def candidates(
        self, viewer: Viewer, query: str, *, namespace: str, filters: Condition | None = None, limit: int
    ) -> Ranking:
        """The best facts of these scopes for `query`, for ranking."""
        look = await self._look(viewer.scopes)
        kind = await self._kind(*await self._visible(viewer, namespace, look), query, look, dates=True)
        found = await self._read(kind, filters, "relevant", limit)
        items = items_of(kind.reads, found, viewer.scopes, look.now, None)
        return Ranking(query, words.terms(query), items, kind.asked.total, look.now, kind.asked.vector is not None)

    async def _look(self, scopes: Sequence[Scope], moment: Moment | None = None) -> _Look:
        """The beginning of a recall: its stamps are taken before anything is read."""
        stamps = await self._store.stamps(scopes, STAMPED)
        now = moment.at if moment else self._policies.clock()
        return _Look(now, stamps, Reading(self._store, self._contents, stamps))

    async def _gather(self, asked: Question, look: _Look, spare: int) -> tuple[Ranking, list[Fact]]:
        """The candidates of all kinds, and the facts of the stable block."""
        strategy = asked.strategy if isinstance(asked.strategy, str) else ""
        items: list[Item] = []
        stable: list[Fact] = []
        kinds: list[_Kind] = []
        if "facts" in asked.include:
            kinds.append(await (self._past_facts(asked, look) if asked.moment else self._facts(asked, look)))
            stable = await self._stable(asked, kinds[0])
        if "messages" in asked.include:
            kinds.append(await self._messages(asked, look))
        if "summaries" in asked.include:
            kinds.append(await self._summaries(asked, look))
        session = Scope.session(asked.who.session_id, asked.who.tenant) if asked.who.session_id else None
        scopes = asked.who.scopes
        for kind in kinds:
            filters = asked.filters if kind.where.kind == "fact" else None
            found = await self._read(kind, filters, strategy, asked.limit, spare)
            if kind.where.kind == "summary":
                found = [each for each in found if await self._is_shown(each.record, look.now)]
            items += items_of(kind.reads, found, scopes, look.now, session)
        total = sum(kind.asked.total for kind in kinds)
        has_vectors = any(kind.asked.vector is not None for kind in kinds)
        return Ranking(asked.query, words.terms(asked.query), items, total, look.now, has_vectors), stable

    async def _facts(self, asked: Question, look: _Look) -> _Kind:
        visible = await self._visible(asked.who, asked.namespace, look)
        return await self._kind(*visible, asked.query, look, asked.dates)

    async def _visible(self, viewer: Viewer, namespace: str, look: _Look) -> tuple[Where, list[Memories] | None]:
        where = visible_facts(viewer, namespace, look.now)
        return where, await self.indexes.facts(viewer.scopes, namespace, look.now, look.stamps)

    async def _past_facts(self, asked: Question, look: _Look) -> _Kind:
        """The facts of another time, out of the history; no vectors were kept of them."""
        assert asked.moment is not None
        scopes, now = asked.who.scopes, look.now
        past = await past_store(await as_they_were(self._store, scopes, asked.namespace, asked.moment))
        held = await Indexes(past).facts(scopes, asked.namespace, now)
        days = days_in(asked.query, now) if asked.dates else None
        question = Asked(asked.query, held or (), now, days, are_facts=True)
        return _Kind(visible_facts(asked.who, asked.namespace, now), question, Reading(past))

    async def _messages(self, asked: Question, look: _Look) -> _Kind:
        held = await self.indexes.messages(asked.who.subject, look.now, look.stamps)
        where = _until(visible_messages(asked.who, look.now), asked)
        return await self._kind(where, held, asked.query, look, asked.dates)

    async def _summaries(self, asked: Question, look: _Look) -> _Kind:
        """They are few, and change as a whole: what the database finds is enough."""
        now = look.now
        where, terms = _until(visible_summaries(asked.who, now), asked), words.terms(asked.query)
        parts = await candidates(self._store, where, terms, None, now, limit=LARGE)
        days = days_in(asked.query, now) if asked.dates else None
        return _Kind(where, Asked(asked.query, parts, now, days), look.reads)

    async def _is_shown(self, summary: Record, now: datetime) -> bool:
        """Whether the time of what a summary tells is not over."""
        shown = await self._turns.shown(summary.scope, now)
        return all(one.operator == "gt" and summary.fields["last"] > one.value for one in shown)

    async def _kind(self, where: Where, held: list[Memories] | None, query: str, look: _Look, dates: bool) -> _Kind:
        now = look.now
        is_large, days = held is None, days_in(query, now) if dates else None
        asked = Asked(query, held or (), now, days, are_facts=where.kind == "fact")
        vector = await self._vector(asked.meaning) if is_large or asked.total else None
        if is_large:
            near = (self._vectors.embedder.space, vector) if self._vectors and vector else None
            held = await candidates(self._store, where, asked.terms, near, now, limit=LARGE)
        return _Kind(where, replace(asked, parts=held or (), vector=unpack(vector) if vector else None), look.reads)

    async def _vector(self, meaning: str) -> bytes | None:
        """What the embedder makes of a query; None without one, and where it fails: words are compared all the same."""
        if self._vectors is None or not meaning.strip():
            return None
        try:
            (vector,) = await self._vectors.embedder.vectors([meaning])
        except Exception:
            log.exception("The query could not be embedded; what is recalled was found by its words.")
            return None
        return pack(vector)

    async def _read(
        self, kind: _Kind, filters: Condition | None, strategy: str, limit: int | None, spare: int = SPARE
    ) -> list[Found]:
        parts, total = kind.asked.parts, kind.asked.total
        if limit == 0 or total == 0:
            return []
        counts = weights("fact" if kind.asked.are_facts else "message", vectors=kind.asked.vector is not None)
        scores = Scores(kind.asked, counts, ALSO)
        proposal = scores.proposal(strategy, max(CANDIDATES, limit or total))
        count = total if limit is None or strategy not in STRATEGIES else limit + spare
        return await read_best(kind.reads, kind.where, filters, parts, proposal, count)

    async def _check_session(self, who: Identity) -> None:
        if who.session_id is not None and who.user_id is not None:
            await self._turns.check(who.scope(MemoryScope.SESSION), who.subject)

    async def _reranked(self, asked: Question, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """The best in the order of the reranker, if there is one, and the others behind them."""
        if self._policies.rerank is None or asked.strategy != "relevant" or not asked.query.strip():
            return ranked
        best, others = ranked[:RERANKED], ranked[RERANKED:]
        texts = [each.item.content.text for each in best]
        scores = await call(self._policies.rerank, asked.query, texts)
        above = (others[0].score if others else 0.0) - min(scores, default=0.0)
        again = [
            replace(each, score=score + above, parts={"rerank": score + above})
            for each, score in zip(best, scores, strict=True)
        ]
        return [*sorted(again, key=lambda each: -each.score), *others]

    async def _with_neighbours(self, asked: Question, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """What was ranked, each message followed by those around it in its conversation."""
        now = asked.moment.at if asked.moment else self._policies.clock()
        most = math.inf if asked.limit is None else asked.limit
        told = [each.item for each in ranked if isinstance(each.item.content, Message)]
        near = [ids_around(item, asked.neighbours) for place, item in enumerate(told) if place < most]
        ids = {one for some in near for one in some}
        where = replace(_until(visible_messages(asked.who, now), asked), ids=tuple(sorted(ids)))
        found = await self._store.scan(where) if ids else []
        return with_neighbours(ranked, found, asked.neighbours)

    async def _linked(self, asked: Question, look: _Look, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """What was ranked, and among it what is linked with the best."""
        if not asked.links or asked.moment or asked.strategy != "relevant":
            return ranked
        now, scopes = look.now, asked.who.scopes
        visible = visible_facts(asked.who, asked.namespace, now)
        shown = visible.also(asked.filters) if asked.filters else visible
        reached = await self._store.walk(shown, starts(ranked), asked.links)
        open_ = await unshadowed(look.reads, visible, [step.record for step in reached])
        items = items_of(look.reads, [Found(record, {}) for record in open_], scopes, now, None)
        return with_linked(ranked, reached, {item.content.id or "": item for item in items})

    def _ranked(self, asked: Question, given: Ranking) -> Sequence[Ranked]:
        if callable(asked.strategy):
            return asked.strategy(given)
        if asked.strategy == "relevant":
            return self._policies.rank(given)
        return STRATEGIES[asked.strategy](given)

    async def _stable(self, asked: Question, kind: _Kind) -> list[Fact]:
        if asked.filters is not None or asked.limit == 0:
            return []
        ids = tuple(sorted(one for part in kind.asked.parts for one in part.stable))
        found = await kind.reads.scan(replace(kind.where, ids=ids)) if ids else []
        shown = [kind.reads.seen(record).content for record in await unshadowed(kind.reads, kind.where, found)]
        return stable_facts(one for one in shown if isinstance(one, Fact))

    async def _pending(self, asked: Question, look: _Look) -> list[Message]:
        """What the person told and is not learned yet, newest last."""
        who = asked.who
        if not asked.pending or asked.moment or (who.user_id is None and who.session_id is None):
            return []
        subject = await self._subject(who)
        where = Where("job", subject=subject, test=Compare("status", "eq", WAITING))
        if asked.pending == "elsewhere":
            where = where.also(Compare("session_id", "ne", who.session_id))
        if self._quiet.holds(where, look.stamps.get("job")):
            return []
        jobs = await self._store.scan(where, order=[("created_at", "desc")], limit=MOST_PENDING)
        ids = tuple(one for job in jobs for one in waiting_ids(job))
        if not ids:
            if who.user_id is not None:  # else it is about somebody whose stamp this is not
                self._quiet.note(where, look.stamps.get("job"))
            return []
        told = Compare("role", "eq", "user")
        said = Where("message", subject=subject, ids=ids, test=Compare("deleted_at", "exists", False)).also(told)
        found = await self._store.scan(said, order=[("created_at", "asc"), ("number", "asc")])
        return [message_of(record) for record in found][-MOST_PENDING:]

    async def _subject(self, who: Identity) -> Scope:
        return who.subject if who.user_id is not None else await self._turns.subject(who.subject)


def _until(where: Where, asked: Question) -> Where:
    """Of what may be seen, what was told until the moment that is asked about."""
    return where if asked.moment is None else where.also(Compare("created_at", "lte", asked.moment.at))


def _watched(who: Identity) -> list[Scope]:
    """Whose records bear on a recall."""
    return [*who.scopes, *([who.subject] if who.user_id is not None or who.session_id is not None else [])]


@dataclass(frozen=True, slots=True)
class _Look:
    """One recall's look at the store: when, after which stamps, and through what it reads."""

    now: datetime
    stamps: Mapping[str, Hashable]
    reads: Reading


@dataclass(frozen=True, slots=True)
class _Kind:
    """Memories of one kind: which may be seen, the query put to their indexes, and where they are read from."""

    where: Where
    asked: Asked
    reads: Reading


@dataclass(frozen=True, slots=True)
class _Only:
    """Somebody who sees these scopes and no other."""

    scopes: tuple[Scope, ...]


def _scored(each: Ranked) -> Remembered:
    told: dict[str, Any] = {"score": each.score, "relevance": each.relevance, "parts": dict(each.parts)}
    return each.item.content.ranked(**told, signals=dict(each.item.signals))


def _prices(count: CountTokens) -> Prices:
    return Prices(
        line=lambda content: count(line(content)),
        pending_line=lambda message: count(pending_line(message)),
        stable_fence=count(fenced(*STABLE, ())),
        late_fence=count(fenced(*LATE, ())),
    )
