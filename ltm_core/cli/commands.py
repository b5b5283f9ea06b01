"""The commands: each reads its options, calls one verb of a memory and shows the answer."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import InvalidInput, Memory, MemoryScope, NotFound
from . import maintenance, show
from .options import AsJson, ListedByDefault, Model
from .place import Place, located, wrong_call
from .sessions import sessions
from .usage import usage
from .values import value_of

app = typer.Typer(
    name="ltm",
    help="Long-term memory for AI agents. Start with `ltm demo`, or talk to it with `ltm chat --user YOU`.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
facts = typer.Typer(help="Facts by key.", cls=ListedByDefault, rich_markup_mode=None)


jobs = typer.Typer(help="What was told and is learned, waits, or failed.", cls=ListedByDefault, rich_markup_mode=None)
runs = typer.Typer(help="What durable runs have reached.", cls=ListedByDefault, rich_markup_mode=None)
app.add_typer(facts, name="facts")
app.add_typer(jobs, name="jobs")
app.add_typer(runs, name="runs")
app.add_typer(sessions, name="sessions")


class Kind(StrEnum):
    """What recall may find."""

    FACTS = "facts"
    MESSAGES = "messages"
    SUMMARIES = "summaries"


class Status(StrEnum):
    """What may have become of a job."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Such as theme, pet#rex or sister/location.", show_default=False)
]
PerDay = Annotated[int | None, typer.Option(min=0, help="The most that is spent in a day (UTC).", show_default=False)]
JobId = Annotated[str, typer.Argument(metavar="ID", help="As `ltm jobs` shows it.", show_default=False)]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="As `ltm runs` shows it.", show_default=False)]
OwnedBy = Annotated[MemoryScope, typer.Option("--scope", help="Whose fact: the user's, the session's, …")]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        envvar="LTM_EMBEDDER",
        metavar="NAME",
        help="Compare meanings too: local, or a model as litellm names it.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def start(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """What stands before a command."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"ltm-core {version_of('ltm-core')}")
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command()
def demo(
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="URL", help="Keep it here, under the tenant `demo`.", show_default=False),
    ] = None,
) -> None:
    """See it remember: across processes that are killed, between sessions, and not between users.

    Uses a temporary database unless you name one. Exits with 1 if anything is not as promised.
    """
    from .demo import demonstrate

    raise typer.Exit(demonstrate(db))


@app.command()
@located
def chat(
    place: Place,
    model: Model = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what was recalled, on stderr.")] = False,
) -> None:
    """Talk to an agent that remembers. Ctrl-D or Ctrl-C ends it; lines may also come from a pipe.

    Without --model an offline agent answers from what it remembers. Without --session each run is a new session.
    """
    from .chat import converse

    raise typer.Exit(converse(place, model, verbose=verbose))


@app.command()
@located
def ingest(
    place: Place,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSONL or a JSON list of {role, content, …}; - reads stdin.",
            show_default=False,
        ),
    ],
    speaker: Annotated[
        str | None, typer.Option("--speaker", metavar="NAME", help="Who of the named speakers --user is.")
    ] = None,
    model: Model = None,
) -> None:
    """Store a conversation and learn from it what it says about --user.

    Run it again whenever you like: after an interruption it goes on where it stopped, what is stored is not stored
    twice, and of a file that grew only the end is new.

    Without --session each conversation in the file becomes one session: user/file, or user/file/N where messages say
    "metadata": {"session": N}.

    Where user messages carry the "name"s of several people, --speaker (or a name equal to --user) says which of them
    the user is. Only theirs teach; those of the others are stored with the role assistant, as the other side of the
    conversation.
    """
    from .ingest import ingest as run

    place.check_somebody()
    run(place, file, speaker=speaker, model=model)


@app.command()
@located
def recall(
    place: Place,
    query: Annotated[str, typer.Argument(metavar="QUERY", show_default=False)],
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most facts, messages and summaries each.")] = 10,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=0, help="Most tokens of the text for a prompt.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show every part of every score.")] = False,
    include: Annotated[
        list[Kind] | None, typer.Option("--include", help="What to find besides facts.", show_default=False)
    ] = None,
    embedder: Embedder = None,
    json: AsJson = False,
) -> None:
    """Find what matters for a question, best first."""
    place.check_somebody()
    kinds = dict.fromkeys(["facts", *(kind.value for kind in include or ())])
    with place.memory(embedder=embedder) as memory:
        found = memory.recall(query, limit=limit, max_tokens=max_tokens, include=tuple(kinds), **place.who)
    if json:
        scored = {kind.value: list(map(_scored, getattr(found, kind))) for kind in Kind}
        show.as_json({**found.model_dump(mode="json"), **scored, "text": found.text})
    elif not found:
        typer.echo("Nothing is remembered that fits.")
    else:
        show.console().print(show.printable(found.explain()) if explain else show.recalled_table(found))


@app.command()
@located
def embed(
    place: Place, embedder: Annotated[str, typer.Argument(metavar="EMBEDDER", help="As for --embedder of recall.")]
) -> None:
    """Make vectors of all facts and messages that have none of this embedder, of everybody."""
    with place.memory(embedder=embedder) as memory:
        runtime = memory.runtime
        done = runtime.home.wait(runtime.embed_all(lambda count: typer.echo(f"{count:,} looked at", err=True)))
    if not done:
        typer.echo("The embedder failed; what is missing is made when you start again.", err=True)
        raise typer.Exit(1)
    typer.echo("All have their vectors.")


def _scored(item: Any) -> dict[str, Any]:
    return {**item.model_dump(mode="json"), "score": item.score, "parts": item.parts}


@app.command("copy")
def copy_memory(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Where everything is now.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Where it is to be too.", show_default=False)],
    merge: Annotated[bool, typer.Option("--merge", help="Add to a target that holds other data.")] = False,
) -> None:
    """Copy everything, of all people and tenants, to another database, and compare both afterwards.

    Run it again after an interruption: it goes on where it stopped and copies nothing twice. Stop the agents that write
    to either first; one that learns from the target too soon would learn twice.
    """
    from .copying import copy

    copy(source, target, merge=merge)


@app.command()
def migrate(
    url: Annotated[str, typer.Argument(metavar="URL", help="The database.", show_default=False)],
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if it is not up to date.")
    ] = False,
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", min=2, metavar="N", help="Split the tables of an empty PostgreSQL database."),
    ] = None,
    row_security: Annotated[
        str | None,
        typer.Option("--row-security", metavar="ROLE", help="Put the rows behind policies that bind ROLE."),
    ] = None,
    vector_index: Annotated[
        tuple[str, int] | None,
        typer.Option("--vector-index", metavar="SPACE DIMS", help="Index the vectors of a space, by pgvector."),
    ] = None,
) -> None:
    """Show which schema a database has, and bring it up to date.

    On SQLite any use of the memory does that by itself; on servers it takes this command. What PostgreSQL alone can do
    stands in docs/howto/databases.md.
    """
    from ..stores.schema import Extras
    from .migrating import migrate as run

    raise typer.Exit(run(url, check=check, extras=Extras(partitions, row_security, vector_index)))


@app.command()
def worker(
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="The database; LTM_DB without.", show_default=False),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="How many people are learned about at a time.")
    ] = 4,
    model: Model = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="MODULE:NAME",
            help="A memory of your program, for its database, extractor and other policies, instead of URL and model.",
            show_default=False,
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing waits; exit with 1 if something could not be learned.")
    ] = False,
    maintain: Annotated[
        list[str] | None,
        typer.Option(
            "--maintain", metavar="STRATEGY", help="Keep all facts in order by this too; as often as you like."
        ),
    ] = None,
    maintain_every: Annotated[
        float, typer.Option("--maintain-every", min=0.01, metavar="HOURS", help="How often, for all workers together.")
    ] = 24.0,
    retention: maintenance.Days = None,
    access_retention: maintenance.AccessDays = None,
    model_timeout: Annotated[
        float | None,
        typer.Option("--model-timeout", min=0.001, help="Seconds for one call of the model.", show_default=False),
    ] = None,
    user_calls_per_day: PerDay = None,
    user_tokens_per_day: PerDay = None,
    calls_per_day: PerDay = None,
    tokens_per_day: PerDay = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but why it cannot go on.")] = False,
) -> None:
    """Learn what waits in a database, for all tenants: as many of these, on as many machines, as you like.

    SIGTERM or Ctrl-C ends it and gives back what is in hand; a second one ends it at once. Nothing is lost either way.
    """
    from .worker import Assignment, Upkeep, work

    limits = {
        "model_timeout": model_timeout,
        "user_calls_per_day": user_calls_per_day,
        "user_tokens_per_day": user_tokens_per_day,
        "calls_per_day": calls_per_day,
        "tokens_per_day": tokens_per_day,
    }
    options = {name: given for name, given in limits.items() if given is not None}
    if memory is not None and (url is not None or model is not None):
        raise wrong_call("--memory brings its own database and model. Leave out the URL and --model")
    if memory is not None and options:
        raise wrong_call("--memory brings its own limits. Set them where it is made")
    place = None if memory is not None else url or os.environ.get("LTM_DB")
    if memory is None and place is None:
        raise wrong_call("It is not said which database. Pass its URL, or set LTM_DB")
    upkeep = Upkeep(tuple(maintain or ()), maintain_every, retention, access_retention)
    raise typer.Exit(work(Assignment(place, concurrency, model, memory, once, upkeep, options), quiet=quiet))


@facts.command("list")
@located
def list_facts(
    place: Place,
    scope: OwnedBy = MemoryScope.USER,
    archived: Annotated[bool, typer.Option("--archived", help="Those that were put aside, instead.")] = False,
    json: AsJson = False,
) -> None:
    """All current facts."""
    with place.memory() as memory:
        found = (memory.facts.archived if archived else memory.facts.get_all)(**place.owner(scope))
    if json:
        show.as_json(found)
    elif found:
        show.console().print(show.facts_table(found))
    else:
        typer.echo("Nothing is remembered yet.")


@facts.command("add")
@located
def add_fact(
    place: Place,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="JSON, or else text. One that begins with a - goes after --.", show_default=False
        ),
    ],
    scope: OwnedBy = MemoryScope.USER,
) -> None:
    """Store a fact; what was under the key before goes into its history."""
    with place.memory() as memory:
        fact = memory.facts.add(key, value_of(value), **place.owner(scope))
    typer.echo(show.printable(f"{fact.key} = {show.value_of(fact)} (version {fact.version})"))


@facts.command("import")
@located
def import_facts(
    place: Place,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help='One {"key": …, "value": …, "user_id": …} per line; - reads stdin.',
            show_default=False,
        ),
    ],
    scope: OwnedBy = MemoryScope.USER,
) -> None:
    """Store many facts, of any number of people.

    A line may name "user_id", "session_id" or "agent_id", and any field of a fact, such as "tags"; --user stands for
    lines that name nobody. Run it again whenever you like: what is stored is left as it is.
    """
    from .importing import import_facts as run

    run(place, file, scope)


@facts.command("get")
@located
def get_fact(place: Place, key: Key, scope: OwnedBy = MemoryScope.USER, json: AsJson = False) -> None:
    """The value of one fact."""
    with place.memory() as memory:
        fact = memory.facts.get(key, **place.owner(scope))
    if fact is None:
        raise _unknown(key)
    if json:
        show.as_json(fact)
    else:
        typer.echo(show.printable(show.value_of(fact)))


@facts.command("history")
@located
def fact_history(place: Place, key: Key, scope: OwnedBy = MemoryScope.USER, json: AsJson = False) -> None:
    """Every version of a fact, oldest first."""
    with place.memory() as memory:
        versions = memory.facts.history(key, **place.owner(scope))
    if not versions:
        raise _unknown(key)
    if json:
        show.as_json(versions)
    else:
        show.console().print(show.history_table(versions))


@facts.command("delete")
@located
def delete_fact(place: Place, key: Key, scope: OwnedBy = MemoryScope.USER) -> None:
    """Delete a fact. Its history stays."""
    with place.memory() as memory:
        if not memory.facts.delete(key, **place.owner(scope)):
            raise _unknown(key)
    typer.echo(show.printable(f"{key} is deleted."))


def _unknown(key: str) -> NotFound:
    return NotFound(f"There is no fact {key!r} here. See what there is with: ltm facts list")


@jobs.command("list")
@located
def list_jobs(
    place: Place,
    status: Annotated[Status | None, typer.Option("--status", help="Only these.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most jobs.")] = 100,
    json: AsJson = False,
) -> None:
    """The queue of one user, or without --user of everybody; oldest first."""
    with place.memory() as memory:
        found = memory.jobs.list(status and status.value, place.user, limit)
    if json:
        show.as_json(found)
    elif found:
        show.console().print(show.jobs_table(found))
    else:
        typer.echo("There are no such jobs.")


@jobs.command("show")
@located
def show_job(place: Place, job_id: JobId, json: AsJson = False) -> None:
    """One job with the messages that it is about."""
    with place.memory() as memory:
        job = memory.jobs.show(job_id)
    if json:
        show.as_json(job)
        return
    show.console().print(show.jobs_table([job]))
    for message in job.messages:
        typer.echo(show.one_line(show.said(message)))


@jobs.command("retry")
@located
def retry_job(
    place: Place,
    job_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="As `ltm jobs` shows it.", show_default=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that are dead, of one user or without --user of everybody.")
    ] = False,
    model: Model = None,
    json: AsJson = False,
) -> None:
    """Give a job all its tries again, and learn what waits now. Exits with 1 if it is not learned then either."""
    if every is (job_id is not None):
        raise wrong_call("It is not said which job. Pass its ID or --all")
    with place.memory(model=model) as memory:
        wanted = _dead(memory, place) if job_id is None else [_unlearned(memory, job_id)]
        for one in wanted:
            memory.jobs.retry(one)
        memory.flush()
        tried = [memory.jobs.show(one) for one in wanted]
    if json:
        show.as_json(tried)
    elif tried:
        show.console().print(show.jobs_table(tried))
    else:
        typer.echo("There are no dead jobs.")
    raise typer.Exit(int(any(job.status != "done" for job in tried)))


def _dead(memory: Memory, place: Place) -> list[str]:
    return [job.id for job in memory.jobs.list("dead", place.user, limit=sys.maxsize)]


def _unlearned(memory: Memory, job_id: str) -> str:
    if memory.jobs.show(job_id).status == "done":
        raise InvalidInput(f"Job {job_id} is learned already. See what waits or failed with: ltm jobs")
    return job_id


@jobs.command("drop")
@located
def drop_job(place: Place, job_id: JobId) -> None:
    """Give a job up: its messages stay, nothing is learned from them."""
    with place.memory() as memory:
        memory.jobs.drop(job_id)
    typer.echo("The job is dropped.")


@jobs.command("undo")
@located
def undo_job(place: Place, job_id: JobId, json: AsJson = False) -> None:
    """Take back what a job wrote, as new versions. What was changed since is left alone, and told."""
    with place.memory() as memory:
        undone = memory.jobs.undo(job_id)
    if json:
        show.as_json(undone)
    elif undone.updates:
        show.console().print(show.undone_table(undone))
    else:
        typer.echo(show.one_line(f"Nothing was changed: {undone.text}."))


@runs.command("list")
@located
def list_runs(place: Place, json: AsJson = False) -> None:
    """The latest checkpoint of each run of one user, the run that was at work last at the end."""
    place.check_somebody()
    with place.memory() as memory:
        found = memory.checkpoints.list(user_id=place.user)
    by_step = sorted(found, key=lambda checkpoint: checkpoint.step)
    latest = sorted({one.run_id: one for one in by_step}.values(), key=lambda one: one.created_at)
    if json:
        show.as_json(latest)
    elif latest:
        show.console().print(show.checkpoints_table(latest))
    else:
        typer.echo("There are no runs.")


@runs.command("show")
@located
def show_run(place: Place, run_id: RunId, json: AsJson = False) -> None:
    """Every checkpoint of one run, by step."""
    with place.memory() as memory:
        found = memory.checkpoints.list(run_id, place.user)
    if not found:
        raise _no_run(run_id)
    if json:
        show.as_json(found)
    else:
        show.console().print(show.checkpoints_table(found))


@runs.command("delete")
@located
def delete_run(place: Place, run_id: RunId) -> None:
    """Remove a run for good. Who is still at work on it can save no more steps."""
    with place.memory() as memory:
        if not memory.checkpoints.delete(run_id, place.user):
            raise _no_run(run_id)
    typer.echo(show.printable(f"{run_id} is deleted."))


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id!r} here. See what there is with: ltm runs")


for verb in (maintenance.maintain, maintenance.sweep, maintenance.stats):
    app.command()(verb)
for verb in (maintenance.pin, maintenance.unpin, maintenance.archive, maintenance.unarchive, usage):
    facts.command()(verb)
