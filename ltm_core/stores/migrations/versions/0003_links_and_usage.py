"""Links between facts, what was read and how often, and facts by their tags."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from ltm_core.scope import digest
from ltm_core.stores.migrations.making import FIXED, create, drop_index, index, rows
from ltm_core.stores.sql.types import unescaped_json

revision = "0003"
down_revision = "0002"

LINK = "source:token target:token type strength:real mutual:boolean created_at:time"
ACCESS = "fact_id recall_id:token how at:time useful:boolean"
USAGE = "fact_id access_count:integer last_accessed_at:time useful:integer not_useful:integer"
TAG = "fact_id namespace tag:token key memory_type created_at:time"

SHARED = "namespace key memory_type created_at"  # what a tag repeats of its fact
BATCH = 1000
LONGEST = 64  # characters of a tag that stand as they are


def upgrade() -> None:
    """Make the tables, and the tags of the facts that are there."""
    create("link", LINK, ("owner source", "owner target", "subject"))
    create("access", ACCESS, ("owner fact_id at", "owner recall_id", "subject", "at"))
    create("usage", USAGE, ("owner access_count", "owner last_accessed_at", "subject"))
    create("tag", TAG, ("owner fact_id", "subject"))
    for names in ("owner namespace tag key", "owner namespace tag created_at"):
        index("tag", names, TAG)
    for names in ("owner namespace key", "owner namespace memory_type key"):
        index("fact", names, SHARED)
    drop_index("fact", "owner memory_type")
    if op.get_bind().dialect.name == "postgresql":  # elsewhere they have the order of pages as they are
        for names in ("owner created_at", "owner updated_at"):
            drop_index("fact", names)
            index("fact", names, "")
    _fill_tags()


def _fill_tags() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":  # where policies hide the rows of others, ours may be read so
        connection.execute(sa.text("SELECT set_config('ltm.ids', 'on', true)"))
    tag = rows("tag", TAG)
    connection.execute(sa.delete(tag))  # what a process that was killed had made
    for facts in _tagged(connection):
        made = [row for fact in facts for row in _tags(fact)]
        if made:
            connection.execute(sa.insert(tag).values(body=sa.literal_column("'{}'")), made)


def _tagged(connection: sa.Connection) -> Iterator[list[Any]]:
    """All facts, by batches."""
    fact = rows("fact", f"{SHARED}:time")
    names = [*FIXED.split(), "version", *SHARED.split()]
    tags = sa.cast(sa.column("tags"), sa.Text).label("tags")
    query = sa.select(fact.c.seq, tags, *(fact.c[name] for name in names)).where(fact.c.seq > sa.bindparam("after"))
    after, page = 0, query.order_by(fact.c.seq).limit(BATCH)
    while found := connection.execute(page, {"after": after}).all():
        yield [{**row._mapping, "tags": _read(row.tags, connection.dialect.name)} for row in found]
        after = found[-1].seq


def _read(tags: str | None, dialect: str) -> Any:
    return json.loads(unescaped_json(tags) if dialect == "postgresql" and tags else tags or "[]") or []


def _tags(fact: Any) -> Iterator[dict[str, Any]]:
    for tag in dict.fromkeys(fact["tags"]):
        shared = {name: fact[name] for name in (*FIXED.split(), "version", *SHARED.split())}
        short = tag if len(tag) <= LONGEST else digest(tag)
        yield {**shared, "id": digest("tag", fact["id"], tag), "fact_id": fact["id"], "tag": short}
