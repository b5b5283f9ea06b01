"""Facts as they were said, and what a message has told so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .subjects import People
from .tokens import Token

SURE, HEDGED, ASKED_TO_REMEMBER = 0.9, 0.6, 0.95

_Key = tuple[str, str, str | None, str, bool]


@dataclass(frozen=True, slots=True)
class Said:
    """One fact, with the words that said it."""

    about: str
    attribute: str
    item: str | None
    value: Any
    quote: str
    retract: bool = False
    confidence: float = SURE
    valid_from: datetime | None = None

    @property
    def key(self) -> _Key:
        """What makes two facts the same."""
        return (self.about, self.attribute, self.item, str(self.value).lower(), self.retract)


@dataclass(slots=True)
class Heard:
    """What one message has told so far: its facts in order, and the people in it.

    Attributes:
        profile: A list about the speaker is being read ("About me: …").
    """

    text: str
    now: datetime
    people: People = field(default_factory=People)
    profile: bool = False
    _facts: dict[_Key, Said] = field(default_factory=dict)
    _nameless_pet: Said | None = None

    @property
    def facts(self) -> list[Said]:
        """The facts, in the order in which they were last said."""
        return list(self._facts.values())

    def __len__(self) -> int:
        return len(self._facts)

    def quote(self, tokens: Sequence[Token]) -> str:
        """The words of `tokens` as they were written."""
        return " ".join(self.text[tokens[0].start : tokens[-1].end].split()) if tokens else ""

    def add(self, fact: Said) -> None:
        """Take a fact, and note whom it names."""
        if fact.attribute == "name" and fact.about != "user":
            self.meet(fact.about, str(fact.value), fact.quote)
        elif fact.attribute == "relation" and fact.about == "user" and fact.item and not fact.retract:
            self.meet(fact.item, str(fact.value), fact.quote)
        else:
            if fact.about != "user":
                self.meet(fact.about, "yes", fact.quote)
            if fact.attribute == "pet":
                self._nameless_pet = fact if fact.item == fact.value and not fact.retract else None
            self._put(fact)

    def meet(self, relation: str, name: str, quote: str) -> None:
        """Note that there is such a person; `name` is "yes" where it was not told."""
        self.people.last = relation
        if name == "yes":
            if relation not in self.people.told:
                self._put(Said("user", "relation", relation, name, quote))
        else:
            self.people.names[name.split(maxsplit=1)[0]] = relation
            self._facts.pop(("user", "relation", relation, "yes", False), None)
            self._put(Said("user", "relation", relation, name, quote))
        self.people.told.add(relation)

    def name_pet(self, name: str) -> None:
        """Give the animal that was just spoken of its name."""
        if self._nameless_pet:
            self._facts.pop(self._nameless_pet.key, None)
            self._put(replace(self._nameless_pet, item=name.lower()))
            self._nameless_pet = None

    def forget(self) -> None:
        """Drop all: it was a joke."""
        self._facts.clear()

    def _put(self, fact: Said) -> None:
        self._facts.pop(fact.key, None)
        self._facts[fact.key] = fact
