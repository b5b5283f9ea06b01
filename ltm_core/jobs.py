"""The queue of turns that wait to be learned, for people to look at."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from dataclasses import replace

from .errors import NotFound
from .journeys.undoing import Undoing
from .learn.turns import DEAD, WAITING
from .model import JobInfo
from .records import message_of
from .reports import Undone
from .runtime import Runtime
from .scope import Scope
from .stores.again import again
from .stores.base import Compare, Delete, Put, Record, Where
from .stores.everybody import everybody


class Jobs:
    """What was told and is learned, waits, or could not be learned (`dead`, kept until you retry or drop it)."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._undoing = Undoing(runtime.store, runtime.summaries, runtime.now)

    async def list(
        self, status: str | None = None, user_id: str | None = None, limit: int = 100
    ) -> builtins.list[JobInfo]:
        """Jobs of one user or, for operators, of everybody, oldest first and without their messages."""
        return await self._runtime.run(self._list(status, user_id, limit))

    async def show(self, job_id: str) -> JobInfo:
        """One job with the messages it is about. Raises `NotFound`."""
        return await self._runtime.run(self._show(job_id))

    async def retry(self, job_id: str) -> JobInfo:
        """Let a job be tried again now, with all its attempts."""
        info = await self._runtime.run(self._retry(job_id))
        self._runtime.wake()
        return info

    async def drop(self, job_id: str) -> None:
        """Give a job up: its messages stay, nothing is learned from them."""
        await self._runtime.run(self._drop(job_id))

    async def undo(self, job_id: str) -> Undone:
        """Take back what a job wrote, by new versions of its facts, all at once; the history stays.

        What it added is deleted; what it changed or deleted is again as in the version before. A fact that was changed
        since is left alone and named in the report. A second undo looks at these once more, and changes nothing else.
        Summaries that may tell it are made anew; links that maintenance added stay. The turn counts as learned: sent
        again, it is not learned again.

        Raises `NotFound`, `UsageError` for a job that is not done or made a summary.
        """
        undone = await self._runtime.run(self._undo(job_id))
        self._runtime.wake()
        return undone

    async def _list(self, status: str | None, user_id: str | None, limit: int) -> builtins.list[JobInfo]:
        found: builtins.list[Record] = []
        async for subject in self._subjects(user_id):
            tests = [Compare("status", "eq", status)] if status is not None else []
            where = Where("job", subject=subject).also(*tests)
            found += await self._runtime.store.scan(where, order=[("created_at", "asc")], limit=limit)
            found = sorted(found, key=lambda job: (job.fields["created_at"], job.fields["number"]))[:limit]
        return [_info(job) for job in found]

    async def _subjects(self, user_id: str | None) -> AsyncIterator[Scope]:
        if user_id is not None:
            yield Scope.user(user_id, self._runtime.tenant)
            return
        async for subject in everybody(self._runtime.store):
            if subject.tenant == self._runtime.tenant:
                yield subject

    async def _find(self, job_id: str) -> Record:
        found = await self._runtime.worker.find(job_id)
        if found is None or found.scope.tenant != self._runtime.tenant:
            raise NotFound(f"There is no job {job_id!r}. List them with memory.jobs.list() or `ltm jobs`.")
        return found

    async def _show(self, job_id: str) -> JobInfo:
        job = await self._find(job_id)
        said = Where("message", (job.scope,), ids=tuple(job.fields["message_ids"]))
        messages = await self._runtime.store.scan(said, order=[("number", "asc")])
        return _info(job).model_copy(update={"messages": [message_of(message) for message in messages]})

    async def _retry(self, job_id: str) -> JobInfo:
        job = await self._find(job_id)
        if job.fields["status"] not in (WAITING, DEAD):
            return _info(job)
        fields = {**job.fields, "status": WAITING, "attempts": 0, "run_at": self._runtime.now(), "error": None}
        fields |= {"claims": 0, "held": None}
        anew = replace(job, fields=fields, version=job.version + 1)
        await self._runtime.store.apply([Put(anew, expect=job.version)])
        return _info(anew)

    async def _drop(self, job_id: str) -> None:
        job = await self._find(job_id)
        await self._runtime.store.apply([Delete("job", job.id, job.scope)])

    async def _undo(self, job_id: str) -> Undone:
        async for attempt in again():
            with attempt:
                undone = await self._undoing.undo(await self._find(job_id))
        return undone


def _info(job: Record) -> JobInfo:
    known = {name: value for name, value in job.fields.items() if name in JobInfo.model_fields and value is not None}
    return JobInfo.model_validate({**known, "id": job.id, "subject": job.subject.name})
