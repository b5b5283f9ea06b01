"""A call as a durable run: which run it is, whose, and where the callable finds it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..checkpoints import Begun, Checkpoints
from ..checkpoints.runs import AsyncRun, Journal, Run, new_run_id
from ..home import Home
from ..scope import Identity
from .people import Who, as_id
from .signatures import Arguments, Parameters

RUN, RUN_ID = "run", "run_id"


@dataclass(frozen=True, slots=True)
class Durable:
    """Where runs are kept, and how a call that names none gets its id."""

    checkpoints: Checkpoints
    home: Home
    run_id: Who = None

    def id_of(self, arguments: Arguments) -> str:
        """Which run a call is."""
        named = as_id(arguments.named().get(RUN_ID))
        if named:
            return named
        found = arguments.ask(self.run_id) if callable(self.run_id) else self.run_id
        return as_id(found) or new_run_id()


class Started:
    """The run of one call, from the moment that its id is known."""

    def __init__(self, durable: Durable, arguments: Arguments, parameters: Parameters, who: Identity) -> None:
        self.id = durable.id_of(arguments)
        self._durable = durable
        self._arguments = arguments
        self._parameters = parameters
        self._user_id = who.user_id
        self._run: Run | AsyncRun | None = None

    async def begin(self) -> None:
        """Take the run up. Raises `ScopeError` where it is another user's."""
        begun = await self._durable.checkpoints.begin(self.id, self._user_id)
        self._hand_over(AsyncRun(self._journal(begun)))

    def begin_now(self) -> None:
        """The same as `begin`, blocking."""
        begun = self._durable.home.wait(self._durable.checkpoints.begin(self.id, self._user_id))
        self._hand_over(Run(self._journal(begun), self._durable.home))

    def inside(self, inner: AbstractContextManager[None]) -> AbstractContextManager[None]:
        """The block in which the callable runs."""
        return inner if self._run is None else self._run.going_on(inner)

    def _journal(self, begun: Begun) -> Journal:
        return Journal(self._durable.checkpoints, begun)

    def _hand_over(self, run: Run | AsyncRun) -> None:
        self._run = run
        given: dict[str, Any] = {RUN: run, RUN_ID: run.id}
        for name in self._parameters.names & given.keys():
            place = self._arguments.place(name)
            if place is None or not self._arguments.at(place):
                self._arguments.put_named(name, given[name])
