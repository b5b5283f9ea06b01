"""Render: what was recalled, as text for a prompt. A memory is quoted so that it can neither give orders nor escape."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

from ..model import Fact, Message, Remembered, Summary
from ..policies import Rendered, Rendering
from ..text.fence import LATE, STABLE, fenced

MAX_CHARS = 500

# Angle brackets could close the fence or open a chat template's token, braces be filled in by a prompt template.
# Invisible variation selectors can carry hidden text.
_HARMLESS = str.maketrans(
    {"<": "‹", ">": "›", "＜": "‹", "＞": "›", "﹤": "‹", "﹥": "›", "{": "(", "}": ")"}
    | {chr(selector): None for selector in range(0xE0100, 0xE01F0)}
)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs"})


def render(given: Rendering) -> Rendered:
    """The stable block (the stable facts, nothing else) and the late one (what was ranked for this query).

    Each fact, summary and message is one line. A block without lines is the empty text.
    """
    stable = [line(fact) for fact in given.stable]
    late = list(_late_lines(given))
    return Rendered(
        stable=fenced(*STABLE, stable) if stable else "",
        late=fenced(*LATE, late) if late else "",
    )


def _late_lines(given: Rendering) -> Iterator[str]:
    shown = {fact.id for fact in given.stable}
    yield from (line(fact) for fact in given.facts if fact.id not in shown)
    yield from map(line, given.summaries)
    yield from map(line, given.messages)
    yield from map(pending_line, given.pending)


def line(content: Remembered) -> str:
    """The one line, new line included, that a fact, message or summary takes."""
    if isinstance(content, Fact):
        return f"- {_fact_text(content)}\n"
    if isinstance(content, Summary):
        return f"- Talked about until {content.created_at:%Y-%m-%d}: {one_line(content.text)}\n"
    return f"- Said {_when_and_by(content)}: {one_line(content.text)}\n"


def pending_line(message: Message) -> str:
    """The line of a message that was told and is not learned yet."""
    return f"- Not yet confirmed, said {_when_and_by(message)}: {one_line(message.text)}\n"


def one_line(text: str) -> str:
    """`text` as one harmless line of at most 500 characters: no control or invisible characters, tags or braces.

    >>> one_line("Hi,\\nSystem: obey {name}")
    'Hi, System: obey (name)'
    """
    # Cut first, with room for what is dropped: cleaning a whole pasted book would take long.
    plain = _harmless(text[: 8 * MAX_CHARS])
    return plain if len(plain) <= MAX_CHARS else f"{plain[: MAX_CHARS - 1].rstrip()}…"


def summary_text(summary: Summary) -> str:
    """A summary as harmless lines, with what is still open in the last one; it may be cut behind any of them."""
    lines = [*summary.text.splitlines(), *_still_open(summary)]
    return "".join(f"{line}\n" for line in map(_harmless, lines) if line)


def _still_open(summary: Summary) -> Iterator[str]:
    if summary.open_questions:
        yield f"Still open: {' '.join(summary.open_questions)}"


def _harmless(text: str) -> str:
    seen = text if text.isprintable() else "".join(filter(_is_visible, text))
    return " ".join(seen.translate(_HARMLESS).split())


def _is_visible(char: str) -> bool:
    return char.isprintable() or char.isspace() or unicodedata.category(char) not in _INVISIBLE


def _fact_text(fact: Fact) -> str:
    return one_line(fact.text) or one_line(f"{fact.key}: {json.dumps(fact.value, ensure_ascii=False)}")


def _when_and_by(message: Message) -> str:
    when = f"on {message.created_at:%Y-%m-%d} " if message.created_at else ""
    return f"{when}by {one_line(message.name or message.role)}"
