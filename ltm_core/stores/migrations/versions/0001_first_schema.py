"""The first schema: facts and their versions, messages, sessions, jobs, leases, items, vectors."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from ltm_core.stores.kinds import Type
from ltm_core.stores.sql.types import SQL_TYPES

revision = "0001"
down_revision = None

INDEXED_CHARACTERS = 64
SHORT = ("id", "owner", "subject", "fact_id", "target")

FIXED = "id owner subject subject_name tenant scope scope_id"
FACT = (
    "namespace key about attribute item value:json text schema_type memory_type category tags:json importance:real "
    "confidence:real source_type source_id created_by created_at:time updated_at:time valid_from:time valid_to:time "
    "expires_at:time deleted_at:time archived_at:time"
)
VERSION = "fact_id number:integer recorded_at:time superseded_at:time"
MESSAGE = "number:integer role name text turn_id created_at:time deleted_at:time"
SESSION = "title message_count:integer created_at:time updated_at:time expires_at:time"
JOB = "status turn_id attempts:integer number:integer run_at:time created_at:time updated_at:time error"
LEASE = "holder until:time"
ITEM = "namespace key value:json created_at:time updated_at:time expires_at:time"
VECTOR = "target space number:integer embedding:vector created_at:time"

INDEXES = {
    "fact": (
        "owner namespace attribute about",
        "owner updated_at",
        "owner created_at",
        "owner memory_type",
        "owner category",
        "subject",
        "expires_at",
    ),
    "version": ("owner fact_id number", "subject"),
    "message": ("owner number", "subject created_at"),
    "session": ("subject updated_at", "expires_at", "owner"),
    "job": ("subject status created_at", "owner number", "run_at"),
    "lease": ("subject", "owner"),
    "item": ("owner namespace", "owner updated_at", "subject", "expires_at"),
    "embedding": ("owner space", "owner target", "subject"),
}


def upgrade() -> None:
    """Make the tables."""
    _create("fact", FACT, words=True)
    _create("version", VERSION)
    _create("message", MESSAGE, words=True)
    _create("session", SESSION)
    _create("job", JOB)
    _create("lease", LEASE)
    _create("item", ITEM)
    _create("embedding", VECTOR)
    if op.get_bind().dialect.name == "sqlite":
        _text_index()


def _create(name: str, columns: str, *, words: bool = False) -> None:
    op.create_table(
        name,
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        *(_column(column, nullable=False) for column in FIXED.split()),
        _column("version:integer", nullable=False),
        *(_column(column) for column in columns.split()),
        *([_column("terms:json", nullable=False)] if words else []),
        _column("body:json", nullable=False),
        *([sa.Column("words", TSVECTOR())] if words and op.get_bind().dialect.name == "postgresql" else []),
        sqlite_autoincrement=name == "embedding",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index(f"ix_{name}_id", name, ["id"], unique=True)
    for index in INDEXES[name]:
        _index(name, index.split(), columns)
    if words and op.get_bind().dialect.name == "postgresql":
        op.create_index(f"ix_{name}_words", name, ["words"], postgresql_using="gin")


def _column(spelled: str, *, nullable: bool = True) -> sa.Column[object]:
    name, _, typed = spelled.partition(":")
    usual = Type.TOKEN if name in SHORT else Type.TEXT
    return sa.Column(name, SQL_TYPES[Type(typed) if typed else usual], nullable=nullable)


def _index(table: str, names: list[str], columns: str) -> None:
    texts = [name for name in names if name in columns.split() and name not in SHORT]
    length = dict.fromkeys(texts, INDEXED_CHARACTERS)
    op.create_index(f"ix_{table}_{'_'.join(names)}", table, names, mysql_length=length)


def _text_index() -> None:
    script = Path(__file__).with_name("0001_text_index.sqlite.sql").read_text(encoding="utf-8")
    for statement in script.split("\n\n"):
        op.get_bind().exec_driver_sql(statement)
