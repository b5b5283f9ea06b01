"""Durable runs: a step that was finished once is not done again, whoever takes the run up."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast, overload
from uuid import uuid4

from ..errors import InvalidInput, UsageError
from ..home import Home
from ..model import valid_json
from .steps import Begun, Checkpoints

P = ParamSpec("P")
R = TypeVar("R")

_CURRENT: ContextVar[_Run | None] = ContextVar("ltm_run", default=None)


@dataclass(slots=True)
class Journal:
    """What a run has done: the results of its steps, by their place in the order of the calls."""

    checkpoints: Checkpoints
    begun: Begun
    done: dict[int, dict[str, Any]] = field(init=False)
    places: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.done = {checkpoint.step: checkpoint.state for checkpoint in self.begun.checkpoints}
        strange = next((step for step, state in self.done.items() if not _is_step(state)), None)
        if strange is not None:
            raise InvalidInput(
                f"Step {strange} of run {self.begun.run_id!r} was saved by checkpoints.save, not by a durable run. "
                "Use a run_id of its own, or delete that run first."
            )

    def place(self, name: str) -> int:
        """The place of the step that is called now. Raises `UsageError` where another one stood there before."""
        number = next(self.places)
        before = self.done.get(number, {"step": name})["step"]
        if before != name:
            raise UsageError(
                f"Step {number} of run {self.begun.run_id!r} was {before!r} when it was done and is {name!r} now. Do "
                "what depends on time, chance or the world inside of a step, so that a run takes the same steps again; "
                "after a change of the code, begin a new run."
            )
        return number

    async def keep(self, number: int, name: str, result: Any) -> Any:
        """Save what a step gave, and give it as the next attempt will get it."""
        await self.checkpoints.save_step(self.begun, number, {"step": name, "result": result})
        return result

    def as_data(self, number: int, name: str, result: Any) -> Any:
        """The result of a step as JSON data. Raises `InvalidInput` for what is none."""
        try:
            return valid_json(result)
        except InvalidInput as error:
            raise InvalidInput(f"Step {number}, {name!r}, cannot be kept. {error}") from error


class _Run:
    """What both kinds of run have in common."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def id(self) -> str:
        """By which the run can be taken up again: pass it as `run_id`."""
        return self._journal.begun.run_id

    @property
    def user_id(self) -> str | None:
        """Whom the run is about."""
        return self._journal.begun.user_id

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier attempt has finished a step."""
        return bool(self._journal.done)

    @classmethod
    def current(cls) -> Self:
        """The run that is going on around the call. Raises `UsageError` where there is none of this kind."""
        run = _CURRENT.get()
        if run is None:
            raise UsageError("No durable run is going on here. Call this inside of a function with durable=True.")
        if not isinstance(run, cls):
            other = "AsyncRun" if isinstance(run, AsyncRun) else "Run"
            raise UsageError(f"The run that is going on here is of the kind {other}. Call {other}.current().")
        return run

    def going_on(self, inner: AbstractContextManager[None]) -> AbstractContextManager[None]:
        """A block in which this is the current run, around another one."""
        return _GoingOn(self, inner)


class Run(_Run):
    """A durable run of a function without await. Its steps are called one after the other, on one thread."""

    def __init__(self, journal: Journal, home: Home) -> None:
        super().__init__(journal)
        self._home = home

    def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` and keep what it gives, or give what an earlier attempt has kept.

        What comes back is JSON data, at the first time too. A step that raises is not kept. One that was going on when
        the process died is called again: at least once, and once kept never again.

        Raises `UsageError` where the run took another step here before, `InvalidInput` for a result that is no JSON
        data, `ConflictError` once somebody else has taken the run up.
        """
        number = self._journal.place(name)
        if number in self._journal.done:
            return cast("R", self._journal.done[number]["result"])
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            _discard(result)
            raise UsageError(f"Step {name!r} is async. Make the durable function async, and await run.step(…).")
        data = self._journal.as_data(number, name, result)
        return cast("R", self._home.wait(self._journal.keep(number, name, data)))


class AsyncRun(_Run):
    """A durable run of an async function. Steps may go on side by side; their order is that of the calls."""

    @overload
    def step(
        self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]: ...
    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """The same as `Run.step`, awaited; `function` may be async or not."""
        # The place is taken here and not when it is awaited: tasks may begin in any order.
        return self._step(self._journal.place(name), name, function, args, kwargs)

    async def _step(
        self, number: int, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if number in self._journal.done:
            return self._journal.done[number]["result"]
        result = function(*args, **kwargs)
        data = self._journal.as_data(number, name, await result if inspect.isawaitable(result) else result)
        return await self._journal.keep(number, name, data)


class _GoingOn:
    """The time in which a run goes on, for the current context."""

    __slots__ = ("_inner", "_run", "_token")

    def __init__(self, run: _Run, inner: AbstractContextManager[None]) -> None:
        self._run = run
        self._inner = inner

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._run)
        self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)
        _CURRENT.reset(self._token)
        if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
            error.add_note(f"This run can be taken up where it stopped: call again with run_id={self._run.id!r}.")


def new_run_id() -> str:
    """An id that no run has."""
    return uuid4().hex


def _is_step(state: Any) -> bool:
    return isinstance(state, dict) and state.keys() == {"step", "result"}


def _discard(result: Any) -> None:
    """Let go of a coroutine that nobody will await."""
    if inspect.iscoroutine(result):
        result.close()
