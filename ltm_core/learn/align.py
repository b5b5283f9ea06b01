"""Which of the messages that were sent are new, given what the conversation holds already.

Clients send one turn, a window of the last turns, or everything ever said, and send it again when a reply was lost.
Nothing tells them apart but the words, so three cases cannot be decided, and a `turn_id` decides them:

- The same words with the same answer, twice in a row, are one turn that was sent again.
- The same words with another answer, right after the first, are that turn with a regenerated answer.
- A user message alone that equals the last user message is new if that one was answered, a retry if it was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from ..model import Message
from ..text.echoes import unfenced

_UNSPOKEN = frozenset({"system", "tool", "function"})
_TOOL_PARTS = frozenset({"tool_use", "tool_result"})


@dataclass(frozen=True, slots=True)
class Alignment:
    """What is to be stored.

    Attributes:
        new: The messages that are not stored yet, in order; never a system message.
        replaces: The stored answer (one of the objects handed in) that a regenerated one among `new` supersedes.
        is_certain: Whether nothing that was stored before the messages handed in could change this.
    """

    new: list[Message]
    replaces: Message | None = None
    is_certain: bool = field(default=False, compare=False)


def align(sent: Sequence[Message], stored_tail: Sequence[Message]) -> Alignment:
    """Compare `sent` with the last stored messages of the conversation, both oldest first.

    What follows the part that is stored is new; where nothing fits, everything is. System messages, calls of tools and
    their results are not compared, since clients rewrite and drop them. From an edited message on everything is new,
    and the old continuation stays stored.
    """
    spoken, stored = _Spoken(sent), _Spoken(stored_tail)
    match = max(_matches(spoken, stored), key=lambda match: match.rank, default=None)
    is_certain = spoken.is_one_turn and "user" in stored.roles
    if match is None:
        return Alignment([message for message in sent if message.role != "system"], is_certain=is_certain)
    rest = sent[spoken.places[match.end - 1] + 1 :]
    last = stored.places[len(stored.digests) - match.dropped - 1]
    known = {_words(message) for message in stored_tail[last + 1 :] if not _counts(message)}
    new = [message for message in rest if message.role != "system" and _words(message) not in known]
    return Alignment(new, stored.messages[-1] if match.regenerates else None, is_certain)


class _Spoken:
    """The messages of a list that count for the comparison, and where they stand in it."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.places = [place for place, message in enumerate(messages) if _counts(message)]
        self.messages = [messages[place] for place in self.places]
        self.digests = list(map(_words, self.messages))
        self.roles = [message.role for message in self.messages]

    @property
    def is_one_turn(self) -> bool:
        """Whether all that it could repeat is the last turn that is stored."""
        return self.roles in (["user"], ["user", "assistant"])


def _words(message: Message) -> str:
    """What tells a message from others: not what recall put into it, which is another thing each time it is sent."""
    return unfenced(message).digest


def _counts(message: Message) -> bool:
    return message.role not in _UNSPOKEN and not _is_tool_use(message)


def _is_tool_use(message: Message) -> bool:
    """Whether the message holds nothing but calls of tools or their results, in the form of any chat API."""
    if message.text:
        return False
    parts = message.content if isinstance(message.content, list) else []
    used = [isinstance(part, dict) and part.get("type") in _TOOL_PARTS for part in parts]
    return all(used) and bool(used or message.tool_calls)


@dataclass(frozen=True, slots=True)
class _Match:
    """`size` messages sent, up to `end`, equal those stored, all but the last `dropped` of them."""

    end: int
    size: int
    dropped: int
    regenerates: bool = False

    @property
    def rank(self) -> tuple[bool, int, int]:
        return (not self.dropped or self.regenerates, self.size, -self.dropped)


def _matches(sent: _Spoken, stored: _Spoken) -> Iterator[_Match]:
    for end, size, dropped in _overlaps(sent.digests, stored.digests):
        following = sent.roles[end : end + 1]
        answers = "user" not in stored.roles[len(stored.roles) - dropped :]
        if dropped and answers and sent.roles[end - 1] == "user" and following == ["assistant"]:
            yield _Match(end, size, dropped, regenerates=True)
        elif not dropped or (size > 1 and (following or (dropped == 1 and sent.roles[end - 1] == "user"))):
            yield _Match(end, size, dropped)


def _overlaps(sent: Sequence[str], stored: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Places where a beginning of `sent` equals an end of `stored`, or all of `stored` stands inside `sent`."""
    for dropped, size in enumerate(reversed(_prefixes(sent, stored))):
        if size:
            yield size, size, dropped
    for dropped in range(2):
        size = len(stored) - dropped
        for start in range(1, len(sent) - size + 1 if size > 1 else 0):
            if sent[start : start + size] == stored[:size]:
                yield start + size, size, dropped


def _prefixes(pattern: Sequence[str], text: Sequence[str]) -> list[int]:
    """For each place of `text`, how much of the beginning of `pattern` ends there (Knuth, Morris and Pratt)."""
    if not pattern:
        return []
    borders = [0]

    def step(size: int, word: str) -> int:
        while size and (size == len(pattern) or pattern[size] != word):
            size = borders[size - 1]
        return size + (pattern[size] == word)

    for word in pattern[1:]:
        borders.append(step(borders[-1], word))
    return list(accumulate(text, step, initial=0))[1:]
