"""Echoes: what recall put into a prompt and what comes back in what is to be learned, however it is disguised.

Inside a fence everything is an echo. Without one, a line or sentence is an echo if it is the text of something that is
stored of the person, and somebody else than the person says it. What people say themselves is theirs, even if it is
stored word for word; only where it speaks of them as "User", which nobody does, was it pasted or handed back.
"""

from __future__ import annotations

import html
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from ..model import Message
from .fence import LATE, STABLE, SUMMARY, strip_injected

WIDE = 4  # lines or sentences that one remembered line may have become
LONGEST = 1_000  # characters of a remembered line, in any disguise
MOST_PIECES = 4_000  # of one text that are compared

_HEADINGS = frozenset(heading for _, heading in (STABLE, LATE, SUMMARY))
_BREAK = re.compile(r"(?<=[.!?…:;])[\"'”’»)\]*_`]*\s+|\s*\n\s*")
_MARKERS = re.compile(r"^(?:[\s>|*•‣◦▪·–—#+-]|\(?(?:\d{1,3}|[A-Za-z])[.)\]](?=\s)|\[[ xX\d]{0,3}\](?=\s))+")
_ITEM = re.compile(r"[\s>|]*(?:(?:[*•‣◦▪·–—+-]|\(?\d{1,3}[.)\]])\s|<li\b)")
_ELEMENT = re.compile(r"</?[A-Za-z][^<>]{0,60}>")
_QUOTES = " \"'“”‘’«»`*_~|"
_STOPS = " .!?…,;"
# A message or summary as recall shows it. Others than the user may have lost its day.
_SHOWN = re.compile(
    r"(?:Not yet confirmed, said|Said) on \d{4}-\d\d-\d\d by [^:\n]{1,200}: |Not yet confirmed, said by [^:\n]{1,200}: "
    r"|Talked about until \d{4}-\d\d-\d\d: "
)
_SHOWN_BARE = re.compile(r"Said by [^:\n]{1,200}: ")
_OF_THE_USER = re.compile(r"(?:the )?user(?:['’]s)?\b", re.IGNORECASE)

Clean = Callable[[str], str]
_Span = tuple[int, int]


def unfenced(message: Message) -> Message:
    """`message` without fenced blocks; the same object where there are none."""
    if isinstance(message.content, str) and not message.tool_calls and not message.metadata:
        text = strip_injected(message.content)
        return message if text == message.content else message.model_copy(update={"content": text})
    return _cleaned(message, strip_injected, strip_injected)


def possible_echoes(messages: Iterable[Message]) -> set[str]:
    """The texts that would be echoes in these messages if they were stored of the person; of people's own words few."""
    found: set[str] = set()

    def own(text: str) -> str:
        pieces = list(_pieces(text))
        if any(_is_mark(told) for piece in pieces for told in piece.texts):
            found.update(told for piece in pieces if piece.whole for told in piece.texts)
        return text

    def others(text: str) -> str:
        found.update(told for piece in _pieces(text) for told in piece.texts)
        return text

    for message in messages:
        _cleaned(message, own, others)
    return found - _HEADINGS


def without_echoes(message: Message, stored: Set[str]) -> Message:
    """`message` without fenced blocks and without what repeats one of the `stored` texts.

    The same object where there is nothing of them.

    >>> told = Message.of({"role": "assistant", "content": "1. User lives in Oslo.\\nAnything else?"})
    >>> without_echoes(told, {"User lives in Oslo."}).content
    'Anything else?'
    """
    known = stored | _HEADINGS
    return _cleaned(
        message,
        lambda text: _without_own(strip_injected(text), known),
        lambda text: _without_others(strip_injected(text), known),
    )


# Where texts stand in a message


def _cleaned(message: Message, own: Clean, others: Clean) -> Message:
    """`message` with each of its texts cleaned: as the person's `own`, or as of `others`, such as models and tools."""
    speaks = own if message.role == "user" else lambda text: _in_json(text, others)
    made = {
        "content": _content(message, speaks, others),
        "tool_calls": _walked(message.tool_calls, others),
        "metadata": _walked(message.metadata, others),
    }
    changed = {name: value for name, value in made.items() if value != getattr(message, name)}
    return message.model_copy(update=changed) if changed else message


def _content(message: Message, speaks: Clean, others: Clean) -> Any:
    if not isinstance(message.content, list):
        return message.content if message.content is None else speaks(message.content)
    walked = [part if _is_text(part) else _walked(part, others) for part in message.content]
    text = speaks(message.text)
    if text == message.text:
        return walked
    rest = [part for part in walked if not _is_text(part)]
    return [{"type": "text", "text": text}, *rest] if rest else text


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("text"), str))


def _walked(value: Any, clean: Clean) -> Any:
    if isinstance(value, str):
        return _in_json(value, clean)
    if isinstance(value, Mapping):
        return {name: _walked(inner, clean) for name, inner in value.items()}
    return [_walked(inner, clean) for inner in value] if isinstance(value, list) else value


def _in_json(text: str, clean: Clean) -> str:
    """A text cleaned; where it is JSON, as arguments and results of tools are, the texts in it."""
    if text.lstrip()[:1] not in ("{", "["):
        return clean(text)
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return clean(text)
    walked = _walked(told, clean)
    return text if walked == told else json.dumps(walked, ensure_ascii=False)


# Pieces of a text that one remembered line may have become


@dataclass(frozen=True, slots=True)
class _Piece:
    """A place in a text, and the remembered texts that could stand there in disguise.

    Attributes:
        whole: Whether it is whole lines.
    """

    start: int
    end: int
    texts: frozenset[str]
    whole: bool


def _pieces(text: str) -> Iterator[_Piece]:
    breaks = [(found.start(), found.end(), "\n" in found[0]) for found in _BREAK.finditer(text)][:MOST_PIECES]
    starts = [(0, True), *((end, is_line) for _, end, is_line in breaks)]
    ends = [*((start, is_line) for start, _, is_line in breaks), (len(text), True)]
    for place, (start, opens) in enumerate(starts):
        for end, closes in ends[place : place + WIDE]:
            if start < end <= start + LONGEST:
                yield _Piece(start, end, _undisguised(text[start:end]), opens and closes)


def _undisguised(piece: str) -> frozenset[str]:
    """What `piece` may have been before somebody indented, quoted, listed, escaped or emphasised it."""
    words = _plain(piece)
    ways = {words, words.strip(_QUOTES)}
    bare = {way.rstrip(_STOPS) for way in ways}
    return frozenset(filter(None, {*ways, *bare, *(f"{way}." for way in bare if way)}))


def _plain(piece: str) -> str:
    """One line without what is markup or marks a line."""
    text = _unescaped(piece)
    if "<" in text:
        text = _ELEMENT.sub(" ", text)
    lines = " ".join(_MARKERS.sub("", line) for line in text.splitlines())
    return _MARKERS.sub("", " ".join(lines.split()))


def _unescaped(text: str) -> str:
    return html.unescape(html.unescape(html.unescape(text))) if "&" in text else text


def _is_mark(told: str) -> bool:
    """Whether a line, if it was remembered, shows that it and its neighbours were handed back."""
    return told in _HEADINGS or _OF_THE_USER.match(told) is not None


# What is left of a text


def _without_others(text: str, known: Set[str]) -> str:
    """What somebody else says, without any sentence or line that is known."""
    lines, pieces = _Lines(text), list(_pieces(text))
    hits = [(piece.start, piece.end) for piece in pieces if piece.texts & known]
    shown = [number for number, says in enumerate(lines.says) if _SHOWN.match(says) or _SHOWN_BARE.match(says)]
    return _without(text, [*hits, *(lines.spans[number] for number in [*shown, *lines.listed(pieces)])])


def _without_own(text: str, known: Set[str]) -> str:
    """What the person says, without runs of lines that are known and of which one cannot be their own."""
    lines, pieces = _Lines(text), [piece for piece in _pieces(text) if piece.whole]
    marks = lines.of(piece for piece in pieces if any(map(_is_mark, piece.texts & known))) | lines.listed(pieces)
    marks |= {number for number, says in enumerate(lines.says) if _SHOWN.match(says)}
    if not marks:
        return text
    echoes = marks | lines.of(piece for piece in pieces if piece.texts & known)
    gone: list[_Span] = []
    for is_echo, run in groupby(range(len(lines.says)), lambda number: number in echoes or not lines.says[number]):
        numbers = list(run)
        if is_echo and not marks.isdisjoint(numbers):
            gone += [lines.spans[number] for number in numbers]
    return _without(text, gone)


class _Lines:
    """The lines of a text: where each is, and what it says without markers."""

    def __init__(self, text: str) -> None:
        self._text = text
        raw = text.split("\n")
        self._starts = [0, *accumulate(len(line) + 1 for line in raw[:-1])]
        self.spans = [(start, start + len(line)) for start, line in zip(self._starts, raw, strict=True)]
        self.says = [_plain(line).strip(_QUOTES) for line in raw]

    def of(self, pieces: Iterable[_Piece]) -> set[int]:
        """The numbers of the lines that these pieces stand in."""
        return {
            number
            for piece in pieces
            for number in range(bisect_right(self._starts, piece.start) - 1, bisect_left(self._starts, piece.end))
        }

    def listed(self, pieces: Iterable[_Piece]) -> set[int]:
        """The numbers of the lines in a list under the heading of a block that has lost its fence."""
        headings = self.of(piece for piece in pieces if piece.texts & _HEADINGS)
        found: set[int] = set()
        for number in range(min(headings, default=len(self.says)), len(self.says)):
            is_item = not self.says[number] or _ITEM.match(_unescaped(self._text[slice(*self.spans[number])]))
            if number not in headings and is_item and (number - 1 in headings or number - 1 in found):
                found.add(number)
        return found


def _without(text: str, spans: Iterable[_Span]) -> str:
    """`text` without these places, and without lines of which nothing but markers is left."""
    gone = sorted(set(spans))
    if not gone:
        return text
    kept = list(text)
    for start, end in gone:
        kept[start:end] = "\0" * (end - start)
    lines = "".join(kept).split("\n")
    left = [line.replace("\0", "") for line in lines if "\0" not in line or _says(line)]
    return "\n".join(left)


def _says(line: str) -> bool:
    return any(map(str.isalnum, _plain(line.replace("\0", " "))))
