"""What finds facts by their tags: one record for each tag, beside the fact and written with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..scope import Scope, digest
from .base import Record

LONGEST = 64  # characters that stand as they are
_SHARED = ("namespace", "key", "memory_type", "created_at")


def short_tag(tag: str) -> str:
    """`tag` as it is indexed: a long one by its hash, so that every database can index it whole."""
    return tag if len(tag) <= LONGEST else digest(tag)


def tag_records(
    fact_id: str, owner: Scope, subject: Scope, version: int, fields: Mapping[str, Any]
) -> Iterator[Record]:
    """The tags of a fact with these fields, each once, whatever has become of the fact."""
    shared = {name: fields[name] for name in _SHARED if fields.get(name) is not None}
    for tag in dict.fromkeys(fields.get("tags") or ()):
        its = {"fact_id": fact_id, "tag": short_tag(tag), **shared}
        yield Record("tag", digest("tag", fact_id, tag), owner, subject, version, its)


def tags_of(fact: Record) -> Iterator[Record]:
    """The tags of a fact as it is stored."""
    return tag_records(fact.id, fact.scope, fact.subject, fact.version, fact.fields)
