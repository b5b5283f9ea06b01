"""Who is talking in a call: from its arguments, a callable, the scope around it, or as it was fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ..errors import ScopeError
from .signatures import Arguments

Who = str | int | Callable[..., Any] | None

_ARGUMENTS = {"user_id": ("user_id",), "session_id": ("thread_id", "session_id"), "agent_id": ("agent_id",)}
_CONTEXTS = ("ctx", "context")


@dataclass(frozen=True, slots=True)
class People:
    """How a wrapper learns who is talking: each id fixed, or a callable that finds it in the call."""

    user_id: Who = None
    session_id: Who = None
    agent_id: Who = None

    def named(self, arguments: Arguments) -> dict[str, str | None]:
        """The ids that the call itself names. An empty one says that nobody is there, whatever the scope says."""
        given = arguments.named()
        return {name: self._named(name, arguments, given) for name in _ARGUMENTS}

    def fixed(self) -> dict[str, str | None]:
        """The ids to fall back on."""
        ways = {name: getattr(self, name) for name in _ARGUMENTS}
        return {name: None if callable(way) else as_id(way) for name, way in ways.items()}

    def _named(self, name: str, arguments: Arguments, given: Mapping[str, Any]) -> str | None:
        for argument in _ARGUMENTS[name]:
            if given.get(argument) is not None:
                return as_id(given[argument])
        way = getattr(self, name)
        found = arguments.ask(way) if callable(way) else None
        return as_id(_of_context(name, given) if found is None else found)


def as_id(given: object) -> str | None:
    """An id as text. Raises `ScopeError` for what can be none."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, int | UUID) and not isinstance(given, bool):
        return str(given)
    raise ScopeError(f"A {type(given).__name__} is no id. Pass a str or an int.")


def context_of(given: Mapping[str, Any], otherwise: object) -> Any:
    """The context argument of a call."""
    return next((given[name] for name in _CONTEXTS if given.get(name) is not None), otherwise)


def _of_context(name: str, given: Mapping[str, Any]) -> object:
    """The id that a context argument carries, as `ctx.user_id` or `ctx.user.id`."""
    holder = context_of(given, None)
    whole = getattr(holder, name, None)
    found = whole if whole is not None else getattr(getattr(holder, name.removesuffix("_id"), None), "id", None)
    return found if isinstance(found, str | int) else None
