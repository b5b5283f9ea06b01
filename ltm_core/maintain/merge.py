"""Merge: of facts that mean nearly the same, the one that says most stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import ClassVar

from ..knowledge.lifecycle import changed, joined, outlives, put_aside
from ..knowledge.statements import statement_of
from ..knowledge.values import gist, same
from ..model import Fact, FactUpdate, slug
from ..policies import Maintaining
from ..vectors import cosine

LONG = 5  # letters from which on a word may be misspelled
ALIKE = 0.85  # of the letters of two words that are one, misspelled
COMPARED = 300  # how many of one attribute are all compared by their vectors

_NEGATIONS = frozenset(
    {"no", "not", "never", "none", "nor", "neither", "without", "except", "unless", "cannot", "only"}
)


@dataclass(frozen=True, slots=True)
class Merge:
    """Archives facts whose words another fact of the same attribute has too, or whose vectors are nearly the same.

    Numbers, names and negations must be the same in both: "two cats" is not "three cats", and Rome not Paris. What
    stays keeps its own words and value.

    Attributes:
        min_words: What share of the words of the fuller fact the other must have, 0 to 1.
        min_cosine: How near the vectors must be; they are compared where there is an embedder.
    """

    min_words: float = 0.75
    min_cosine: float = 0.95
    name: ClassVar[str] = "merge"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """An update for each fact that stays and grows, or goes."""
        families: defaultdict[tuple[object, ...], list[Fact]] = defaultdict(list)
        for fact in given.facts:
            families[slug(fact.about), slug(fact.attribute or fact.key), fact.schema_type].append(fact)
        large = [family for family in families.values() if len(family) > 1]
        vectors = await given.vectors([fact for family in large for fact in family]) if large else {}
        return [update for family in large for update in self._updates(family, vectors, given)]

    def _updates(
        self, family: Sequence[Fact], vectors: Mapping[str, Sequence[float]], given: Maintaining
    ) -> Iterator[FactUpdate]:
        said = sorted((_Said(fact, vectors.get(fact.id)) for fact in family), key=_fullest_first)
        for kept, others in self._clusters(said):
            grown = joined(kept, others, given.now, f"merge: {len(others)} more say as much or less")
            if grown is not kept:
                yield changed(kept, grown)
            for fact in others:
                yield changed(fact, put_aside(fact, given.now, f"merge: {kept.key} says as much or more", kept))

    def _clusters(self, said: Sequence[_Said]) -> list[tuple[Fact, list[Fact]]]:
        """What stays, each with what goes because of it. What stays is nowhere alike, so a second run finds nothing."""
        kept = _Kept()
        gone: dict[str, list[Fact]] = {}
        for one in said:
            fuller = next((other for other in kept.near(one) if self._is_covered(one, other)), None)
            if fuller is None or one.fact.pinned:
                kept.add(one)
            else:
                gone.setdefault(fuller.fact.id, []).append(one.fact)
        return [(other.fact, gone[other.fact.id]) for other in kept.every if other.fact.id in gone]

    def _is_covered(self, one: _Said, fuller: _Said) -> bool:
        if outlives(one.fact, fuller.fact) or not _same_data(one.fact, fuller.fact):
            return False
        if (one.words ^ fuller.words) & (one.marks | fuller.marks):
            return False
        return self._by_words(one, fuller) or self._by_meaning(one, fuller)

    def _by_words(self, one: _Said, fuller: _Said) -> bool:
        missing, added = one.words - fuller.words, fuller.words - one.words
        if len(missing) == len(added) == 1:
            return _is_misspelled(*missing, *added)
        return not missing and len(one.words) >= self.min_words * len(fuller.words)

    def _by_meaning(self, one: _Said, fuller: _Said) -> bool:
        return bool(one.vector and fuller.vector) and cosine(one.vector or (), fuller.vector or ()) >= self.min_cosine


class _Said:
    """A fact with the words that it has, and those of them that must not differ: numbers, names, negations."""

    def __init__(self, fact: Fact, vector: Sequence[float] | None) -> None:
        said = statement_of(fact)
        item = said.label[1]
        self.fact = fact
        self.vector = vector
        self.words = frozenset(said.words) | item
        self.marks = {word for word in self.words if _is_mark(word)} | item | _names(said.body)


@dataclass(slots=True)
class _Kept:
    """What stays so far, by word."""

    every: list[_Said] = field(default_factory=list)
    _by_word: dict[str, list[_Said]] = field(default_factory=dict)

    def add(self, one: _Said) -> None:
        self.every.append(one)
        for word in one.words:
            self._by_word.setdefault(word, []).append(one)

    def near(self, one: _Said) -> list[_Said]:
        """What may be alike. What has all words of `one`, or all but one, has one of its two rarest."""
        if one.vector and len(self.every) <= COMPARED:
            return self.every
        rarest = sorted((self._by_word.get(word, []) for word in one.words), key=len)[:2]
        return list({id(other): other for others in rarest for other in others}.values())


def _fullest_first(said: _Said) -> tuple[object, ...]:
    fact = said.fact
    return (not fact.pinned, -len(said.words), -fact.confidence, -fact.importance, fact.created_at, fact.key)


def _same_data(one: Fact, other: Fact) -> bool:
    """Whether two values can be compared by their words, or are the same."""
    by_words = isinstance(one.value, str) and isinstance(other.value, str)
    return by_words or same(one.value, other.value)


def _is_mark(word: str) -> bool:
    return word in _NEGATIONS or word.endswith(("n't", "n’t")) or any(char.isdigit() for char in word)


def _names(text: str) -> set[str]:
    """The words that a sentence writes large, but for its first."""
    return {stem for word in text.split()[1:] if word.strip("\"'(")[:1].isupper() for stem in gist(word)}


def _is_misspelled(one: str, other: str) -> bool:
    """Whether two words are one: long, with the same beginning, and alike letter by letter."""
    if min(len(one), len(other)) < LONG or one[0] != other[0]:
        return False
    return SequenceMatcher(None, one, other).ratio() >= ALIKE
