"""The dict store: the specification of the seam, and a memory that lives as long as its process."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import ConflictError
from ..scope import Scope
from .base import Due, Order, Put, Record, Store, Where, Write
from .changes import Changes
from .kinds import KINDS
from .pages import page


class DictStore(Store):
    """Records in a dict. Nothing survives the process: for tests, scripts and trying things out."""

    def __init__(self) -> None:
        self._records: dict[_Place, Record] = {}
        self._changes = Changes()

    async def open(self) -> None:
        """Nothing to make ready."""

    async def close(self) -> None:
        """Nothing to give back: what was stored can be read again after `open`."""

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none."""
        changed: dict[_Place, Record | None] = {}
        for write in writes:
            self._check(changed, write)
            changed[_place(write)] = _copy(write.record) if isinstance(write, Put) else None
        self._changes.note(writes)
        for where, record in changed.items():
            if record is None:
                self._records.pop(where, None)
            else:
                self._records[where] = record

    def _check(self, changed: dict[_Place, Record | None], write: Write) -> None:
        where = _place(write)
        stored = changed[where] if where in changed else self._records.get(where)
        scope = write.record.scope if isinstance(write, Put) else write.scope
        if stored is not None and stored.scope != scope:
            raise ConflictError(f"Record {where[1]} belongs to another owner. Use ids made for this scope.")
        version = stored.version if stored is not None else 0
        if write.expect is not None and version != write.expect:
            raise ConflictError(
                f"A {where[0]} is at version {version}, not {write.expect}. Read it again and retry the change."
            )

    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id."""
        found = page((record for record in self._records.values() if where.admits(record)), order, limit, after)
        return list(map(_copy, found))

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits."""
        gone = await self.scan(where)
        self._changes.note_purge(where.kind)
        for record in gone:
            del self._records[record.kind, record.id]
        return len(gone)

    async def stamps(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> Mapping[str, Hashable]:
        """For each kind, the last writes to each of these owners or subjects."""
        return self._changes.of(scopes, kinds)

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """Records whose due time has come, the earliest first."""
        column = KINDS[kind].due
        timed = [(record.get(column), record) for record in self._records.values() if record.kind == kind and column]
        ready = [Due(kind, record.id, record.subject, at) for at, record in timed if at is not None and at <= before]
        return sorted(ready, key=lambda item: (item.at, item.id))[:limit]

    async def subjects(self, after: Scope | None = None, limit: int = 100) -> list[Scope]:
        """Who has any record here, by token."""
        everyone = {record.subject.token: record.subject for record in self._records.values()}
        return [everyone[token] for token in sorted(everyone) if after is None or token > after.token][:limit]

    async def whose(self, kind: str, record_id: str) -> Scope | None:
        """Whom the record of this id is about."""
        record = self._records.get((kind, record_id))
        return record.subject if record is not None else None


_Place = tuple[str, str]


def _place(write: Write) -> _Place:
    return (write.record.kind, write.record.id) if isinstance(write, Put) else (write.kind, write.id)


def _copy(record: Record) -> Record:
    return replace(record, fields=deepcopy(dict(record.fields)))
