"""Context: what of a conversation and of what is remembered goes into one prompt, as role messages within one budget.

A prefix comes first that stays the same from turn to turn: the profile and the summary, then the turns that the
summary does not tell. What was ranked for this question stands behind it. How the budget is shared:
docs/explanation/context.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..model import Message
from ..policies import CountTokens
from ..text.fence import fenced
from ..text.shortening import shortened

MESSAGE_TOKENS = 4  # what a message costs beside its words
MEDIA_TOKENS = 1_000  # about what providers charge for an image
# Most of the budget that each may take. What they leave is for earlier turns.
FACTS_SHARE = 2 / 5  # of which half for the profile
LATE_SHARE = 1 / 5
SUMMARY_SHARE = 1 / 4
# Left free behind turns that a summary could tell, so that they stay until the next summary.
GROWTH_SHARE = 1 / 4

RoleMessage = dict[str, Any]

_MEDIA = re.compile("image|audio|video|file|document")
_NO_NAME = re.compile(r"[\s<|\\/>]+")


@dataclass(frozen=True)
class Turn:
    """What a user said and all that followed, in steps: a message, or a tool call with its results.

    Attributes:
        last: The number of its last message.
        said: The words that it began with, if they are the user's.
        is_open: Whether it waits for an answer.
    """

    last: int
    steps: Sequence[Sequence[RoleMessage]]
    count: CountTokens
    said: str = ""
    is_open: bool = False

    @property
    def messages(self) -> list[RoleMessage]:
        """Its messages, in order."""
        return [message for step in self.steps for message in step]

    @cached_property
    def tokens(self) -> int:
        """What it costs."""
        return total_tokens(self.messages, self.count)


@dataclass(frozen=True, slots=True)
class Told:
    """A summary as lines, and the number of the last message that it tells."""

    text: str
    last: int


@dataclass(frozen=True, slots=True)
class Available:
    """What may go into a context.

    Attributes:
        turns: The last turns, oldest first.
        from_start: Whether these are all that there are.
        summaries: Of these turns and of what was before them, oldest first.
        heading: Part and heading of the fence around a summary.
        stable, late: What is remembered, fenced; that, and what was ranked for this question.
    """

    turns: Sequence[Turn]
    from_start: bool
    summaries: Sequence[Told] = ()
    heading: tuple[str, str] = ("", "")
    stable: str = ""
    late: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be said in all, how it is counted, and as whom what was ranked for the question is said."""

    max_tokens: int
    count: CountTokens
    late_role: str = "user"

    @property
    def facts(self) -> int:
        """The most that is left for facts."""
        return int(self.max_tokens * FACTS_SHARE)

    def of(self, messages: Iterable[RoleMessage]) -> int:
        """What messages cost."""
        return total_tokens(messages, self.count)


def role_message(message: Message) -> RoleMessage:
    """A message as chat APIs take it."""
    made: RoleMessage = {"role": message.role, "content": "" if message.content is None else message.content}
    if message.name:
        made["name"] = _NO_NAME.sub("_", message.name)
    if message.tool_calls:
        made["tool_calls"] = list(message.tool_calls)
    if message.tool_call_id:
        made["tool_call_id"] = message.tool_call_id
    return made


def total_tokens(messages: Iterable[RoleMessage], count: CountTokens) -> int:
    """What messages cost in all."""
    return sum(message_tokens(message, count) for message in messages)


def message_tokens(message: RoleMessage, count: CountTokens) -> int:
    """What a message costs: its words, its calls as JSON, 1,000 for an image or file, and 4 for the message itself."""
    content = message["content"]
    parts = [content] if isinstance(content, str) else content
    calls = count(_json(message["tool_calls"])) if message.get("tool_calls") else 0
    names = sum(count(message[key]) for key in ("name", "tool_call_id") if message.get(key))
    return MESSAGE_TOKENS + sum(_part_tokens(part, count) for part in parts) + calls + names


def _part_tokens(part: Any, count: CountTokens) -> int:
    if isinstance(part, str):
        return count(part)
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return count(part["text"])
    return MEDIA_TOKENS if isinstance(kind, str) and _MEDIA.search(kind) else count(_json(part))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def turns_of(told: Sequence[tuple[int, Message]], count: CountTokens) -> list[Turn]:
    """The turns of a conversation, whose messages come with their numbers, oldest first.

    A result whose call is gone is left out, and so is a call that was never answered, unless its result may yet come.
    """
    talks: list[list[tuple[int, Message]]] = []
    for number, message in told:
        if not talks or _is_question(message):
            talks.append([])
        talks[-1].append((number, message))
    turns = [_turn(talk, count, is_last=talk is talks[-1]) for talk in talks]
    return [turn for turn in turns if turn.steps]


def _turn(talk: Sequence[tuple[int, Message]], count: CountTokens, *, is_last: bool) -> Turn:
    messages = [message for _, message in talk]
    steps = [[role_message(one) for one in step] for step in _steps(_paired(messages, is_last=is_last))]
    said = messages[0].text if _is_question(messages[0]) else ""
    return Turn(talk[-1][0], steps, count, said, is_open=is_last and not _is_answer(messages[-1]))


def _is_question(message: Message) -> bool:
    """Whether a user speaks; some APIs give the results of tools as what a user says."""
    return message.role == "user" and not _answers(message)


def _is_answer(message: Message) -> bool:
    return message.role == "assistant" and not _calls(message)


def _calls(message: Message) -> set[str]:
    """The ids of the tool calls in a message."""
    return _ids(message.tool_calls, "id") | _ids(_parts(message, "tool_use"), "id")


def _answers(message: Message) -> set[str]:
    """The ids of the tool calls whose results a message gives."""
    return _ids(_parts(message, "tool_result"), "tool_use_id") | ({message.tool_call_id or ""} - {""})


def _parts(message: Message, kind: str) -> list[Any]:
    parts = message.content if isinstance(message.content, list) else []
    return [part for part in parts if isinstance(part, dict) and part.get("type") == kind]


def _ids(things: Iterable[Any], key: str) -> set[str]:
    return {one[key] for one in things if isinstance(one, dict) and isinstance(one.get(key), str)}


def _paired(messages: Sequence[Message], *, is_last: bool) -> list[Message]:
    """The messages of a turn without results that lost their call, and calls that never got a result."""
    answered = {one for message in messages for one in _answers(message)}
    called: set[str] = set()
    kept: list[Message] = []
    for place, given in enumerate(messages):
        waits = is_last and all(_answers(later) for later in messages[place + 1 :])
        message = given if waits else _answered(given, answered)
        called |= _calls(message)
        if _answers(message) <= called and (message.content or message.tool_calls or _answers(message)):
            kept.append(message)
            called -= _answers(message)  # a second result would have no call
    return kept


def _answered(message: Message, answered: set[str]) -> Message:
    """A message without the calls that have no result."""
    if not message.tool_calls:
        return message
    calls = [call for call in message.tool_calls if _ids([call], "id") <= answered]
    return message.model_copy(update={"tool_calls": calls})


def _steps(messages: Sequence[Message]) -> list[list[Message]]:
    steps: list[list[Message]] = []
    awaited: set[str] = set()
    for message in messages:
        if not steps or not (awaited or _answers(message)):
            steps.append([])
        steps[-1].append(message)
        awaited = (awaited | _calls(message)) - _answers(message)
    return steps


def assemble(given: Available, budget: Budget) -> list[RoleMessage]:
    """The context, whose cost is within the budget.

    First comes the last turn, whole where it fits at all, then what is remembered, then the summary, and earlier turns
    have the rest. Turns begin right behind what the summary tells: behind an earlier version of it where there is room
    for more turns, at the beginning where there is room for all, and later where there is not even room for these.
    """
    layout = _laid_out(given, budget)
    covers = [*([None] if given.from_start else []), *given.summaries] or [None]
    for cover in covers:
        whole = layout.behind(cover)
        if whole is not None:
            return whole
    return layout.newest(covers[-1])


def _laid_out(given: Available, budget: Budget) -> _Layout:
    """What has its place before any earlier turn has."""
    late = _late(given.late, budget)
    stable = given.stable
    last = given.turns[-1:]
    if last and last[0].tokens <= budget.max_tokens:
        if budget.of(_system(stable)) + budget.of(late) + last[0].tokens > budget.max_tokens:
            late = []
        if budget.of(_system(stable)) + last[0].tokens > budget.max_tokens:
            stable = ""
    beside = budget.of(_system(stable)) + budget.of(late)
    if beside > budget.max_tokens:
        stable, late, beside = "", [], 0
    ends = [_cut(turn, budget.max_tokens - beside) for turn in last]
    return _Layout(replace(given, stable=stable), budget, late, [turn for turn in ends if turn.steps])


def _late(text: str, budget: Budget) -> list[RoleMessage]:
    return [{"role": budget.late_role, "content": text}] if text else []


def _system(*blocks: str) -> list[RoleMessage]:
    text = "".join(blocks)
    return [{"role": "system", "content": text}] if text else []


def _cut(turn: Turn, room: int) -> Turn:
    """The turn, or where that is too much the question and the newest steps that fit."""
    if turn.tokens <= room:
        return turn
    question = [step for step in turn.steps[:1] if step[0]["role"] == "user"]
    if total_tokens((message for step in question for message in step), turn.count) > room:
        question = []
    room -= sum(total_tokens(step, turn.count) for step in question)
    newest: list[Sequence[RoleMessage]] = []
    for step in reversed(turn.steps[1:] if question else turn.steps):
        room -= total_tokens(step, turn.count)
        if room < 0:
            break
        newest.insert(0, step)
    return replace(turn, steps=[*question, *newest])


@dataclass(frozen=True, slots=True)
class _Layout:
    """A context in the making: all but the earlier turns and the summary are decided."""

    given: Available
    budget: Budget
    late: Sequence[RoleMessage]
    last: Sequence[Turn]

    def behind(self, cover: Told | None) -> list[RoleMessage] | None:
        """The context with all turns behind what `cover` tells; None where there is no room for them.

        Turns that the newest summary tells are let in only if it will not take them away before it is renewed.
        """
        newest = self.given.summaries[-1].last if self.given.summaries else 0
        since = sum(turn.tokens for turn in self.turns(cover) if turn.last > newest)
        before = sum(turn.tokens for turn in self.turns(cover) if turn.last <= newest)
        system, reserved = self.system(cover), self.budget.of(self.late)
        if before:
            since = max(since, int(self.budget.max_tokens * GROWTH_SHARE))
            reserved = max(reserved, int(self.budget.max_tokens * LATE_SHARE))
        fits = self.budget.of(system) + reserved + before + since <= self.budget.max_tokens
        return self.placed(system, self.turns(cover)[:-1]) if fits else None

    def newest(self, cover: Told | None) -> list[RoleMessage]:
        """The context with as many of the newest turns behind `cover` as there is room for."""
        system = self.system(cover)
        room = self.budget.max_tokens - self.budget.of([*system, *self.late]) - sum(one.tokens for one in self.last)
        kept: list[Turn] = []
        for turn in reversed(self.turns(cover)[:-1]):
            room -= turn.tokens
            if room < 0 or not self.is_whole:
                break
            kept.insert(0, turn)
        return self.placed(system, kept)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing of the last turn."""
        return list(self.last) == list(self.given.turns[-1:])

    def turns(self, cover: Told | None) -> Sequence[Turn]:
        """The turns that `cover` does not tell; the last one always, as it is."""
        told = cover.last if cover is not None else 0
        return [turn for turn in self.given.turns[:-1] if turn.last > told] + list(self.given.turns[-1:])

    def system(self, cover: Told | None) -> list[RoleMessage]:
        """The first message: the profile and as much of a summary as has room."""
        stable = _system(self.given.stable)
        if cover is None:
            return stable
        beside = self.budget.of([*stable, *self.late]) + sum(turn.tokens for turn in self.last)
        room = min(int(self.budget.max_tokens * SUMMARY_SHARE), self.budget.max_tokens - beside)
        text = shortened(cover.text, self.budget.of(stable) + room, self._with_summary)
        return self._summarised(text) if text else stable

    def _with_summary(self, text: str) -> int:
        return self.budget.of(self._summarised(text))

    def _summarised(self, text: str) -> list[RoleMessage]:
        return _system(self.given.stable, fenced(*self.given.heading, [f"{text.rstrip()}\n"]))

    def placed(self, system: Sequence[RoleMessage], earlier: Sequence[Turn]) -> list[RoleMessage]:
        """All in order: what was ranked for the question stands before the turn that it is asked in, or at the end."""
        told = [message for turn in earlier for message in turn.messages]
        last = [message for turn in self.last for message in turn.messages]
        is_open = any(turn.is_open for turn in self.last)
        ends = [*self.late, *last] if is_open else [*last, *self.late]
        return [*system, *told, *ends]
