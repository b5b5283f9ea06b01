"""Clauses: the parts of a sentence, each with the subject that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .clause import frequency_length
from .lexicon import lexicon
from .sentences import Sentence
from .subjects import NOMINATIVES, OTHERS, People, Subject, person_at, subject_at
from .tokens import Token

_CONNECTORS = lexicon("near_misses", "connectors")


_BREAKS = frozenset(["stop", "hidden", "symbol"])


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a sentence that may say one thing.

    Attributes:
        head: The words before the subject.
        body: The words after it.
        joined: How it is tied to what stood before: "start", "break", "comma", "and", "that", or
            "" where it simply runs on.
    """

    head: Sequence[Token]
    subject: Subject | None
    body: Sequence[Token]
    joined: str
    own: Sequence[Token]


def parts(sentence: Sentence, people: People) -> Iterator[Part]:
    """Cut a sentence where a new subject, a question or an order begins."""
    tokens = sentence.tokens
    starts: list[_Start] = [(0, None)]
    at = 0
    while at < len(tokens):
        if relation := person_at(tokens, at):
            people.last = relation
        subject = subject_at(tokens, at, at == 0 or _opens(tokens, at - 1), people)
        if subject:
            _begin_with(subject, at, tokens, starts)
            _take_note(subject, people)
        elif at > _begun(starts[-1]) and _breaks_off(sentence, at):
            starts.append((at, None))
        at = subject.end if subject else at + 1
    yield from _assemble(tokens, starts)


_Start = tuple[int, Subject | None]


def _begin_with(subject: Subject, at: int, tokens: Sequence[Token], starts: list[_Start]) -> None:
    """Let a part begin at its subject, and the circumstance before it be a part of its own."""
    if at > starts[-1][0] and (lead := _circumstance_before(tokens, starts[-1][0], at)):
        starts.append((lead, None))
    if at == 0 or (starts[-1][1] is None and at == starts[-1][0]):
        starts[-1] = (at, subject)
    else:
        starts.append((at, subject))


def _begun(start: tuple[int, Subject | None]) -> int:
    return start[1].end if start[1] else start[0]


def _circumstance_before(tokens: Sequence[Token], begin: int, at: int) -> int:
    """Where "…, and next week" begins that leads in the subject at `at`; 0 where nothing of the kind does."""
    for start in range(at, max(begin, at - 8), -1):
        if tokens[start - 1].low != "that" and _parts_clauses(tokens[start - 1]):
            return start if start < at and opens_only(tokens[start:at]) else 0
    return 0


def _parts_clauses(token: Token) -> bool:
    return token.kind in ("comma", *_BREAKS) or token.low in _CONNECTORS


def _take_note(subject: Subject, people: People) -> None:
    if subject.about and subject.about != "user":
        people.last = subject.about
    for relation, name in subject.mentions:
        if name:
            people.names[name.split()[0]] = relation


def _assemble(tokens: Sequence[Token], starts: Sequence[tuple[int, Subject | None]]) -> Iterator[Part]:
    for place, (start, subject) in enumerate(starts):
        end = starts[place + 1][0] if place + 1 < len(starts) else len(tokens)
        trimmed = _trim(tokens, start, end)
        body = tokens[subject.end if subject else start : trimmed]
        joined = _joint(tokens, start)
        bare = subject and place and starts[place - 1][1] is None and joined in ("", "that")
        head = tokens[starts[place - 1][0] : start] if bare else ()
        yield Part(head, subject, body, joined, tokens[start:trimmed])


def _trim(tokens: Sequence[Token], start: int, end: int) -> int:
    while (
        end > start
        and (_parts_clauses(tokens[end - 1]) and tokens[end - 1].kind != "hidden")
        and tokens[end - 1].text not in "/'%$+#"
    ):
        if tokens[end - 1].low in ("so", "though", "also") and end == len(tokens):
            break
        end -= 1
    return end


def _joint(tokens: Sequence[Token], start: int) -> str:
    if start == 0:
        return "start"
    before = tokens[start - 1]
    if before.kind in _BREAKS:
        return "break"
    if before.kind == "comma":
        return "comma"
    if before.low == "that":
        return "that"
    return "and" if before.low in _CONNECTORS else ""


def _opens(tokens: Sequence[Token], at: int) -> bool:
    """Whether a subject may follow this token."""
    token = tokens[at]
    return (
        token.kind in ("comma", *_BREAKS)
        or token.low in _CONNECTORS
        or token.low in lexicon("temporal")
        or token.low in lexicon("openers")
        or token.low in ("if", "unless")
    )


def _breaks_off(sentence: Sentence, at: int) -> bool:
    token, before = sentence.tokens[at], sentence.tokens[at - 1]
    if sentence.listed and before.kind == "comma":
        return True
    if before.kind in _BREAKS and before.text not in ("'%$+#-&" if sentence.listed else "/'%$+#-&"):
        return True
    return _opens_condition(sentence.tokens, at) or (_is_joined(before) and _asks_or_orders(sentence, at, token))


def _opens_condition(tokens: Sequence[Token], at: int) -> bool:
    low = tokens[at].low
    return low in ("if", "unless", "whether") or (low in lexicon("temporal") and _subject_soon(tokens, at + 1))


def _is_joined(before: Token) -> bool:
    return before.kind == "comma" or before.low in ("and", "so", "but", "then")


def _asks_or_orders(sentence: Sentence, at: int, token: Token) -> bool:
    if token.low in lexicon("imperatives") and _orders(sentence.tokens, at):
        return True
    return sentence.question and token.low in lexicon("questions") and (token.low not in ("who", "who's") or at < 2)


def _subject_soon(tokens: Sequence[Token], at: int) -> bool:
    return at < len(tokens) and (
        tokens[at].low in OTHERS or tokens[at].low in NOMINATIVES | {"my", "our", "your", "the"}
    )


def _orders(tokens: Sequence[Token], at: int) -> bool:
    """Whether an order begins here: "…, don't use emojis", not "…, help and advice"."""
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if tokens[at].low in ("do", "please", "always", "never"):
        return tokens[at].low != "do" or (after is not None and after.low == "not")
    return after is not None and after.kind == "word" and after.low not in ("and", "or")


def opens_only(head: Sequence[Token]) -> bool:
    """Whether nothing before the subject says more than "well", "as you know" or when and how often."""
    lows = [token.low for token in head if token.kind == "word" or token.kind == "number"]
    at = 0
    while at < len(lows):
        size = frequency_length(lows, at) or lexicon("openers").length_at(lows, at)
        if not size and lows[at] not in lexicon("skip") and not lows[at].endswith("-wise"):
            return _is_circumstance(lows[at:])
        at += size or 1
    return True


def _is_circumstance(lows: Sequence[str]) -> bool:
    told = any(low in lexicon("reporters") or low in lexicon("blockers") for low in lows)
    return lows[0] in lexicon("near_misses", "circumstances") and len(lows) <= 7 and not told
