"""Many facts at once: a thousand to a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import InvalidInput, LTMError
from ..knowledge.edits import successor
from ..learn.commit import writes_for
from ..model import Fact, FactUpdate, Operation
from ..scope import Scope
from ..stores.base import Where, Write

SIZE = 1000


@dataclass(frozen=True, slots=True)
class Edit:
    """A fact as it was given: made as if it were new, and the fields that were named."""

    fact: Fact
    given: dict[str, Any]

    def update(self, stored: Fact | None, now: datetime) -> FactUpdate:
        """What becomes of the fact that is stored."""
        if stored is None:
            return FactUpdate(operation="ADD", fact=self.fact, reason=self.fact.reason)
        new = successor(stored, self.fact, self.given, now)
        operation: Operation = "NOOP" if new is stored else "UPDATE"
        return FactUpdate(operation=operation, fact=new, previous=stored, reason=new.reason)


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts of which each has an id of its own, for one transaction."""

    edits: Sequence[Edit]

    @property
    def owners(self) -> tuple[Scope, ...]:
        """Whose facts they are."""
        return tuple({edit.fact.owner: None for edit in self.edits})

    @property
    def where(self) -> Where:
        """The facts that are stored under these keys."""
        return Where("fact", self.owners, ids=tuple(edit.fact.id for edit in self.edits))

    def writes(self, stored: Mapping[str, Fact], subjects: Mapping[Scope, Scope], now: datetime) -> list[Write]:
        """What to write, where `stored` is all that is stored under these keys."""
        updates = [(edit.fact.owner, edit.update(stored.get(edit.fact.id), now)) for edit in self.edits]
        return [write for owner, update in updates for write in writes_for([update], subjects[owner], now)]


def batches(given: Iterable[Mapping[str, Any]], make: Callable[[dict[str, Any]], Edit]) -> Iterator[Batch]:
    """`given` made into facts, in batches; a key that comes again begins a new one. Errors say at which fact."""
    waiting: dict[str, Edit] = {}
    for number, one in enumerate(given, 1):
        edit = _edit(number, one, make)
        if len(waiting) == SIZE or edit.fact.id in waiting:
            yield Batch(list(waiting.values()))
            waiting = {}
        waiting[edit.fact.id] = edit
    if waiting:
        yield Batch(list(waiting.values()))


def _edit(number: int, given: Mapping[str, Any], make: Callable[[dict[str, Any]], Edit]) -> Edit:
    missing = {"key", "value"} - given.keys()
    if missing:
        raise InvalidInput(f"Fact {number} has no {min(missing)!r}. Give each a key and a value.")
    try:
        return make(dict(given))
    except LTMError as error:
        raise type(error)(f"Fact {number}: {error}") from error
