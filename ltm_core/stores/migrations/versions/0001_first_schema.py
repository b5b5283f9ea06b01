"""The first schema: facts and their versions, messages, sessions, jobs, leases."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _facts()
    _versions()
    _messages()
    _sessions()
    _jobs()
    _leases()
    if op.get_bind().dialect.name == "sqlite":
        _text_index()


def _facts() -> None:
    texts = ("namespace", "key", "about", "attribute", "item", "value", "text", "schema_type", "memory_type")
    more = ("category", "tags")
    origin = ("source_type", "source_id", "created_by")
    times = ("created_at", "updated_at", "valid_from", "valid_to", "expires_at", "deleted_at", "archived_at")
    _create(
        "fact",
        *_texts(*texts, *more),
        sa.Column("importance", sa.Double()),
        sa.Column("confidence", sa.Double()),
        *_texts(*origin, *times),
        terms=True,
    )
    _index("fact", "owner", "namespace", "attribute", "about")
    _index("fact", "owner", "updated_at")
    _index("fact", "owner", "created_at")
    _index("fact", "owner", "memory_type")
    _index("fact", "owner", "category")
    _index("fact", "subject")
    _index("fact", "expires_at")


def _versions() -> None:
    number = sa.Column("number", sa.BigInteger())
    _create("version", *_texts("fact_id"), number, *_texts("recorded_at", "superseded_at"))
    _index("version", "owner", "fact_id", "number")
    _index("version", "subject")


def _messages() -> None:
    texts = _texts("role", "name", "text", "turn_id", "created_at", "deleted_at")
    _create("message", sa.Column("number", sa.BigInteger()), *texts, terms=True)
    _index("message", "owner", "number")
    _index("message", "subject", "created_at")


def _sessions() -> None:
    count = sa.Column("message_count", sa.BigInteger())
    _create("session", *_texts("title"), count, *_texts("created_at", "updated_at", "expires_at"))
    _index("session", "subject", "updated_at")
    _index("session", "expires_at")
    _index("session", "owner")


def _jobs() -> None:
    counts = (sa.Column("attempts", sa.BigInteger()), sa.Column("number", sa.BigInteger()))
    times = _texts("run_at", "created_at", "updated_at")
    _create("job", *_texts("status", "turn_id"), *counts, *times, *_texts("error"))
    _index("job", "subject", "status", "created_at")
    _index("job", "owner", "number")
    _index("job", "run_at")


def _leases() -> None:
    _create("lease", *_texts("holder", "until"))
    _index("lease", "subject")
    _index("lease", "owner")


def _create(name: str, *columns: sa.Column[Any], terms: bool = False) -> None:
    fixed = ("id", "owner", "subject", "subject_name", "tenant", "scope", "scope_id")
    op.create_table(
        name,
        sa.Column("seq", sa.Integer(), primary_key=True),
        *_texts(*fixed, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        *columns,
        *_texts(*(("terms", "body") if terms else ("body",)), nullable=False),
    )
    op.create_index(f"ix_{name}_id", name, ["id"], unique=True)


def _texts(*names: str, nullable: bool = True) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _index(table: str, *names: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(names)}", table, list(names))


def _text_index() -> None:
    script = Path(__file__).with_name("0001_text_index.sqlite.sql").read_text(encoding="utf-8")
    for statement in script.split("\n\n"):
        op.get_bind().exec_driver_sql(statement)
