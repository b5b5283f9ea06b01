"""An approximate index over the vectors of one space, for owners who have very many.

To compare each vector of a scope costs by how many there are; to ask the index costs by how small a share of it they
are. So it pays for a large scope that is a good part of the database, and only there it is asked.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    MetaData,
    Table,
    and_,
    cast,
    func,
    inspect,
    literal,
    literal_column,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex
from sqlalchemy.types import UserDefinedType

from ...errors import ConfigurationError, StoreError
from ...scope import digest
from ..sql.tables import TABLES

LEAST = 10_000  # vectors of a scope for which comparing all of them takes long enough to matter
WEIGHT = 360  # n of the N vectors in an index are many where n² ≥ WEIGHT · N: measured, see docs/decisions/0013
MOST_DIMENSIONS = 2000  # of a vector that pgvector can index
# How an index is asked, in the transaction that asks. Without sorting, the planner has no other way than the index.
ASKING = {"hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": "200", "enable_sort": "off"}

_TABLE = TABLES["vector"].name
_PREFIX = f"ix_{_TABLE}_near_"


class Vector(UserDefinedType[str]):
    """The type that pgvector brings; with `dimensions`, of that length alone."""

    cache_ok = True

    def __init__(self, dimensions: int | None = None) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: Any) -> str:
        """Its name."""
        return "VECTOR" if self.dimensions is None else f"VECTOR({self.dimensions})"


def index_name(space: str, dimensions: int) -> str:
    """What the index over the vectors of `space` is called: its name is short, and that of a space need not be."""
    return f"{_PREFIX}{digest(space)[:20]}_{dimensions}"


def indexed(table: Table, space: str, dimensions: int) -> ColumnElement[bool]:
    """Which vectors the index holds. Written out, not as parameters: else the planner could not tell that it fits."""
    here = literal(space, table.c.space.type, literal_execute=True)
    return and_(table.c.space == here, func.cardinality(table.c.embedding) == literal_column(str(dimensions)))


def known_indexes(connection: Connection) -> frozenset[str]:
    """The names of the indexes there are."""
    query = text(
        "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid"
        " WHERE indisvalid AND starts_with(relname, :prefix) AND pg_table_is_visible(oid)"
    )
    return frozenset(connection.execute(query, {"prefix": _PREFIX}).scalars())


def create_index(connection: Connection, space: str, dimensions: int) -> None:
    """Index the vectors of `space` that have so many dimensions. Until it is done nobody can write vectors."""
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise ConfigurationError(f"pgvector indexes 1 to {MOST_DIMENSIONS} dimensions, not {dimensions}. Use fewer.")
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as error:
        raise StoreError(f"pgvector is missing ({error.orig}). Install it, and migrate as a role that may.") from error
    name = index_name(space, dimensions)
    if not inspect(connection).has_index(_TABLE, name):
        connection.execute(CreateIndex(_index(name, space, dimensions)))


def _index(name: str, space: str, dimensions: int) -> Index:
    table = TABLES["vector"].to_metadata(MetaData())
    return Index(
        name,
        cast(table.c.embedding, Vector(dimensions)).label("near"),
        postgresql_using="hnsw",
        postgresql_ops={"near": "vector_cosine_ops"},
        postgresql_where=indexed(table, space, dimensions),
    )
