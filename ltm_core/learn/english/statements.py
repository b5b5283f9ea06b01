"""The statement table: reads `statements.toml`, and finds the first statement that a clause fits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from .clause import Clause, Filled
from .lexicon import lexicon
from .slots import SLOTS
from .tokens import Token, base

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """One of several words, in their base form."""

    any_of: frozenset[str]

    def match(self, clause: Clause, at: int, limit: int) -> tuple[int, Found] | None:
        """Where the word ends, adverbs before it passed over."""
        while at < limit and clause.words[at].base not in self.any_of and clause.lows[at] in lexicon("skip"):
            at += 1
        return (at + 1, {}) if at < limit and self._fits(clause.words[at]) else None

    def _fits(self, token: Token) -> bool:
        return token.base in self.any_of or token.low in self.any_of


@dataclass(frozen=True, slots=True)
class Slot:
    """A place that a function of `slots.py` reads; `before` are the words that may follow it."""

    name: str
    before: frozenset[str] = frozenset()

    def match(self, clause: Clause, at: int, limit: int) -> tuple[int, Found] | None:
        """What the slot holds, and where that ends."""
        end = next((i for i in range(at + 1, limit) if clause.words[i].base in self.before), limit)
        filled: Filled | None = SLOTS[self.name.rstrip("2")](clause, at, end)
        return (filled.end, {self.name: filled.values}) if filled else None


@dataclass(frozen=True, slots=True)
class Optional:
    """Elements that may be missing together."""

    elements: tuple[Word | Slot | Optional, ...]


Element = Word | Slot | Optional


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of `gives`: attribute, item and value, with slots to fill in."""

    attribute: str
    item: str | None
    value: str
    retract: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """One pattern with what it gives."""

    elements: tuple[Element, ...]
    denied: bool
    gives: tuple[Told, ...]
    ended: tuple[Told, ...]
    dated: bool
    words: frozenset[str]
    needs: tuple[frozenset[str], ...]

    def may_fit(self, clause: Clause, heard: frozenset[str]) -> bool:
        """Whether it is worth trying: polarity, date and every fixed word are there."""
        if self.denied is not clause.denied or not self.words <= heard:
            return False
        for words in self.needs:  # a loop, since this is where the time goes
            if words.isdisjoint(heard):
                return False
        return clause.dated or not self.dated


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that a clause fits, what its slots hold, and where it ends."""

    statement: Statement
    found: Found
    end: int


def match(clause: Clause) -> Match | None:
    """The first statement of the table that fits the beginning of `clause`."""
    index = _table()
    heard = frozenset(clause.lows) | frozenset(token.base for token in clause.words)
    for place in index.places(clause):
        statement = index.statements[place]
        if not statement.may_fit(clause, heard):
            continue
        fitted = _match(statement.elements, clause, 0, len(clause.words))
        if fitted:
            return Match(statement, fitted[1], fitted[0])
    return None


def is_verb(base: str) -> bool:
    """Whether a statement about a person can begin with this verb."""
    return base in _table().verbs


def _match(elements: Sequence[Element], clause: Clause, at: int, limit: int) -> tuple[int, Found] | None:
    if not elements:
        return at, {}
    head, rest = elements[0], elements[1:]
    if isinstance(head, Optional):
        return _match((*head.elements, *rest), clause, at, limit) or _match(rest, clause, at, limit)
    step = head.match(clause, at, limit)
    if step is None:
        return None
    tail = _match(rest, clause, step[0], limit)
    return (tail[0], {**step[1], **tail[1]}) if tail else None


class _Index:
    """Statements by their first two words, so that a clause is tried against few of them."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self._by_words: dict[tuple[str, str], list[int]] = {}
        for place, statement in enumerate(statements):
            for key in _keys(statement.elements):
                self._by_words.setdefault(key, []).append(place)
        self.verbs = frozenset(second for first, second in self._by_words if first == "i" and second) - {"be"}

    def places(self, clause: Clause) -> list[int]:
        first, second = clause.opening
        keys = {(first, second), (first, ""), ("", "")}
        return sorted({place for key in keys for place in self._by_words.get(key, ())})


def _keys(elements: Sequence[Element]) -> Iterator[tuple[str, str]]:
    for first in _firsts(elements):
        rest = elements[1:]
        yield from ((first, second) for second in _firsts(rest)) if first else [("", "")]


def _firsts(elements: Sequence[Element]) -> set[str]:
    if not elements or isinstance(elements[0], Slot):
        return {""}
    if isinstance(elements[0], Word):
        return {"" if word in lexicon("skip") else word for word in elements[0].any_of}
    return _firsts((*elements[0].elements, *elements[1:])) | _firsts(elements[1:])


@cache
def _table() -> _Index:
    table = tomllib.loads((files(__package__) / "statements.toml").read_text(encoding="utf-8"))
    groups = table["groups"]
    return _Index([_statement(pattern, row, groups) for row in table["statement"] for pattern in row["said"]])


def _statement(pattern: str, row: Mapping[str, Any], groups: Mapping[str, str]) -> Statement:
    plain = re.sub(r"<(\w+)>", lambda group: groups[group[1]], pattern)
    words = plain.replace("(", " ( ").replace(")", " ) ").split()
    denied = any(word in ("not", "never") for word in words)
    elements = _elements(iter([word for word in words if word not in ("not", "never")]))
    fixed = [element.any_of for element in elements if isinstance(element, Word)]
    alone = frozenset(word for words in fixed if len(words) == 1 for word in words)
    needs = tuple(words for words in fixed if len(words) > 1)
    gives = tuple(map(_told, row["gives"]))
    ended = tuple(map(_told, row["ended"])) if "ended" in row else tuple(_taken_back(gives))
    return Statement(_with_followers(elements), denied, gives, ended, row.get("dated", False), alone, needs)


def _taken_back(gives: Iterable[Told]) -> Iterator[Told]:
    return (Told(told.attribute, told.item, told.value, retract=True) for told in gives)


def _told(entry: str) -> Told:
    name, _, value = entry.removeprefix("-").partition("=")
    attribute, _, item = name.partition("#")
    return Told(attribute, item or None, value, entry.startswith("-"))


def _elements(words: Iterator[str]) -> tuple[Element, ...]:
    found: list[Element] = []
    for word in words:
        if word == ")":
            break
        if word == "(":
            found.append(Optional(_elements(words)))
        elif word != "I" and word.rstrip("2") in SLOTS:
            found.append(Slot(word))
        else:
            found.append(Word(frozenset(base(part.lower()) for part in word.split("|"))))
    return tuple(found)


def _with_followers(elements: tuple[Element, ...], after: frozenset[str] = frozenset()) -> tuple[Element, ...]:
    found: list[Element] = []
    for place, element in enumerate(elements):
        followers = _followers(elements[place + 1 :], after)
        if isinstance(element, Slot):
            found.append(Slot(element.name, followers))
        elif isinstance(element, Optional):
            found.append(Optional(_with_followers(element.elements, followers)))
        else:
            found.append(element)
    return tuple(found)


def _followers(rest: Sequence[Element], after: frozenset[str]) -> frozenset[str]:
    if not rest:
        return after
    head = rest[0]
    if isinstance(head, Word):
        return head.any_of
    if isinstance(head, Slot):
        return frozenset()
    inner = _followers(head.elements, frozenset())
    return inner | _followers(rest[1:], after)
