"""A store that tells how long each call took."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from ..base import Store, Write
from .base import Wrapper, kind_of

R = TypeVar("R")

log = logging.getLogger("ltm_core")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a store: what was done and how long it took, never whose records or what they say.

    Attributes:
        kind: The kind of record; None for several kinds or none.
        records: How many records were given, written, removed or counted; 0 where it failed.
        error: The name of the exception that it ended in; None for none.
    """

    verb: str
    kind: str | None
    seconds: float
    records: int
    error: str | None = None


class Observed(Wrapper):
    """Gives a `Call` to `on_call` for every verb, those that fail or are cancelled too.

    `on_call` runs on the memory's loop: it should be quick, such as adding to a histogram. If it raises, that is logged
    once and the call of the store goes on.
    """

    def __init__(
        self, inner: Store, on_call: Callable[[Call], object], *, clock: Callable[[], float] = perf_counter
    ) -> None:
        super().__init__(inner)
        self._on_call = on_call
        self._clock = clock
        self._complained = False

    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none."""

        async def written() -> int:
            await self.inner.apply(writes)
            return len(writes)

        await self._through("apply", kind_of(writes), written)

    async def _through(self, verb: str, kind: str | None, call: Callable[[], Awaitable[R]]) -> R:
        began = self._clock()
        try:
            result = await call()
        except BaseException as error:
            self._tell(Call(verb, kind, self._clock() - began, 0, type(error).__name__))
            raise
        self._tell(Call(verb, kind, self._clock() - began, _size(result)))
        return result

    def _tell(self, call: Call) -> None:
        try:
            self._on_call(call)
        except Exception:
            if not self._complained:
                log.exception("on_call failed and is called all the same, without further complaint. Correct it.")
            self._complained = True


def _size(result: object) -> int:
    if isinstance(result, list):
        return len(result)
    return result if isinstance(result, int) else 0
