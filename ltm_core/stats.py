"""Analytics: what is remembered, counted by the database where it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Literal

from .journeys.maintaining import AT_ONCE, Whose
from .knowledge.lifecycle import changed, put_aside
from .knowledge.statements import statement_of
from .maintain.archive import Archive
from .maintain.deduplicate import Deduplicate
from .model import Fact, FactUpdate
from .policies import Maintaining
from .recall.gather import current_at
from .records import fact_of
from .reports import Stats, UsedFact
from .runtime import Runtime
from .scope import Identity, MemoryScope, Scope
from .stores.base import Compare, Condition, Record, Where, place
from .stores.everybody import everybody
from .text.words import STOP_WORDS

DAYS, WEEKS, SHOWN = 14, 8, 5
DOUBTED = 0.2

Direction = Literal["asc", "desc"]

_TALLIES = {"by_type": "memory_type", "by_category": "category", "by_scope": "scope", "by_source": "source_type"}


async def subject_of(runtime: Runtime, who: Identity) -> Scope | None:
    """Whom the most personal of these ids is about; None where nobody is named."""
    owners = (
        who.user_id and MemoryScope.USER,
        who.session_id and MemoryScope.SESSION,
        who.agent_id and MemoryScope.AGENT,
    )
    level = next((level for level in owners if level), None)
    return await runtime.turns.subject(who.scope(level)) if level else None


async def stats_of(runtime: Runtime, subject: Scope | None, *, estimates: bool) -> Stats:
    """Counts of what is remembered about one subject, or about everybody of the tenant. On the learning loop."""
    await runtime.accesses.write()
    if subject is not None:
        return await _Counting(runtime, subject).stats(estimates)
    total = Stats()
    for one in await runtime.run(_people(runtime)):
        total = total.plus(await _Counting(runtime, one).stats(estimates), SHOWN)
    return total


async def _people(runtime: Runtime) -> list[Scope]:
    return [one async for one in everybody(runtime.store) if one.tenant == runtime.tenant]


class _Counting:
    """The counts of one subject."""

    def __init__(self, runtime: Runtime, subject: Scope) -> None:
        self._runtime = runtime
        self._store = runtime.store
        self._subject = subject
        self._now = runtime.now()
        self._current = Where("fact", subject=subject).also(*current_at(self._now))

    async def stats(self, estimates: bool) -> Stats:
        counts = await self._runtime.run(self._counts())
        return counts.model_copy(update=await self._estimates()) if estimates else counts

    async def _counts(self) -> Stats:
        facts = await self._store.count(self._current)
        tallies: dict[str, Any] = {
            name: _named(await self._store.tally(self._current, by)) for name, by in _TALLIES.items()
        }
        used, least = await self._used("desc"), await self._used("asc")
        return Stats(
            people=int(facts > 0),
            facts=facts,
            archived=await self._count(Compare("archived_at", "exists", True), Compare("deleted_at", "exists", False)),
            deleted=await self._count(Compare("deleted_at", "exists", True)),
            per_day=await self._made(_days(self._now, DAYS, 1)),
            per_week=await self._made(_days(_monday(self._now), WEEKS, 7)),
            most_used=used,
            least_used=least,
            unused=max(facts - await self._ever_used(), 0),
            **tallies,
        )

    async def _count(self, *tests: Condition) -> int:
        return await self._store.count(Where("fact", subject=self._subject).also(*tests))

    async def _made(self, spans: Sequence[tuple[datetime, datetime]]) -> dict[date, int]:
        """How many facts were made in each span, by the day on which it begins."""
        return {
            begin.date(): await self._count(Compare("created_at", "gte", begin), Compare("created_at", "lt", end))
            for begin, end in spans
        }

    async def _used(self, direction: Direction) -> list[UsedFact]:
        found: list[UsedFact] = []
        async for usage in self._usage(direction, SHOWN * 10):
            facts = {one.id: fact_of(one) for one in await self._store.scan(self._of(usage))}
            found += [_used(facts[one.fields["fact_id"]], one) for one in usage if one.fields["fact_id"] in facts]
            if len(found) >= SHOWN:
                break
        return found[:SHOWN]

    async def _ever_used(self) -> int:
        """How many of the current facts were used."""
        return sum([await self._store.count(self._of(usage)) async for usage in self._usage("desc", AT_ONCE)])

    async def _usage(self, direction: Direction, size: int) -> AsyncIterator[list[Record]]:
        """What is counted of the facts, page by page."""
        where, order = Where("usage", subject=self._subject), [("access_count", direction)]
        page = await self._store.scan(where, order=order, limit=size)
        while page:
            yield page
            after = place(page[-1], order) if len(page) == size else None
            page = await self._store.scan(where, order=order, limit=size, after=after) if after else []

    def _of(self, usage: Sequence[Record]) -> Where:
        """The current facts among those that were counted."""
        return replace(self._current, ids=tuple(one.fields["fact_id"] for one in usage))

    async def _estimates(self) -> dict[str, int]:
        drafted = await self._runtime.maintenance.preview(Whose(self._subject), [Deduplicate(), Junk()])
        twice, junk = drafted.steps
        return {
            "tokens": twice.tokens_before,
            "duplicates": twice.facts_before - twice.facts_after,
            "junk": junk.facts_before - junk.facts_after,
        }


@dataclass(frozen=True, slots=True)
class Junk:
    """Finds what is of little use: no word that says anything, hardly believed, or stale."""

    name: ClassVar[str] = "junk"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """An update for each fact that could go."""
        stale = {update.fact.id for update in await Archive().maintain(given) if update.fact is not None}
        useless = (fact for fact in given.facts if fact.id in stale or _is_useless(fact))
        return [changed(fact, put_aside(fact, given.now, "junk: of little use")) for fact in useless]


def _is_useless(fact: Fact) -> bool:
    said = statement_of(fact)
    says_little = not said.words or (not said.label[0] and STOP_WORDS.issuperset(said.words))
    return says_little or fact.confidence < DOUBTED


def _named(tally: Mapping[Any, int]) -> dict[str, int]:
    """The most frequent first; what has no value is called none."""
    counted = Counter({str(name or "none"): number for name, number in tally.items()})
    return dict(sorted(counted.items(), key=lambda one: (-one[1], one[0])))


def _used(fact: Fact, usage: Record) -> UsedFact:
    return UsedFact(
        id=fact.id,
        key=fact.key,
        text=fact.text,
        scope=fact.scope,
        scope_id=fact.scope_id,
        access_count=usage.fields.get("access_count") or 0,
        last_accessed_at=usage.fields.get("last_accessed_at"),
    )


def _monday(now: datetime) -> datetime:
    return now - timedelta(days=now.weekday())


def _days(now: datetime, many: int, size: int) -> list[tuple[datetime, datetime]]:
    """The last `many` spans of `size` days, the present one last."""
    begin = datetime.combine(now.date(), time(), now.tzinfo)
    step = timedelta(days=size)
    return [(begin - step * back, begin - step * (back - 1)) for back in reversed(range(many))]
