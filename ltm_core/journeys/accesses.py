"""The log of accesses: noted in memory as facts are given, written in batches in the background. Lossy by choice."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from ..assemble import AccessLogging
from ..errors import StoreUnavailable
from ..home import Home
from ..model import Access, Fact, How
from ..policies import Policies
from ..scope import Identity, Scope
from ..stores.base import Store
from .counting import count

SECONDS = 5.0  # until what was noted is written
MANY = 1_000  # accesses that are not waited with
MOST = 10_000  # accesses that wait; more are dropped
AT_ONCE = 200  # accesses to a transaction
ASKERS = 10_000  # recalls of which is known whose they were
QUERY_CHARS = 500
NOTED_CHARS = 10 * QUERY_CHARS  # of a query until it is redacted, since what is redacted gets shorter

log = logging.getLogger("ltm_core")


@dataclass(frozen=True, slots=True)
class Given:
    """Facts that were given at once: their ids, their owners and how each was found."""

    recall_id: str
    facts: Sequence[tuple[str, Scope, How]]
    who: Identity
    at: datetime
    query: str = ""

    def accesses(self) -> Iterator[tuple[Access, Scope]]:
        """One for each fact, with the owner of the fact."""
        for fact_id, owner, how in self.facts:
            access = Access(
                fact_id=fact_id,
                recall_id=self.recall_id,
                how=how,
                at=self.at,
                query=self.query,
                user_id=self.who.user_id,
                session_id=self.who.session_id,
                agent_id=self.who.agent_id,
            )
            yield access, owner


class AccessLog:
    """Notes who was given which facts. Noting costs a recall no call of the database, and no failure of its own.

    What was noted is written some seconds later, or when it is much, on the learning loop; what a process has not
    written when it dies is lost. Where more is noted than can be written, the newest is dropped. All that is noted is
    held by the home loop.
    """

    def __init__(self, store: Store, policies: Policies, home: Home, school: Home, options: AccessLogging) -> None:
        self._store = store
        self._policies = policies
        self._home = home
        self._school = school
        self.is_on = options.is_on
        self.dropped = 0  # accesses that were not written, and never will be
        self._complaints: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """In a forked child: what was noted is the parent's to write."""
        self._waiting: list[Given] = []
        self._size = 0
        self._askers: OrderedDict[str, Identity] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._writing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many accesses wait to be written."""
        return self._size

    def note(
        self, facts: Sequence[Fact], who: Identity, how: How, query: str = "", recall_id: str | None = None
    ) -> None:
        """Keep in mind that `facts` were given, to be written later. Never raises. On the home loop."""
        if not self.is_on or not facts:
            return
        try:
            found = [(fact.id, fact.owner, "link" if "link" in fact.parts else how) for fact in facts]
            now = self._policies.clock()
            self._note(Given(recall_id or uuid4().hex, found, who, now, query[:NOTED_CHARS]))
        except Exception as error:
            self._lose(len(facts), error)

    def asker(self, recall_id: str) -> Identity | None:
        """Whose recall that was, if this process did it lately."""
        return self._askers.get(recall_id)

    async def write(self) -> None:
        """Write what was noted until now; returns when that is stored or given up. Never raises. From any loop.

        Who waits no longer does not stop it.
        """
        if self.is_on:
            await asyncio.shield(asyncio.ensure_future(self._school.run(self._write())))

    def _note(self, given: Given) -> None:
        self._askers[given.recall_id] = given.who
        while len(self._askers) > ASKERS:
            self._askers.popitem(last=False)
        self._keep(given)
        if self._size >= MANY:
            self._begin()
        elif self._timer is None:
            self._wait()

    def _wait(self) -> None:
        # In an empty context: what is written is nobody's turn.
        self._timer = asyncio.get_running_loop().call_later(SECONDS, self._begin, context=Context())

    def _begin(self) -> None:
        if not self._begun:
            Context().run(self._school.submit, self._write())
            self._begun = True

    async def _write(self) -> None:
        async with self._writing:
            for some in _batches(await self._home.run(self._take())):
                accesses = [access for given in some for access in self._redacted(given).accesses()]
                await self._home.run(self._stored(some, accesses))

    async def _take(self) -> list[Given]:
        if self._timer is not None:
            self._timer.cancel()
        given, self._waiting = self._waiting, []
        self._size, self._timer, self._begun = 0, None, False
        return given

    async def _stored(self, given: Sequence[Given], accesses: Sequence[tuple[Access, Scope]]) -> None:
        try:
            await count(self._store, accesses)
        except StoreUnavailable:
            self._put_back(given)
        except Exception as error:
            self._lose(len(accesses), error)

    def _put_back(self, given: Sequence[Given]) -> None:
        """Try again later, as far as there is room, what cannot be written now."""
        for one in given:
            self._keep(one)
        if self._waiting and self._timer is None:
            self._wait()

    def _keep(self, given: Given) -> None:
        if self._size + len(given.facts) > MOST:
            self._lose(len(given.facts))
        else:
            self._waiting.append(given)
            self._size += len(given.facts)

    def _redacted(self, given: Given) -> Given:
        redact = self._policies.redact
        try:
            query = redact(given.query) if redact is not None and given.query else given.query
        except Exception as error:
            # What the error says may be what was to be redacted.
            name = type(error).__name__
            self._complain(f"A query could not be redacted ({name}) and is left out of the log. Correct redact=.")
            query = ""
        return replace(given, query=query[:QUERY_CHARS])

    def _lose(self, many: int, error: Exception | None = None) -> None:
        self.dropped += many
        self._complain(
            "Accesses to facts could not be logged; recall goes on without, and what is dropped is only counted from "
            "now on. Look at the database, or pass log_access=False.",
            error,
        )

    def _complain(self, what: str, error: Exception | None = None) -> None:
        if what not in self._complaints:
            self._complaints.add(what)
            log.warning(what, exc_info=error)


def _batches(given: Iterable[Given]) -> Iterator[list[Given]]:
    """All of them, a bounded number of accesses at a time."""
    some: list[Given] = []
    size = 0
    for one in (part for each in given for part in _parts(each)):
        if size + len(one.facts) > AT_ONCE:
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one.facts)
    if some:
        yield some


def _parts(given: Given) -> Iterator[Given]:
    return (replace(given, facts=given.facts[start : start + AT_ONCE]) for start in range(0, len(given.facts), AT_ONCE))
