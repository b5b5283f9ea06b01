"""The fact API, in every scope."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ltm_core import (
    AsyncMemory,
    ConflictError,
    Fact,
    InvalidInput,
    LTMError,
    MemoryScope,
    NotFound,
    PersistentFacts,
    ScopeError,
)
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock

SARAH = "sarah@example.com"


@pytest.fixture
async def facts(url: str) -> AsyncIterator[PersistentFacts]:
    facts = PersistentFacts(url)
    yield facts
    await facts.close()


async def test_the_example_of_the_low_level_design(tmp_path: Path) -> None:
    facts = PersistentFacts(
        storage=f"sqlite+aiosqlite:///{tmp_path}/demo.db",
        scope=MemoryScope.USER,
        auto_extract=True,
        extraction_model=None,
        extraction_template=None,
    )
    value = {"theme": "dark", "language": "en"}
    await facts.add(key="user_preferences", value=value, scope=MemoryScope.USER, scope_id=SARAH)
    stored = await facts.get(key="user_preferences", scope=MemoryScope.USER, scope_id=SARAH)
    assert isinstance(stored, Fact)
    assert (stored.value, stored.scope, stored.scope_id) == (value, MemoryScope.USER, SARAH)
    light = {"theme": "light", "language": "en"}
    updated = await facts.update(key="user_preferences", value=light, scope=MemoryScope.USER, scope_id=SARAH)
    assert (updated.value, updated.version) == (light, 2)
    found = await facts.search(query="preferences", scope=MemoryScope.USER, scope_id=SARAH)
    assert [fact.key for fact in found] == ["user_preferences"]
    assert [fact.value for fact in await facts.history("user_preferences", scope_id=SARAH)] == [value, light]
    assert await facts.delete(key="user_preferences", scope=MemoryScope.USER, scope_id=SARAH)
    assert await facts.get("user_preferences", scope_id=SARAH) is None
    await facts.close()


@pytest.mark.parametrize("scope", list(MemoryScope))
async def test_every_scope_holds_its_own_facts(facts: PersistentFacts, scope: MemoryScope) -> None:
    scope_id = None if scope is MemoryScope.GLOBAL else "same"
    await facts.add("k", scope.value, scope=scope, scope_id=scope_id)
    for other in MemoryScope:
        other_id = None if other is MemoryScope.GLOBAL else "same"
        fact = await facts.get("k", scope=other, scope_id=other_id)
        assert (fact is not None) == (other is scope)


async def test_none_never_means_everybody(facts: PersistentFacts) -> None:
    await facts.add("k", 1, scope_id="u")
    for call in (facts.get("k"), facts.add("k", 2), facts.get_all(), facts.search("k"), facts.delete("k")):
        with pytest.raises(ScopeError, match="user_id is missing"):
            await call
    with pytest.raises(ScopeError, match="has no id"):
        await facts.add("k", 1, scope=MemoryScope.GLOBAL, scope_id="u")


async def test_add_on_a_taken_key_is_its_next_version_and_an_equal_value_changes_nothing(
    facts: PersistentFacts,
) -> None:
    first = await facts.add("k", {"a": 1}, scope_id="u", tags=["x"], metadata={"m": 1})
    assert (await facts.add("k", {"a": 1}, scope_id="u")).version == 1
    second = await facts.add("k", {"a": 2}, scope_id="u")
    assert (second.version, second.tags, second.metadata, second.id) == (2, ["x"], {"m": 1}, first.id)
    assert [fact.version for fact in await facts.history("k", scope_id="u")] == [1, 2]


async def test_a_deleted_fact_keeps_its_history_and_add_revives_it(facts: PersistentFacts) -> None:
    await facts.add("k", 1, scope_id="u")
    assert await facts.delete("k", scope_id="u")
    assert not await facts.delete("k", scope_id="u")
    assert not await facts.delete("other", scope_id="u")
    with pytest.raises(NotFound, match=r"add\(\)"):
        await facts.update("k", 2, scope_id="u")
    assert (await facts.add("k", 1, scope_id="u")).version == 3
    history = await facts.history("k", scope_id="u")
    assert [(fact.version, fact.deleted_at is None) for fact in history] == [(1, True), (2, False), (3, True)]


async def test_update_replaces_the_whole_value(facts: PersistentFacts) -> None:
    await facts.add("k", {"a": 1, "b": 2}, scope_id="u")
    assert (await facts.update("k", {"a": 3}, scope_id="u")).value == {"a": 3}


async def test_an_expected_version_guards_against_lost_updates(facts: PersistentFacts) -> None:
    await facts.add("k", 1, scope_id="u")
    await facts.update("k", 2, scope_id="u", expected_version=1)
    with pytest.raises(ConflictError, match="at version 2, not 1"):
        await facts.update("k", 3, scope_id="u", expected_version=1)
    outcomes = await asyncio.gather(
        *(facts.update("k", n, scope_id="u", expected_version=2) for n in range(10, 20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Fact) for outcome in outcomes) == 1


async def test_concurrent_changes_all_get_a_version_of_their_own(facts: PersistentFacts) -> None:
    await facts.add("k", -1, scope_id="u")
    await asyncio.gather(*(facts.update("k", n, scope_id="u") for n in range(20)))
    history = await facts.history("k", scope_id="u")
    assert [fact.version for fact in history] == list(range(1, 22))
    assert sorted(fact.value for fact in history) == list(range(-1, 20))


async def test_search_finds_stems_and_words_that_people_ask_with(facts: PersistentFacts) -> None:
    await facts.add("location", "Lisbon", scope_id="u")
    await facts.add("opinion#hiking", "likes", scope_id="u")
    assert [fact.key for fact in await facts.search("Where do I live?", scope_id="u")] == ["location"]
    (hiking,) = await facts.search("hikes", scope_id="u")
    assert hiking.score is not None
    assert await facts.search("submarine", scope_id="u") == []
    await facts.update("location", "Porto", scope_id="u")
    assert await facts.search("Lisbon", scope_id="u") == []
    assert len(await facts.search("lives likes", scope_id="u", limit=1)) == 1


async def test_filter_by_everything(url: str) -> None:
    clock = Clock()
    memory = AsyncMemory(url, clock=clock)
    start = clock()
    await memory.facts.add("a", 1, scope_id="u", tags=["ui", "work"], memory_type="preference", importance=0.9)
    clock.advance(days=1)
    await memory.facts.add("b", 2, scope_id="u", tags=["ui"], category="work")

    async def keys(**asked: Any) -> list[str]:
        return [fact.key for fact in await memory.facts.filter(scope_id="u", **asked)]

    assert await keys() == ["a", "b"]
    assert await keys(tags=["ui"]) == ["a", "b"]
    assert await keys(tags=["ui", "work"]) == ["a"]
    assert await keys(memory_type="preference") == ["a"]
    assert await keys(category="work") == ["b"]
    assert await keys(created_after=start + timedelta(hours=1)) == ["b"]
    assert await keys(created_before=start + timedelta(hours=1)) == ["a"]
    assert await keys(created_after=datetime(2024, 1, 1)) == ["a", "b"]  # noqa: DTZ001 # naive is taken for UTC
    assert await keys(min_importance=0.8) == ["a"]
    assert await keys(limit=1) == ["a"]
    await memory.close()


async def test_expired_facts_are_gone_for_every_reader(url: str) -> None:
    clock = Clock()
    async with AsyncMemory(url, clock=clock) as memory:
        await memory.facts.add("k", "pump", scope_id="u", expires_at=clock() + timedelta(hours=1))
        assert await memory.facts.get("k", scope_id="u")
        clock.advance(hours=2)
        assert await memory.facts.get("k", scope_id="u") is None
        assert await memory.facts.get_all(scope_id="u") == []
        assert await memory.facts.search("pump", scope_id="u") == []
        assert not (await memory.recall("pump", user_id="u")).facts


class UserPreferences(BaseModel):
    theme: str = "light"
    timezone: str = "UTC"


async def test_a_pydantic_model_is_stored_as_data_under_its_name(facts: PersistentFacts) -> None:
    fact = await facts.add("user_prefs", UserPreferences(theme="dark"), scope_id="u")
    assert (fact.value, fact.schema_type) == ({"theme": "dark", "timezone": "UTC"}, "UserPreferences")


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a", "b"}, b"x", object()])
async def test_what_json_cannot_hold_is_refused_in_words(facts: PersistentFacts, value: object) -> None:
    with pytest.raises(InvalidInput):
        await facts.add("k", value, scope_id="u")
    assert await facts.get("k", scope_id="u") is None


@pytest.mark.parametrize("key", ["", "  ", "a\0b", "x" * 600, None, 7])
async def test_keys_that_name_nothing_are_refused(facts: PersistentFacts, key: Any) -> None:
    with pytest.raises(InvalidInput):
        await facts.add(key, 1, scope_id="u")


async def test_fields_that_a_fact_lacks_are_refused(facts: PersistentFacts) -> None:
    with pytest.raises(InvalidInput, match="no field 'colour'"):
        await facts.add("k", 1, scope_id="u", colour="red")
    with pytest.raises(InvalidInput, match="importance"):
        await facts.add("k", 1, scope_id="u", importance=7)


async def test_what_is_handed_out_is_a_copy(facts: PersistentFacts) -> None:
    value = {"list": [1]}
    fact = await facts.add("k", value, scope_id="u")
    value["list"].append(2)
    fact.value["list"].append(3)
    again = await facts.get("k", scope_id="u")
    assert again is not None
    assert again.value == {"list": [1]}


async def test_extracting_stores_nothing_and_updating_twice_is_noop(facts: PersistentFacts) -> None:
    said = [{"role": "user", "content": "My name is John and I live in Oslo."}]
    found = await facts.extract_from_messages(said, scope_id="u")
    assert {fact.key: fact.value for fact in found} == {"name": "John", "location": "Oslo"}
    assert await facts.get_all(scope_id="u") == []
    assert [update.operation for update in await facts.update_intelligent(found, scope_id="u")] == ["ADD", "ADD"]
    again = await facts.update_intelligent(found, scope_id="u")
    assert [update.operation for update in again] == ["NOOP", "NOOP"]
    assert all(update.reason for update in again)


async def test_facts_made_by_hand_can_be_updated_intelligently_under_their_own_keys(facts: PersistentFacts) -> None:
    fact = await facts.add("UserPreferences", {"theme": "dark", "language": "en"}, scope_id="u")
    changed = fact.model_copy(update={"value": {"theme": "light"}})
    (update,) = await facts.update_intelligent([changed], scope_id="u")
    assert update.operation == "UPDATE"
    assert update.fact is not None
    assert (update.fact.key, update.fact.value) == ("UserPreferences", {"theme": "light", "language": "en"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values, key=st.text(min_size=1, max_size=20))
async def test_any_json_value_under_any_key_comes_back_or_is_refused_in_words(value: Any, key: str) -> None:
    facts = PersistentFacts(DictStore())
    try:
        await facts.add(key, value, scope_id="u")
    except LTMError:
        return
    else:
        fact = await facts.get(key, scope_id="u")
        assert fact is not None
        assert fact.value == value
    finally:
        await facts.close()


class TestMany:
    async def test_many_facts_are_stored_like_one_each(self, facts: PersistentFacts) -> None:
        given = [{"key": f"pet#{n}", "value": n, "tags": ["pets"], "scope_id": "ann"} for n in range(2500)]
        assert await facts.add_many(iter(given)) == 2500
        assert [fact.value for fact in await facts.filter(tags=["pets"], scope_id="ann", limit=3)] == [0, 1, 10]
        one = await facts.add("pet#x", 0, tags=["pets"], scope_id="ann")
        two = await facts.get("pet#0", scope_id="ann")
        assert two is not None
        same = {"id", "key", "item", "created_at", "updated_at", "valid_from", "text"}
        assert two.model_dump(exclude=same) == one.model_dump(exclude=same)

    async def test_what_is_stored_stays_and_what_changed_gets_a_version(self, facts: PersistentFacts) -> None:
        given = [{"key": "city", "value": "Oslo"}, {"key": "food", "value": "rice"}]
        assert await facts.add_many(given, scope_id="ann") == 2
        assert await facts.add_many(given, scope_id="ann") == 0
        given[0]["value"] = "Rome"
        assert await facts.add_many([*given, {"key": "pet", "value": "cat"}], scope_id="ann") == 2
        assert [fact.value for fact in await facts.history("city", scope_id="ann")] == ["Oslo", "Rome"]

    async def test_a_key_that_comes_again_is_a_next_version(self, facts: PersistentFacts) -> None:
        cities = ["Oslo", "Rome", "Oslo", "Oslo"]
        assert await facts.add_many([{"key": "city", "value": city} for city in cities], scope_id="ann") == 3
        assert [fact.value for fact in await facts.history("city", scope_id="ann")] == ["Oslo", "Rome", "Oslo"]

    async def test_facts_of_many_people_go_to_each(self, facts: PersistentFacts) -> None:
        people = ["ann", "bob", "cleo"]
        await facts.add_many({"key": "name", "value": who, "scope_id": who} for who in people)
        await facts.add_many([{"key": "motto", "value": "hi", "scope": "global", "scope_id": None}])
        assert [[fact.value for fact in await facts.get_all(scope_id=who)] for who in people] == [[w] for w in people]
        assert [fact.value for fact in await facts.get_all(MemoryScope.GLOBAL)] == ["hi"]

    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            ({"key": "a"}, "Fact 2 has no 'value'"),
            ({"value": 1}, "Fact 2 has no 'key'"),
            ({"key": " ", "value": 1}, "Fact 2: A key is"),
            ({"key": "a", "value": {1}}, "Fact 2: "),
            ({"key": "a", "value": 1, "color": "red"}, "Fact 2: .*'color'"),
            ({"key": "a", "value": 1, "scope_id": ""}, "Fact 2: .*user_id"),
        ],
    )
    async def test_a_bad_one_is_named_and_stores_nothing(
        self, facts: PersistentFacts, bad: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(LTMError, match=said):
            await facts.add_many([{"key": "good", "value": 1}, bad], scope_id="ann")
        assert await facts.get_all(scope_id="ann") == []
