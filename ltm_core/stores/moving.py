"""From one store to another: every record of everybody, page by page, and compared at the end.

What is copied already is recognised and left, so whatever interrupted a copy, the next one goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import InvalidInput, StoreError
from ..scope import Scope
from .again import again
from .base import Put, Record, Store, Where, place
from .everybody import everybody
from .kinds import KINDS
from .portable import checksum

PAGE = 500
# Jobs go last, so that a worker on the target learns a turn beside the facts that it is about. A lease stays: it
# belongs to a process that is at work on the source.
MOVED = (*(kind for kind in KINDS if kind not in ("job", "lease")), "job")


@dataclass(slots=True)
class Progress:
    """How far a copy is.

    Attributes:
        step: `looking` at what is in the target, `copying`, or `comparing`.
        subjects: How many people and sessions are done in this step, of `of`.
        copied: How many records were written.
        present: How many were there already.
    """

    step: str = "looking"
    subjects: int = 0
    of: int = 0
    copied: int = 0
    present: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a copy did, and what both stores hold alike now.

    Attributes:
        copied: Records that were written.
        present: Records that were there already.
        kept: Records of the target that differ from those of the source and were left as they are (`merge`).
        subjects: How many people and sessions.
        counts: Records compared, by kind.
    """

    copied: int
    present: int
    kept: int
    subjects: int
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def records(self) -> int:
        """How many records were compared, of all kinds."""
        return sum(self.counts.values())


OnProgress = Callable[[Progress], object]


async def copy(
    source: Store, target: Store, *, merge: bool = False, on_progress: OnProgress = lambda _: None
) -> Report:
    """Copy everything in `source` to `target`, both open, and compare them afterwards by count and checksum.

    Run it again after an interruption: it goes on, and writes nothing twice. Nothing else should write to either store
    meanwhile.

    Args:
        merge: Whether the target may hold other data. Where both hold a record, the higher version wins, and the
            target's where both have the same.
        on_progress: Is told the same `Progress` again and again, as it advances.

    Raises `InvalidInput` for a target that holds other data, and `StoreError` where the two differ in the end.
    """
    return await _Copying(source, target, merge, on_progress).run()


class _Copying:
    def __init__(self, source: Store, target: Store, merge: bool, on_progress: OnProgress) -> None:
        self._source = source
        self._target = target
        self._merge = merge
        self._progress = Progress()
        self._on_progress = on_progress

    async def run(self) -> Report:
        if not self._merge:
            await self._check_target()
        size = sum([1 async for _ in everybody(self._source, PAGE)])
        self._begin("copying", size)
        async for subject in self._steps(self._source):
            for kind in MOVED:
                await self._copy(Where(kind, subject=subject))
        return await self._compare(size)

    async def _check_target(self) -> None:
        """Refuse a target with anything that is not an earlier state of what the source holds."""
        self._begin("looking", 0)
        async for subject in self._steps(self._target):
            for kind in MOVED:
                async for page in _pages(self._target, Where(kind, subject=subject)):
                    self._refuse_other(page, await _same_ids(self._source, page))

    def _refuse_other(self, page: Sequence[Record], known: Mapping[str, Record]) -> None:
        for record in page:
            origin = known.get(record.id)
            if origin is None or (origin != record and origin.version <= record.version):
                raise InvalidInput(
                    f"The target holds other data: a {record.kind} of {record.subject.name} that the source does not "
                    "have. Name an empty database, or pass --merge (merge=True) to add to it."
                )

    async def _copy(self, where: Where) -> None:
        async for page in _pages(self._source, where):
            written = await self._write(page)
            self._progress.copied += written
            self._progress.present += len(page) - written
            self._on_progress(self._progress)

    async def _write(self, page: Sequence[Record]) -> int:
        """Write what the target does not have, and say how much that was."""
        writes: list[Put] = []
        async for attempt in again():
            with attempt:
                known = await _same_ids(self._target, page)
                writes = [_put(one, known.get(one.id)) for one in page if _is_newer(one, known.get(one.id))]
                if writes:
                    await self._target.apply(writes)
        return len(writes)

    async def _compare(self, subjects: int) -> Report:
        self._begin("comparing", subjects)
        counts: dict[str, int] = {}
        kept = 0
        async for subject in self._steps(self._source):
            for kind in MOVED:
                ours, theirs = await self._compared(Where(kind, subject=subject))
                counts[kind] = counts.get(kind, 0) + ours
                kept += theirs
        progress = self._progress
        found = MappingProxyType({kind: count for kind, count in counts.items() if count})
        return Report(progress.copied, progress.present - kept, kept, subjects, found)

    async def _compared(self, where: Where) -> tuple[int, int]:
        """How many records both hold alike, and how many of the target's own it has kept. Raises `StoreError`."""
        if self._merge:
            return await self._compared_by_id(where)
        ours, theirs = await _summed(self._source, where), await _summed(self._target, where)
        if ours != theirs:
            raise _differs(where, f"{ours[0]} records there, {theirs[0]} here")
        return ours[0], 0

    async def _compared_by_id(self, where: Where) -> tuple[int, int]:
        alike = kept = 0
        async for page in _pages(self._source, where):
            known = await _same_ids(self._target, page)
            for record in page:
                found = known.get(record.id)
                if found is None or _is_newer(record, found):
                    raise _differs(where, "a record is missing here")
                alike += checksum(found) == checksum(record)
                kept += checksum(found) != checksum(record)
        return alike, kept

    def _begin(self, step: str, of: int) -> None:
        self._progress.step, self._progress.subjects, self._progress.of = step, 0, of
        self._on_progress(self._progress)

    async def _steps(self, store: Store) -> AsyncIterator[Scope]:
        async for subject in everybody(store, PAGE):
            yield subject
            self._progress.subjects += 1
            self._on_progress(self._progress)


async def _pages(store: Store, where: Where) -> AsyncIterator[list[Record]]:
    page = await store.scan(where, limit=PAGE)
    while page:
        yield page
        page = await store.scan(where, limit=PAGE, after=place(page[-1], ())) if len(page) == PAGE else []


async def _same_ids(store: Store, page: Sequence[Record]) -> dict[str, Record]:
    """What `store` holds under the ids and for the owners of `page`."""
    owners = tuple(dict.fromkeys(record.scope for record in page))
    where = Where(page[0].kind, owners, ids=tuple(record.id for record in page))
    return {record.id: record for record in await store.scan(where)}


async def _summed(store: Store, where: Where) -> tuple[int, int]:
    """The number of records, and the sum of their checksums."""
    count = total = 0
    async for page in _pages(store, where):
        count += len(page)
        total += sum(map(checksum, page))
    return count, total


def _is_newer(record: Record, known: Record | None) -> bool:
    return known is None or record.version > known.version


def _put(record: Record, known: Record | None) -> Put:
    return Put(record, expect=0 if known is None else known.version)


def _differs(where: Where, how: str) -> StoreError:
    name = where.subject.name if where.subject is not None else ""
    return StoreError(
        f"Source and target differ in kind {where.kind!r} of {name} ({how}). "
        "Stop whatever writes to either, and run it again."
    )
