"""Summaries of sessions, checkpoints of runs, and what learning has spent."""

from ltm_core.stores.migrations.making import create

revision = "0002"
down_revision = "0001"

SUMMARY = "number:integer first:integer last:integer text created_at:time stale_at:time"
CHECKPOINT = "namespace key task step:integer created_at:time"
SPEND = "day calls:integer tokens:integer seconds:real updated_at:time"


def upgrade() -> None:
    """Make the tables."""
    create("summary", SUMMARY, ("owner number", "subject created_at"), words=True)
    create("checkpoint", CHECKPOINT, ("owner namespace step", "subject created_at"))
    create("spend", SPEND, ("owner day", "subject"))
