"""Records as they lie in Redis: a line that the scripts read, and a line that they do not.

The first line is a JSON list: version, owner, walls, scores by column, hashes by column, words, due time. It is all
that a script needs to take a record out of its sorted sets again, whatever the layout was when it was put in.
"""

from __future__ import annotations

import json
from typing import Any

from ...errors import InvalidInput
from ..base import Record
from ..kinds import KINDS
from ..portable import from_json, to_json
from .layout import INDEXES, descending, score, value_hash, walls


def content(record: Record) -> bytes:
    """`record` as it is stored. Raises `InvalidInput` for what JSON cannot hold."""
    try:
        data = to_json(record)
        body = [data["scope"], data["subject"], data["fields"]]
        return f"{_dumps(_head(record))}\n{_dumps(body)}".encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"A {record.kind} cannot be stored as JSON ({error}). Pass JSON data only.") from error


def record_of(kind: str, record_id: bytes, stored: bytes) -> Record:
    """Read back what `content` gave."""
    head, _, body = stored.partition(b"\n")
    version, _, _, _, _, terms, _ = json.loads(head)
    scope, subject, fields = json.loads(body)
    return from_json(
        {
            "kind": kind,
            "id": record_id.decode(),
            "scope": scope,
            "subject": subject,
            "version": version,
            "fields": fields,
            "terms": terms,
        }
    )


def names(record: Record) -> str:
    """The names of a record's subject."""
    subject = record.subject
    return _dumps([subject.level.value, subject.id, subject.tenant])


def _head(record: Record) -> list[Any]:
    index, due = INDEXES[record.kind], KINDS[record.kind].due
    at = record.get(due) if due else None
    hashes = [(column, value_hash(record.get(column))) for column in index.equal]
    return [
        record.version,
        record.scope.token,
        walls(record),
        [(column, descending(record.get(column))) for column in index.order],
        [pair for pair in hashes if pair[1] is not None],
        list(record.terms),
        "" if at is None else score(at),
    ]


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
