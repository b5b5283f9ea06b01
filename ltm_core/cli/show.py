"""What commands print: tables for people, JSON for programs. Nothing remembered can steer the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model import Checkpoint, Fact, JobInfo, Message, Recalled, Session, Summary
from ..reports import Undone

WIDE = 160  # for pipes and files, where nobody sees a line wrap


def console(stream: TextIO | None = None) -> Console:
    """A console that takes every text literally: markup and emoji codes of what is remembered mean nothing."""
    file = stream or sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def printable(text: str) -> str:
    """`text` without what a terminal would obey.

    >>> printable("red: \\x1b[31m")
    'red: ?[31m'
    """
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def one_line(text: str) -> str:
    """`text` on one line, without what a terminal would obey."""
    return printable(" ".join(text.split()))


def as_json(data: Any) -> None:
    """Print models, or lists and dicts of them, as JSON."""
    sys.stdout.write(json.dumps(data, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def value_of(fact: Fact) -> str:
    """A fact's value as a person would write it: a text as it is, anything else as JSON."""
    return fact.value if isinstance(fact.value, str) else json.dumps(fact.value, ensure_ascii=False)


def when(time: datetime | None) -> str:
    """A time to the second, in UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else ""


def facts_table(facts: Iterable[Fact]) -> Table:
    """Facts with their values."""
    rows = [(fact.key, value_of(fact), fact.text, str(fact.version)) for fact in facts]
    return _table(("key", "value", "says", "version"), rows)


def history_table(versions: Iterable[Fact]) -> Table:
    """The versions of one fact, with the time in which each was true and why it came."""
    rows = [
        (
            str(one.version),
            "(deleted)" if one.deleted_at else value_of(one),
            f"{when(one.valid_from)}\n{_until(one)}",
            one.reason,
        )
        for one in versions
    ]
    return _table(("version", "value", "true (UTC)", "because"), rows, whole=("true (UTC)",))


def _until(version: Fact) -> str:
    end = version.valid_to or version.deleted_at
    return f"to {when(end)}" if end else "until now"


def recalled_table(recalled: Recalled) -> Table:
    """What was recalled, best first; what was told but is not learned yet stands last, without a score."""
    rows = [(_score(fact.score), "fact", fact.text or f"{fact.key}: {value_of(fact)}") for fact in recalled.facts]
    rows += [(_score(summary.score), "summary", summary.text) for summary in recalled.summaries]
    rows += [(_score(message.score), "message", said(message)) for message in recalled.messages]
    rows += [("", "not learned yet", said(message)) for message in recalled.pending]
    return _table(("score", "what", "says"), rows)


def parts_table(facts: Iterable[Fact]) -> Table:
    """How the score of each fact is made up."""
    return _table(("score", "fact", "made up of"), [(_score(fact.score), fact.text, _parts(fact)) for fact in facts])


def _parts(fact: Fact) -> str:
    weighed = sorted(fact.parts.items(), key=lambda part: -part[1])
    return " + ".join(f"{name} {value:.2f}" for name, value in weighed if value)


def jobs_table(jobs: Iterable[JobInfo]) -> Table:
    """The queue: what waits, what is learned, what could not be learned."""
    rows = [(job.id, job.subject, job.status, str(job.attempts), _outcome(job)) for job in jobs]
    return _table(("id", "whose", "status", "tries", "outcome"), rows, whole=("id", "status"))


def undone_table(undone: Undone) -> Table:
    """What was taken back, and what was left alone."""
    rows: list[tuple[str, ...]] = [
        (one.operation, one.fact.key, value_of(one.fact), one.reason) for one in undone.updates if one.fact
    ]
    rows += [("left", one.key, value_of(one.fact) if one.fact else "", one.why) for one in undone.left]
    return _table(("what", "fact", "value", "because"), rows)


def checkpoints_table(checkpoints: Iterable[Checkpoint]) -> Table:
    """What runs had reached."""
    rows = [
        (one.run_id, str(one.step), when(one.created_at), json.dumps(one.state, ensure_ascii=False))
        for one in checkpoints
    ]
    return _table(("run", "step", "saved (UTC)", "state"), rows, whole=("run", "saved (UTC)"))


def sessions_table(sessions: Iterable[Session]) -> Table:
    """Conversations."""
    rows = [(one.id, one.title or "", str(one.message_count), when(one.updated_at)) for one in sessions]
    return _table(("session", "title", "messages", "last used (UTC)"), rows, whole=("last used (UTC)",))


def messages_table(messages: Iterable[Message]) -> Table:
    """What was said, in order; where tools were called instead, which."""
    rows = [(when(one.created_at), one.name or one.role, one.text or _called(one)) for one in messages]
    return _table(("when (UTC)", "who", "says"), rows, whole=("when (UTC)", "who"))


def _called(message: Message) -> str:
    return f"(calls {json.dumps(message.tool_calls, ensure_ascii=False)})" if message.tool_calls else ""


def summaries_table(summaries: Iterable[Summary]) -> Table:
    """The versions of a summary."""
    rows = [(str(one.version), f"{one.first} to {one.last}", when(one.created_at), one.text) for one in summaries]
    return _table(("version", "messages", "made (UTC)", "says"), rows, whole=("messages", "made (UTC)"))


def summary_text(summary: Summary) -> str:
    """A summary with what it tells, what it is about and what is still open."""
    head = f"Version {summary.version}, messages {summary.first} to {summary.last}, {when(summary.created_at)} UTC"
    topics = f"Topics: {', '.join(summary.topics)}" if summary.topics else ""
    still = [f"Still open: {question}" for question in summary.open_questions]
    return "\n".join(filter(None, [head, topics, "", summary.text, *still]))


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Rows under their headings."""
    return _table(columns, rows)


def said(message: Message) -> str:
    """A message with its time and speaker."""
    day = f"{message.created_at:%Y-%m-%d} " if message.created_at else ""
    return f"{day}{message.name or message.role}: {message.text}"


def _outcome(job: JobInfo) -> str:
    if job.held:
        return f"{job.held} Waits until {when(job.run_at)} UTC."
    if job.error:
        return job.error
    undone = f"undone {when(job.undone)} UTC: " if job.undone else ""
    return undone + ", ".join(f"{update['operation']} {update['key']}" for update in job.updates)


def _score(score: float | None) -> str:
    return f"{score or 0.0:.3f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], whole: Sequence[str] = ()) -> Table:
    """A table whose cells fold where the terminal is narrow, but for the columns that are to stay `whole`."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
