"""Who was written to, told by numbers that only grow: what a store of one process knows of its own writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from itertools import count

from ..scope import Scope
from .base import Put, Write

MOST = 100_000  # owners and subjects that are told apart


class Changes:
    """The number of the last write of each kind to each owner and subject."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._numbers = count(1)
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._least: dict[str, int] = {}  # of anybody who is not told apart

    def note(self, writes: Sequence[Write]) -> None:
        """These were written, or may have been. A removal names no subject, so it may concern anybody."""
        number = next(self._numbers)
        for write in writes:
            if isinstance(write, Put):
                for scope in (write.record.scope, write.record.subject):
                    self._last[write.record.kind, scope.token] = number
                    self._last.move_to_end((write.record.kind, scope.token))
            else:
                self._least[write.kind] = number
        while len(self._last) > self._most:
            (kind, _), number = self._last.popitem(last=False)
            self._least[kind] = max(self._least.get(kind, 0), number)

    def note_purge(self, kind: str) -> None:
        """Records of a kind were removed, whoever's they were."""
        self._least[kind] = next(self._numbers)

    def of(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> dict[str, Hashable]:
        """For each kind, what stays equal until something of these owners or subjects is noted."""
        return {
            kind: (*(self._last.get((kind, scope.token), 0) for scope in scopes), self._least.get(kind, 0))
            for kind in kinds
        }
