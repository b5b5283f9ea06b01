"""The maintenance journey: read the facts of a person, run strategies, write what they decide in one `apply`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from ..errors import ConfigurationError, ConflictError
from ..home import Home
from ..knowledge.links import link_writes, made, moved
from ..learn.commit import writes_for
from ..learn.lease import Lease, claim, kept
from ..learn.turns import DONE
from ..learn.worker import summary
from ..maintain.importance import dynamic_importance, last_touched
from ..model import Fact, FactUpdate, Operation, Usage
from ..policies import Maintaining, MaintenanceStrategy, Policies
from ..recall.gather import current_at
from ..records import fact_of, usage_of
from ..reports import StrategyReport
from ..scope import Scope, digest
from ..stores.again import again
from ..stores.base import AnyOf, Compare, Order, Put, Record, Store, Where, Write, place
from ..stores.everybody import everybody
from ..vectors import unpack
from .summarising import Summaries

MAINTENANCE = "maintenance"
SUPERSEDES = "supersedes"
PAGE = 1000
AT_ONCE = 500  # ids in one query
WAIT = 0.05  # seconds between two looks whether somebody else has done with a person

_ORDER: Order = (("namespace", "asc"), ("key", "asc"))

log = logging.getLogger("ltm_core")


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose facts are to be maintained.

    Attributes:
        subject: Whom they are about: unit of lease, job and transaction.
        scopes: Their owners; every owner that the subject has without.
        namespace: Of that one only; each by itself without.
    """

    subject: Scope
    scopes: tuple[Scope, ...] = ()
    namespace: str | None = None

    def where(self, kind: str) -> Where:
        """Their records of a kind."""
        where = Where(kind, self.scopes, None if self.scopes else self.subject)
        narrow = kind == "fact" and self.namespace is not None
        return where.also(Compare("namespace", "eq", self.namespace)) if narrow else where


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was decided for one person, and the job that did it: None where nothing was to be done."""

    steps: Sequence[StrategyReport]
    job_id: str | None = None


@dataclass(slots=True)
class _Group:
    """The facts of one owner and namespace: as they were read, and as the strategies so far leave them."""

    owner: Scope
    namespace: str
    read: Mapping[str, Fact]
    present: dict[str, Fact]
    usage: Mapping[str, Usage]

    def take(self, updates: Iterable[FactUpdate], name: str) -> list[FactUpdate]:
        """What of `updates` may be: pinned facts stay as they are."""
        taken = [update for update in updates if update.operation != "NOOP" and self._may(update, name)]
        for update in taken:
            assert update.fact is not None
            self.present[update.fact.id] = update.fact
        return taken

    def _may(self, update: FactUpdate, name: str) -> bool:
        fact = update.fact
        if fact is None or (fact.owner, fact.namespace) != (self.owner, self.namespace):
            raise ConfigurationError(
                f"The strategy {name!r} changed a fact of another owner or namespace. Return facts of given.owner only."
            )
        known = self.present.get(fact.id)
        return known is None or not known.pinned

    def current(self, now: datetime) -> list[Fact]:
        """What a strategy is given: what is current, by key."""
        return sorted((fact for fact in self.present.values() if fact.is_current(now)), key=lambda fact: fact.key)

    def heir(self, fact: Fact) -> Fact | None:
        """What says in the end what `fact` said, where one strategy after the other replaced it."""
        heir = self.present.get(fact.replaced_by or "") if fact.archived_at else None
        return heir and (self.heir(heir) or heir)

    @property
    def changed(self) -> list[Fact]:
        """What is not as it was read."""
        return [fact for one, fact in self.present.items() if fact is not self.read.get(one)]


class Maintenance:
    """Keeps facts in order. All of it runs on the learning loop, but for the store's calls."""

    def __init__(self, store: Store, policies: Policies, summaries: Summaries, home: Home) -> None:
        self._store = store
        self._policies = policies
        self._summaries = summaries
        self._home = home

    async def preview(self, whose: Whose, strategies: Sequence[MaintenanceStrategy]) -> Maintained:
        """What `maintain` would do. Writes nothing, not even a lease."""
        steps, _ = await self._drafted(whose, strategies, self._policies.clock())
        return Maintained(steps)

    async def maintain(
        self, whose: Whose, strategies: Sequence[MaintenanceStrategy], every: timedelta | None = None
    ) -> Maintained | None:
        """Do it, all or nothing, while nobody learns about the same person.

        With `every`, only where nobody has done it for so long, or is at it or at learning now: None otherwise.
        """
        async for attempt in again():
            with attempt:
                return await self._leased(whose, strategies, every)
        raise AssertionError  # the last attempt raises

    async def maintain_everybody(
        self,
        strategies: Sequence[MaintenanceStrategy],
        every: timedelta | None = None,
        tell: Callable[[Maintained], None] = lambda _: None,
        tenant: str | None = None,
        dry_run: bool = False,
    ) -> None:
        """Do it for all people, one by one, or those of a tenant. Who fails is logged and passed over."""
        async for subject in self._everybody(tenant):
            whose = Whose(subject)
            try:
                done = await (self.preview(whose, strategies) if dry_run else self.maintain(whose, strategies, every))
            except ConfigurationError:
                raise
            except Exception:
                log.exception("The facts of one person could not be maintained; the others are.")
            else:
                if done is not None:
                    tell(done)

    async def _everybody(self, tenant: str | None) -> AsyncIterator[Scope]:
        subjects = everybody(self._store)
        while (subject := await self._home.run(_next(subjects))) is not None:
            if tenant in (None, subject.tenant):
                yield subject

    async def _leased(
        self, whose: Whose, strategies: Sequence[MaintenanceStrategy], every: timedelta | None
    ) -> Maintained | None:
        if not await self._home.run(self._is_due(whose.subject, every)):
            return None  # at the price of a look; under the lease it is looked again
        lease = await self._claimed(whose.subject, waits=every is None)
        if lease is None:
            return None  # the schedule comes round again
        try:
            return await self._done(whose, strategies, every, lease)
        except BaseException:
            await asyncio.shield(self._home.run(self._give_back(lease)))
            raise

    async def _done(
        self, whose: Whose, strategies: Sequence[MaintenanceStrategy], every: timedelta | None, lease: Lease
    ) -> Maintained | None:
        """Read, decide, and write all in one `apply`, which gives the lease back."""
        if not await self._home.run(self._is_due(whose.subject, every)):
            await self._home.run(self._give_back(lease))
            return None
        job_id = digest("maintenance", whose.subject.token, str(lease.record.version))
        async with kept(lease, self._write, self._policies.clock):
            steps, groups = await self._drafted(whose, strategies, self._policies.clock())
            now = self._policies.clock()  # strategies may take as long as a model does
            updates, writes = await self._home.run(self._writes(whose.subject, groups, job_id, now))
        if updates:
            writes.append(Put(_job(job_id, whose, steps, updates, now), expect=0))
        if every is not None and groups:
            writes.append(await self._home.run(self._marked(whose.subject, now + every)))
        await self._home.run(self._store.apply([*writes, lease.released(now)]))
        return Maintained(steps, job_id if updates else None)

    async def _drafted(
        self, whose: Whose, strategies: Sequence[MaintenanceStrategy], now: datetime
    ) -> tuple[list[StrategyReport], list[_Group]]:
        groups = await self._home.run(self._read(whose, now))
        return [await self._step(strategy, groups, now) for strategy in strategies], groups

    async def _step(self, strategy: MaintenanceStrategy, groups: Sequence[_Group], now: datetime) -> StrategyReport:
        total = StrategyReport(strategy=strategy.name)
        for group in groups:
            given = self._given(group, now)
            taken = group.take(await strategy.maintain(given), strategy.name)
            left = group.current(now)
            total = total.plus(
                StrategyReport(
                    strategy=strategy.name,
                    updates=taken,
                    facts_before=len(given.facts),
                    facts_after=len(left),
                    tokens_before=sum(map(given.tokens, given.facts)),
                    tokens_after=sum(map(given.tokens, left)),
                )
            )
        return total

    def _given(self, group: _Group, now: datetime) -> Maintaining:
        def usage(fact: Fact) -> Usage:
            return group.usage.get(fact.id) or Usage()

        return Maintaining(
            facts=group.current(now),
            owner=group.owner,
            namespace=group.namespace,
            now=now,
            usage=group.usage,
            importance=lambda fact: dynamic_importance(fact, usage(fact), now),
            used_at=lambda fact: last_touched(fact, usage(fact)),
            count_tokens=self._policies.count_tokens,
            vectors=self._vectors,
            complete=self._policies.complete,
        )

    async def _read(self, whose: Whose, now: datetime) -> list[_Group]:
        """The current facts by owner and namespace, read page by page."""
        where = whose.where("fact").also(*current_at(now))
        page = await self._store.scan(where, order=_ORDER, limit=PAGE)
        records = list(page)
        while len(page) == PAGE:
            page = await self._store.scan(where, order=_ORDER, limit=PAGE, after=place(page[-1], _ORDER))
            records += page
        usage = {one.fields["fact_id"]: usage_of(one) for one in await self._store.scan(whose.where("usage"))}
        facts = sorted(map(fact_of, records), key=_group_of)
        return [_group(list(some), usage) for _, some in groupby(facts, key=_group_of)]

    async def _vectors(self, facts: Sequence[Fact]) -> Mapping[str, Sequence[float]]:
        if self._policies.embedder is None or not facts:
            return {}
        where = Where("vector", (facts[0].owner,), test=Compare("space", "eq", self._policies.embedder.space))
        wanted = {fact.id for fact in facts}
        found = await self._home.run(self._store.scan(where))
        return {
            one.fields["target"]: unpack(one.fields["embedding"]) for one in found if one.fields["target"] in wanted
        }

    async def _writes(
        self, subject: Scope, groups: Sequence[_Group], job_id: str, now: datetime
    ) -> tuple[list[FactUpdate], list[Write]]:
        """What becomes of each fact, and what makes it so."""
        updates: list[FactUpdate] = []
        writes: list[Write] = []
        for group in groups:
            decided = await self._updates(group, now, job_id)
            updates += decided
            writes += writes_for(decided, subject, now)
            writes += await self._links(group, subject, now)
        for fact in (update.fact for update in updates):
            if fact is not None and fact.deleted_at:  # no summary may tell what is forgotten
                writes += await self._summaries.withheld(subject, fact.sources, now)
        return updates, writes

    async def _updates(self, group: _Group, now: datetime, job_id: str) -> list[FactUpdate]:
        """What becomes of each fact in the end, as the version that follows the one that is stored."""
        new = tuple(fact.id for fact in group.changed if fact.id not in group.read)
        ended = await self._store.scan(Where("fact", (group.owner,), ids=new)) if new else []
        stored = {**group.read, **{record.id: fact_of(record) for record in ended}}
        return [_update(fact, stored.get(fact.id), group.heir(fact), now, job_id) for fact in group.changed]

    async def _links(self, group: _Group, subject: Scope, now: datetime) -> list[Write]:
        """What took the place of a fact supersedes it, and gets its links."""
        pairs = [(fact, heir) for fact in group.changed if (heir := group.heir(fact)) is not None]
        arrows = await self._arrows(group.owner, {one.id for pair in pairs for one in pair})
        links: dict[str, Put] = {}
        for gone, heir in pairs:
            touching = [*arrows.get(gone.id, {}).values(), *arrows.get(heir.id, {}).values()]
            between = [one for one in touching if {one.fields["source"], one.fields["target"]} == {gone.id, heir.id}]
            others = [one for one in touching if one.fields["type"] != SUPERSEDES]
            link = made(heir, gone, SUPERSEDES, 1.0, False, {"created_at": now, "created_by": MAINTENANCE})
            writes = [*moved(others, gone, heir), *link_writes(link, group.owner, subject, between)]
            links |= {write.record.id: write for write in writes if isinstance(write, Put)}
        return list(links.values())

    async def _arrows(self, owner: Scope, ids: Set[str]) -> dict[str, dict[str, Record]]:
        """The links of these facts, by the fact at either end."""
        found: dict[str, dict[str, Record]] = {}
        for some in _batched(sorted(ids), AT_ONCE):
            test = AnyOf(Compare("source", "in", some), Compare("target", "in", some))
            for link in await self._store.scan(Where("link", (owner,), test=test)):
                for end in ("source", "target"):
                    found.setdefault(link.fields[end], {})[link.id] = link
        return found

    async def _claimed(self, subject: Scope, *, waits: bool) -> Lease | None:
        while True:
            lease = await self._home.run(claim(self._store, subject, self._policies.clock()))
            if lease is not None or not waits:
                return lease
            await asyncio.sleep(WAIT)

    async def _write(self, put: Put) -> None:
        await self._home.run(self._store.apply([put]))

    async def _give_back(self, lease: Lease) -> None:
        with suppress(ConflictError):
            await self._store.apply([lease.released(self._policies.clock())])

    async def _is_due(self, subject: Scope, every: timedelta | None) -> bool:
        mark = await self._mark(subject) if every is not None else None
        return mark is None or bool(mark.fields["until"] <= self._policies.clock())

    async def _mark(self, subject: Scope) -> Record | None:
        found = await self._store.scan(Where("lease", (subject,), ids=(_mark_id(subject),)))
        return next(iter(found), None)

    async def _marked(self, subject: Scope, until: datetime) -> Put:
        """That a person's facts were maintained, until the next time; written with what was done."""
        mark = await self._mark(subject)
        version = mark.version if mark is not None else 0
        fields = {"holder": MAINTENANCE, "until": until}
        return Put(Record("lease", _mark_id(subject), subject, subject, version + 1, fields), expect=version)


def _mark_id(subject: Scope) -> str:
    return digest("maintained", subject.token)


def _group_of(fact: Fact) -> tuple[str, str]:
    return (fact.owner.token, fact.namespace)


def _group(facts: Sequence[Fact], usage: Mapping[str, Usage]) -> _Group:
    known = {fact.id: fact for fact in facts}
    return _Group(facts[0].owner, facts[0].namespace, known, dict(known), usage)


def _update(fact: Fact, stored: Fact | None, heir: Fact | None, now: datetime, job_id: str) -> FactUpdate:
    version = stored.version + 1 if stored is not None else 1
    is_upheld = fact.upkeep is not None and fact.upkeep.version == fact.version
    upkeep = fact.upkeep.model_copy(update={"version": version}) if fact.upkeep and is_upheld else None
    set_here: dict[str, Any] = {"version": version, "updated_at": now, "job_id": job_id, "upkeep": upkeep}
    if heir is not None:
        set_here["replaced_by"] = heir.id
    operation: Operation = "DELETE" if fact.deleted_at else "ADD" if stored is None else "UPDATE"
    return FactUpdate(
        operation=operation, fact=fact.model_copy(update=set_here), previous=stored, reason=fact.reason or MAINTENANCE
    )


def _job(
    job_id: str, whose: Whose, steps: Sequence[StrategyReport], updates: Sequence[FactUpdate], now: datetime
) -> Record:
    """The record by which a run is seen and taken back."""
    fields = {
        "status": DONE,
        "task": MAINTENANCE,
        "attempts": 1,
        "number": 0,
        "created_at": now,
        "updated_at": now,
        "message_ids": [],
        "strategies": [step.strategy for step in steps],
        "updates": [summary(update) for update in updates],
    }
    return Record("job", job_id, whose.subject, whose.subject, 1, fields)


def _batched(ids: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """`ids`, so many at a time."""
    return (tuple(ids[start : start + size]) for start in range(0, len(ids), size))


async def _next(subjects: AsyncIterator[Scope]) -> Scope | None:
    return await anext(subjects, None)
