import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from ltm_core import MemoryScope, PersistentFacts
from ltm_core.errors import NotFound

ANN: dict[str, Any] = {"scope_id": "ann", "namespace": "trips"}


def verbs() -> Iterator[tuple[str, inspect.Signature]]:
    for name, verb in inspect.getmembers(PersistentFacts, inspect.iscoroutinefunction):
        signature = inspect.signature(verb)
        if not name.startswith("_") and "scope_id" in signature.parameters:
            yield name, signature


def test_every_verb_takes_a_namespace() -> None:
    found = dict(verbs())
    assert len(found) > 20
    assert [name for name, signature in found.items() if "namespace" not in signature.parameters] == []


async def test_a_namespace_is_a_drawer_of_its_own() -> None:
    facts = PersistentFacts("memory://")
    await facts.add("place", "home", scope_id="ann")
    trip = await facts.add("place", "Rome", **ANN)
    assert trip.namespace == "trips"
    assert (await facts.update("place", "Oslo", **ANN)).value == "Oslo"
    assert [fact.value for fact in await facts.get_all(**ANN)] == ["Oslo"]
    assert [fact.value for fact in await facts.search("Oslo", **ANN)] == ["Oslo"]
    assert await facts.search("Oslo", scope_id="ann") == []
    assert [fact.value for fact in await facts.history("place", **ANN)] == ["Rome", "Oslo"]
    assert (await facts.rollback("place", 1, **ANN)).value == "Rome"
    told = await facts.extract_from_messages("I live in Bern.", **ANN)
    assert [one.operation for one in await facts.update_intelligent(told, **ANN)] == ["ADD"]
    assert await facts.delete("place", **ANN)
    here = await facts.get_all(scope_id="ann")
    assert [(fact.key, fact.value) for fact in here] == [("place", "home")]
    assert facts.namespace == ""


async def test_many_facts_can_each_name_their_namespace() -> None:
    facts = PersistentFacts("memory://", scope=MemoryScope.GLOBAL)
    await facts.add_many([{"key": "a", "value": 1}, {"key": "a", "value": 2, "namespace": "b"}])
    assert [fact.value for fact in await facts.get_all()] == [1]
    assert [fact.value for fact in await facts.get_all(namespace="b")] == [2]


async def test_links_stay_within_a_namespace() -> None:
    facts = PersistentFacts("memory://")
    await facts.add("a", 1, **ANN)
    await facts.add("b", 2, scope_id="ann")
    with pytest.raises(NotFound):
        await facts.link("a", "b", **ANN)
