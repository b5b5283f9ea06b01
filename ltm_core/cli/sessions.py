"""The commands of `ltm sessions`: conversations listed, shown, summarised and exported."""

import json as jsons
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .. import Message, NotFound
from . import show
from .options import AsJson, ListedByDefault, Model
from .place import Place, located, wrong_call

sessions = typer.Typer(help="Conversations: list, show, summary, export.", cls=ListedByDefault, rich_markup_mode=None)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="As `ltm sessions` shows it.", show_default=False)]


@sessions.command("list")
@located
def list_sessions(
    place: Place,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most sessions.")] = 100,
    json: AsJson = False,
) -> None:
    """The sessions of a user, the last used first."""
    if place.user is None:
        raise wrong_call("It is not said whose sessions are meant. Pass --user ID, or set LTM_USER")
    with place.memory() as memory:
        found = memory.sessions.list(place.user, limit)
    if json:
        show.as_json(found)
    elif found:
        show.console().print(show.sessions_table(found))
    else:
        typer.echo("There are no sessions yet.")


@sessions.command("show")
@located
def show_session(
    place: Place,
    session_id: SessionId,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the last messages.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """What was said in a session, oldest first."""
    found = _messages(place, session_id, limit)
    if json:
        show.as_json(found)
    else:
        show.console().print(show.messages_table(found))


@sessions.command("summary")
@located
def show_summary(
    place: Place,
    session_id: SessionId,
    renew: Annotated[bool, typer.Option("--renew", help="Summarise all that was said, now.")] = False,
    every: Annotated[bool, typer.Option("--all", help="All versions, oldest first.")] = False,
    model: Model = None,
    json: AsJson = False,
) -> None:
    """The summary of a session, as it was made in the background or is made now."""
    with place.memory(model=model) as memory:
        if renew:
            memory.sessions.summarize(session_id, user_id=place.user)
        found = memory.sessions.summaries(session_id, user_id=place.user)
    if not found:
        raise NotFound(f"Session {session_id!r} has no summary. Make one with: ltm sessions summary SESSION --renew")
    wanted = found if every else found[-1:]
    if json:
        show.as_json(wanted if every else wanted[0])
    elif every:
        show.console().print(show.summaries_table(wanted))
    else:
        typer.echo(show.printable(show.summary_text(wanted[0])))


@sessions.command("export")
@located
def export_session(place: Place, session_id: SessionId, json: AsJson = False) -> None:
    """Print a session as JSONL, one message a line, as `ltm ingest` reads it; or as one JSON list."""
    rows = [_exported(message) for message in _messages(place, session_id)]
    if json:
        show.as_json(rows)
    else:
        for row in rows:
            typer.echo(jsons.dumps(row))


def _messages(place: Place, session_id: str, limit: int | None = None) -> Sequence[Message]:
    with place.memory() as memory:
        found = memory.sessions.get_messages(session_id, limit, user_id=place.user)
    if not found:
        raise NotFound(f"There is nothing in a session {session_id!r} here. See what there is with: ltm sessions")
    return found


def _exported(message: Message) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude_defaults=True, exclude={"session_id"}) | {"role": message.role}
