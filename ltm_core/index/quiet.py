"""What was looked up and need not be again, as long as nobody writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

MOST = 10_000


class Quiet:
    """Questions whose answer was empty, each with the stamp that its store had before it was asked (`Store.stamp`)."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._stamps: OrderedDict[Hashable, Hashable] = OrderedDict()

    def holds(self, question: Hashable, stamp: Hashable | None) -> bool:
        """Whether the answer is known to be empty still."""
        return stamp is not None and self._stamps.get(question) == stamp

    def note(self, question: Hashable, stamp: Hashable | None) -> None:
        """Remember that the answer was empty, asked after the store had this stamp."""
        if stamp is not None:
            self._stamps[question] = stamp
            self._stamps.move_to_end(question)
            while len(self._stamps) > self._most:
                self._stamps.popitem(last=False)
