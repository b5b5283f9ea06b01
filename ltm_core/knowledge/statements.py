"""What a fact states, for comparing it with another: its words, and what they leave to the key."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Fact, slug
from .attributes import attribute
from .values import gist, plain

WHOLE = 3  # words from which on a value says by itself what it is about


@dataclass(frozen=True, slots=True)
class Statement:
    """The words of a fact.

    Attributes:
        body: What it says: its own sentence or, where that is but made of the value, the value.
        words: The stemmed words of the body and of the value.
        label: What only the key says: the attribute where the sentence is made of it, and the item where the body does
            not name it and is too short to do without (`pet#rex`: cat).
    """

    body: str
    words: tuple[str, ...]
    label: tuple[str, frozenset[str]]


def statement_of(fact: Fact) -> Statement:
    """What `fact` states."""
    row = attribute(fact.attribute or fact.key)
    value = plain(fact.value)
    is_made = fact.text in ("", row.sentence(fact.value, fact.item, fact.about))
    body = value if is_made else fact.text
    words = gist(body) if is_made else (*gist(body), *gist(value))
    unnamed = frozenset(gist(fact.item or "")) - {*words}
    is_whole = isinstance(fact.value, str) and len(gist(body)) >= WHOLE
    return Statement(body, words, (slug(row.name) if is_made else "", frozenset() if is_whole else unnamed))
