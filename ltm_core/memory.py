"""A long-term memory: what was told is learned in the background, and what matters is recalled before an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, Unpack, overload

from .ambient import identity, scoped
from .assemble import (
    Options,
    Storage,
    access_logging_of,
    cached_store_of,
    limits_of,
    policies_of,
    queueing_of,
    retention_of,
    trigger_of,
)
from .checkpoints import Checkpoints
from .checkpoints.threads import Threads
from .errors import ConfigurationError, InvalidInput
from .facts import PersistentFacts
from .facts.shelf import forget
from .facts.usage import feedback
from .jobs import Jobs
from .journeys.contexts import LateRole, Wanted
from .journeys.learning import Destination
from .journeys.recalling import Pending, Question
from .knowledge.filters import condition
from .knowledge.versions import Moment
from .learn.redact import redacted
from .learn.turns import Sent, Writing
from .maintain.strategies import EVERY, USUAL, period_of, strategies_of
from .model import FactUpdate, Messages, Recalled, messages_of
from .policies import MaintenanceStrategy, Strategy
from .providers.base import MemoryProvider
from .providers.own import OwnProvider
from .reports import MaintenanceReport, Stats, Swept
from .runtime import Runtime
from .scope import DEFAULT_TENANT, Identity, MemoryScope, check_id
from .sessions import Sessions
from .stats import stats_of, subject_of
from .stores.items import Items
from .ticket import Ticket
from .turn import Turn, TurnOptions, turn_of
from .upkeep import maintained, owners_of, swept
from .wrapping.decorators import Decorator, WithMemory, with_memory

F = TypeVar("F")


class AsyncMemory:
    """A long-term memory with async verbs; `Memory` has the same ones without await.

    Usable from any thread and event loop: all work is done on a loop of its own. What is told by `observe` is stored
    before it returns and learned in the background, in this process or the next.

    Args:
        url: Where to keep it: `sqlite:///memory.db`, a path, or `memory://` for nothing that outlives the process.
        store: A store of your own, instead of a URL.
        tenant: A wall between customers: no call ever crosses it.
        background: Whether this process learns what waits; without, `remember`, `flush` and tickets do.
        session_ttl: Seconds after which a session that nobody used is over: its messages are no longer shown, and it is
            removed with the facts of its own. Facts of users stay.
        session_max_messages: How many messages a session keeps, the newest; earlier ones go once they are learned.
        cache: A Redis in front of the database (`redis://localhost:6379/0`) that answers what was asked before; see
            `ltm_core.stores.wrappers.Cached` for what it promises.
        summary_after_tokens, summary_after_messages: How much new talk of a session renews its summary, in the
            background; None for no such bound. With both None, only `sessions.summarize` does.
        retention: How long deleted facts are kept with their history, a timedelta or seconds; for ever without.
        maintain: Strategies that keep the facts of everybody in order, in the background; see `maintain`.
        maintain_every: How often, a timedelta or seconds: once in that time, however many processes do it.
        model: A model as litellm names it (`openai/gpt-4o-mini`, extra `litellm`). Without `model`, `complete` and
            `extract` the offline extractor learns from plain English statements.
        complete: A model as a callable: role messages in, text out; sync or async.
        embedder: Compares meanings too: `local` (extra `local`, no download), `sentence-transformers/…`,
            `fastembed/…`, a model as litellm names it, or a callable (also as `embed`). Vectors are made in the
            background.
        rerank: Looks at the best once more: a query and texts in, how relevant each is out; see `ltm_core.policies`.
        extract, reconcile, rank, render, summarise, redact, count_tokens, clock: Replace a step; see
            `ltm_core.policies`.
        instructions: What a model should capture, in your words.
        allow: Which of ADD, UPDATE and DELETE learning may do.
        model_timeout: Seconds after which a call of a model, or an `extract` or `summarise` of your own, is given up
            and tried again later (90); None to wait for ever. A callable that blocks goes on in its thread, unheard.
        learn_after: Seconds of quiet in a session after which its turns are learned together (1, at most 30); a talk
            without a pause is learned from every ten. `remember`, `flush` and tickets do not wait.
        user_calls_per_day, user_tokens_per_day: The most that learning about one person may take in a day (UTC). What
            is over waits for the next day, and `jobs` says so. None, the default, for no limit.
        calls_per_day, tokens_per_day: The same for all people of the database together.
        user_max_waiting, max_waiting: How many turns of one person (10 000) and in all (100 000) may wait to be
            learned; None for no bound. What is observed beyond raises `QueueFull` and is not stored.
        wait_when_full: Seconds for which `observe` waits for room before it does (0).
        log_access: Whether it is logged and counted which facts were given to whom: some seconds later, in the
            background. What is not written when the process dies is lost.
        access_retention: How long an entry of that log is kept, a timedelta or seconds (30 days); None for ever.

    >>> async def main():
    ...     async with AsyncMemory("memory://") as memory:
    ...         await memory.remember("My name is Sarah and I live in Lisbon.", user_id="sarah")
    ...         recalled = await memory.recall("Where does she live?", user_id="sarah")
    ...         return recalled.facts[0].value
    >>> asyncio.run(main())
    'Lisbon'
    """

    def __init__(
        self,
        url: Storage | None = None,
        *,
        store: Storage | None = None,
        tenant: str = DEFAULT_TENANT,
        background: bool = True,
        session_ttl: timedelta | float | None = None,
        session_max_messages: int | None = None,
        cache: str | None = None,
        summary_after_tokens: int | None = 1_000,
        summary_after_messages: int | None = 40,
        retention: timedelta | float | None = None,
        maintain: Sequence[str | MaintenanceStrategy] = (),
        maintain_every: timedelta | float = EVERY,
        **options: Unpack[Options],
    ) -> None:
        storage = store if url is None else url
        if storage is None or (store is not None and url is not None):
            raise ConfigurationError("A memory needs one place. Pass a URL such as 'sqlite:///memory.db', or store=.")
        policies = policies_of(**options)
        self.runtime = Runtime(
            cached_store_of(storage, cache, policies.clock),
            policies,
            tenant=check_id(tenant, "tenant"),
            background=background,
            limits=limits_of(session_ttl, session_max_messages),
            trigger=trigger_of(summary_after_tokens, summary_after_messages, policies.count_tokens),
            retention=retention_of(retention),
            maintain=strategies_of(maintain),
            maintain_every=period_of(maintain_every),
            queueing=queueing_of(**options),
            access_logging=access_logging_of(**options),
        )
        self.facts = PersistentFacts(self)
        self.sessions = Sessions(self.runtime)
        self.jobs = Jobs(self.runtime)
        self.items = Items(self.runtime)
        self.checkpoints = Checkpoints(self.runtime)
        self.threads = Threads(self.runtime)

    async def __aenter__(self) -> Self:
        await self.runtime.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def observe(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        namespace: str = "",
        turn_id: str | None = None,
    ) -> Ticket:
        """Write a turn down for good and return; it is learned in the background, each turn once.

        Send one turn, the last few, or the whole conversation each time: what is stored already is not stored again.
        A `turn_id` decides that where it is given. Raises `ScopeError` where nobody is named or the session is another
        user's, `InvalidInput` for messages that cannot be stored, `QueueFull` where too many turns wait.
        """
        who = self._who(user_id, session_id, agent_id)
        return await self.runtime.run(self._observe(messages, who, namespace, turn_id))

    async def remember(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        namespace: str = "",
        dry_run: bool = False,
    ) -> list[FactUpdate]:
        """Learn from a text or from messages now and tell what that did. With `dry_run`, only what it would do.

        Raises `ExtractionError` where a model fails; the turn stays queued all the same and is tried again.
        """
        who = self._who(user_id, session_id, agent_id)
        if dry_run:
            return await self._preview(messages, who, namespace)
        aligned = not isinstance(messages, str)
        return await (await self.runtime.run(self._observe(messages, who, namespace, None, aligned=aligned)))

    async def recall(
        self,
        query: str,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        namespace: str = "",
        strategy: str | Strategy = "relevant",
        limit: int | None = 10,
        max_tokens: int | None = None,
        min_relevance: float = 0.0,
        include: Sequence[str] = ("facts",),
        filters: Mapping[str, Any] | None = None,
        pending: Pending = True,
        dates: bool = True,
        neighbours: int = 0,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        links: int = 0,
    ) -> Recalled:
        """What matters for `query`, ranked, within a budget, and as text for a prompt.

        Sees the scopes of the ids that are named, and GLOBAL; where a key is in several, SESSION wins over USER over
        AGENT over GLOBAL. Reads only, and never waits for learning; which facts it gave is logged later (`log_access`).

        Args:
            strategy: `relevant`, `recent`, `all`, or a callable that ranks (`ltm_core.policies.Ranking`).
            limit: Most facts, most messages and most summaries that come back; None for all.
            max_tokens: Most tokens of `Recalled.text`; None for no bound.
            min_relevance: From 0 to 1: about how probable it must be that an item is of use. Small talk ("thanks!")
                recalls nothing with `relevant`, whatever stands here.
            include: Some of `facts`, `messages` and `summaries` (of sessions; the present one of each).
            filters: `{"category": "work", "importance": {"gte": 0.5}, "tags": ["ui"]}`, for facts.
            pending: Whether to show what was told but is not learned yet; `elsewhere` leaves out what was told in this
                session, for a prompt that holds its messages anyway.
            dates: Whether days that the query speaks of ("in May", "last summer") bring what was said in them forward.
            neighbours: How many messages before and after each recalled one come along, within `limit` and
                `max_tokens`; those of one conversation then stand together, as they were said.
            as_of: What was true in the world then, and what was said until then.
            known_at: What was stored then. Both read all of the history, and compare words only.
            links: How many links to go along from the best facts, to what is linked with them.
        """
        who = self._who(user_id, session_id, agent_id)
        asked = Question(
            query,
            who,
            namespace,
            strategy,
            limit,
            max_tokens,
            min_relevance,
            include,
            condition(filters),
            pending,
            dates,
            neighbours,
            Moment.of(as_of, known_at),
            links,
        )
        return await self.runtime.run(self.runtime.recalling.recall(asked))

    async def context(
        self,
        session_id: str,
        query: str = "",
        *,
        max_tokens: int = 2_000,
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str = "",
        limit: int | None = 10,
        min_relevance: float = 0.001,
        filters: Mapping[str, Any] | None = None,
        late_role: LateRole = "user",
    ) -> list[dict[str, Any]]:
        """The next prompt of a session: what is remembered, its summary and its last turns, as role messages.

        First a system message with the user's profile and the summary of what the turns behind it do not show; then
        the last turns as they were, tool calls with their results; then what was ranked for `query`, right before the
        turn that still waits for its answer, or at the end where none does and your next message follows. So all
        but what is new stays the same bytes from turn to turn, and a provider's prompt cache keeps it, until a summary
        is renewed or room gets short. The messages sum up to at most `max_tokens`, counted by `count_tokens`, 4 more
        for each message and 1,000 for an image or file; how they are shared: docs/explanation/context.md.

        System messages of the session are left out: put your own first, or its text before that of the first message.

        Args:
            query: What is asked now; without, what the user said last.
            max_tokens: A prompt never gets more, however small; what does not fit is left out.
            limit, min_relevance, filters, namespace: As in `recall`, for the facts.
            late_role: As whom ranked facts are told. `user` is what all providers take: Anthropic, Gemini and many
                chat templates know no system message but the first. OpenAI and what follows it also take `system`.

        Raises `ScopeError` where the session is another user's, `InvalidInput` for a `max_tokens` below 1.
        """
        who = self._who(user_id, check_id(session_id, "session_id"), agent_id)
        asked = Question(
            query,
            who,
            namespace,
            limit=limit,
            min_relevance=min_relevance,
            filters=condition(filters),
            pending="elsewhere",
        )
        wanted = Wanted(asked, max_tokens, late_role)
        return (await self.runtime.run(self.runtime.contexts.context(wanted))).messages

    async def forget(
        self,
        what: str | Mapping[str, Any],
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        namespace: str = "",
    ) -> int:
        """Delete facts of a person or session by key, by id, or by filters as in `recall`; returns how many.

        They are no longer recalled, but their history stays.
        """
        if not what:
            raise InvalidInput("Say what to forget: a key, an id, or filters such as {'category': 'work'}.")
        who = self._who(user_id, session_id, None)
        return await self.runtime.run(forget(self.runtime, what, who, namespace))

    async def feedback(
        self,
        recall_id: str,
        fact_id: str,
        useful: bool = True,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
    ) -> None:
        """Tell whether a fact that a recall gave was of use: `Recalled.recall_id` and the id of one of its facts.

        It weighs in the fact's dynamic importance. Whoever tells it again replaces what they told before. In the
        process that recalled no ids are needed for a while (10,000 recalls); elsewhere pass those of the recall.

        Raises `NotFound` where they had no such recall, `InvalidInput` where it did not give the fact,
        `ConfigurationError` where accesses are not logged.
        """
        ids = {"user_id": user_id, "session_id": session_id, "agent_id": agent_id}
        who = identity(self.runtime.name, self.runtime.tenant, **ids)
        await self.runtime.run(feedback(self.runtime, recall_id, fact_id, who, useful=useful))

    async def maintain(
        self,
        strategies: Sequence[str | MaintenanceStrategy] = USUAL,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        scope: MemoryScope | None = None,
        namespace: str | None = None,
        dry_run: bool = False,
    ) -> MaintenanceReport:
        """Keep facts in order: each strategy on what the one before left, written together or not at all.

        `strategies` are names (`deduplicate`, `merge`, `summarise`, `prune:max_tokens=2000`, `decay`, `archive`) or
        objects. It is done to the facts of every scope that has an id here, or of `scope`; in one namespace, or in each
        by itself. Nothing is deleted: `memory.jobs.undo` takes it back. With `dry_run`, only what it would do.

        Raises `ConfigurationError` for what is no strategy, `ScopeError` for nobody.
        """
        chosen = strategies_of(strategies)
        who = identity(
            self.runtime.name, self.runtime.tenant, user_id=user_id, session_id=session_id, agent_id=agent_id
        )
        owners = owners_of(who, scope)
        return await self.runtime.teach(maintained(self.runtime, chosen, owners, namespace, dry_run=dry_run))

    async def stats(
        self,
        user_id: str | None = None,
        *,
        session_id: str | None = None,
        agent_id: str | None = None,
        estimates: bool = True,
    ) -> Stats:
        """Counts of what is remembered of one person, session or agent or, for operators, of everybody.

        The database counts; `estimates` (tokens, duplicates, junk) read the facts themselves.
        """
        who = identity(
            self.runtime.name, self.runtime.tenant, user_id=user_id, session_id=session_id, agent_id=agent_id
        )
        subject = await self.runtime.run(subject_of(self.runtime, who))
        return await self.runtime.teach(stats_of(self.runtime, subject, estimates=estimates))

    async def sweep(self) -> Swept:
        """Remove for good what is over, of everybody: sessions, facts that expired, facts deleted beyond `retention`.

        A memory with `background=True` does so by itself. Safe to stop at any time and to start again.
        """
        return await self.runtime.run(swept(self.runtime))

    async def flush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 # part of the public face
        """Learn and embed all that waits, without regard to pauses between tries, and write the log of accesses.

        True if nothing is left waiting to be learned or embedded.
        """
        try:
            async with asyncio.timeout(timeout):
                learned = await self.runtime.teach(self.runtime.worker.drain())
                await self.runtime.accesses.write()
                return await self.runtime.embedded() and learned
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Stop learning and give back the database. What waits is learned at the next start. Twice is harmless."""
        await self.runtime.close()

    def scope(
        self, *, user_id: str | None = None, session_id: str | None = None, agent_id: str | None = None
    ) -> AbstractContextManager[None]:
        """Name the ids once for all calls inside a `with` block, across threads, tasks and loops."""
        Identity(user_id, session_id, agent_id)
        return scoped(self.runtime.name, user_id=user_id, session_id=session_id, agent_id=agent_id)

    def _who(self, user_id: str | None, session_id: str | None, agent_id: str | None) -> Identity:
        ids = {"user_id": user_id, "session_id": session_id, "agent_id": agent_id}
        who = identity(self.runtime.name, self.runtime.tenant, **ids)
        if who.user_id is who.session_id is who.agent_id is None:
            who.subject  # noqa: B018 # raises, with the remedy
        return who

    async def _observe(
        self, messages: Messages, who: Identity, namespace: str, turn_id: str | None, **how: Unpack[Writing]
    ) -> Ticket:
        told = [redacted(message, self.runtime.policies.redact) for message in messages_of(messages)]
        now, after = self.runtime.now(), self.runtime.queueing.learn_after
        how["run_at"] = how.get("run_at") or now + timedelta(seconds=after)
        sent = Sent(told, who, now, turn_id, namespace=namespace, **how)
        async with nullcontext() if sent.completes else self.runtime.room.entered(who.subject):
            written = await self.runtime.turns.write(sent)
        self.runtime.wake(after)
        job = written.job
        return Ticket(self.runtime, job.subject if job else who.subject, job.id if job else None, written.messages)

    async def _preview(self, messages: Messages, who: Identity, namespace: str) -> list[FactUpdate]:
        told = [redacted(message, self.runtime.policies.redact) for message in messages_of(messages)]
        subject = await self.runtime.run(self.runtime.turns.subject(who.subject))
        into = Destination(subject, subject, namespace)
        found = await self.runtime.teach(self.runtime.learning.candidates(told, who, into))
        return await self.runtime.run(self.runtime.learning.updates(found, into, self.runtime.now()))

    def turn(self, said: Any, **options: Unpack[TurnOptions]) -> Turn:
        """One turn of a loop of your own: `async with` recalls at its start and learns at its end.

        `said` is a text or role messages. Options are the ids, `turn_id`, `learn`, `strict`, `recall_budget_ms` (500),
        and those of `recall`. With `summary`, `turn.text` begins with the session's summary; with `context_tokens`,
        `turn.prompt()` is the whole prompt of the session within that many tokens: what `context` gives, and then what
        was said. As with `with_memory`, memory that fails or has nobody to remember costs no answer.

        >>> async def main():
        ...     async with AsyncMemory("memory://") as memory:
        ...         async with memory.turn("I moved to Berlin.", user_id="ana") as turn:
        ...             turn.answer("Noted.")
        ...         await turn.ticket
        ...         async with memory.turn("Where do I live?", user_id="ana") as turn:
        ...             return turn.facts[0].value
        >>> asyncio.run(main())
        'Berlin'
        """
        return turn_of(self, said, **options)

    @overload
    def wrap(self, function: F, /, **options: Unpack[WithMemory]) -> F: ...
    @overload
    def wrap(self, /, **options: Unpack[WithMemory]) -> Decorator: ...
    def wrap(self, function: Any = None, /, **options: Unpack[WithMemory]) -> Any:
        """Give a callable this memory: `wrap(agent.invoke)`, `@memory.wrap` or `@memory.wrap(…)`; see `with_memory`."""
        decorator = with_memory(self, **options)
        return decorator if function is None else decorator(function)

    def provider(self) -> MemoryProvider:
        """This memory as a `MemoryProvider`."""
        return OwnProvider(self)
