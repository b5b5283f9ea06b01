"""Who is talking in a run: the one resolver that every slot asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.runtime import Runtime, get_runtime

from ltm_core import ScopeError

Who = str | int | UUID | Callable[[Any, RunnableConfig], Any] | None
"""An id, or a callable that finds it in the runtime and the config of a run."""

_CONFIGURED = {
    "user_id": ("langgraph_user_id", "langgraph_auth_user_id"),
    "session_id": ("thread_id",),
    "agent_id": (),
}


class Ids(TypedDict):
    """Who is talking, as the verbs of a memory take it."""

    user_id: str | None
    session_id: str | None
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class People:
    """How a slot learns who is talking.

    The first that is there counts: what is given here, the user that the server has authenticated, `runtime.context`,
    `config["configurable"]`. An empty id means that nobody is there. A thread alone is nobody: without a user there
    is no memory, unless a session is given here.
    """

    user_id: Who = None
    session_id: Who = None
    agent_id: Who = None
    user_id_key: str = "user_id"

    def find(self, runtime: Runtime[Any] | None = None, config: RunnableConfig | None = None) -> Ids:
        """Who is talking in this run, or in the one around the call. Raises `ScopeError` for what can be no id."""
        config = _config() if config is None else config
        runtime = _runtime() if runtime is None else runtime
        user = self._found("user_id", self.user_id_key, runtime, config)
        session = self._found("session_id", "session_id", runtime, config)
        anonymous = self.session_id is None and not (user and user.strip())
        return Ids(
            user_id=user,
            session_id=user if anonymous else session,
            agent_id=self._found("agent_id", "agent_id", runtime, config),
        )

    def _found(self, what: str, key: str, runtime: Runtime[Any] | None, config: RunnableConfig) -> str | None:
        places = self._places(what, key, runtime, config)
        return as_id(next((found for found in places if found is not None), None))

    def _places(self, what: str, key: str, runtime: Runtime[Any] | None, config: RunnableConfig) -> Iterator[Any]:
        given = getattr(self, what)
        yield given(runtime, config) if callable(given) else given
        if what == "user_id":
            yield _authenticated(runtime)
        yield _get(getattr(runtime, "context", None), key)
        configured = config.get("configurable") or {}
        for name in (key, *_CONFIGURED[what]):
            yield configured.get(name)


def as_id(given: object) -> str | None:
    """An id as text. Raises `ScopeError` for what can be none."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, int | UUID) and not isinstance(given, bool):
        return str(given)
    raise ScopeError(f"A {type(given).__name__} is no id. Pass a str or an int.")


def _authenticated(runtime: Runtime[Any] | None) -> Any:
    user = getattr(getattr(runtime, "server_info", None), "user", None)
    return getattr(user, "identity", None)


def _get(context: Any, key: str) -> Any:
    return context.get(key) if isinstance(context, Mapping) else getattr(context, key, None)


def _config() -> RunnableConfig:
    try:
        return get_config()
    except RuntimeError:  # not inside of any run
        return {}


def _runtime() -> Runtime[Any] | None:
    try:
        return get_runtime()
    except (RuntimeError, KeyError):
        return None
