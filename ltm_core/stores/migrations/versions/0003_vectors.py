"""Vectors of records, by the space that they were made in."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

FIXED = ("id", "owner", "subject", "subject_name", "tenant", "scope", "scope_id")
INDEXES = (("owner", "space"), ("owner", "target"), ("subject",))


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "vector",
        sa.Column("seq", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in FIXED),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text()),
        sa.Column("space", sa.Text()),
        sa.Column("number", sa.BigInteger()),
        sa.Column("embedding", sa.LargeBinary()),
        sa.Column("created_at", sa.Text()),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_vector_id", "vector", ["id"], unique=True)
    for names in INDEXES:
        op.create_index(f"ix_vector_{'_'.join(names)}", "vector", list(names))
