"""What was read of the database and need not be read again, as long as nobody writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace

from ..model import Remembered
from ..records import fact_of, message_of, summary_of
from ..scope import Scope
from ..stores.base import All, Record, Store, Where
from ..text.words import Wording

MOST_BYTES = 64 * 2**20
# Rough sizes in bytes, measured on short facts.
_RECORD_BYTES = 5_000
_SEEN_BYTES = 4_500
_NONE_BYTES = 500

Name = tuple[str, str]  # kind and id
Wall = tuple[tuple[Scope, ...], Scope | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it was read, or None where there is none of its id behind a wall; and what was made of it.

    Attributes:
        stamp: What the store had before it was read.
    """

    record: Record | None
    stamp: Hashable
    wall: Wall | None = None
    seen: Seen | None = None

    @property
    def weight(self) -> int:
        """About how much memory it takes."""
        if self.record is None:
            return _NONE_BYTES
        text = self.record.fields.get("text") or ""
        return _RECORD_BYTES + 2 * len(text) + (_SEEN_BYTES if self.seen is not None else 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a record holds. It is shared: whoever hands it to a caller makes copies of its lists and dicts."""

    content: Remembered
    wording: Wording

    @classmethod
    def of(cls, record: Record) -> Seen:
        """That of a fact, message or summary."""
        content = _READERS[record.kind](record)
        return cls(content, Wording.of(content.text))


_READERS: Mapping[str, Callable[[Record], Remembered]] = {
    "fact": fact_of,
    "message": message_of,
    "summary": summary_of,
}


class Contents:
    """The records that were read last, whoever's they are: a `Reading` shows them behind a wall only."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Name, Kept] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._kept)

    def look(self, name: Name, stamp: Hashable, wall: Wall) -> Kept | None:
        """What is known of a record, if that is still true where the store has this stamp."""
        kept = self._kept.get(name)
        if kept is None or kept.stamp != stamp or (kept.record is None and kept.wall != wall):
            return None
        self._kept.move_to_end(name)
        return kept

    def keep(self, name: Name, kept: Kept) -> None:
        """Remember what was read; what was used longest ago makes room."""
        self._forget(name)
        self._kept[name] = kept
        self._weight += kept.weight
        while self._weight > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def seen(self, record: Record, stamp: Hashable) -> Seen:
        """What a record holds; made once for one that was found here."""
        name = (record.kind, record.id)
        kept = self._kept.get(name)
        if kept is None or kept.stamp != stamp or kept.record is not record:
            return Seen.of(record)
        seen = kept.seen
        if seen is None:
            seen = Seen.of(record)
            self.keep(name, replace(kept, seen=seen))
        return seen

    def _forget(self, name: Name) -> None:
        if name in self._kept:
            self._weight -= self._kept.pop(name).weight


class Reading:
    """A store as one recall reads it: what is known since before, and still true, is not asked for again.

    Args:
        stamps: Of the store, taken before anything is read (`Store.stamps`).
    """

    def __init__(
        self, store: Store, contents: Contents | None = None, stamps: Mapping[str, Hashable] | None = None
    ) -> None:
        self._store = store
        self._contents = Contents() if contents is None else contents
        self._stamps = stamps or {}

    async def scan(self, where: Where) -> list[Record]:
        """The records that `where` admits, by id if it names any."""
        stamp = self._stamps.get(where.kind)
        if stamp is None or where.ids is None:
            return await self._store.scan(where)
        wall = (where.scopes, where.subject)
        known = {one: self._contents.look((where.kind, one), stamp, wall) for one in where.ids}
        unknown = tuple(one for one, kept in known.items() if kept is None)
        known |= await self._read(replace(where, ids=unknown, test=All()), stamp) if unknown else {}
        there = [kept.record for kept in known.values() if kept is not None and kept.record is not None]
        return [record for record in there if where.admits(record)]

    def seen(self, record: Record) -> Seen:
        """What a record holds that was read here."""
        return self._contents.seen(record, self._stamps.get(record.kind))

    async def _read(self, where: Where, stamp: Hashable) -> dict[str, Kept]:
        """What is behind a wall, whatever else was asked: the next question may ask for less."""
        found = {record.id: record for record in await self._store.scan(where)}
        wall = (where.scopes, where.subject)
        read = {one: Kept(found.get(one), stamp, wall) for one in where.ids or ()}
        for one, kept in read.items():
            self._contents.keep((where.kind, one), kept)
        return read
