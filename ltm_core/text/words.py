"""Words as the memory knows them: split, folded, stemmed. The same on every database, since no database does it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import snowballstemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_APOSTROPHE = re.compile("['’]")
# Scripts without spaces between words are cut into overlapping pairs of characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+")

# Texts that differ in one of these, or in what has digits, do not say the same, however alike they are.
_SHARP = frozenset(["no", "not", "never", "none", "nor", "without", "cannot"])
_NEGATED = re.compile(r"n['’]t\b", re.IGNORECASE)
SAME = 0.9  # of all words of two texts

# What questions and chatter are made of: words that are never a reason to recall something.
STOP_WORDS = frozenset((files(__package__) / "stop_words.txt").read_text(encoding="utf-8").split())


def _stemmed(word: str) -> str:
    return word if word.isdecimal() else _stem(word)  # numbers are many, and have no endings


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    return snowballstemmer.stemmer("english")


def words(text: str) -> list[str]:
    """The words of `text`, folded (case, width, accents), not stemmed, stop words included."""
    if text.isascii():
        return [word.partition("'")[0] for word in _WORD.findall(text.lower())]
    return [part for word in _WORD.findall(_folded(text)) for part in _cut(_APOSTROPHE.split(word, maxsplit=1)[0])]


def _folded(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", "".join(char for char in apart if not unicodedata.combining(char)))


def _cut(word: str) -> Iterable[str]:
    if not word.isascii() and _UNSPACED.fullmatch(word) and len(word) > 1:
        return [word[i : i + 2] for i in range(len(word) - 1)]
    return [word]


def terms(text: str) -> list[str]:
    """The content words of `text`, stemmed, in order, repeats included.

    >>> terms("Where do I live? I loved hiking in the Alps!")
    ['live', 'love', 'hike', 'alp']
    """
    return [_stemmed(word) for word in words(text) if word not in STOP_WORDS]


def stems(text: str) -> list[str]:
    """All words of `text`, stemmed, stop words included: for comparing texts, not for finding them."""
    return [_stemmed(word) for word in words(text)]


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a text, for telling whether another says the same."""

    stems: frozenset[str]
    sharp: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Wording:
        """That of `text`. What has no words at all is the same as itself only."""
        said = words(text)
        sharp = [word for word in said if word in _SHARP or not word.isalpha()]
        negated = _NEGATED.findall(text) and ["n't"]
        return cls(frozenset(map(_stemmed, said)), frozenset([*sharp, *negated] if said else [text]))

    def same_as(self, other: Wording) -> bool:
        """Whether nearly all words are the same, and all numbers and negations."""
        if self.sharp != other.sharp:
            return False
        common = len(self.stems & other.stems)
        return common >= SAME * (len(self.stems) + len(other.stems) - common)
