"""The statements that read and purge, each built once for its shape, and the parameters of one call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    Delete,
    Executable,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    false,
    func,
    select,
    union,
)
from sqlalchemy import Integer as SqlInteger

from ..base import All, Compare, Condition, Direction, Order, Where
from ..kinds import KINDS
from .documents import Documents
from .filters import Filters, parameter
from .shapes import Every, Shape, Shaping, padded
from .tables import LAYOUTS, TABLES
from .walks import Walls, walk

Parameters = Mapping[str, Any]
SHAPES = 1024  # statements kept


@dataclass(frozen=True, slots=True)
class Wall:
    """What a query is about, without the values: how many owners and ids, whether a subject, which test."""

    kind: str
    owners: int
    subject: bool
    ids: int
    test: Shape


@dataclass(frozen=True, slots=True)
class Page:
    """How what was found is to be shown: the order, whether there is a limit, and where it goes on."""

    order: tuple[tuple[str, str], ...] = ()
    limited: bool = False
    after: tuple[bool, ...] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Query:
    """A statement with the parameters of one call.

    Attributes:
        where: Whose records it is about; None for ids of everybody.
        settings: What it needs of the transaction that it runs in, by name.
    """

    statement: Executable
    parameters: Parameters
    where: Where | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


class Queries(ABC):
    """Builds statements for one database. Subclasses say how it looks for words."""

    documents: ClassVar[Documents]
    nulls_sort_first: ClassVar[bool] = True

    def __init__(self) -> None:
        self._built: Callable[..., Any] = lru_cache(maxsize=SHAPES)(self._build)

    def scan(
        self, where: Where, order: Order = (), limit: int | None = None, after: Sequence[Any] | None = None
    ) -> Query:
        """The rows that `where` admits, as `LAYOUTS` names their columns."""
        wall, values = self._wall(where)
        present = None if after is None else tuple(value is not None for value in after)
        page = Page(tuple((name, direction) for name, direction in order), limit is not None, present)
        if limit is not None:
            values["limit"] = limit
        if after is not None:
            values |= self._place(where.kind, order, after)
        return Query(self._built("scan", wall, page), values, where)

    def count(self, where: Where) -> Query:
        """How many rows `where` admits."""
        wall, values = self._wall(where)
        return Query(self._built("count", wall), values, where)

    def tally(self, where: Where, by: str) -> Query:
        """Each value of a column, and how many of the rows that `where` admits have it."""
        wall, values = self._wall(where)
        return Query(self._built("tally", wall, by), values, where)

    def purge(self, where: Where) -> Query:
        """Removes the rows that `where` admits."""
        wall, values = self._wall(where)
        return Query(self._built("purge", wall), values, where)

    def text(self, where: Where, terms: Sequence[str], limit: int) -> Query:
        """The rows that `where` admits and that may share a term, and as the last cell how many they share."""
        wall, values = self._wall(where)
        wanted = padded(terms)
        values |= {f"term{number}": term for number, term in enumerate(wanted)}
        values |= {"limit": limit, **self.text_values(where, terms)}
        return Query(self._built("text", wall, len(wanted)), values, where)

    def due(self, kind: str, column: str) -> Executable:
        """Id, subject name, tenant and time of what is due `before`, at most `limit`."""
        return self._built("due", kind, column)  # type: ignore[no-any-return]

    def subjects(self) -> Executable:
        """Token, name and tenant of at most `limit` subjects behind the token `after`."""
        return self._built("subjects")  # type: ignore[no-any-return]

    def whose(self, kind: str) -> Executable:
        """Subject name and tenant of what has the id `its_id`, whoever owns it."""
        return self._built("whose", kind)  # type: ignore[no-any-return]

    def stamp(self, where: Where) -> Query:
        """Numbers that change whenever the vectors that `where` admits do."""
        wall, values = self._wall(where)
        return Query(self._built("stamp", wall), values, where)

    def vectors(self, where: Where) -> Query:
        """Target and packed floats of the vectors that `where` admits."""
        wall, values = self._wall(where)
        return Query(self._built("vectors", wall), values, where)

    def walk(
        self, where: Where, start: Sequence[str], depth: int, types: Sequence[str] | None, direction: Direction
    ) -> Query:
        """What links lead to: cells of a record, its depth, and cells of a link that arrives, perhaps several times."""
        told: list[Any] = []
        of_type = Shaping("link", self.documents, told).shape(_of_types(types))
        wall, values = self._wall(replace(where, ids=tuple(start)), told)
        return Query(self._built("walk", wall, of_type, direction), values | {"depth": depth}, where)

    @abstractmethod
    def text_values(self, where: Where, terms: Sequence[str]) -> dict[str, Any]:
        """The parameters of `matching` and `shared`, beside `term0`, …"""

    @abstractmethod
    def matching(self, table: Table, wall: Wall, terms: int) -> ColumnElement[bool]:
        """Whether a row shares a term, at least: by the text index, with the wall inside."""

    @abstractmethod
    def shared(self, table: Table, terms: int) -> ColumnElement[int]:
        """How many of the terms a row has."""

    def beside_ids(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A column of the wall, where ids are asked for, so that these and no other index are gone by."""
        return column

    def _wall(self, where: Where, told: list[Any] | None = None) -> tuple[Wall, dict[str, Any]]:
        """What a query is about, and its values behind those that were `told` before."""
        shaping = Shaping(where.kind, self.documents, [] if told is None else told)
        shape = shaping.shape(where.test)
        values = {parameter(number): value for number, value in enumerate(shaping.values)}
        owners = padded([scope.token for scope in where.scopes]) if where.scopes else []
        ids = padded(where.ids) if where.ids else []
        values |= {f"owner{number}": owner for number, owner in enumerate(owners)}
        values |= {f"id{number}": one for number, one in enumerate(ids)}
        if where.subject is not None:
            values["subject"] = where.subject.token
        number = -1 if where.ids is None else len(ids)
        return Wall(where.kind, len(owners), where.subject is not None, number, shape), values

    def _place(self, kind: str, order: Order, after: Sequence[Any]) -> dict[str, Any]:
        filters = Filters(kind, self.documents)
        names = [*(name for name, _ in order), "id"]
        placed = [
            self.documents.placed(value) if filters.is_document(name) and value is not None else value
            for name, value in zip(names, after, strict=True)
        ]
        return {f"after{number}": value for number, value in enumerate(placed) if value is not None}

    # Building, once for each shape

    def _build(self, what: str, *shape: Any) -> Executable:
        return getattr(self, f"_build_{what}")(*shape)  # type: ignore[no-any-return]

    def _build_scan(self, wall: Wall, page: Page) -> Select[Any]:
        filters = Filters(wall.kind, self.documents)
        order: Any = page.order
        statement = select(*columns_of(wall.kind)).where(self.inside(wall))
        if page.after is not None:
            statement = statement.where(filters.behind(order, page.after))
        statement = statement.order_by(*filters.ordering(order, nulls_sort_first=self.nulls_sort_first))
        return statement.limit(LIMIT) if page.limited else statement

    def _build_count(self, wall: Wall) -> Executable:
        return select(func.count()).select_from(TABLES[wall.kind]).where(self.inside(wall))

    def _build_tally(self, wall: Wall, by: str) -> Executable:
        column = TABLES[wall.kind].c[by]
        return select(column, func.count()).where(self.inside(wall)).group_by(column)

    def _build_purge(self, wall: Wall) -> Delete:
        return delete(TABLES[wall.kind]).where(self.inside(wall))

    def _build_text(self, wall: Wall, terms: int) -> Select[Any]:
        table = TABLES[wall.kind]
        shared = self.shared(table, terms).label("shared")
        found = select(*columns_of(wall.kind), shared).where(self.matching(table, wall, terms), self.inside(wall))
        return found.order_by(shared.desc(), table.c.id).limit(LIMIT)

    def _build_due(self, kind: str, column: str) -> Select[Any]:
        table = TABLES[kind].c
        before = bindparam("before", type_=table[column].type)
        ready = select(table.id, table.subject_name, table.tenant, table[column]).where(table[column] <= before)
        return ready.order_by(table[column], table.id).limit(LIMIT)

    def _build_subjects(self) -> Select[Any]:
        pages = (_subjects(table) for table in TABLES.values())
        everyone = union(*(select(page.subquery()) for page in pages)).subquery()
        return select(everyone).order_by(everyone.c.subject).limit(LIMIT)

    def _build_whose(self, kind: str) -> Select[Any]:
        table = TABLES[kind].c
        return select(table.subject_name, table.tenant).where(table.id == bindparam("its_id", type_=table.id.type))

    def _build_stamp(self, wall: Wall) -> Executable:
        table = TABLES["vector"].c
        return select(
            func.count(), func.max(table.seq), func.sum(table.version), func.max(table.created_at), func.sum(table.seq)
        ).where(self.inside(wall))

    def _build_vectors(self, wall: Wall) -> Select[Any]:
        table = TABLES["vector"].c
        return select(table.target, table.embedding).where(self.inside(wall)).order_by(table.seq)

    def _build_walk(self, wall: Wall, of_type: Shape, direction: Direction) -> Select[Any]:
        tests = {
            "start": replace(wall, test=Every()),
            "nodes": replace(wall, ids=-1),
            "links": replace(wall, kind="link", ids=-1, test=of_type),
        }
        return walk(wall.kind, direction, Walls(**{part: self.inside(one) for part, one in tests.items()}))

    def inside(self, wall: Wall) -> ColumnElement[bool]:
        """The wall and the test of a query."""
        filters = Filters(wall.kind, self.documents)
        table = filters.table.c
        parts = [filters.test(wall.test)]
        owner, subject = (self.beside_ids(one) if wall.ids > 0 else one for one in (table.owner, table.subject))
        if wall.owners:
            parts.append(_one_of(owner, "owner", wall.owners))
        if wall.subject:
            parts.append(subject == bindparam("subject", type_=table.subject.type))
        if wall.ids >= 0:
            parts.append(_one_of(table.id, "id", wall.ids))
        return and_(*parts)


LIMIT = bindparam("limit", type_=SqlInteger())


def columns_of(kind: str) -> list[ColumnElement[Any]]:
    """The columns of a row, in the order of its layout."""
    return [TABLES[kind].c[name] for name in LAYOUTS[kind].names]


def _one_of(column: ColumnElement[Any], name: str, count: int) -> ColumnElement[bool]:
    values = [bindparam(f"{name}{number}", type_=column.type) for number in range(count)]
    if not values:
        return false()
    return column == values[0] if count == 1 else column.in_(values)  # the first is quicker to prepare


def _of_types(types: Sequence[str] | None) -> Condition:
    return All() if types is None else Compare("type", "in", tuple(types))


def _subjects(table: Table) -> Select[Any]:
    columns = (table.c.subject, table.c.subject_name, table.c.tenant)
    after = bindparam("after", type_=table.c.subject.type)
    return select(*columns).where(table.c.subject > after).distinct().order_by(table.c.subject).limit(LIMIT)


def has_words(kind: str, terms: Sequence[str]) -> bool:
    """Whether looking for terms can find anything."""
    return KINDS[kind].words and bool(terms)


def text_parameters(count: int) -> list[Any]:
    """The parameters `term0`, …"""
    return [bindparam(f"term{number}", type_=String()) for number in range(count)]
