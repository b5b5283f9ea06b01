"""The seam: everything that the core asks of a database.

A store keeps `Record`s and knows nothing of facts or sessions. `ltm_core.stores.memory.DictStore` is the specification
of this file; `ltm_core.testing.StoreContract` proves any other store against it.

Two planes. The data verbs (`apply`, `scan`, `count`, `purge`, `search_text`) carry a wall, the owners or the subject
whose records may be touched, in every call. `due`, `subjects` and `whose` serve workers, maintenance and operators:
they give ids, never content.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self

from ..errors import InvalidInput, ScopeError
from ..scope import Scope
from ..vectors import cosine, unpack
from .kinds import KINDS

Operator = Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "contains", "under", "exists"]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of any kind: what a store keeps.

    Attributes:
        scope: The owner, a wall that no query crosses.
        subject: The person (or session) that the record is about: unit of lease and of erasure.
        version: Counts the writes, from 1. `Put.expect` compares it.
        fields: Content by name. Names that `KINDS` lists are typed and indexed, all others ride as JSON.
        terms: Analysed words that a text index must find (see `ltm_core.text.words`).
    """

    kind: str
    id: str
    scope: Scope
    subject: Scope
    version: int = 1
    fields: Mapping[str, Any] = field(default_factory=dict)
    terms: tuple[str, ...] = ()

    def get(self, path: str | tuple[str, ...]) -> Any:
        """The value under a field name, or under a path into a JSON field; None where there is none."""
        if isinstance(path, str):
            fixed = FIXED_VALUES.get(path)
            return self.fields.get(path) if fixed is None else fixed(self)
        value = self.get(path[0])
        for step in path[1:]:
            value = value.get(step) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True, slots=True)
class Compare:
    """A test of one field, or of one path into a JSON field.

    A missing value equals None and nothing else; it is unequal to every value and never greater or less. Values of
    different types (a number and a text, a bool and a number) are unequal and not ordered, inside lists and dicts too.
    `contains` asks for an
    element of a JSON list, `under` for a `/`-separated prefix by whole segments, `exists` (value True or False) for
    any value but None, `in` for one of a list of values.
    """

    path: str | tuple[str, ...]
    operator: Operator
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _plain(self.value))

    def admits(self, record: Record) -> bool:
        """Whether `record` passes."""
        return _OPERATORS[self.operator](record.get(self.path), self.value)


@dataclass(frozen=True, slots=True, init=False)
class All:
    """Every one of the conditions; none at all admits everything."""

    conditions: tuple[Condition, ...]

    def __init__(self, *conditions: Condition) -> None:
        object.__setattr__(self, "conditions", conditions)

    def admits(self, record: Record) -> bool:
        """Whether `record` passes."""
        for condition in self.conditions:  # noqa: SIM110 # `all` takes twice as long
            if not condition.admits(record):
                return False
        return True


@dataclass(frozen=True, slots=True, init=False)
class AnyOf:
    """At least one of the conditions; none at all admits nothing."""

    conditions: tuple[Condition, ...]

    def __init__(self, *conditions: Condition) -> None:
        object.__setattr__(self, "conditions", conditions)

    def admits(self, record: Record) -> bool:
        """Whether `record` passes."""
        for condition in self.conditions:  # noqa: SIM110
            if condition.admits(record):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    condition: Condition

    def admits(self, record: Record) -> bool:
        """Whether `record` passes."""
        return not self.condition.admits(record)


Condition = Compare | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Where:
    """The whole filter language. `admits` is its meaning, for every store.

    Either `scopes` (records of these owners) or `subject` (all records about this person) must stand: there is no
    query over everybody. Conditions cannot name the wall.
    """

    kind: str
    scopes: tuple[Scope, ...] = ()
    subject: Scope | None = None
    test: Condition = field(default_factory=All)
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput(f"There is no kind {self.kind!r}. Use one of {', '.join(KINDS)}.")
        if not self.scopes and self.subject is None:
            raise ScopeError("A query needs an owner. Pass scopes= or subject=.")
        _check_wall(self.test)

    def admits(self, record: Record) -> bool:
        """Whether `record` is inside the wall and passes the test."""
        return (
            record.kind == self.kind
            and (not self.scopes or record.scope in self.scopes)
            and (self.subject is None or record.subject == self.subject)
            and (self.ids is None or record.id in self.ids)
            and self.test.admits(record)
        )

    def also(self, *conditions: Condition) -> Where:
        """The same query, narrowed by `conditions`."""
        return replace(self, test=All(self.test, *conditions)) if conditions else self


@dataclass(frozen=True, slots=True)
class Put:
    """Write a record whole. `expect` is the version that must be stored now: 0 for none, None for any."""

    record: Record
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a record for good, if it is there. `expect` as in `Put`."""

    kind: str
    id: str
    scope: Scope
    expect: int | None = None


Write = Put | Delete
Order = Sequence[tuple[str, Literal["asc", "desc"]]]


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan asks for: the records that `where` admits, by `order` and then by id, at most `limit`."""

    where: Where
    order: Order = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A record that wants to be looked at: whose it is and when, never what it says."""

    kind: str
    id: str
    subject: Scope
    at: datetime


@dataclass(frozen=True, slots=True)
class Near:
    """A record found by a vector, and the cosine between that and the nearest of its own."""

    record: Record
    cosine: float


@dataclass(frozen=True, slots=True)
class Reached:
    """A record that links lead to, how few of them do, and the last of these: the strongest where there are several."""

    record: Record
    depth: int
    link: Record


Direction = Literal["out", "in", "both"]


class Store(ABC):
    """A database, seen by the core. Subclasses write seven verbs and inherit the rest, correct and slow.

    All calls come from one event loop. Opening twice and closing twice are harmless. A client that was handed in is
    never closed.
    """

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def open(self) -> None:
        """Make ready: connect, create or migrate tables. Raises `StoreUnavailable` or `SchemaError`."""

    @abstractmethod
    async def close(self) -> None:
        """Give back what `open` took."""

    @abstractmethod
    async def apply(self, writes: Sequence[Write]) -> None:
        """Do all of `writes` or none, durable on return.

        Raises `ConflictError` where a stored version is not the expected one, or where an id is stored under another
        owner.
        """

    @abstractmethod
    async def scan(
        self, where: Where, *, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> list[Record]:
        """The records that `where` admits, by `order` and then by id; None sorts first.

        `after` is the place where the last page ended: the values of the order's fields and the id (`place`).
        """

    async def scans(self, asked: Sequence[Scan]) -> list[list[Record]]:
        """Several scans at once. They are done in this order: a later one sees whatever an earlier one has seen."""
        return [await self.scan(one.where, order=one.order, limit=one.limit) for one in asked]

    @abstractmethod
    async def purge(self, where: Where) -> int:
        """Remove for good what `where` admits; returns how many."""

    @abstractmethod
    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        """Records whose due time is `before` or earlier, the earliest first, of all tenants: ids only."""

    @abstractmethod
    async def subjects(self, after: Scope | None = None, limit: int = 100) -> list[Scope]:
        """Who has any record here, by token, from behind `after`."""

    def forget_connections(self) -> None:  # noqa: B027 # most stores have none
        """Drop what belongs to the parent process, unclosed: called in a forked child, before `open`."""

    async def whose(self, kind: str, record_id: str) -> Scope | None:
        """Whom the record of this id is about; None where there is none.

        For operators, who were told an id and not whose it is: what they may see they read behind the wall.
        """
        page = await self.subjects()
        while page:
            for subject in page:
                if await self.scan(Where(kind, subject=subject, ids=(record_id,))):
                    return subject
            page = await self.subjects(after=page[-1])
        return None

    async def search_text(self, where: Where, terms: Sequence[str], limit: int) -> list[Record]:
        """At most `limit` records that `where` admits and that share a term with `terms`.

        These are candidates for ranking: their order says little, but where not all fit, those with more of the
        terms come first.
        """
        wanted = set(terms)
        found = [record for record in await self.scan(where) if wanted.intersection(record.terms)]
        found.sort(key=lambda record: -len(wanted.intersection(record.terms)))
        return found[:limit]

    async def search_vector(self, where: Where, space: str, vector: bytes, limit: int) -> list[Near]:
        """At most `limit` records that `where` admits and that have a vector in `space`, the nearest first.

        `vector` is packed (`ltm_core.vectors`). Of several vectors of a record the nearest counts; those of
        another length are passed over.
        """
        wanted, nearest = unpack(vector), dict[str, float]()
        stored = Where("vector", where.scopes, where.subject, Compare("space", "eq", space))
        for record in await self.scan(stored):
            numbers = unpack(record.fields["embedding"])
            if len(numbers) == len(wanted):
                target = record.fields["target"]
                nearest[target] = max(cosine(numbers, wanted), nearest.get(target, -2.0))
        found = [Near(record, nearest[record.id]) for record in await self.scan(where) if record.id in nearest]
        return sorted(found, key=lambda near: (-near.cosine, near.record.id))[:limit]

    async def count(self, where: Where) -> int:
        """How many records `where` admits."""
        return len(await self.scan(where))

    async def stamps(self, scopes: Sequence[Scope], kinds: Sequence[str]) -> Mapping[str, Hashable]:
        """For each of `kinds`, what stays equal only while nobody writes to these owners, or about these subjects.

        A stamp may change without reason. Kinds are left out where a store cannot tell that for less than it costs to
        look. That a record moves to another subject shows in the stamp of its owner.
        """
        return {}

    async def tally(self, where: Where, by: str) -> dict[Any, int]:
        """How many records `where` admits for each value of the column `by`; those without one count under None."""
        return dict(Counter(record.get(by) for record in await self.scan(where)))

    async def walk(
        self,
        where: Where,
        start: Sequence[str],
        depth: int,
        types: Sequence[str] | None = None,
        direction: Direction = "out",
    ) -> list[Reached]:
        """What `where` admits and links lead to from the records `start`, by at most `depth` of them.

        The nearest come first, then by id; `start` itself does not come. Every step is a link behind the same wall, of
        one of `types` if they are given, from its source to its target (`out`), back (`in`), or either way; and every
        record on the way is one that `where` admits. `where.ids` is not looked at.
        """
        begun = await self.scan(Where(where.kind, where.scopes, where.subject, ids=tuple(start)))
        here = seen = {record.id for record in begun}
        found = list[Reached]()
        for step in range(1, depth + 1):
            last = await self._last_links(where, here, seen, types, direction)
            records = await self.scan(replace(where, ids=tuple(sorted(last)))) if last else []
            found += [Reached(record, step, last[record.id]) for record in records]
            here = {record.id for record in records}
            seen = seen | here
        return found

    async def _last_links(
        self, where: Where, here: Set[str], seen: Set[str], types: Sequence[str] | None, direction: Direction
    ) -> dict[str, Record]:
        """What is one link away and new, each with the strongest link from `here`."""
        ends = {"out": ("source",), "in": ("target",), "both": ("source", "target")}[direction]
        touching = AnyOf(*(Compare(end, "in", tuple(sorted(here))) for end in ends))
        arrows = Where("link", where.scopes, where.subject, touching)
        links = await self.scan(arrows.also(Compare("type", "in", types)) if types is not None else arrows)
        pairs = [pair for link in links for pair in _ends(link, ends)]
        there = {link_end: link for start, link_end, link in sorted(pairs, key=_weakest_first) if start in here}
        return {one: link for one, link in there.items() if one not in seen}


def _ends(link: Record, ends: Sequence[str]) -> list[tuple[str, str, Record]]:
    """A link as it may be gone along: from where to where."""
    source, target = link.fields["source"], link.fields["target"]
    both = {"source": (source, target, link), "target": (target, source, link)}
    return [both[end] for end in ends]


def _weakest_first(step: tuple[str, str, Record]) -> tuple[float, str]:
    return strength_of(step[2])


def strength_of(link: Record) -> tuple[float, str]:
    """By which of several links the strongest is told: the greatest; of equals the last by id."""
    return (link.fields.get("strength") or 0.0, link.id)


def place(record: Record, order: Order) -> tuple[Any, ...]:
    """Where `record` stands in `order`: the `after` of the next page."""
    return (*(record.get(name) for name, _ in order), record.id)


FIXED_VALUES: Mapping[str, Callable[[Record], Any]] = {
    "id": lambda record: record.id,
    "owner": lambda record: record.scope.token,
    "subject": lambda record: record.subject.token,
    "subject_name": lambda record: record.subject.name,
    "tenant": lambda record: record.scope.tenant,
    "scope": lambda record: record.scope.level.value,
    "scope_id": lambda record: record.scope.id,
    "version": lambda record: record.version,
}
_WALL = frozenset({"owner", "subject", "subject_name", "tenant", "scope", "scope_id"})


def _check_wall(condition: Condition) -> None:
    if isinstance(condition, Compare):
        head = condition.path if isinstance(condition.path, str) else condition.path[0]
        if head in _WALL:
            raise ScopeError(f"A filter cannot name {head!r}. Pass user_id=, session_id=, agent_id= or scope= instead.")
        if condition.operator not in _OPERATORS:
            raise InvalidInput(f"Unknown operator {condition.operator!r}. Use one of {', '.join(_OPERATORS)}.")
    elif isinstance(condition, Not):
        _check_wall(condition.condition)
    else:
        for inner in condition.conditions:
            _check_wall(inner)


def _plain(value: Any) -> Any:
    """Members of text enums are the texts that they stand for."""
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(_plain(one) for one in value)
    return str.__str__(value) if isinstance(value, str) else value


def _type(value: Any) -> type:
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return list if isinstance(value, tuple) else type(value)


def _equal(left: Any, right: Any) -> bool:
    if _type(left) is not _type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        orderable = _type(left) is _type(right) and isinstance(left, int | float | str | datetime)
        return orderable and not isinstance(left, bool) and compare(left, right)

    return holds


def _under(left: Any, right: Any) -> bool:
    return isinstance(left, str) and (not right or left == right or left.startswith(f"{right}/"))


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "in": lambda left, right: any(_equal(left, value) for value in right),
    "gt": _ordered(lambda left, right: left > right),
    "gte": _ordered(lambda left, right: left >= right),
    "lt": _ordered(lambda left, right: left < right),
    "lte": _ordered(lambda left, right: left <= right),
    "contains": lambda left, right: isinstance(left, list | tuple) and any(_equal(value, right) for value in left),
    "under": _under,
    "exists": lambda left, right: (left is not None) is bool(right),
}
