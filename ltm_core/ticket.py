"""The promise that a turn will be learned."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Literal

from .model import FactUpdate, Message
from .runtime import Runtime
from .scope import Scope


class Ticket:
    """What `observe` gives: the turn is stored for good, and will be learned.

    `await ticket` (or `ticket.wait()` without a loop) learns it now and gives the updates. It raises `ExtractionError`
    if that failed; the turn stays queued all the same.

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
        return f"<Ticket {self.id or 'nothing new'} {self.status}>"

    def wait(self, timeout: float | None = None) -> list[FactUpdate]:
        """The same as `await ticket`, blocking. Raises `TimeoutError`."""
        return self._runtime.home.wait(self._learned(), timeout)

    @property
    def status(self) -> Literal["waiting", "done"]:
        """`done` once this process has learned it. What other processes did, `memory.jobs.show(ticket.id)` tells."""
        return "waiting" if self.id is not None and self._runtime.outcome(self.id) is None else "done"

    @property
    def updates(self) -> list[FactUpdate]:
        """What learning it did; empty while it waits."""
        return list(self._runtime.outcome(self.id) or ()) if self.id is not None else []

    async def _learned(self) -> list[FactUpdate]:
        if self.id is None:
            return []
        if self._runtime.outcome(self.id) is None:
            job = await self._runtime.teach(self._runtime.worker.finish(self._subject, self.id))
            if self._runtime.outcome(self.id) is None:
                return await self._runtime.run(self._runtime.learning.updates_of(job))
        return self.updates
