"""A store that tries again when its database cannot be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ...errors import ConflictError, StoreUnavailable
from ...scope import Scope
from ..base import Delete, Record, Store, Where, Write
from .base import Wrapper

R = TypeVar("R")


class Retrying(Wrapper):
    """Tries a call again that ended in `StoreUnavailable`, after growing random pauses; the last error is raised.

    Writes are tried again too, although the one that failed may have been done and only its acknowledgement lost:

    - Without `expect` a second try does the same once more.
    - With `expect` a second try that was done already conflicts with itself. So after a lost acknowledgement a
      `ConflictError` is looked into: where a record stands exactly as it was to be written, and none speaks against it,
      the first try was done and the call succeeds. Where only other writers' records can be seen, or where the
      writes only delete, nobody can tell, and the `ConflictError` is raised: read again, as after any conflict.
    - `purge` counts what the last try removed.

    Args:
        tries: Most calls in all.
        pause: Seconds of the first pause, at most; each further one may be twice as long.
        longest: Most seconds of one pause.
    """

    def __init__(self, inner: Store, *, tries: int = 4, pause: float = 0.1, longest: float = 2.0) -> None:
        super().__init__(inner)
        self._tries = tries
        self._wait = wait_random_exponential(multiplier=pause, max=longest)

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none."""
        async for attempt in self._attempts():
            with attempt:
                await self._apply(writes, again=attempt.retry_state.attempt_number > 1)

    async def close(self) -> None:
        """Close the wrapped store, at the first try or not."""
        await self.inner.close()

    async def _apply(self, writes: Sequence[Write], *, again: bool) -> None:
        try:
            await self.inner.apply(writes)
        except ConflictError:
            if not again or not await self._was_done(writes):
                raise

    async def _was_done(self, writes: Sequence[Write]) -> bool:
        """Whether what is stored shows that an earlier try did these writes, all in one."""
        last = {_place(write): write for write in writes}
        signs = [await self._sign(write) for write in last.values()]
        return True in signs and False not in signs

    async def _sign(self, write: Write) -> bool | None:
        """What one record says: True for done, False for not done, None where others have written since."""
        kind, record_id, scope = _place(write)
        found = await self.inner.scan(Where(kind, (scope,), ids=(record_id,)))
        return _verdict(write, next(iter(found), None))

    async def _through(self, verb: str, kind: str | None, call: Callable[[], Awaitable[R]]) -> R:
        async for attempt in self._attempts():
            with attempt:
                return await call()
        raise AssertionError("unreachable")

    def _attempts(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            stop=stop_after_attempt(self._tries),
            wait=self._wait,
            reraise=True,
        )


def _place(write: Write) -> tuple[str, str, Scope]:
    if isinstance(write, Delete):
        return write.kind, write.id, write.scope
    return write.record.kind, write.record.id, write.record.scope


def _verdict(write: Write, stored: Record | None) -> bool | None:
    if stored is None:
        return None
    if isinstance(write, Delete):
        return False if stored.version == write.expect else None
    if stored.version > write.record.version:
        return None
    return stored == write.record
