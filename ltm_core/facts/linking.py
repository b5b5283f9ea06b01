"""Links between the facts of one scope: read, written and walked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..knowledge.edits import missing
from ..knowledge.links import PARENT, link_of, link_writes, links_of, made, related, removal, unlinked
from ..model import Fact, Link, RelatedFact
from ..recall.gather import current_at
from ..records import fact_id, fact_of
from ..runtime import Runtime
from ..scope import Scope
from ..stores.base import All, AnyOf, Compare, Condition, Direction, Record, Where
from .graphs import drawn


class Linking:
    """The links of one scope and namespace."""

    def __init__(self, runtime: Runtime, owner: Scope, namespace: str) -> None:
        self._runtime = runtime
        self._owner = owner
        self._namespace = namespace

    async def link(
        self, a: str, b: str, link_type: str, strength: float, mutual: bool | None, metadata: Mapping[str, Any] | None
    ) -> Link:
        """Link two facts, in the place of a link of that type between them."""
        source, target = await self._facts(a, b)
        given = {"metadata": metadata or {}, "created_at": self._runtime.now()}
        link = made(source, target, link_type, strength, mutual, given)
        parents = All(Compare("source", "eq", source.id), Compare("type", "eq", PARENT))
        stored = await self._arrows(AnyOf(_between(source, target), parents))
        subject = await self._runtime.turns.subject(self._owner)
        await self._runtime.store.apply(link_writes(link, self._owner, subject, stored))
        return link

    async def unlink(self, a: str, b: str, link_type: str | None) -> int:
        """Remove the links from one fact to another, mutual ones whole."""
        source, target = await self._facts(a, b)
        gone = unlinked(await self._arrows(_between(source, target)), source, link_type)
        await self._runtime.store.apply([removal(record) for record in gone])
        return sum(record.fields["source"] == source.id for record in gone)

    async def links(self, key: str, types: Sequence[str] | None) -> list[Link]:
        """The links of a fact."""
        (fact,) = await self._facts(key)
        of_type = All() if types is None else Compare("type", "in", tuple(types))
        outgoing = await self._arrows(All(Compare("source", "eq", fact.id), of_type))
        incoming = await self._arrows(All(Compare("target", "eq", fact.id), of_type))
        return links_of(outgoing, incoming)

    async def related(
        self, key: str, depth: int, types: Sequence[str] | None, direction: Direction
    ) -> list[RelatedFact]:
        """The facts that links lead to."""
        start = await self._id(key)
        return related(start, await self._runtime.store.walk(self._current(), [start], depth, types, direction))

    async def graph(self, how: str, types: Sequence[str] | None) -> str:
        """All current facts and their links, for drawing."""
        facts = [fact_of(record) for record in await self._runtime.store.scan(self._current(), order=[("key", "asc")])]
        arrows = await self._arrows(All() if types is None else Compare("type", "in", tuple(types)))
        links = [link_of(record) for record in arrows if not _is_second_half(record)]
        return drawn(facts, sorted(links, key=lambda link: (link.source_key, link.target_key, link.type)), how)

    async def _facts(self, *names: str) -> list[Fact]:
        """The current facts of these keys or ids. Raises `NotFound`."""
        ids = {name: (fact_id(self._owner, self._namespace, name), name) for name in names}
        every = tuple(one for pair in ids.values() for one in pair)
        where = Where("fact", (self._owner,), ids=every).also(*current_at(self._runtime.now()))
        found = {record.id: fact_of(record) for record in await self._runtime.store.scan(where)}
        return [_either(found, ids[name], name) for name in names]

    async def _id(self, name: str) -> str:
        """The id that a key or an id means, at no cost where it can be no id."""
        if len(name) != len(fact_id(self._owner, "", "")):
            return fact_id(self._owner, self._namespace, name)
        (fact,) = await self._facts(name)
        return fact.id

    async def _arrows(self, test: Condition) -> list[Record]:
        return await self._runtime.store.scan(Where("link", (self._owner,), test=test))

    def _current(self) -> Where:
        tests = (Compare("namespace", "eq", self._namespace), *current_at(self._runtime.now()))
        return Where("fact", (self._owner,), test=All(*tests))


def _either(found: Mapping[str, Fact], ids: Sequence[str], name: str) -> Fact:
    fact = next((found[one] for one in ids if one in found), None)
    if fact is None:
        raise missing(name)
    return fact


def _between(one: Fact, other: Fact) -> Condition:
    both = (one.id, other.id)
    return All(Compare("source", "in", both), Compare("target", "in", both))


def _is_second_half(record: Record) -> bool:
    """Whether an arrow is the half of a mutual link that is not drawn: the one from the later key."""
    fields = record.fields
    return bool(fields.get("mutual")) and fields["source_key"] > fields["target_key"]
