"""Key-value pairs of frameworks: items."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FIXED = ("id", "owner", "subject", "subject_name", "tenant", "scope", "scope_id")
OWN = ("namespace", "key", "value", "created_at", "updated_at", "expires_at")
INDEXES = (("owner", "namespace"), ("owner", "updated_at"), ("subject",), ("expires_at",))


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "item",
        sa.Column("seq", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in FIXED),
        sa.Column("version", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in OWN),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_index("ix_item_id", "item", ["id"], unique=True)
    for names in INDEXES:
        op.create_index(f"ix_item_{'_'.join(names)}", "item", list(names))
