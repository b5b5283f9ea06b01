"""What learning costs, by day (UTC): written down for each person and in all, and held against ceilings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from ..llm.metering import Meter
from ..scope import Scope, digest
from ..stores.base import Compare, Put, Record, Store, Where

# Who owns what was spent in all, on a database.
PURSE = Scope.GLOBAL
KEPT_DAYS = 400


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most that may be spent in a day, UTC, by one person and in all; None for no limit."""

    user_calls: int | None = None
    user_tokens: int | None = None
    calls: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why somebody's turns wait, and until when."""

    reason: str
    until: datetime


class Ledger:
    """Writes down what is spent. All calls come from the home loop.

    A person's is one record a day, which only who holds the lease writes. The sum is over one record a day of each
    process, so that no two processes wait for each other.

    Args:
        writer: Who this process is; another one after a fork.
    """

    def __init__(
        self, store: Store, ceilings: Ceilings, count: Callable[[str], int], writer: Callable[[], str]
    ) -> None:
        self._store = store
        self._ceilings = ceilings
        self._count = count
        self._writer = writer
        self._own: Record | None = None
        self._lock = asyncio.Lock()

    def meter(self) -> Meter:
        """A new count from nothing."""
        return Meter(self._count)

    def forget(self) -> None:
        """In a forked child: what was counted is the parent's."""
        self._own, self._lock = None, asyncio.Lock()

    async def hold(self, subject: Scope, now: datetime) -> Hold | None:
        """Why nothing may be spent on a person any more today, if so. Reads only where there is a ceiling."""
        most, day = self._ceilings, day_of(now)
        own = await self._spent(subject, day) if (most.user_calls, most.user_tokens) != (None, None) else ()
        reason = _reached(f"{subject.name} has", own, most.user_calls, most.user_tokens)
        if reason is None and (most.calls, most.tokens) != (None, None):
            reason = _reached("All together have", await self._spent(PURSE, day), most.calls, most.tokens)
        return Hold(reason, next_day(now)) if reason is not None else None

    async def entry(self, subject: Scope, meter: Meter, now: datetime) -> list[Put]:
        """The write that adds to what a person has spent today; none where no model was asked."""
        if not meter.calls:
            return []
        made = digest("spend", subject.token, day_of(now))
        stored = await self._store.scan(Where("spend", (subject,), ids=(made,)))
        record = next(iter(stored), None) or Record("spend", made, subject, subject, 0)
        return [Put(_with(record, meter, now), expect=record.version)]

    async def add(self, meter: Meter, now: datetime) -> None:
        """Add to what all have spent today, durable on return."""
        if not meter.calls:
            return
        made = digest("spend", self._writer(), day_of(now))
        async with self._lock:
            own = self._own if self._own is not None and self._own.id == made else None
            if own is None:
                await self._store.purge(Where("spend", (PURSE,), test=Compare("day", "lt", _last_kept(now))))
            record = _with(own or Record("spend", made, PURSE, PURSE, 0), meter, now)
            await self._store.apply([Put(record)])
            self._own = record

    async def _spent(self, owner: Scope, day: str) -> Sequence[Record]:
        return await self._store.scan(Where("spend", (owner,), test=Compare("day", "eq", day)))


def charged(fields: dict[str, Any], meter: Meter) -> dict[str, Any]:
    """The fields of a job with what it took added."""
    if not meter.calls:
        return fields
    return {
        **fields,
        "calls": (fields.get("calls") or 0) + meter.calls,
        "tokens": (fields.get("tokens") or 0) + meter.tokens,
        "seconds": (fields.get("seconds") or 0.0) + meter.seconds,
    }


def day_of(now: datetime) -> str:
    """The day in UTC, as it is stored."""
    return now.astimezone(UTC).date().isoformat()


def next_day(now: datetime) -> datetime:
    """When the next day begins, in UTC."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(tzinfo=UTC))


def _last_kept(now: datetime) -> str:
    return day_of(now - timedelta(days=KEPT_DAYS))


def _with(record: Record, meter: Meter, now: datetime) -> Record:
    fields = charged({**record.fields, "day": day_of(now), "updated_at": now}, meter)
    return Record(record.kind, record.id, record.scope, record.subject, record.version + 1, fields)


def _reached(who: str, spent: Sequence[Record], calls: int | None, tokens: int | None) -> str | None:
    for name, most in (("calls", calls), ("tokens", tokens)):
        used = sum(record.fields[name] for record in spent)
        if most is not None and used >= most:
            return f"{who} used {used} of {most} {name} of the day."
    return None
