"""The state of threads, for frameworks that bring checkpoints of an idea of their own.

A thread is a session: its first user owns it, and what is stored of it is about that user. A snapshot holds the whole
state at one point, and beside it lies what its tasks have written since.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..ambient import identity
from ..errors import ScopeError
from ..learn.turns import THREAD
from ..runtime import Runtime
from ..scope import Identity, MemoryScope, Scope, check_id, digest
from ..stores.again import again
from ..stores.base import Compare, Condition, Delete, Put, Record, Where, place

PAGE = 32

_OF_THREADS = Compare("namespace", "under", THREAD)
_ALONE = Compare("task", "exists", False)
_WRITTEN = Compare("task", "exists", True)
_NEWEST_FIRST: Any = (("step", "desc"), ("key", "desc"))


@dataclass(frozen=True, slots=True)
class TaskWrites:
    """What one task has written after a snapshot: JSON data by place, in the order of `path`."""

    task_id: str
    path: str
    writes: Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A thread at one point.

    Attributes:
        namespace: Which of the graphs in the thread; empty for the outermost.
        number: Sorts the snapshots of a thread by age, those of one number by `id`; below 2**53.
        parent: The snapshot that this one came from.
        state: JSON data.
        labels: What it can be found by: texts, numbers and bools by name.
        writes: What its tasks have written, in the order of their paths.
    """

    thread_id: str
    namespace: str
    id: str
    number: int
    parent: str | None = None
    state: Any = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    writes: Sequence[TaskWrites] = ()


class Threads:
    """Snapshots of threads. A user who is named and does not own a thread gets `ScopeError`, in reading too."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def get(
        self,
        thread_id: str,
        namespace: str = "",
        snapshot_id: str | None = None,
        user_id: str | None = None,
    ) -> Snapshot | None:
        """The snapshot of that id or, without one, the newest; None where there is none."""
        found = [
            one async for one in self.walk(thread_id, namespace, snapshot_id=snapshot_id, limit=1, user_id=user_id)
        ]
        return found[0] if found else None

    async def walk(
        self,
        thread_id: str | None = None,
        namespace: str | None = None,
        *,
        snapshot_id: str | None = None,
        before: tuple[int, str] | None = None,
        labels: Mapping[str, Any] | None = None,
        limit: int | None = None,
        user_id: str | None = None,
    ) -> AsyncIterator[Snapshot]:
        """Snapshots, newest first, read page by page.

        Without `thread_id` those of a user or, for operators, of everybody, one person after the other. `before` is the
        number and id of a snapshot, `labels` are values that must be equal.
        """
        user, left = self._user(user_id), limit
        tests = [
            *_tests(namespace, snapshot_id, before),
            *(Compare(("labels", k), "eq", v) for k, v in (labels or {}).items()),
        ]
        async for where in self._places(thread_id, user):
            async for snapshot in self._pages(where.also(_ALONE, *tests), user, left):
                left = None if left is None else left - 1
                yield snapshot

    async def put(self, snapshot: Snapshot, user_id: str | None = None) -> None:
        """Store a snapshot, durable on return; one of the same id is replaced. Its writes are not stored."""
        thread = self._thread(snapshot.thread_id)
        await self._runtime.run(self._put(thread, self._user(user_id), [self._record(thread, snapshot)]))

    async def put_writes(
        self,
        snapshot: Snapshot,
        task: TaskWrites,
        user_id: str | None = None,
    ) -> None:
        """Add what a task has written after a snapshot, which may come later.

        Of what the task has written at the same place before, only that at places below 0 is replaced.
        """
        thread = self._thread(snapshot.thread_id)
        await self._runtime.run(self._put_writes(thread, self._user(user_id), snapshot, task))

    async def delete(self, thread_id: str) -> None:
        """Remove the state of a thread for good. The messages of the session stay."""
        await self._runtime.run(self._purge(self._all(self._thread(thread_id))))

    async def delete_labelled(self, name: str, values: Sequence[str]) -> None:
        """Remove the snapshots, with what was written after them, that have one of the values as this label.

        Looks through the threads of everybody: for operators.
        """
        for value in values:
            async for where in self._places(None, None):
                await self._runtime.run(self._drop(where, Compare(("labels", name), "eq", value)))

    async def keep(self, thread_id: str, namespace: str, ids: Sequence[str]) -> None:
        """Remove all snapshots of a namespace but these, with what was written after them."""
        inside = self._all(self._thread(thread_id)).also(*_tests(namespace, None, None))
        await self._runtime.run(self._drop(inside, *(Compare("key", "ne", one) for one in ids)))

    async def namespaces(self, thread_id: str) -> builtins.list[str]:
        """The namespaces that a thread has snapshots in."""
        found = [snapshot.namespace async for snapshot in self.walk(thread_id)]
        return list(dict.fromkeys(found))

    async def copy(self, source_id: str, target_id: str) -> None:
        """Copy all of a thread to another one, of the same user."""
        await self._runtime.run(self._copy(self._thread(source_id), self._thread(target_id)))

    def _thread(self, thread_id: str) -> Scope:
        return Scope.session(check_id(thread_id, "thread_id"), self._runtime.tenant)

    def _user(self, user_id: str | None) -> Scope | None:
        named = identity(self._runtime.name, self._runtime.tenant, user_id=user_id).user_id
        return None if named is None else Scope.user(named, self._runtime.tenant)

    def _all(self, thread: Scope) -> Where:
        return Where("checkpoint", (thread,), test=_OF_THREADS)

    async def _places(self, thread_id: str | None, user: Scope | None) -> AsyncIterator[Where]:
        """Where to look: in a thread, behind a user, or behind one person after the other."""
        if thread_id is not None:
            thread = self._thread(thread_id)
            if await self._runtime.run(self._lives(thread)):
                yield self._all(thread)
        elif user is not None:
            yield Where("checkpoint", subject=user, test=_OF_THREADS)
        else:
            async for subject in self._subjects():
                yield Where("checkpoint", subject=subject, test=_OF_THREADS)

    async def _subjects(self) -> AsyncIterator[Scope]:
        page = await self._runtime.run(self._subjects_after(None))
        while page:
            for subject in page:
                if subject.tenant == self._runtime.tenant:
                    yield subject
            page = await self._runtime.run(self._subjects_after(page[-1]))

    async def _pages(self, where: Where, user: Scope | None, limit: int | None) -> AsyncIterator[Snapshot]:
        after: Sequence[Any] | None = None
        while limit is None or limit > 0:
            size = PAGE if limit is None else min(limit, PAGE)
            records, writes = await self._runtime.run(self._page(where, size, after))
            for record in records:
                _check(record, user)
                yield _snapshot(record, writes)
            if len(records) < size:
                return
            limit, after = None if limit is None else limit - size, place(records[-1], _NEWEST_FIRST)

    # Coroutines of our own: the store is open by the time that they run.
    async def _subjects_after(self, subject: Scope | None) -> builtins.list[Scope]:
        return await self._runtime.store.subjects(subject)

    async def _page(
        self, where: Where, size: int, after: Sequence[Any] | None
    ) -> tuple[builtins.list[Record], builtins.list[Record]]:
        """Some snapshots, and what was written after them."""
        store = self._runtime.store
        records = await store.scan(where, order=_NEWEST_FIRST, limit=size, after=after)
        if not records:
            return [], []
        wall = replace(where, test=_OF_THREADS)
        return records, await store.scan(wall.also(_WRITTEN, *_beside(records)))

    async def _lives(self, thread: Scope) -> bool:
        return await self._runtime.turns.lives(thread, self._runtime.now())

    async def _purge(self, where: Where) -> None:
        await self._runtime.store.purge(where)

    async def _put(self, thread: Scope, user: Scope | None, records: Iterable[Record]) -> None:
        who = Identity(user.id if user else None, thread.id, tenant=thread.tenant)
        if not await self._lives(thread):
            await self._purge(self._all(thread))
        async for attempt in again():
            with attempt:
                subject, claimed = await self._runtime.turns.claim(who, self._runtime.now())
                puts = [Put(replace(record, subject=subject)) for record in records]
                await self._runtime.store.apply([*claimed, *puts])

    async def _put_writes(self, thread: Scope, user: Scope | None, snapshot: Snapshot, task: TaskWrites) -> None:
        record = self._record(thread, snapshot)
        empty = replace(record, id=_id(thread, snapshot, task.task_id), version=0, fields=_written(record, task))
        who = Identity(user.id if user else None, thread.id, tenant=thread.tenant)
        async for attempt in again():
            with attempt:
                found = await self._runtime.store.scan(Where("checkpoint", (thread,), ids=(empty.id,)))
                subject, claimed = await self._runtime.turns.claim(who, self._runtime.now())
                moved = {write.record.id for write in claimed if isinstance(write, Put)}
                put = _joined(next(iter(found), empty), subject, task)
                await self._runtime.store.apply([*claimed, replace(put, expect=None) if empty.id in moved else put])

    async def _drop(self, where: Where, *tests: Condition) -> None:
        """Remove snapshots with what was written after them; of some at a time all or none."""
        order: Any = _NEWEST_FIRST
        while gone := await self._runtime.store.scan(where.also(_ALONE, *tests), order=order, limit=PAGE):
            wall = replace(where, test=_OF_THREADS)
            gone += await self._runtime.store.scan(wall.also(_WRITTEN, *_beside(gone)))
            await self._runtime.store.apply([Delete("checkpoint", record.id, record.scope) for record in gone])

    async def _copy(self, source: Scope, target: Scope) -> None:
        found = await self._runtime.store.scan(self._all(source))
        if not found:
            return
        subject = found[0].subject
        user = subject if subject.level is MemoryScope.USER else None
        await self._put(target, user, [_moved(record, target) for record in found])

    def _record(self, thread: Scope, snapshot: Snapshot) -> Record:
        fields = {
            "namespace": _path(snapshot.namespace),
            "key": snapshot.id,
            "step": snapshot.number,
            "created_at": self._runtime.now(),
            "parent": snapshot.parent,
            "state": snapshot.state,
            "labels": dict(snapshot.labels),
        }
        return Record("checkpoint", _id(thread, snapshot), thread, thread, 1, fields)


def _path(namespace: str) -> str:
    return f"{THREAD}/{namespace}"


def _id(thread: Scope, snapshot: Snapshot, *task: str) -> str:
    return digest("thread", thread.token, _path(snapshot.namespace), snapshot.id, *task)


def _tests(namespace: str | None, snapshot_id: str | None, before: tuple[int, str] | None) -> Iterable[Condition]:
    if namespace is not None:
        yield Compare("namespace", "eq", _path(namespace))
    if snapshot_id is not None:
        yield Compare("key", "eq", snapshot_id)
    if before is not None:
        yield Compare("step", "lte", before[0])
        yield Compare("key", "lt", before[1])


def _beside(records: Sequence[Record]) -> Iterable[Condition]:
    """Where what was written after these snapshots lies."""
    namespaces = {record.fields["namespace"] for record in records}
    yield Compare("namespace", "in", tuple(namespaces))
    yield Compare("step", "in", tuple({record.fields["step"] for record in records}))
    yield Compare("key", "in", tuple(record.fields["key"] for record in records))


def _check(record: Record, user: Scope | None) -> None:
    if user is not None and record.subject.level is MemoryScope.USER and record.subject != user:
        raise ScopeError(f"Thread {record.scope.id!r} belongs to another user. Use a thread_id of its own for each.")


def _written(snapshot: Record, task: TaskWrites) -> dict[str, Any]:
    named = {name: snapshot.fields[name] for name in ("namespace", "key", "step", "created_at")}
    return {**named, "task": task.task_id, "path": task.path, "writes": {}}


def _joined(record: Record, subject: Scope, task: TaskWrites) -> Put:
    """What a task has written, with what it writes now."""
    new = {str(number): value for number, value in task.writes.items()}
    writes = {**new, **{k: v for k, v in record.fields["writes"].items() if k not in new or int(k) >= 0}}
    fields = {**record.fields, "path": task.path, "writes": writes}
    return Put(replace(record, subject=subject, version=record.version + 1, fields=fields), expect=record.version)


def _moved(record: Record, thread: Scope) -> Record:
    """The same in another thread."""
    fields = record.fields
    task = () if fields.get("task") is None else (fields["task"],)
    new_id = digest("thread", thread.token, fields["namespace"], fields["key"], *task)
    return replace(record, id=new_id, scope=thread, version=1)


def _snapshot(record: Record, written: Iterable[Record]) -> Snapshot:
    fields = record.fields
    mine = [one for one in written if _stands_with(one, record)]
    return Snapshot(
        record.scope.id,
        fields["namespace"].removeprefix(f"{THREAD}/"),
        fields["key"],
        fields["step"],
        fields.get("parent"),
        fields.get("state"),
        fields.get("labels") or {},
        tuple(_task(one) for one in sorted(mine, key=lambda one: (one.fields["path"], one.fields["task"]))),
    )


def _stands_with(written: Record, snapshot: Record) -> bool:
    same = all(written.fields[name] == snapshot.fields[name] for name in ("namespace", "key"))
    return same and written.scope == snapshot.scope


def _task(record: Record) -> TaskWrites:
    writes = {int(number): value for number, value in record.fields["writes"].items()}
    return TaskWrites(record.fields["task"], record.fields["path"], dict(sorted(writes.items())))
