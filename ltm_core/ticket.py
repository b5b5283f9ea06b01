"""The promise that a turn will be learned."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Literal, cast

from .model import FactUpdate, Message
from .runtime import Runtime
from .scope import Scope

_Status = Literal["waiting", "done", "dead"]


class Ticket:
    """What `observe` gives: the turn is stored for good, and will be learned.

    `await ticket` (or `ticket.wait()` without a loop) learns it now and gives the updates. It raises `ExtractionError`
    if that failed; the turn stays queued all the same, or is a dead letter after its last try.

    Attributes:
        id: Id of the job, as in `memory.jobs`; None where nothing of what was sent was new.
        messages: The messages that were new, as stored.
    """

    def __init__(self, runtime: Runtime, subject: Scope, job_id: str | None, messages: Sequence[Message]) -> None:
        self._runtime = runtime
        self._subject = subject
        self.id = job_id
        self.messages = list(messages)

    def __await__(self) -> Generator[Any, None, list[FactUpdate]]:
        return self._learned().__await__()

    def __repr__(self) -> str:
        return f"<Ticket {self.id or 'nothing new'}{' done' if self._is_settled else ''}>"

    def wait(self, timeout: float | None = None) -> list[FactUpdate]:
        """The same as `await ticket`, blocking. Raises `TimeoutError`."""
        return self._runtime.home.wait(self._learned(), timeout)

    @property
    def status(self) -> _Status:
        """Whether it is learned, whichever process did it; `dead` where that failed for good, see `memory.jobs`.

        `done` too where nothing is left to learn: it was dropped, or erased. Unless this process learned it, the
        database is read, which blocks as long as one look takes; `await memory.jobs.show(ticket.id)` does not. Raises
        `UsageError` after `close`.
        """
        return "done" if self._is_settled else self._runtime.home.wait(self._runtime.run(self._stored_status()))

    @property
    def updates(self) -> list[FactUpdate]:
        """What learning it did, if this process learned it lately; else empty, and `await ticket` tells."""
        return list(self._runtime.outcome(self.id) or ()) if self.id is not None else []

    @property
    def _is_settled(self) -> bool:
        return self.id is None or self._runtime.outcome(self.id) is not None

    async def _stored_status(self) -> _Status:
        job = await self._runtime.worker.find(self.id or "")
        return cast("_Status", job.fields["status"]) if job is not None else "done"

    async def _learned(self) -> list[FactUpdate]:
        if self.id is None:
            return []
        if self._runtime.outcome(self.id) is None:
            job = await self._runtime.teach(self._runtime.worker.finish(self._subject, self.id))
            if self._runtime.outcome(self.id) is None:
                return await self._runtime.run(self._runtime.learning.updates_of(job))
        return self.updates
