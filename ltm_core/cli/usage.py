"""`ltm facts usage`: how a fact was used, and the log of to whom it was given."""

from collections.abc import Iterable
from typing import Annotated

import typer

from .. import Access, MemoryScope, Usage
from . import show
from .options import AsJson
from .place import Place, located

HEADING = ("when (UTC)", "how", "who", "asked", "useful")

Key = Annotated[str, typer.Argument(metavar="KEY", help="As `ltm facts list` shows it.", show_default=False)]
OwnedBy = Annotated[MemoryScope, typer.Option("--scope", help="Whose fact: the user's, the session's, …")]


@located
def usage(
    place: Place,
    key: Key,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most entries of the log.")] = 10,
    scope: OwnedBy = MemoryScope.USER,
    json: AsJson = False,
) -> None:
    """How often a fact was given and was of use, how much it matters now, and the log of it, newest first."""
    with place.memory() as memory:
        counted = memory.facts.usage(key, **place.owner(scope))
        accesses = memory.facts.accesses(key, limit, **place.owner(scope))
    if json:
        show.as_json({**counted.model_dump(mode="json"), "accesses": accesses})
    else:
        typer.echo(_said(counted))
        _tell(accesses)


def _said(counted: Usage) -> str:
    last = f", last {show.when(counted.last_accessed_at)} UTC" if counted.last_accessed_at else ""
    told = f"useful {counted.useful}, not useful {counted.not_useful}"
    return f"Given {counted.access_count} times{last}; {told}. Importance now: {counted.importance or 0.0:.2f}"


def _tell(accesses: Iterable[Access]) -> None:
    rows = [(show.when(one.at), one.how, _who(one), one.query, _answer(one.useful)) for one in accesses]
    if rows:
        show.console().print(show.rows_table(HEADING, rows))


def _who(access: Access) -> str:
    return " ".join(filter(None, (access.user_id, access.session_id, access.agent_id)))


def _answer(useful: bool | None) -> str:
    return "" if useful is None else "yes" if useful else "no"
