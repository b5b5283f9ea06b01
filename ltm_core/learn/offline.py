"""Facts from plain English without a model: what people say about themselves, read with a table of statements.

It understands less than a model does and does not guess: questions, wishes, stories, quotations and other people's
words teach nothing. No network, no download; the time is linear in the length of the text.
"""

from __future__ import annotations

from datetime import datetime

from ..knowledge.attributes import attribute
from ..model import Candidate, Message
from ..policies import Extracting
from .english.answers import read_answer
from .english.message import read_text
from .english.said import Said

MAX_REASON = 80


def extract_offline(given: Extracting) -> list[Candidate]:
    """What the user of `given.messages` told about themselves, in the order in which it was said.

    Other roles teach nothing; an assistant's question is only read to understand an answer of a few words.
    """
    found: list[Candidate] = []
    before = given.earlier[-1] if given.earlier else None
    for message in given.messages:
        if message.role == "user":
            found += read_message(message, given.now, before)
        before = message
    return [candidate for candidate in found if _wanted(candidate, given.allow)]


def read_message(message: Message, now: datetime, before: Message | None = None) -> list[Candidate]:
    """The facts that one message tells; `before` is the message that it may answer."""
    when = message.created_at or now
    facts = read_text(message.text, when)
    if not facts and before is not None and before.role == "assistant":
        facts = read_answer(before.text, message.text, when)
    return [_candidate(fact, message) for fact in facts]


def _wanted(candidate: Candidate, allow: frozenset[str]) -> bool:
    return "DELETE" in allow if candidate.retract else bool(allow & {"ADD", "UPDATE"})


def _candidate(fact: Said, message: Message) -> Candidate:
    return Candidate(
        about=fact.about,
        attribute=fact.attribute,
        item=fact.item,
        value=fact.value,
        text=attribute(fact.attribute).sentence(fact.value, fact.item, fact.about),
        retract=fact.retract,
        reason=_quoted(fact.quote),
        confidence=fact.confidence,
        valid_from=fact.valid_from,
        sources=[message.id] if message.id else [],
        created_by="offline",
    )


def _quoted(words: str) -> str:
    room = MAX_REASON - 2
    return f'"{words}"' if len(words) <= room else f'"{words[: room - 1]}…"'
