"""How many turns may wait to be learned: who writes one more is refused, or waits until there is room."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from ..errors import QueueFull
from ..scope import Scope
from ..stores.base import Compare, Store, Where

USER_MOST, MOST = 10_000, 100_000
LATEST = datetime.max.replace(tzinfo=UTC)
ALL = ""
PEOPLE = 10_000  # of whom is remembered how much room they have
PAUSE = 0.05  # seconds between two looks for room


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many turns may wait, of one person and in all (None for no bound), and for how many seconds one waits."""

    user: int | None = USER_MOST
    total: int | None = MOST
    patience: float = 0.0


class Room:
    """Counts what waits only now and then, so that a turn costs nothing more. All calls come from the home loop.

    After each count some turns are let in without another one: fewer, the nearer the bound is. A process alone never
    exceeds a bound; several at once may by what they let in between two counts, an eighth of it each at most.
    """

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self.forget()

    def forget(self) -> None:
        """In a forked child: what is under way is the parent's."""
        self._left: OrderedDict[str, int] = OrderedDict()
        self._entering: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def entered(self, subject: Scope) -> AsyncIterator[None]:
        """A block in which one turn of `subject` is written. Raises `QueueFull` if there is no room in time."""
        taken: list[str] = []  # the places that the turn takes until it is written
        try:
            await self._enter(subject, taken)
            yield
        finally:
            self._leave(taken)

    async def _enter(self, subject: Scope, taken: list[str]) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._bounds.patience
        while (full := await self._take(subject, taken)) is not None:
            self._leave(taken)
            if loop.time() >= latest:
                raise QueueFull(
                    f"{full} This turn was not stored: send it again later, let more workers learn, or see `ltm jobs`."
                )
            await asyncio.sleep(PAUSE)

    async def _take(self, subject: Scope, taken: list[str]) -> str | None:
        """Take the places for one more turn; why there are not enough, if so."""
        user, total = self._bounds.user, self._bounds.total
        if user is not None:
            if not await self._has(subject.token, user, lambda: self._of(subject)):
                return f"As many turns of {subject.name} wait to be learned as user_max_waiting={user} lets."
            taken.append(subject.token)
        if total is not None:
            if not await self._has(ALL, total, lambda: self._of_all(total)):
                return f"As many turns wait to be learned as max_waiting={total} lets."
            taken.append(ALL)
        return None

    async def _has(self, whose: str, most: int, counted: Callable[[], Awaitable[int]]) -> bool:
        """Whether one more may be let in, which takes its place; counts anew where that is not known."""
        lock = self._locks.setdefault(whose, asyncio.Lock())
        async with lock:
            left = self._left.pop(whose, most // 8)
            if left <= 0:
                free = await self._free(whose, most, counted)
                left = max(free // 8, min(free, 1))
            self._left[whose] = left - 1
        while len(self._left) > PEOPLE:
            self._left.popitem(last=False)
        if left > 0:
            self._entering[whose] += 1
        return left > 0

    async def _free(self, whose: str, most: int, counted: Callable[[], Awaitable[int]]) -> int:
        """How many more may be let in. Nobody is meanwhile, so those who are being written come to an end."""
        while True:
            written = self._entering[whose]
            waiting = await counted()
            free = most - waiting - written
            # Who came to an end during the count may or may not be in it.
            if waiting >= most or (self._entering[whose] == written and (free > 0 or not written)):
                return free
            await asyncio.sleep(0.001)

    def _leave(self, places: list[str]) -> None:
        self._entering.subtract(places)
        self._entering += Counter()  # drops what is zero
        places.clear()

    async def _of(self, subject: Scope) -> int:
        return await self._store.count(Where("job", subject=subject, test=Compare("status", "eq", "waiting")))

    async def _of_all(self, most: int) -> int:
        return len(await self._store.due("job", LATEST, most))
