"""The words of `lexicon.toml`, read once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

Phrase = tuple[str, ...]

_ENTRY = re.compile(r'"([^"]+)"|(\S+)')


class Lexicon:
    """A set of words and phrases that finds its longest entry at a place in a text."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        self._tails: dict[str, list[Phrase]] = {}
        for phrase in set(phrases):
            self._tails.setdefault(phrase[0], []).append(phrase)
        for tails in self._tails.values():
            tails.sort(key=len, reverse=True)

    def __contains__(self, word: str) -> bool:
        return (word,) in self._tails.get(word, ())

    def length_at(self, words: list[str], start: int = 0, end: int | None = None) -> int:
        """How many words the longest entry has that stands at `start`; 0 where none does."""
        if start >= (len(words) if end is None else end):
            return 0
        for phrase in self._tails.get(words[start], ()):
            stop = start + len(phrase)
            if (end is None or stop <= end) and tuple(words[start:stop]) == phrase:
                return len(phrase)
        return 0


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    text = (files(__package__) / "lexicon.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _phrases(entries: str) -> list[Phrase]:
    found = (quoted or word for quoted, word in _ENTRY.findall(entries))
    return [tuple(_apart(entry.replace("_", " ")).split()) for entry in found]


def _apart(entry: str) -> str:
    """Contractions as the scanner gives them."""
    return entry.replace("n't", " not").replace("'s", " 's").replace("'m", " am").replace("'re", " are")


@cache
def lexicon(drawer: str, row: str = "all") -> Lexicon:
    """The words of one row of a drawer."""
    return Lexicon(_phrases(_table()[drawer][row]))


@cache
def canonical(drawer: str) -> Mapping[Phrase, str]:
    """For a drawer with several rows: every spelling with the name of its row."""
    return {phrase: name for name, entries in _table()[drawer].items() for phrase in _phrases(entries)}
