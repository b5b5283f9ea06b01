"""What is stored: the kinds of record, and for each the columns that a database keeps typed and indexed.

A field of a record that is named here goes into its column; every other field rides in the JSON column `body`. So a
new field of a model touches the model alone, and a new *column* touches this table and one migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Type(StrEnum):
    """How a column is stored. TOKEN compares byte by byte; TIME is UTC with microseconds; VECTOR is packed."""

    TOKEN = "token"
    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    TIME = "time"
    JSON = "json"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of record.

    Attributes:
        name: What a record says of itself, and the name of its table.
        columns: Typed columns beside the fixed ones (id, owner, subject, tenant, scope, scope_id, version, body).
        indexes: Column lists that queries use; each index is led by the owner or the subject of the record.
        words: Whether records carry `terms` that a text index must find.
        due: The TIME column that says when a worker or sweep should look at a record again, if any.
    """

    name: str
    columns: Mapping[str, Type]
    indexes: tuple[tuple[str, ...], ...] = ()
    words: bool = False
    due: str | None = None


_T = Type

FACT = Kind(
    "fact",
    {
        "namespace": _T.TEXT,
        "key": _T.TEXT,
        "about": _T.TEXT,
        "attribute": _T.TEXT,
        "item": _T.TEXT,
        "value": _T.JSON,
        "text": _T.TEXT,
        "schema_type": _T.TEXT,
        "memory_type": _T.TEXT,
        "category": _T.TEXT,
        "tags": _T.JSON,
        "importance": _T.REAL,
        "confidence": _T.REAL,
        "source_type": _T.TEXT,
        "source_id": _T.TEXT,
        "created_by": _T.TEXT,
        "created_at": _T.TIME,
        "updated_at": _T.TIME,
        "valid_from": _T.TIME,
        "valid_to": _T.TIME,
        "expires_at": _T.TIME,
        "deleted_at": _T.TIME,
        "archived_at": _T.TIME,
    },
    indexes=(
        ("owner", "namespace", "attribute", "about"),
        ("owner", "namespace", "key"),
        ("owner", "namespace", "memory_type", "key"),
        ("owner", "updated_at"),
        ("owner", "created_at"),
        ("owner", "category"),
        ("subject",),
        ("expires_at",),
    ),
    words=True,
    due="expires_at",
)
VERSION = Kind(
    "version",
    {"fact_id": _T.TOKEN, "number": _T.INTEGER, "recorded_at": _T.TIME, "superseded_at": _T.TIME},
    indexes=(("owner", "fact_id", "number"), ("subject",)),
)
MESSAGE = Kind(
    "message",
    {
        "number": _T.INTEGER,
        "role": _T.TEXT,
        "name": _T.TEXT,
        "text": _T.TEXT,
        "turn_id": _T.TEXT,
        "created_at": _T.TIME,
        "deleted_at": _T.TIME,
    },
    indexes=(("owner", "number"), ("subject", "created_at")),
    words=True,
)
SESSION = Kind(
    "session",
    {
        "title": _T.TEXT,
        "message_count": _T.INTEGER,
        "created_at": _T.TIME,
        "updated_at": _T.TIME,
        "expires_at": _T.TIME,
    },
    indexes=(("subject", "updated_at"), ("expires_at",)),
    due="expires_at",
)
JOB = Kind(
    "job",
    {
        "status": _T.TEXT,
        "turn_id": _T.TEXT,
        "attempts": _T.INTEGER,
        "number": _T.INTEGER,
        "run_at": _T.TIME,
        "created_at": _T.TIME,
        "updated_at": _T.TIME,
        "error": _T.TEXT,
    },
    indexes=(("subject", "status", "created_at"), ("owner", "number"), ("run_at",)),
    due="run_at",
)
LEASE = Kind("lease", {"holder": _T.TEXT, "until": _T.TIME}, indexes=(("subject",),))
ITEM = Kind(
    "item",
    {
        "namespace": _T.TEXT,
        "key": _T.TEXT,
        "value": _T.JSON,
        "created_at": _T.TIME,
        "updated_at": _T.TIME,
        "expires_at": _T.TIME,
    },
    indexes=(("owner", "namespace"), ("owner", "updated_at"), ("subject",), ("expires_at",)),
    due="expires_at",
)
VECTOR = Kind(
    "vector",
    {
        "target": _T.TOKEN,
        "space": _T.TEXT,
        "number": _T.INTEGER,
        "embedding": _T.VECTOR,
        "created_at": _T.TIME,
    },
    indexes=(("owner", "space"), ("owner", "target"), ("subject",)),
)
SUMMARY = Kind(
    "summary",
    {
        "number": _T.INTEGER,
        "first": _T.INTEGER,
        "last": _T.INTEGER,
        "text": _T.TEXT,
        "created_at": _T.TIME,
        "stale_at": _T.TIME,
    },
    indexes=(("owner", "number"), ("subject", "created_at")),
    words=True,
)
CHECKPOINT = Kind(
    "checkpoint",
    {"namespace": _T.TEXT, "key": _T.TEXT, "task": _T.TEXT, "step": _T.INTEGER, "created_at": _T.TIME},
    indexes=(("owner", "namespace", "step"), ("subject", "created_at")),
)
SPEND = Kind(
    "spend",
    {"day": _T.TEXT, "calls": _T.INTEGER, "tokens": _T.INTEGER, "seconds": _T.REAL, "updated_at": _T.TIME},
    indexes=(("owner", "day"), ("subject",)),
)

# One for each tag of a fact that can be found: what pages of facts by tag are read along.
TAG = Kind(
    "tag",
    {
        "fact_id": _T.TOKEN,
        "namespace": _T.TEXT,
        "tag": _T.TOKEN,
        "key": _T.TEXT,
        "memory_type": _T.TEXT,
        "created_at": _T.TIME,
    },
    indexes=(
        ("owner", "namespace", "tag", "key"),
        ("owner", "namespace", "tag", "created_at"),
        ("owner", "fact_id"),
        ("subject",),
    ),
)
# An arrow from one fact to another. A mutual link is two of them.
LINK = Kind(
    "link",
    {
        "source": _T.TOKEN,
        "target": _T.TOKEN,
        "type": _T.TEXT,
        "strength": _T.REAL,
        "mutual": _T.BOOLEAN,
        "created_at": _T.TIME,
    },
    indexes=(("owner", "source"), ("owner", "target"), ("subject",)),
)
ACCESS = Kind(
    "access",
    {"fact_id": _T.TOKEN, "recall_id": _T.TOKEN, "how": _T.TEXT, "at": _T.TIME, "useful": _T.BOOLEAN},
    indexes=(("owner", "fact_id", "at"), ("owner", "recall_id"), ("subject",), ("at",)),
    due="at",
)
USAGE = Kind(
    "usage",
    {
        "fact_id": _T.TOKEN,
        "access_count": _T.INTEGER,
        "last_accessed_at": _T.TIME,
        "useful": _T.INTEGER,
        "not_useful": _T.INTEGER,
    },
    indexes=(("owner", "access_count"), ("owner", "last_accessed_at"), ("subject",)),
)

_ALL = (FACT, VERSION, MESSAGE, SESSION, JOB, LEASE, ITEM, VECTOR, SUMMARY, CHECKPOINT, SPEND, TAG, LINK, ACCESS, USAGE)
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})
FIXED: Mapping[str, Type] = MappingProxyType(
    {
        "id": Type.TOKEN,
        "owner": Type.TOKEN,
        "subject": Type.TOKEN,
        "subject_name": Type.TEXT,
        "tenant": Type.TEXT,
        "scope": Type.TEXT,
        "scope_id": Type.TEXT,
        "version": Type.INTEGER,
    }
)
