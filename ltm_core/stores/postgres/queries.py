"""Statements as PostgreSQL takes them: words by text vectors, nearness by pgvector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import REGCLASS, TSQUERY

from ...scope import digest
from ...vectors import unpack
from ..base import Record, Where
from ..sql.documents import PostgresDocuments
from ..sql.queries import LIMIT, Queries, Query, Wall, columns_of, text_parameters
from ..sql.shapes import Every
from ..sql.tables import TABLES
from ..sql.types import escaped
from .vector_index import LEAST, WEIGHT, Vector, indexed

LONGEST_LEXEME = 2000  # bytes; PostgreSQL refuses words of 2 kB


def lexemes(record: Record) -> list[str]:
    """What the text vector of a record holds: its words, and the wall."""
    words = {_word(term) for term in record.terms}
    return [_owner(record.scope.token), _subject(record.subject.token), *words]


def _owner(token: str) -> str:
    return f"o{token}"


def _subject(token: str) -> str:
    return f"s{token}"


def _word(term: str) -> str:
    word = f"w{escaped(term)}"
    return word if len(word.encode()) < LONGEST_LEXEME else f"h{digest(term)}"


class PostgresQueries(Queries):
    """Words by a GIN index over text vectors, which have the wall inside."""

    documents = PostgresDocuments()
    nulls_sort_first = False

    def text_values(self, where: Where, terms: Sequence[str]) -> dict[str, Any]:
        """The expression."""
        parts = [_any_of(map(_word, terms))]
        if where.scopes:
            parts.append(_any_of(_owner(scope.token) for scope in where.scopes))
        if where.subject is not None:
            parts.append(_any_of([_subject(where.subject.token)]))
        return {"expression": " & ".join(parts)}

    def matching(self, rows: Table, wall: Wall, terms: int) -> ColumnElement[bool]:
        """By the text vector."""
        expression = cast(cast(bindparam("expression"), Text), TSQUERY)
        return literal_column(f"{wall.kind}.words").op("@@", is_comparison=True)(expression)

    def near(self, where: Where, space: str, vector: bytes, limit: int) -> Query:
        """The rows that `where` admits and the cosine of each, compared by pgvector inside the wall."""
        wall, values = self._wall(where)
        numbers = unpack(vector)
        asked = {"space": space, "length": len(numbers), "vector": _spelled(numbers), "limit": limit}
        return Query(self._built("near", wall), values | asked, where)

    def near_by_index(self, where: Where, space: str, vector: bytes, limit: int, most: int) -> Query:
        """The same out of the `most` vectors that an index finds nearest."""
        wall, values = self._wall(where)
        numbers = unpack(vector)
        asked = {"vector": _spelled(numbers), "most": most, "limit": limit}
        return Query(self._built("near_by_index", wall, space, len(numbers)), values | asked, where)

    def is_large(self, where: Where, space: str, index: str, threshold: int | None) -> Query:
        """Whether a scope has `threshold` vectors in `space`; without one, so many that the index is quicker."""
        wall, values = self._wall(Where("vector", where.scopes, where.subject))
        asked = {"space": space} | ({"index": index} if threshold is None else {"least": threshold})
        return Query(self._built("is_large", wall, threshold is None), values | asked, where)

    def _build_near(self, wall: Wall) -> Select[Any]:
        vectors = TABLES["vector"].c
        distance = _distance(Vector())
        comparable = (vectors.space == bindparam("space", type_=vectors.space.type)) & (
            func.cardinality(vectors.embedding) == bindparam("length", type_=Integer())
        )
        best = select(vectors.target, (1 - func.min(distance)).label("cosine"))
        return self._nearest(wall, best.where(self._behind(wall), comparable).group_by(vectors.target))

    def _build_near_by_index(self, wall: Wall, space: str, dimensions: int) -> Select[Any]:
        table = TABLES["vector"]
        distance = _distance(Vector(dimensions))
        asked = select(table.c.target, distance.label("distance"))
        asked = asked.where(self._behind(wall), indexed(table, space, dimensions)).order_by(distance)
        some = asked.limit(bindparam("most", type_=Integer())).subquery()
        return self._nearest(
            wall, select(some.c.target, (1 - func.min(some.c.distance)).label("cosine")).group_by(some.c.target)
        )

    def _build_is_large(self, wall: Wall, weighed: bool) -> Select[Any]:
        vectors = TABLES["vector"].c
        least = _weighed() if weighed else bindparam("least", type_=Integer())
        inside = self.inside(wall) & (vectors.space == bindparam("space", type_=vectors.space.type))
        some = select(literal_column("1")).where(inside).limit(least).subquery()
        return select(select(func.count()).select_from(some).scalar_subquery() >= least)

    def _behind(self, wall: Wall) -> ColumnElement[bool]:
        return self.inside(Wall("vector", wall.owners, wall.subject, -1, Every()))

    def _nearest(self, wall: Wall, best: Select[Any]) -> Select[Any]:
        rows, nearest = TABLES[wall.kind], best.subquery()
        found = select(*columns_of(wall.kind), nearest.c.cosine).join(nearest, nearest.c.target == rows.c.id)
        return found.where(self.inside(wall)).order_by(nearest.c.cosine.desc(), rows.c.id).limit(LIMIT)

    def shared(self, rows: Table, terms: int) -> ColumnElement[int]:
        """By the JSON list of terms."""
        each: Any = func.json_array_elements_text(rows.c.terms).column_valued("term")
        wanted = [cast(parameter, Text) for parameter in text_parameters(terms)]
        return select(func.count(each.distinct())).where(each.in_(wanted)).scalar_subquery()


def _distance(vector: Vector) -> ColumnElement[float]:
    wanted = cast(cast(bindparam("vector"), Text), vector)
    return cast(TABLES["vector"].c.embedding, vector).op("<=>", return_type=Double())(wanted)


def _spelled(numbers: Iterable[float]) -> str:
    return f"[{','.join(map(repr, numbers))}]"


def _weighed() -> Any:
    """From how many vectors of a scope on an index is quicker; on a partitioned table each partition has its own."""
    index = cast(cast(bindparam("index"), Text), REGCLASS)
    parts = text("SELECT inhrelid FROM pg_inherits WHERE inhparent = CAST(:index AS text)::regclass")
    known = table("pg_class", column("oid"), column("reltuples"))
    size = select(func.max(known.c.reltuples)).where(or_(known.c.oid == index, known.c.oid.in_(parts)))
    needed = func.greatest(LEAST, func.ceil(func.sqrt(WEIGHT * func.greatest(0, size.scalar_subquery()))))
    return select(cast(needed, BigInteger)).scalar_subquery()


def _any_of(words: Iterable[str]) -> str:
    return "(" + " | ".join("'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words) + ")"
