"""Links between facts: typed, weighted, one way or both, walked, moved and drawn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import pytest

from ltm_core import AsyncMemory, Fact, InvalidInput, NotFound, PersistentFacts
from ltm_core.knowledge.links import moved
from ltm_core.stores.base import Direction, Where
from ltm_core.stores.memory import DictStore
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.testing.fakes import Clock

GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"


@pytest.fixture
async def facts(url: str) -> AsyncIterator[PersistentFacts]:
    facts = PersistentFacts(url)
    for key in ("rain", "flood", "damage", "insurance"):
        await facts.add(key, key.title(), scope_id="ann", text=f"There is {key}.")
    yield facts
    await facts.close()


async def keys(facts: PersistentFacts, key: str, **asked: Any) -> list[str]:
    return [fact.key for fact in await facts.related(key, scope_id="ann", **asked)]


async def chain(facts: PersistentFacts) -> None:
    await facts.link("rain", "flood", "causes", 0.8, scope_id="ann")
    await facts.link("flood", "damage", "causes", 0.5, scope_id="ann")
    await facts.link("damage", "insurance", "related", 0.9, scope_id="ann")


async def test_related_gives_facts_the_nearest_first_with_the_way_there(facts: PersistentFacts) -> None:
    await chain(facts)
    found = await facts.related("rain", depth=3, scope_id="ann")
    assert [(fact.key, fact.distance, fact.strength) for fact in found] == [
        ("flood", 1, 0.8),
        ("damage", 2, pytest.approx(0.4)),
        ("insurance", 3, pytest.approx(0.36)),
    ]
    assert [(link.source_key, link.type, link.target_key) for link in found[1].path] == [
        ("rain", "causes", "flood"),
        ("flood", "causes", "damage"),
    ]
    assert isinstance(found[0], Fact)
    assert found[0].value == "Flood"
    assert await keys(facts, "rain", depth=3, types=["causes"]) == ["flood", "damage"]


async def test_a_link_leads_one_way_or_both(facts: PersistentFacts) -> None:
    await chain(facts)
    assert await keys(facts, "insurance") == ["damage"]  # related is mutual
    assert await keys(facts, "flood") == ["damage"]
    directions: list[tuple[Direction, list[str]]] = [("in", ["rain"]), ("both", ["rain", "damage"])]
    for direction, expected in directions:
        assert await keys(facts, "flood", direction=direction) == expected
    await facts.link("damage", "insurance", "related", scope_id="ann", mutual=False)
    assert await keys(facts, "insurance") == []


async def test_facts_are_named_by_key_or_id(facts: PersistentFacts) -> None:
    rain, flood = (await facts.get("rain", scope_id="ann"), await facts.get("flood", scope_id="ann"))
    assert rain is not None
    assert flood is not None
    await facts.link(rain.id, "flood", "causes", scope_id="ann")
    assert await keys(facts, rain.id) == ["flood"]
    assert [link.target for link in await facts.links(rain.id, scope_id="ann")] == [flood.id]
    assert await facts.unlink("rain", flood.id, scope_id="ann") == 1


async def test_a_link_takes_the_place_of_one_of_its_type(facts: PersistentFacts) -> None:
    await facts.link("rain", "flood", "causes", 0.1, scope_id="ann")
    await facts.link("rain", "flood", "causes", 0.7, scope_id="ann", metadata={"seen": [1]})
    await facts.link("rain", "flood", "dreads", scope_id="ann")
    found = await facts.links("flood", scope_id="ann")
    assert [(link.type, link.strength, link.metadata) for link in found] == [
        ("dreads", 1.0, {}),
        ("causes", 0.7, {"seen": [1]}),
    ]
    assert await facts.links("flood", scope_id="ann", types=["causes"]) == found[1:]
    assert await facts.unlink("rain", "flood", "causes", scope_id="ann") == 1
    assert await facts.links("rain", scope_id="ann") == found[:1]
    assert await facts.unlink("rain", "flood", scope_id="ann") == 1
    assert await facts.unlink("rain", "flood", scope_id="ann") == 0


async def test_a_mutual_link_is_one_link_from_either_side(facts: PersistentFacts) -> None:
    await facts.link("rain", "flood", "similar", 0.5, scope_id="ann")
    for one, other in (("rain", "flood"), ("flood", "rain")):
        (link,) = await facts.links(one, scope_id="ann")
        assert (link.source_key, link.target_key, link.mutual) == (one, other, True)
    assert await facts.unlink("flood", "rain", "similar", scope_id="ann") == 1
    assert await facts.links("rain", scope_id="ann") == []


async def test_a_child_has_one_parent(facts: PersistentFacts) -> None:
    await facts.link("flood", "rain", "parent", scope_id="ann")
    await facts.link("damage", "rain", "parent", scope_id="ann")
    await facts.link("flood", "damage", "parent", scope_id="ann")
    assert await keys(facts, "flood", types=["parent"]) == ["damage"]
    assert await keys(facts, "rain", types=["parent"], direction="in") == ["damage"]


async def test_circles_end(facts: PersistentFacts) -> None:
    await chain(facts)
    await facts.link("damage", "rain", "causes", scope_id="ann")
    assert await keys(facts, "rain", depth=50) == ["flood", "damage", "insurance"]


async def test_what_is_deleted_is_passed_by_and_linked_again_when_it_is_back(facts: PersistentFacts) -> None:
    await chain(facts)
    await facts.delete("flood", scope_id="ann")
    assert await keys(facts, "rain", depth=3) == []
    with pytest.raises(NotFound, match="flood"):
        await facts.link("rain", "flood", scope_id="ann")
    await facts.rollback("flood", 1, scope_id="ann")
    assert await keys(facts, "rain", depth=2) == ["flood", "damage"]


@pytest.mark.parametrize(
    ("a", "b", "how", "error"),
    [
        ("rain", "rain", {}, "with itself"),
        ("rain", "flood", {"strength": 1.5}, "strength"),
        ("rain", "flood", {"type": " "}, "not empty"),
    ],
)
async def test_what_is_no_link_is_refused(facts: PersistentFacts, a: str, b: str, how: Any, error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        await facts.link(a, b, scope_id="ann", **how)
    assert await facts.links("rain", scope_id="ann") == []


async def test_links_do_not_leave_their_owner(facts: PersistentFacts) -> None:
    bobs = await facts.add("rain", "Bob's", scope_id="bob")
    with pytest.raises(NotFound):
        await facts.link("rain", bobs.id, scope_id="ann")
    await chain(facts)
    assert await facts.related("rain", depth=3, scope_id="bob") == []


async def test_links_follow_a_merge() -> None:
    store = DictStore()
    facts = PersistentFacts(store)
    one = {key: await facts.add(key, key, scope_id="ann") for key in "abcd"}
    await facts.link("a", "b", "causes", 0.3, scope_id="ann")
    await facts.link("b", "c", "causes", 0.6, scope_id="ann")
    await facts.link("a", "c", "causes", 0.4, scope_id="ann")
    await facts.link("d", "b", "similar", 0.5, scope_id="ann")
    arrows = await store.scan(Where("link", (one["a"].owner,)))
    await store.apply(moved(arrows, one["b"], one["a"]))
    assert await facts.links("b", scope_id="ann") == []
    found = await facts.links("a", scope_id="ann")
    assert [(link.type, link.source_key, link.target_key, link.strength) for link in found] == [
        ("causes", "a", "c", 0.6),
        ("similar", "a", "d", 0.5),
    ]
    assert [link.target_key for link in await facts.links("d", scope_id="ann")] == ["a"]
    await facts.close()


async def test_a_walk_is_one_query(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = PersistentFacts(SqliteStore(tmp_path / "one.db"))
    for key in ("rain", "flood", "damage", "insurance"):
        await facts.add(key, key, scope_id="ann")
    await chain(facts)
    asked: list[Any] = []
    fetch = SqliteStore._fetch

    async def counted(self: SqliteStore, query: Any) -> Any:
        asked.append(query)
        return await fetch(self, query)

    monkeypatch.setattr(SqliteStore, "_fetch", counted)
    assert len(await facts.related("rain", depth=3, scope_id="ann")) == 3
    assert len(asked) == 1
    await facts.close()


async def test_a_session_takes_its_links_and_tags_along() -> None:
    store, clock = DictStore(), Clock()
    async with AsyncMemory(store=store, clock=clock, session_ttl=60, background=False) as memory:
        await memory.sessions.add_message("s", "Hello.", user_id="ann")
        session = PersistentFacts(memory, scope=memory.facts.scope.__class__.SESSION)
        for key in ("a", "b"):
            await session.add(key, key, scope_id="s", tags=["x"])
        await session.link("a", "b", scope_id="s")
        assert {"tag", "link"} <= {kind for kind, _ in store._records}
        clock.advance(days=1)
        await memory.sessions.sweep()
        assert {"tag", "link", "fact"}.isdisjoint({kind for kind, _ in store._records})


async def test_a_graph_is_drawn_as_graphml(facts: PersistentFacts) -> None:
    await chain(facts)
    await facts.add("odd\x01<&>", "\x00", scope_id="ann")
    root = ElementTree.fromstring(await facts.graph(scope_id="ann"))
    nodes = root.findall(f"{GRAPHML}graph/{GRAPHML}node")
    names = {node.get("id"): {data.get("key"): data.text for data in node} for node in nodes}
    assert sorted(str(node["key"]) for node in names.values()) == [
        "damage",
        "flood",
        "insurance",
        "odd\ufffd<&>",
        "rain",
    ]
    edges = root.findall(f"{GRAPHML}graph/{GRAPHML}edge")
    drawn = [
        (names[edge.get("source")]["key"], names[edge.get("target")]["key"], edge.get("directed")) for edge in edges
    ]
    assert drawn == [("damage", "insurance", "false"), ("flood", "damage", "true"), ("rain", "flood", "true")]
    assert [data.text for data in edges[1]] == ["causes", "0.5"]


async def test_a_graph_is_drawn_as_json(facts: PersistentFacts) -> None:
    await chain(facts)
    await facts.delete("rain", scope_id="ann")
    graph = json.loads(await facts.graph("json", scope_id="ann", types=["causes"]))
    ids = {node["key"]: node["id"] for node in graph["nodes"]}
    assert sorted(ids) == ["damage", "flood", "insurance"]
    assert graph["links"] == [
        {"source": ids["flood"], "target": ids["damage"], "mutual": False, "type": "causes", "strength": 0.5}
    ]
    with pytest.raises(InvalidInput, match="Use graphml or json"):
        await facts.graph("dot", scope_id="ann")


async def test_recall_goes_along_links_where_it_is_asked_to(url: str) -> None:
    async with AsyncMemory(url, background=False) as memory:
        for key, text in (
            ("rain", "It pours in Bergen."),
            ("flood", "The cellar is wet."),
            ("bill", "It costs a lot."),
        ):
            await memory.facts.add(key, key, scope_id="ann", text=text)
        await memory.facts.add("other", "x", scope_id="ann", text="Bergen has a harbour.")
        await memory.facts.link("rain", "flood", "causes", 0.8, scope_id="ann")
        await memory.facts.link("flood", "bill", "causes", 0.8, scope_id="ann")

        async def recalled(**asked: Any) -> list[str]:
            asked = {"min_relevance": 0.01, **asked}
            found = await memory.recall("Does it pour in Bergen?", user_id="ann", **asked)
            return [fact.key for fact in found.facts]

        assert await recalled() == ["rain", "other", "bill", "flood"]  # the last two only happen to be there
        assert await recalled(links=1) == ["rain", "other", "flood", "bill"]
        assert await recalled(min_relevance=0.1) == ["rain", "other"]
        assert await recalled(min_relevance=0.1, links=1) == ["rain", "other", "flood"]
        assert await recalled(min_relevance=0.1, links=2) == ["rain", "other", "flood", "bill"]
        hidden = {"key": {"ne": "flood"}}
        assert await recalled(min_relevance=0.1, links=2, filters=hidden) == ["rain", "other"]
        with pytest.raises(InvalidInput, match="links"):
            await recalled(links=-1)
