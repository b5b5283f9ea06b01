"""Records as JSON that any store reads back as the same record, and their checksum."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from ..scope import MemoryScope, Scope
from .base import Record
from .kinds import KINDS, Type


def to_json(record: Record) -> dict[str, Any]:
    """`record` as JSON data. Raises `TypeError` or `ValueError` for fields that no database could hold either."""
    return {
        "kind": record.kind,
        "id": record.id,
        "scope": _names(record.scope),
        "subject": _names(record.subject),
        "version": record.version,
        "fields": _converted(record.kind, record.fields, _TO_JSON),
        "terms": list(record.terms),
    }


def from_json(data: Mapping[str, Any]) -> Record:
    """Read back what `to_json` gave."""
    return Record(
        data["kind"],
        data["id"],
        _scope(*data["scope"]),
        _scope(*data["subject"]),
        data["version"],
        _converted(data["kind"], data["fields"], _FROM_JSON),
        tuple(data["terms"]),
    )


def checksum(record: Record) -> int:
    """A number that is the same for equal records, whichever store gave them."""
    text = json.dumps(to_json(record), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")


def _names(scope: Scope) -> list[str]:
    return [scope.level.value, scope.id, scope.tenant]


def _scope(level: str, scope_id: str, tenant: str) -> Scope:
    return Scope(MemoryScope(level), scope_id, tenant)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


def _bytes(value: bytes) -> str:
    return b64encode(value).decode("ascii")


_TO_JSON: Mapping[Type, Callable[[Any], Any]] = {Type.TIME: _time, Type.VECTOR: _bytes, Type.REAL: float}
_FROM_JSON: Mapping[Type, Callable[[Any], Any]] = {Type.TIME: datetime.fromisoformat, Type.VECTOR: b64decode}


def _converted(
    kind: str, fields: Mapping[str, Any], conversions: Mapping[Type, Callable[[Any], Any]]
) -> dict[str, Any]:
    columns = KINDS[kind].columns
    return {
        name: value if value is None or columns.get(name) not in conversions else conversions[columns[name]](value)
        for name, value in fields.items()
    }
