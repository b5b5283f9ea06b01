"""What of a stored fact, message or summary bears on whether it is recalled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..knowledge.attributes import in_profile
from ..llm.embedding import embedded_text
from ..scope import digest
from ..stores.base import Record
from ..text.words import STOP_WORDS, terms, words

WITHDRAWN = "withdrawn"
_ENDS = {"message": ("deleted_at",), "fact": ("deleted_at", "archived_at"), "summary": ("stale_at",)}

# What a text that answers "when?" has: a name of a day or month, a number, or a word that counts from today.
_DATED = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|since|recently|(?:week(?:end)?|month|year|day)s?"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august|september|october"
    r"|november|december|\d{4}|\d{1,2}(?:st|nd|rd|th))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One memory, without its content.

    Attributes:
        name: By which equals are put in order.
        thread: The conversation that it was said in, or the job that learned it; empty for none.
        place: Where it stands in its thread.
        speaker: Who said it, or whom the fact is about.
        at: When it was said or last changed, in seconds since 1970.
        day: The date it is about, as 20260507; 0 for none.
        type: What decides how soon it fades.
        stable: Whether it belongs to the profile, whatever is asked.
        asks: Whether it is a question.
        dated: Whether it says when.
        content: What changes with the text that is embedded.
    """

    id: str
    version: int
    name: tuple[str, str]
    terms: tuple[str, ...]
    thread: str
    place: tuple[float, str]
    speaker: str
    at: float
    day: int
    type: str
    importance: float
    confidence: float
    stable: bool
    asks: bool
    dated: bool
    content: str


def entry_of(record: Record, now: datetime) -> Entry | None:
    """What is to be known of a record; None for what no recall may show from `now` on."""
    ends = [record.fields.get(name) for name in _ENDS[record.kind]]
    if record.fields.get(WITHDRAWN) or any(end is not None and end <= now for end in ends):
        return None
    return _READERS[record.kind](record)


def _of_message(record: Record) -> Entry:
    fields, text = record.fields, record.fields.get("text") or ""
    name = fields.get("name") or ""
    named = len(terms(name))  # the words of a message begin with the name of who said it
    return Entry(
        **_common(record, fields.get("created_at"), text),
        name=("", fields.get("message_id") or record.id),
        terms=record.terms[named:],
        thread=record.scope.token,
        place=(float(fields["number"]), ""),
        speaker=name or fields.get("role") or "",
        type="message",
        importance=0.5,
        confidence=1.0,
        stable=False,
    )


def _of_fact(record: Record) -> Entry:
    fields = record.fields
    about, name = fields.get("about") or "user", fields.get("attribute") or ""
    at = _told_at(record)
    return Entry(
        **_common(record, at, fields.get("text") or "", day=fields.get("valid_from") or at),
        name=(fields["key"], record.id),
        terms=record.terms,
        thread=fields.get("source_id") or "",
        place=(fields["created_at"].timestamp(), record.id),
        speaker=about,
        type=fields.get("memory_type") or "fact",
        importance=fields.get("importance", 0.5),
        confidence=fields.get("confidence", 1.0),
        stable=bool(fields.get("pinned")) or in_profile(about, name, fields.get("memory_type")),
    )


def _of_summary(record: Record) -> Entry:
    fields = record.fields
    return Entry(
        **_common(record, fields.get("created_at"), fields.get("text") or ""),
        name=("", record.id),
        terms=record.terms,
        thread=record.scope.token,
        place=(float(fields["number"]), ""),
        speaker="",
        type="summary",
        importance=0.5,
        confidence=1.0,
        stable=False,
    )


def _told_at(record: Record) -> datetime:
    """`Fact.told_at` of what is stored: maintenance makes nothing look fresh."""
    upkeep, updated = record.fields.get("upkeep"), record.fields["updated_at"]
    if upkeep is None or upkeep["version"] != record.version:
        return updated  # type: ignore[no-any-return]
    return datetime.fromisoformat(upkeep["told_at"])


_READERS: Mapping[str, Callable[[Record], Entry]] = {
    "message": _of_message,
    "fact": _of_fact,
    "summary": _of_summary,
}


def _common(record: Record, at: datetime | None, text: str, day: datetime | None = None) -> dict[str, Any]:
    about = day or at
    return {
        "id": record.id,
        "version": record.version,
        "at": at.timestamp() if at else 0.0,
        "day": int(f"{about.astimezone(UTC):%Y%m%d}") if about else 0,
        "asks": text.rstrip().endswith("?"),
        "dated": _DATED.search(text) is not None,
        "content": content_of(record),
    }


def content_of(record: Record) -> str:
    """What changes with the text that is embedded."""
    return digest(embedded_text(record.kind, record.fields))


def name_words(speaker: str) -> frozenset[str]:
    """The words by which a text may name a speaker."""
    return frozenset(words(speaker)) - STOP_WORDS
