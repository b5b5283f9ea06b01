"""What a callable is and how it takes its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

Kind = Literal["function", "coroutine", "generator", "async generator"]

IDS = ("user_id", "thread_id", "session_id", "agent_id")

_TESTS: tuple[tuple[Kind, Callable[[object], bool]], ...] = (
    ("async generator", inspect.isasyncgenfunction),
    ("coroutine", inspect.iscoroutinefunction),
    ("generator", inspect.isgeneratorfunction),
)


def kind_of(function: Callable[..., Any]) -> Kind:
    """What calling `function` gives, as far as that can be seen; partials and callable objects are looked through."""
    inner = _inner(function)
    seen = (inner, type(inner).__call__)
    for kind, test in _TESTS:
        if any(map(test, seen)):
            return kind
    return "function"


def _inner(function: Callable[..., Any]) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


class Parameters:
    """The parameters of a callable; unknown for some that are not written in Python."""

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            found = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            found = []
            self._known = False
        else:
            self._known = True
        by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.places = [one.name for one in found if one.kind in by_place]
        self.names = {one.name for one in found if one.kind in by_name}
        self.defaults = {one.name: one.default for one in found if one.default is not inspect.Parameter.empty}
        kinds = {one.kind for one in found}
        self.open = not self._known or inspect.Parameter.VAR_KEYWORD in kinds
        placed = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY}
        self.by_place = not self._known or bool(kinds & placed)

    def take(self, name: str) -> bool:
        """Whether the callable can be given `name=`."""
        return self.open or name in self.names


Place = int | str


class Arguments:
    """The arguments of one call, by place and by name. Changes are made here and never in what the caller holds."""

    def __init__(
        self, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any], ours: tuple[str, ...] = IDS
    ) -> None:
        self.args = args
        self.kwargs = kwargs
        self.extra: dict[str, Any] = {}
        self._parameters = parameters
        for name in ours:
            if name in kwargs and not parameters.take(name):
                self.extra[name] = kwargs.pop(name)

    def place(self, name: str) -> Place | None:
        """Where the argument `name` stands in this call; None where it was not passed."""
        if name in self.kwargs:
            return name
        places = self._parameters.places
        return places.index(name) if name in places[: len(self.args)] else None

    def places(self) -> Iterator[tuple[Place, str, Any]]:
        """All that was passed: where, under which name, what."""
        names = self._parameters.places
        for place, value in enumerate(self.args):
            yield place, names[place] if place < len(names) else "", value
        for name, value in self.kwargs.items():
            yield name, name, value

    def at(self, place: Place) -> Any:
        """What was passed there."""
        return self.args[place] if isinstance(place, int) else self.kwargs[place]

    def put(self, place: Place, value: Any) -> None:
        """Pass something else there."""
        if isinstance(place, int):
            self.args = (*self.args[:place], value, *self.args[place + 1 :])
        else:
            self.kwargs = {**self.kwargs, place: value}

    def named(self) -> Mapping[str, Any]:
        """All arguments by name, defaults and ids that only the memory takes included."""
        passed = {name: value for _, name, value in self.places() if name}
        return {**self._parameters.defaults, **self.extra, **passed}

    def ask(self, question: Callable[..., Any]) -> Any:
        """Call `question` with those of the arguments that it names, or with all where it names none of them."""
        asked, named = Parameters(question), self.named()
        if asked.by_place or not all(name in named or name in asked.defaults for name in asked.names):
            return question(*self.args, **self.kwargs)
        return question(**{name: value for name, value in named.items() if asked.take(name)})

    def put_named(self, name: str, value: Any) -> None:
        """Pass `value` for the parameter `name`, whether or not it was passed before."""
        place = self.place(name)
        self.put(name if place is None else place, value)
