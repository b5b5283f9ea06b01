"""Leases: one worker at a time learns about one person, on however many machines."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from ..errors import ConflictError
from ..policies import Clock
from ..scope import Scope, digest
from ..stores.base import Put, Record, Store, Where, Write

LEASE = timedelta(seconds=30)
_NONCE = uuid4().hex[:8]


@dataclass(slots=True)
class Lease:
    """A claim on a subject. Its version is the fencing token: whoever lost the lease cannot commit any more."""

    record: Record

    def renewed(self, now: datetime) -> Put:
        """The write that prolongs the lease, or fails if it was taken over."""
        return self._until(now + LEASE)

    def released(self, now: datetime) -> Put:
        """The write that gives the lease back, or fails if it was taken over."""
        return self._until(now)

    def _until(self, until: datetime) -> Put:
        fields = {**self.record.fields, "until": until}
        return Put(replace(self.record, fields=fields, version=self.record.version + 1), self.record.version)


def holder() -> str:
    """Who this process is: host, process id, and a random word that tells a reused process id apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{_NONCE}"


async def claim(store: Store, subject: Scope, now: datetime, also: Sequence[Write] = ()) -> Lease | None:
    """Lease `subject` and do `also` in the same `apply`; None if somebody else has it."""
    where = Where("lease", (subject,), ids=(_id(subject),))
    stored = next(iter(await store.scan(where)), None)
    if stored is not None and _is_held(stored, now):
        return None
    version = stored.version if stored is not None else 0
    fields = {"holder": holder(), "until": now + LEASE}
    record = Record("lease", _id(subject), subject, subject, version + 1, fields)
    try:
        await store.apply([Put(record, expect=version), *also])
    except ConflictError:
        return None
    return Lease(record)


@asynccontextmanager
async def kept(lease: Lease, write: Callable[[Put], Awaitable[None]], clock: Clock) -> AsyncIterator[None]:
    """Renew a lease with `write` as long as the block runs. Where it was taken over, the commit will find out."""
    stop = asyncio.Event()
    beat = asyncio.create_task(_renew(lease, write, clock, stop))
    try:
        yield
    finally:
        stop.set()
        await beat


async def _renew(lease: Lease, write: Callable[[Put], Awaitable[None]], clock: Clock, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            async with asyncio.timeout(LEASE.total_seconds() / 3):
                await stop.wait()
        except TimeoutError:
            put = lease.renewed(clock())
            with suppress(ConflictError):
                await write(put)
                lease.record = put.record


async def is_lost(store: Store, lease: Lease) -> bool:
    """Whether somebody took the lease over."""
    where = Where("lease", (lease.record.scope,), ids=(lease.record.id,))
    stored = next(iter(await store.scan(where)), None)
    return stored is None or stored.version != lease.record.version


def _id(subject: Scope) -> str:
    return digest("lease", subject.token)


def _is_held(record: Record, now: datetime) -> bool:
    return bool(record.fields["until"] > now) and not _is_dead(record.fields["holder"])


def _is_dead(held_by: str) -> bool:
    """Whether the holder was a process of this host that runs no more; of other hosts only time can tell."""
    host, pid, _ = held_by.rsplit(":", 2)
    if host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
