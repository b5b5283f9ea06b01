"""The options that all commands share: which memory is meant, and whose."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypedDict

import typer

from .. import InvalidInput, Memory, MemoryScope

P = ParamSpec("P")

_IDS = {
    MemoryScope.USER: ("user", "LTM_USER"),
    MemoryScope.SESSION: ("session", "LTM_SESSION"),
    MemoryScope.AGENT: ("agent", "LTM_AGENT"),
}


class Who(TypedDict):
    """The ids as the verbs of a memory take them."""

    user_id: str | None
    session_id: str | None
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Which memory, and whose. Its fields are command line options."""

    db: Annotated[str, typer.Option("--db", envvar="LTM_DB", metavar="URL", help="Where the memory is kept.")] = (
        "sqlite:///ltm.db"
    )
    user: Annotated[str | None, typer.Option("--user", envvar="LTM_USER", metavar="ID", help="Whose memory.")] = None
    session: Annotated[
        str | None, typer.Option("--session", envvar="LTM_SESSION", metavar="ID", help="Which conversation.")
    ] = None
    agent: Annotated[str | None, typer.Option("--agent", envvar="LTM_AGENT", metavar="ID", help="Which agent.")] = None
    tenant: Annotated[
        str, typer.Option("--tenant", envvar="LTM_TENANT", metavar="NAME", help="The wall between customers.")
    ] = "default"

    def memory(
        self,
        *,
        background: bool = False,
        model: str | None = None,
        embedder: str | None = None,
        retention: timedelta | None = None,
        access_retention: timedelta | None = None,
    ) -> Memory:
        """The memory itself; nothing is learned behind a command's back unless `background`."""
        options: dict[str, Any] = {"model": model, "embedder": embedder, "retention": retention}
        if access_retention is not None:
            options["access_retention"] = access_retention
        return Memory(self.db, tenant=self.tenant, background=background, **options)

    @property
    def who(self) -> Who:
        """The ids that are named."""
        return {"user_id": self.user, "session_id": self.session, "agent_id": self.agent}

    def check_somebody(self) -> None:
        """Refuse a call that names nobody."""
        if self.user is self.session is self.agent is None:
            raise wrong_call("Nobody is named. Pass --user ID, or set LTM_USER")

    def owner(self, scope: MemoryScope) -> dict[str, Any]:
        """The scope as the fact API takes it."""
        if scope is MemoryScope.GLOBAL:
            return {"scope": scope, "scope_id": None}
        option, variable = _IDS[scope]
        scope_id = getattr(self, option)
        if scope_id is None:
            raise wrong_call(f"It is not said whose memory is meant. Pass --{option} ID, or set {variable}")
        return {"scope": scope, "scope_id": scope_id}


def wrong_call(said: str) -> Exception:
    """The plain usage error, whose name typer keeps to itself. `said` ends without a full stop."""
    usage_error: Callable[[str], Exception] = typer.BadParameter.__base__  # type: ignore[assignment]
    return usage_error(said)


def check_there(url: str, remedy: str) -> None:
    """Refuse a file that is not there, for commands that only read: opening it would make an empty one."""
    scheme, separator, path = url.partition(":///")
    if separator and scheme.partition("+")[0] != "sqlite":
        return
    file = Path((path if separator else url).partition("?")[0])
    named = "://" not in url or separator
    if named and str(file) not in (".", ":memory:") and not file.exists():
        raise InvalidInput(f"There is no file {file} {remedy}")


def located(command: Callable[Concatenate[Place, P], None]) -> Callable[..., None]:
    """Give a command the options of `Place`; it receives them as its first argument."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = list(inspect.signature(Place, eval_str=True).parameters.values())
    names = [field.name for field in fields(Place)]

    @wraps(command)
    def run(**given: Any) -> None:
        place = Place(**{name: given.pop(name) for name in names})
        command(place, **given)  # type: ignore[call-arg] # what is left is what typer read from its signature

    keyword_only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
    run.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    return run
