"""The first schema: facts and their versions, messages, sessions, jobs, leases, items, vectors."""

from ltm_core.stores.migrations.making import create

revision = "0001"
down_revision = None

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
    create("fact", FACT, INDEXES["fact"], words=True)
    create("version", VERSION, INDEXES["version"])
    create("message", MESSAGE, INDEXES["message"], words=True)
    create("session", SESSION, INDEXES["session"])
    create("job", JOB, INDEXES["job"])
    create("lease", LEASE, INDEXES["lease"])
    create("item", ITEM, INDEXES["item"])
    create("embedding", VECTOR, INDEXES["embedding"])
