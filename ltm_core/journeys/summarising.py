"""The summarising journey: what was said since the last summary becomes part of a new one, in the background.

A summary is asked for by a job that is written together with the message that made it due, so that no crash loses it.
It covers whole turns up to a number; what follows stays verbatim. Whatever is edited or forgotten under a summary takes
all summaries of the session along, since they may tell it, and they are made anew from the messages that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..ambient import LEARNING
from ..errors import ExtractionError, LTMError
from ..home import Home, call
from ..learn.turns import Turns, summary_job
from ..llm.metering import given_up_after
from ..model import Message, Summary
from ..policies import Policies, Summarised, Summarising
from ..records import message_of, summary_of, summary_record
from ..scope import Scope
from ..stores.base import Compare, Condition, Delete, Put, Record, Store, Where, Write
from ..text.echoes import unfenced

KEPT = 4
MOST_TOKENS = 6_000
PAGE = 500
TITLE = 3  # topics that stand for a title

# A message under a forgotten fact: it stays in the conversation, and no summary is made of it any more.
WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be summarised, and what came of it.

    Attributes:
        revision: Of the session when it was read. If that has changed since, what was read is no longer so.
        more: Whether there is more to summarise than fits one call.
    """

    thread: Scope
    revision: int
    previous: Record | None
    messages: Sequence[Record]
    more: bool
    made: Summarised | None = None


class Summaries:
    """Keeps the summaries of sessions."""

    def __init__(self, store: Store, policies: Policies, turns: Turns, home: Home, max_tokens: int) -> None:
        self._store = store
        self._policies = policies
        self._turns = turns
        self._home = home
        self._max_tokens = max_tokens

    async def all(self, thread: Scope) -> list[Summary]:
        """The summaries of a session, the latest first."""
        return [summary_of(record) for record in await self._shown(thread)]

    async def latest(self, thread: Scope) -> Summary | None:
        """The present summary of a session."""
        return next(map(summary_of, await self._shown(thread, 1)), None)

    async def until(self, thread: Scope, number: int) -> list[Summary]:
        """The versions of the summary that reach as far as message `number` or farther, oldest first; else the latest.

        Each tells what the one before told, and more.
        """
        reach = await self._shown(thread, tests=[Compare("last", "gte", number)])
        found = reach or await self._shown(thread, 1)
        return [summary_of(record) for record in reversed(found)]

    async def draft(self, job: Record) -> Draft | None:
        """A new summary, not stored yet; None where nothing is to be summarised. Runs on the learning loop."""
        thread = Scope.session(job.fields["session_id"], job.subject.tenant)
        draft = await self._home.run(self._read(thread, job.fields.get("keep")))
        if draft is None:
            return None
        token = LEARNING.set(True)
        try:
            async with given_up_after(self._policies.model_timeout):
                return replace(draft, made=await call(self._policies.summarise, self._given(draft)))
        except LTMError:
            raise
        except Exception as error:
            raise ExtractionError(f"The summariser failed with {error!r}. Correct it; it is tried again.") from error
        finally:
            LEARNING.reset(token)

    async def writes(self, draft: Draft | None, now: datetime, keep: int | None) -> list[Write]:
        """The writes that make `draft` the present summary; where the session was edited since, a new try."""
        head = await self._turns.head(draft.thread) if draft is not None else None
        if draft is None or draft.made is None or head is None:
            return []
        again = summary_job(head, head.fields["message_count"], now, keep)
        present = next(iter(await self._shown(draft.thread, 1)), None)
        if _revision(head) != draft.revision or _id(present) != _id(draft.previous):
            return [
                again,
                Put(replace(head, version=head.version + 1), expect=head.version),
            ]  # each ask has its own head
        number = (head.fields.get("summary_count") or 0) + 1
        summary = _summary(draft, number, now)
        counted = {**head.fields, "summary_count": number, "topics": ", ".join(summary.topics[:TITLE]) or None}
        return [
            Put(summary_record(summary, draft.thread, head.subject), expect=0),
            *[
                _superseded(one, now)
                for one in await self._stored(draft.thread, [Compare("stale_at", "exists", False)])
            ],
            Put(replace(head, fields=counted, version=head.version + 1), expect=head.version),
            *([again] if draft.more else []),
        ]

    async def revised(self, thread: Scope, numbers: Iterable[int], now: datetime) -> list[Write]:
        """The writes that go with an edit of the messages of these numbers: summaries that tell them are made anew."""
        head, touched = await self._turns.head(thread), set(numbers)
        if head is None or not touched:
            return []
        stored = await self._stored(thread)
        stale = [one for one in stored if one.fields["first"] <= max(touched) and one.fields["last"] >= min(touched)]
        gone = stored if stale else []
        untitled = {"topics": None} if gone else {}
        fields = {**head.fields, "revision": _revision(head) + 1, "updated_at": now, **untitled}
        asked = [summary_job(head, head.fields["message_count"], now)] if gone else []
        return [
            *(Delete("summary", one.id, thread, expect=one.version) for one in gone),
            *asked,
            Put(replace(head, fields=fields, version=head.version + 1), expect=head.version),
        ]

    async def cleared(self, thread: Scope) -> list[Write]:
        """The writes that keep a summary that is just being made from being stored."""
        head = await self._turns.head(thread)
        if head is None:
            return []
        fields = {**head.fields, "revision": _revision(head) + 1, "unasked": [0, 0], "topics": None}
        return [Put(replace(head, fields=fields, version=head.version + 1), expect=head.version)]

    async def is_behind(self, thread: Scope) -> bool:
        """Whether there is anything that the present summary does not tell."""
        return await self._read(thread, 0) is not None

    async def withheld(self, subject: Scope, ids: Sequence[str], now: datetime) -> list[Write]:
        """The writes that keep messages out of all summaries, since what was learned from them is to be forgotten."""
        where = Where("message", subject=subject, ids=tuple(ids), test=Compare(WITHHELD, "exists", False))
        found = await self._store.scan(where) if ids else []
        threads: dict[Scope, list[Record]] = {}
        for message in found:
            threads.setdefault(message.scope, []).append(message)
        writes: list[Write] = [_withheld(message) for message in found]
        for thread, messages in threads.items():
            writes += await self.revised(thread, [message.fields["number"] for message in messages], now)
        return writes

    async def _shown(self, thread: Scope, limit: int | None = None, tests: Sequence[Condition] = ()) -> list[Record]:
        """The summaries of what is not over of a session, the latest first."""
        shown = await self._turns.shown(thread, self._policies.clock())
        return await self._stored(thread, [*tests, *(Compare("last", one.operator, one.value) for one in shown)], limit)

    async def _stored(self, thread: Scope, tests: Sequence[Condition] = (), limit: int | None = None) -> list[Record]:
        where = Where("summary", (thread,)).also(*tests)
        return await self._store.scan(where, order=[("number", "desc")], limit=limit)

    async def _read(self, thread: Scope, keep: int | None) -> Draft | None:
        head = await self._turns.head(thread)
        if head is None:
            return None
        previous = next(iter(await self._shown(thread, 1)), None)
        read = await self._after(thread, previous)
        kept = KEPT if keep is None else keep
        within = self._within(read)
        more = within < len(read) - kept or len(read) == PAGE
        end = whole_turns([message_of(record) for record in read], within if more else len(read) - kept)
        return Draft(thread, _revision(head), previous, read[:end], more) if end > 0 else None

    async def _after(self, thread: Scope, previous: Record | None) -> list[Record]:
        """The messages behind a summary, as many as one page holds."""
        last = previous.fields["last"] if previous is not None else 0
        tests = [Compare("deleted_at", "exists", False), Compare(WITHHELD, "exists", False)]
        shown = await self._turns.shown(thread, self._policies.clock())
        where = Where("message", (thread,), test=Compare("number", "gt", last)).also(*tests, *shown)
        return await self._store.scan(where, order=[("number", "asc")], limit=PAGE)

    def _within(self, read: Sequence[Record]) -> int:
        """How many of them one call takes, at least one."""
        room = MOST_TOKENS
        for count, record in enumerate(read):
            room -= self._policies.count_tokens(record.fields["text"])
            if room < 0:
                return max(count, 1)
        return len(read)

    def _given(self, draft: Draft) -> Summarising:
        return Summarising(
            [unfenced(message_of(record)) for record in draft.messages],
            summary_of(draft.previous) if draft.previous is not None else None,
            self._max_tokens,
            self._policies.clock(),
            self._policies.count_tokens,
        )


def whole_turns(messages: Sequence[Message], end: int) -> int:
    """The last place at or before `end` that parts no tool call from its result."""
    last, awaited = 0, set[str]()
    for place, message in enumerate(messages[: end + 1]):
        if message.role == "user":
            awaited = set()
        if message.role != "tool" and not awaited:
            last = place
        awaited |= {call["id"] for call in message.tool_calls if isinstance(call, dict) and call.get("id")}
        awaited.discard(message.tool_call_id or "")
    return end if end == len(messages) and not awaited else last


def _summary(draft: Draft, number: int, now: datetime) -> Summary:
    made = draft.made or Summarised("")
    first = draft.previous.fields["first"] if draft.previous is not None else draft.messages[0].fields["number"]
    return Summary(
        id="",
        session_id=draft.thread.id,
        text=made.text,
        topics=list(made.topics),
        open_questions=list(made.open_questions),
        version=number,
        first=first,
        last=draft.messages[-1].fields["number"],
        created_at=now,
    )


def _superseded(previous: Record, now: datetime) -> Put:
    """A summary that is no longer the present one stays, and is no longer found."""
    fields = {**previous.fields, "stale_at": now}
    return Put(replace(previous, fields=fields, terms=(), version=previous.version + 1), expect=previous.version)


def _withheld(message: Record) -> Put:
    fields = {**message.fields, WITHHELD: True}
    return Put(replace(message, fields=fields, version=message.version + 1), expect=message.version)


def _id(record: Record | None) -> str | None:
    return record.id if record is not None else None


def _revision(head: Record) -> int:
    return int(head.fields.get("revision") or 0)
