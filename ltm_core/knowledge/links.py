"""Links between facts, as values and as the writes that make them true. Nothing is read here.

A link is an arrow: one record, from its source to its target. A mutual link is two of them, one each way, so that a
walk goes from sources to targets and nowhere else. A link and both of its facts are of one scope: so it is erased with
them, a session takes its links along when it ends, and no link leads out of what somebody may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from pydantic import ValidationError

from ..errors import InvalidInput
from ..model import Fact, Link, RelatedFact
from ..records import fact_of, model_of, record_fields
from ..scope import Scope, digest
from ..stores.base import Delete, Put, Reached, Record, Write, strength_of

MUTUAL = frozenset({"similar", "related", "opposite"})  # types that say as much of the one as of the other
PARENT = "parent"


def link_id(source: str, target: str, link_type: str) -> str:
    """The id of the one arrow of a type from one fact to another."""
    return digest("link", source, target, link_type)


def made(
    source: Fact, target: Fact, link_type: str, strength: float, mutual: bool | None, given: Mapping[str, Any]
) -> Link:
    """A link as it is stored. Raises `InvalidInput` for a fact with itself, or a strength that is none."""
    if source.id == target.id:
        raise InvalidInput(f"{source.key!r} cannot be linked with itself. Name two facts.")
    if not link_type.strip():
        raise InvalidInput("A link has a type that is not empty. Pass 'related', for example.")
    try:
        return Link(
            id=link_id(source.id, target.id, link_type),
            source=source.id,
            target=target.id,
            source_key=source.key,
            target_key=target.key,
            type=link_type,
            strength=strength,
            mutual=link_type in MUTUAL if mutual is None else mutual,
            **given,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}. Correct it and try again.") from error


def link_writes(link: Link, owner: Scope, subject: Scope, stored: Sequence[Record]) -> list[Write]:
    """What makes `link` true, where `stored` are the arrows that its two facts have with each other now.

    It takes the place of one of its type, and a child's other parents go.
    """
    arrows = [link, _turned(link)] if link.mutual else [link]
    versions = {record.id: record.version for record in stored}
    puts = [Put(_record(one, owner, subject, versions.get(one.id, 0) + 1)) for one in arrows]
    gone = [record for record in stored if _is_replaced(record, link)]
    return [*puts, *(removal(record) for record in gone if record.id not in {put.record.id for put in puts})]


def link_of(record: Record) -> Link:
    """Read back an arrow."""
    return model_of(record, Link)


def links_of(outgoing: Iterable[Record], incoming: Iterable[Record]) -> list[Link]:
    """The links of a fact out of its arrows, a mutual one once, seen from the fact; strongest first."""
    arrows = [*outgoing, *(record for record in incoming if not record.fields.get("mutual"))]
    return [link_of(record) for record in sorted(arrows, key=strength_of, reverse=True)]


def unlinked(arrows: Iterable[Record], source: Fact, link_type: str | None) -> list[Record]:
    """Of the arrows between two facts those that go when what leads from `source` ends, of a type or all."""
    of_type = (record for record in arrows if link_type in (None, record.fields["type"]))
    return [record for record in of_type if record.fields["source"] == source.id or record.fields.get("mutual")]


def removal(record: Record) -> Delete:
    """The write that removes an arrow."""
    return Delete("link", record.id, record.scope)


def moved(arrows: Iterable[Record], gone: Fact, kept: Fact) -> list[Write]:
    """The writes by which links of `gone` become links of `kept`: for a merge, in the same `apply`.

    `arrows` are those that touch either fact. What linked the two with each other ends; where both had a link of one
    type with a third, the stronger stays.
    """
    every = list(arrows)
    touching = [record for record in every if gone.id in (record.fields["source"], record.fields["target"])]
    known = {record.id: record for record in every}
    writes: list[Write] = [removal(record) for record in touching]
    for record in touching:
        new = _led_to(record, gone, kept)
        there = known.get(new.id)
        if new.fields["source"] != new.fields["target"] and (there is None or strength_of(there) < strength_of(new)):
            known[new.id] = new
            writes.append(Put(replace(new, version=there.version + 1 if there else 1)))
    return writes


def related(start: str, reached: Sequence[Reached]) -> list[RelatedFact]:
    """What a walk from `start` has reached, with the way to each; the nearest first, then the most strongly linked."""
    ways: dict[str, list[Link]] = {start: []}
    found = [_related(each, ways) for each in sorted(reached, key=lambda each: each.depth)]
    return sorted(found, key=lambda fact: (fact.distance, -fact.strength, fact.key))


def _related(each: Reached, ways: dict[str, list[Link]]) -> RelatedFact:
    link = link_of(each.link)
    before = link.target if link.source == each.record.id else link.source
    way = ways[each.record.id] = [*ways.get(before, ()), link]
    strength = prod(one.strength for one in way)
    fact = fact_of(each.record)
    told = {name: getattr(fact, name) for name in Fact.model_fields}
    return RelatedFact.model_construct(**told, distance=each.depth, path=way, strength=strength)


def _record(link: Link, owner: Scope, subject: Scope, version: int) -> Record:
    return Record("link", link.id, owner, subject, version, record_fields(link, "link"))


def _turned(link: Link) -> Link:
    ends = {"source": link.target, "target": link.source}
    keys = {"source_key": link.target_key, "target_key": link.source_key}
    return link.model_copy(update={**ends, **keys, "id": link_id(link.target, link.source, link.type)})


def _is_replaced(record: Record, link: Link) -> bool:
    """Whether an arrow goes when `link` comes: the other half of what was mutual, or another parent."""
    fields = record.fields
    if fields["type"] != link.type:
        return False
    other_half = fields["source"] == link.target and fields["target"] == link.source and bool(fields.get("mutual"))
    return other_half or (link.type == PARENT and fields["source"] == link.source)


def _led_to(record: Record, gone: Fact, kept: Fact) -> Record:
    """An arrow with `kept` where `gone` was."""
    fields = dict(record.fields)
    for end in ("source", "target"):
        if fields[end] == gone.id:
            fields |= {end: kept.id, f"{end}_key": kept.key}
    return replace(record, id=link_id(fields["source"], fields["target"], fields["type"]), fields=fields)
