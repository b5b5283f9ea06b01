"""A store that has vectors made of what is written to it, in the background, and removes them with what they mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from ..llm.embedding import Embedder, embedded_text
from ..records import vector_record
from ..scope import Scope, digest
from ..stores.base import All, Compare, Delete, Put, Record, Store, Where, Write
from ..stores.everybody import everybody
from ..stores.wrappers.base import Wrapper
from .entries import content_of, entry_of

KINDS = ("fact", "message")
BATCH = 256

log = logging.getLogger("ltm_core")


class Embedded(Wrapper):
    """Facts and messages with vectors of one embedder.

    Writing waits for no embedder: what was written is embedded in the background, in batches, and so is what a recall
    finds without a vector (what a process that died left, or everything after a change of the model). Until then it is
    found by its words. A vector goes in the same `apply` as the record that it stands for.
    """

    def __init__(self, inner: Store, embedder: Embedder, clock: Callable[[], datetime]) -> None:
        super().__init__(inner)
        self.embedder = embedder
        self._clock = clock
        self._waiting: dict[tuple[str, str], Where] = {}
        self._task: asyncio.Task[bool] | None = None

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none, and embed what is new later."""
        gone = [self._vector_of(write) for write in writes if _kind(write) in KINDS and self._goes(write)]
        await self.inner.apply([*writes, *gone])
        await self._purge_others(writes)
        new = [write.record for write in writes if isinstance(write, Put) and not self._goes(write)]
        for record in new:
            self.want(Where(record.kind, (record.scope,)), [record.id] if record.kind in KINDS else [])

    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits, with its vectors."""
        if where.kind not in KINDS:
            return await self.inner.purge(where)
        ids = [record.id for record in await self.inner.scan(where)]
        count = await self.inner.purge(where)
        for some in _batches(ids):
            stored = Where("vector", where.scopes, where.subject, Compare("target", "in", some))
            await self.inner.purge(stored)
        return count

    async def close(self) -> None:
        """Stop embedding; what is left is embedded when it is looked for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.inner.close()

    def forget_connections(self) -> None:
        """Drop what belongs to the parent process."""
        self.inner.forget_connections()
        self._task = None

    @property
    def waiting(self) -> int:
        """How many records wait to be embedded."""
        return len(self._waiting)

    def want(self, where: Where, ids: Iterable[str]) -> None:
        """Have these records embedded in the background, if they are not."""
        wanted = {(where.kind, one): where for one in ids}
        if not wanted:
            return
        self._waiting |= wanted
        self._working()

    async def drain(self) -> bool:
        """Embed all that waits; False where the embedder fails."""
        while self._waiting:
            if not await asyncio.shield(self._working()):
                return False
        return True

    async def embed_all(self, tell: Callable[[int], None]) -> bool:
        """Embed what has no vector yet, of everybody; `tell` hears how many records were looked at. False on failure.

        Safe to stop and start again: what has its vector is left as it is.
        """
        looked_at = 0
        async for subject in everybody(self.inner):
            for kind in KINDS:
                where = Where(kind, subject=subject)
                ids = [record.id for record in await self.inner.scan(where)]
                self.want(where, ids)
                looked_at += len(ids)
            if not await self.drain():
                return False
            tell(looked_at)
        return True

    def _working(self) -> asyncio.Task[bool]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return self._task

    async def _work(self) -> bool:
        while self._waiting:
            some = dict(list(self._waiting.items())[:BATCH])
            try:
                await self._embed(some)
            except Exception:
                log.exception("Some memories could not be embedded; they are found by words, and tried again later.")
                return False
            for key, where in some.items():
                if self._waiting.get(key) is where:
                    del self._waiting[key]
        return True

    async def _purge_others(self, writes: Sequence[Write]) -> None:
        """Remove what other embedders made of what is gone."""
        gone: dict[Scope, list[str]] = {}
        for write in writes:
            if _kind(write) in KINDS and self._goes(write):
                one = self._vector_of(write)
                gone.setdefault(one.scope, []).append(write.record.id if isinstance(write, Put) else write.id)
        for scope, ids in gone.items():
            for some in _batches(ids):
                await self.inner.purge(Where("vector", (scope,), test=Compare("target", "in", some)))

    async def _embed(self, some: dict[tuple[str, str], Where]) -> None:
        for kind in KINDS:
            walls: dict[tuple[tuple[Scope, ...], Scope | None], list[str]] = {}
            for (its, one), where in some.items():
                if its == kind:
                    walls.setdefault((where.scopes, where.subject), []).append(one)
            for (scopes, subject), ids in walls.items():
                await self._embed_records(Where(kind, scopes, subject, ids=tuple(ids)))

    async def _embed_records(self, where: Where) -> None:
        records = [record for record in await self.inner.scan(where) if entry_of(record, self._clock()) is not None]
        targets = tuple(record.id for record in records)
        test = All(Compare("space", "eq", self.embedder.space), Compare("target", "in", targets))
        stored = await self.inner.scan(Where("vector", where.scopes, where.subject, test)) if records else []
        known = {one.fields["target"]: one for one in stored}
        new = [record for record in records if not _is_true(known.get(record.id), record)]
        if not new:
            return
        vectors = await self.embedder.vectors([embedded_text(record.kind, record.fields) for record in new])
        at = self._clock()
        await self.inner.apply(
            [Put(self._vector(record, vector, at)) for record, vector in zip(new, vectors, strict=True)]
        )
        await self._tidy(where, new)

    async def _tidy(self, where: Where, made: Sequence[Record]) -> None:
        """Remove the vectors of what was removed while they were made."""
        now = await self.inner.scan(replace(where, ids=tuple(record.id for record in made)))
        there = {record.id for record in now if entry_of(record, self._clock()) is not None}
        gone = [record for record in made if record.id not in there]
        if gone:
            await self.inner.apply([Delete("vector", self._vector_id(one.kind, one.id), one.scope) for one in gone])

    def _goes(self, write: Write) -> bool:
        """Whether a fact or message is no longer to be recalled after `write`."""
        return isinstance(write, Delete) or (
            write.record.kind in KINDS and entry_of(write.record, self._clock()) is None
        )

    def _vector(self, record: Record, vector: Sequence[float], at: datetime) -> Record:
        made = vector_record(record, self.embedder.space, vector, at=at)
        return replace(made, fields={**made.fields, "content": content_of(record)})

    def _vector_of(self, write: Write) -> Delete:
        one, scope = (write.record.id, write.record.scope) if isinstance(write, Put) else (write.id, write.scope)
        return Delete("vector", self._vector_id(_kind(write), one), scope)

    def _vector_id(self, kind: str, record_id: str) -> str:
        return digest("vector", kind, record_id, self.embedder.space, "0")


def _is_true(vector: Record | None, record: Record) -> bool:
    return (
        vector is not None and vector.fields.get("content") == content_of(record) and vector.subject == record.subject
    )


def _kind(write: Write) -> str:
    return write.record.kind if isinstance(write, Put) else write.kind


def _batches(ids: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))
