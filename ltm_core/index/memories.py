"""An index of the memories behind one wall: their words by position, their neighbours, and what bears on their rank."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .columns import Column, Columns, Rows, columns
from .entries import Entry
from .matrix import Matrix

TAIL = 30  # words of what was said before that count as the setting of what was said next
UNSURE = 20  # memories from which what is rare is half believed
TINY = 1e-6
_NONE = -1
_NOWHERE = array("i")
# Rough sizes in bytes, measured on conversations and short facts.
_ENTRY_BYTES = 700
_WORD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Hits:
    """Where the words of a query stand.

    Attributes:
        which: For each place, which of the words.
        following: Rows in whose setting one of them stands: those right behind.
        following_which: Which one.
    """

    which: Rows
    positions: Rows
    rows: Rows
    following_which: Rows
    following: Rows


class Memories:
    """Rows are memories. A change is a new row and a dead one; neighbours, words and numbers follow at once.

    Words are kept by position in one long text of all memories, with a gap between any two. So what stands in a
    memory, in its setting, in its conversation, and right behind another word is read from one list of positions.
    """

    def __init__(self, ops: Columns | None = None) -> None:
        self._ops = ops
        self.ops: Columns = ops or columns(0)
        self.entries: list[Entry] = []
        self.rows: dict[str, int] = {}
        self.hidden: set[str] = set()  # ids of what is stored and may not be recalled
        self.stable: dict[str, None] = {}
        self.bare: dict[str, None] = {}  # ids of those without a vector
        self.threads: dict[str, int] = {"": 0}
        self.speakers: dict[str, int] = {}
        self.said: Counter[str] = Counter()  # by each speaker
        self.of_thread: Counter[int] = Counter()  # memories of each
        self.types: dict[str, int] = {}
        self._words: dict[str, array[int]] = {}
        self._word_numbers: dict[str, int] = {"": 0}
        self._row_at = array("i")
        self._word_at = array("i")
        self._ends = array("i")
        self._columns: dict[str, array[Any]] = {name: array(code) for name, code in _COLUMNS.items()}
        self._last: dict[int, int] = {}
        self._sizes = {"body": 0, "window": 0, "threads": 0}
        self._thread_lengths = array("d", [0.0])
        self.matrix = Matrix()
        self._copies: dict[str, Rows] = {}  # until the next change, for whoever still reads them then
        self._derived: dict[str, tuple[Hashable, Column]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """How many rows there are, the dead included."""
        return len(self.entries)

    @property
    def known(self) -> int:
        """How many stored records it has seen and not seen go."""
        return len(self.rows) + len(self.hidden)

    @property
    def is_worn(self) -> bool:
        """Whether most of it is dead."""
        return self.size > 64 and self.size > 2 * len(self.rows)

    @property
    def weight(self) -> int:
        """About how much memory it takes."""
        return self.size * _ENTRY_BYTES + len(self._row_at) * _WORD_BYTES + self.matrix.weight

    def put(self, record_id: str, entry: Entry | None) -> None:
        """Take a record in, or its next version; None for one that may not be recalled."""
        row = self.rows.get(record_id)
        if row is not None and entry is not None and self.entries[row] == replace(entry, terms=()):
            return
        place = self.remove(record_id)
        if entry is None:
            self.hidden.add(record_id)
            return
        self._append(entry)
        if row is not None and place is not None and self.entries[row].content == entry.content:
            self.matrix.keep(self.rows[record_id], place)
            del self.bare[record_id]

    def put_vector(self, record_id: str, content: str, packed: bytes) -> None:
        """Take the vector of a memory in, unless it was made of another text."""
        if record_id in self.bare and self.entries[self.rows[record_id]].content == content:
            self.matrix.put(self.rows[record_id], packed)
            del self.bare[record_id]

    def remove(self, record_id: str) -> int | None:
        """Forget a record; returns where its vector stands."""
        self._copies, self._derived = {}, {}
        self.hidden.discard(record_id)
        self.stable.pop(record_id, None)
        self.bare.pop(record_id, None)
        row = self.rows.pop(record_id, None)
        if row is None:
            return None
        left, right = self._columns["before"][row], self._columns["behind"][row]
        self._columns["alive"][row] = 0
        self._count(row, -1)
        thread = self._columns["thread"][row]
        self._join(left, right, thread)
        return self.matrix.drop(row)

    def column(self, name: str) -> Rows:
        """One number for each row, as it is now: see `_COLUMNS`."""
        return self._copied(name, self._columns[name])

    def derived(self, name: str, of: Hashable, make: Callable[[], Column]) -> Column:
        """What is made of columns, the last one under a name; made anew for another `of`, or after a change."""
        known = self._derived.get(name)
        if known is None or known[0] != of:
            known = self._derived[name] = (of, make())
        return known[1]

    def living(self, column: Column) -> Column:
        """What of a column belongs to what is alive."""
        return column if len(self.rows) == self.size else self.ops.kept(column, self.column("alive"))

    def _copied(self, name: str, held: array[Any]) -> Rows:
        if name not in self._copies:
            self._copies[name] = self.ops.numbers(held)
        return self._copies[name]

    def neighbours(self, row: int) -> list[int]:
        """The rows before and behind a row in its conversation."""
        return [one for one in (self._columns["before"][row], self._columns["behind"][row]) if one != _NONE]

    def hits(self, words: Iterable[Sequence[str]]) -> Hits:
        """Where words stand in what is alive, each in any of its forms."""
        ops = self.ops
        which, positions = ops.listed([[self._words[form] for form in forms if form in self._words] for forms in words])
        rows = self.rows_at(positions)
        if len(self.rows) < self.size:
            alive = ops.take(self.column("alive"), rows)
            which, positions, rows = (ops.kept(numbers, alive) for numbers in (which, positions, rows))
        return Hits(which, positions, rows, *self._following(which, positions, rows))

    def _following(self, which: Rows, positions: Rows, rows: Rows) -> tuple[Rows, Rows]:
        ops = self.ops
        if not self.of_thread:
            return ops.numbers(_NOWHERE), ops.numbers(_NOWHERE)
        late = ops.late(positions, ops.take(self._copied("ends", self._ends), rows), TAIL)
        following = ops.take(self.column("behind"), ops.kept(rows, late))
        there = ops.present(following)
        return ops.kept(ops.kept(which, late), there), ops.kept(following, there)

    def rows_at(self, positions: Rows) -> Rows:
        """The rows in which positions lie."""
        return self.ops.take(self._copied("row_at", self._row_at), positions)

    def total_length(self, name: str) -> float:
        """The sum of all lengths: of `body`, of `window`, or of `threads`."""
        return float(self._sizes[name])

    @property
    def thread_lengths(self) -> Rows:
        """How many words each thread has."""
        return self._copied("thread_lengths", self._thread_lengths)

    @property
    def rarity(self) -> Rows:
        """How rare the words of each row are here: standard deviations from the mean, towards 0 where there are few."""
        if "rarity" not in self._copies:
            self._copies["rarity"] = self._rarity()
        return self._copies["rarity"]

    def _rarity(self) -> Rows:
        alive, count = self.column("alive"), len(self.rows)
        words, ends = self.ops.numbers(self._word_at), self._copied("ends", self._ends)
        rare = self.ops.rarity(words, ends, self.column("length"), alive)
        total, squares = self.ops.moments(self.living(rare))
        mean = total / max(count, 1)
        deviation = math.sqrt(max(squares / max(count, 1) - mean * mean, 0.0))
        trust = count / (count + UNSURE)
        return self.ops.mixed([(trust / deviation if deviation > TINY else 0.0, mean, rare)], self.size)

    def _append(self, entry: Entry) -> None:
        row = self.size
        thread = self._number(self.threads, entry.thread)
        while len(self._thread_lengths) < len(self.threads):
            self._thread_lengths.append(0.0)
        self.entries.append(replace(entry, terms=()))  # they are kept by position
        self.ops = self._ops or columns(self.size)
        self.rows[entry.id] = row
        self.bare[entry.id] = None
        if entry.stable:
            self.stable[entry.id] = None
        self._write(row, entry.terms)
        values = {
            "length": len(entry.terms),
            "window": len(entry.terms),
            "thread": thread,
            "before": _NONE,
            "behind": _NONE,
            "speaker": self._number(self.speakers, entry.speaker),
            "type": self._number(self.types, entry.type),
            "at": entry.at,
            "day": entry.day,
            "importance": entry.importance,
            "confidence": entry.confidence,
            "asks": entry.asks,
            "dated": entry.dated,
            "alive": 1,
        }
        for name, value in values.items():
            self._columns[name].append(value)
        self._count(row, 1)
        if thread:
            self._place(row, thread)

    def _count(self, row: int, sign: int) -> None:
        """Add a row to what is known of all, or take it off."""
        length, thread = self._columns["length"][row], self._columns["thread"][row]
        self._sizes["body"] += sign * length
        self._sizes["window"] += sign * self._columns["window"][row]
        self._thread_lengths[thread] += sign * length
        _add(self.said, self.entries[row].speaker, sign)
        if thread:
            self._sizes["threads"] += sign * length
            _add(self.of_thread, thread, sign)

    def _write(self, row: int, words: Iterable[str]) -> None:
        for word in words:
            self._words.setdefault(word, array("i")).append(len(self._row_at))
            self._row_at.append(row)
            self._word_at.append(self._number(self._word_numbers, word))
        self._ends.append(len(self._row_at))
        self._row_at.append(row)  # the gap
        self._word_at.append(0)

    def _place(self, row: int, thread: int) -> None:
        """Put a row into its thread, mostly at the end."""
        left, right = self._last.get(thread, _NONE), _NONE
        while left != _NONE and self.entries[left].place > self.entries[row].place:
            left, right = self._columns["before"][left], left
        self._join(left, row, thread)
        self._join(row, right, thread)

    def _join(self, left: int, right: int, thread: int) -> None:
        """Make two rows neighbours; -1 is the end on that side."""
        if left != _NONE:
            self._columns["behind"][left] = right
        if right != _NONE:
            self._columns["before"][right] = left
            tail = min(self._columns["length"][left], TAIL) if left != _NONE else 0
            window = self._columns["length"][right] + tail
            self._sizes["window"] += window - self._columns["window"][right]
            self._columns["window"][right] = window
        elif thread:
            self._last[thread] = left

    @staticmethod
    def _number(names: dict[str, int], name: str) -> int:
        return names.setdefault(name, len(names))


def _add(counts: Counter[Any], name: Any, sign: int) -> None:
    """Count up or down; what is at nothing is not there."""
    counts[name] += sign
    if not counts[name]:
        del counts[name]


_COLUMNS: Mapping[str, str] = {
    "length": "i",  # words
    "window": "i",  # words, those of the setting included
    "thread": "i",
    "before": "i",  # the row of the neighbour, or -1
    "behind": "i",
    "speaker": "i",
    "type": "i",
    "at": "d",
    "day": "i",
    "importance": "d",
    "confidence": "d",
    "asks": "b",
    "dated": "b",
    "alive": "b",
}


def indexed(entries: Sequence[Entry], ops: Columns | None = None) -> Memories:
    """An index of these memories."""
    made = Memories(ops)
    for entry in entries:
        made.put(entry.id, entry)
    return made
