"""The sweep: what is over is removed for good, a bounded share at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from ..learn.turns import Turns
from ..policies import Clock
from ..reports import Swept
from ..scope import Scope
from ..stores.again import again
from ..stores.base import AnyOf, Compare, Delete, Due, Record, Store, Where
from ..stores.everybody import everybody

BATCH = 200  # facts to a transaction
ENTRIES = 1000  # of the log of accesses, looked for at once

_ENDS: dict[str, tuple[str, ...]] = {
    "version": ("fact_id",),
    "tag": ("fact_id",),
    "link": ("source", "target"),
    "usage": ("fact_id",),
    "vector": ("target",),
}


class Sweeping:
    """Removes sessions and facts whose time is over, and facts that were deleted longer ago than `retention`.

    Of the log of accesses it removes what is older than `access_retention`; what was counted beside a fact stays.

    A fact goes together with its versions, tags, links, vectors and counters, in one transaction each few hundred. So
    it can be stopped and started anywhere, and done by several processes at once.
    """

    def __init__(
        self,
        store: Store,
        turns: Turns,
        clock: Clock,
        retention: timedelta | None = None,
        access_retention: timedelta | None = None,
    ) -> None:
        self._store = store
        self._turns = turns
        self._clock = clock
        self.retention = retention
        self.access_retention = access_retention

    async def sweep(self, *, deleted: bool = True) -> Swept:
        """Remove all that is over, of everybody; `deleted` facts cost a look at each person."""
        now = self._clock()
        return Swept(
            sessions=await self._turns.sweep(now),
            expired=await self._expired(now),
            deleted=await self._deleted(now) if deleted else 0,
            accesses=await self._forgotten(now),
        )

    async def _expired(self, now: datetime) -> int:
        total = gone = 0
        while due := await self._store.due("fact", now, BATCH):
            gone = sum([await self._removed(where, lambda fact: _is_over(fact, now)) for where in _by_subject(due)])
            total += gone
            if not gone or len(due) < BATCH:
                break
        return total

    async def _deleted(self, now: datetime) -> int:
        if self.retention is None:
            return 0
        until, total = now - self.retention, 0
        async for subject in everybody(self._store):
            where = Where("fact", subject=subject, test=Compare("deleted_at", "lte", until))
            while gone := await self._removed(where, lambda _: True):
                total += gone
        return total

    async def _forgotten(self, now: datetime) -> int:
        """Remove what was logged of accesses so long ago."""
        if self.access_retention is None:
            return 0
        until, total = now - self.access_retention, 0
        while due := await self._store.due("access", until, ENTRIES):
            gone = sum([await self._store.purge(where) for where in _by_subject(due)])
            total += gone
            if not gone or len(due) < ENTRIES:
                break
        return total

    async def _removed(self, where: Where, is_over: Callable[[Record], bool]) -> int:
        """Remove at most `BATCH` of these facts; anew as long as somebody else writes in between."""
        async for attempt in again():
            with attempt:
                facts = [fact for fact in await self._store.scan(where, limit=BATCH) if is_over(fact)]
                by_owner: defaultdict[Scope, list[Record]] = defaultdict(list)
                for fact in facts:
                    by_owner[fact.scope].append(fact)
                for owner, some in by_owner.items():
                    await self._remove(owner, some)
        return len(facts)

    async def _remove(self, owner: Scope, facts: Sequence[Record]) -> None:
        ids = tuple(fact.id for fact in facts)
        beside: dict[tuple[str, str], Record] = {}
        for kind, ends in _ENDS.items():
            theirs = AnyOf(*(Compare(end, "in", ids) for end in ends))
            found = await self._store.scan(Where(kind, (owner,), test=theirs))
            beside |= {(kind, record.id): record for record in found}
        await self._store.purge(Where("access", (owner,), test=Compare("fact_id", "in", ids)))
        gone = [Delete("fact", fact.id, owner, expect=fact.version) for fact in facts]
        await self._store.apply([*gone, *(Delete(one.kind, one.id, owner) for one in beside.values())])


def _by_subject(due: Iterable[Due]) -> list[Where]:
    ids: defaultdict[tuple[str, Scope], list[str]] = defaultdict(list)
    for one in due:
        ids[one.kind, one.subject].append(one.id)
    return [Where(kind, subject=subject, ids=tuple(some)) for (kind, subject), some in ids.items()]


def _is_over(fact: Record, now: datetime) -> bool:
    expires = fact.fields.get("expires_at")
    return expires is not None and bool(expires <= now)
