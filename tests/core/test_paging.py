"""Filters on every field, and facts page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Fact, InvalidInput, PersistentFacts
from ltm_core.knowledge.filters import condition
from ltm_core.records import fact_record
from ltm_core.testing.fakes import Clock
from ltm_core.testing.store_contract import _somebody as somebody

PLAINLY_AND_BY_TAG: list[dict[str, Any]] = [{}, {"tags": ["ui"]}]
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def facts(url: str, clock: Clock) -> AsyncIterator[PersistentFacts]:
    async with AsyncMemory(url, clock=clock, background=False) as memory:
        yield memory.facts


async def keys(facts: PersistentFacts, where: Mapping[str, Any] | None = None, **asked: Any) -> list[str]:
    return [fact.key for fact in await facts.filter(scope_id="ann", where=where, **asked)]


async def some(facts: PersistentFacts, clock: Clock) -> datetime:
    await facts.add(
        "a", {"n": 1}, scope_id="ann", tags=["ui", "old"], metadata={"team": {"name": "red"}}, category="work"
    )
    await facts.add("b", "text", scope_id="ann", tags=["ui"], importance=0.9, memory_type="preference")
    then = clock.advance(days=1)
    await facts.add("c", [1, 2], scope_id="ann", tags=["x" * 99], metadata={"team": {"name": "blue"}})
    return then


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"importance": {"gte": 0.5, "lt": 0.9}}, ["a", "c"]),
        ({"category": {"ne": "work"}}, ["b", "c"]),
        ({"category": {"exists": True}}, ["a"]),
        ({"metadata.team.name": ["red", "green"]}, ["a"]),
        ({"metadata.team.name": {"in": ("blue",)}}, ["c"]),
        ({"metadata.team": {"exists": False}}, ["b"]),
        ({"value": {"contains": 2}}, ["c"]),
        ({"value.n": {"lte": 1}}, ["a"]),
        ({"tags": {"any": ["old", "x" * 99]}}, ["a", "c"]),
        ({"tags": {"all": ["ui", "old"]}}, ["a"]),
        ({"tags": {"any": []}}, []),
        ({"tags": {"all": []}}, ["a", "b", "c"]),
        ({"or": [{"category": "work"}, {"and": [{"memory_type": "preference"}, {"tags": "ui"}]}]}, ["a", "b"]),
        ({"not": {"tags": ["ui"]}}, ["c"]),
        ({"not": {"or": [{"key": "a"}, {"key": "b"}]}, "key": {"under": "c"}}, ["c"]),
    ],
)
async def test_filters_mean_what_they_say(
    facts: PersistentFacts, clock: Clock, where: Any, expected: list[str]
) -> None:
    await some(facts, clock)
    assert await keys(facts, where) == await keys(facts, where, limit=9) == expected


async def test_times_may_be_texts(facts: PersistentFacts, clock: Clock) -> None:
    then = await some(facts, clock)
    for time in (then, then.isoformat(), then.replace(tzinfo=None).isoformat()):
        assert await keys(facts, {"created_at": {"gte": time}}) == ["c"]
        assert await keys(facts, {"created_at": {"lt": time}}) == ["a", "b"]
        assert await keys(facts, {"created_at": {"in": [time]}}) == ["c"]
    assert await keys(facts, {"valid_from": {"gte": f"{then:%Y-%m-%d}", "lt": "2999-01-01"}}) == ["c"]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ({"nothing": 1}, "no field 'nothing'"),
        ({"key": {"like": "a"}}, "no operator 'like'"),
        ({"and": {"key": "a"}}, "'and' takes a list"),
        ({"or": []}, "'or' takes a list"),
        ({"not": {}}, "not empty"),
        ({"or": ["a"]}, "Filters are a dict"),
        ({"tags": {"any": "ui"}}, "'any' takes a list"),
        ({"created_at": "yesterday"}, "no time"),
        ({"scope_id": "bob"}, "no field 'scope_id'"),
    ],
)
async def test_what_is_no_filter_is_refused(facts: PersistentFacts, where: Any, error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        await keys(facts, where)


async def every_page(facts: PersistentFacts, size: int, **asked: Any) -> list[list[str]]:
    pages, after = [], None
    while True:
        page = await facts.filter(scope_id="ann", limit=size, after=after, **asked)
        pages.append([fact.key for fact in page])
        if page.next is None:
            return pages
        after = page.next


async def test_pages_follow_each_other_and_the_last_has_no_next(facts: PersistentFacts) -> None:
    await facts.add_many({"key": f"k{n}", "value": n, "tags": ["ui"], "scope_id": "ann"} for n in range(5))
    for asked in PLAINLY_AND_BY_TAG:
        assert await every_page(facts, 2, **asked) == [["k0", "k1"], ["k2", "k3"], ["k4"]]
        assert await every_page(facts, 5, **asked) == [["k0", "k1", "k2", "k3", "k4"]]
        assert await every_page(facts, 2, order="-key", **asked) == [["k4", "k3"], ["k2", "k1"], ["k0"]]
    assert (await facts.filter(scope_id="ann")).next is None
    assert await keys(facts, limit=0) == []


async def test_what_is_written_in_between_moves_nothing_to_another_page(facts: PersistentFacts) -> None:
    for asked in PLAINLY_AND_BY_TAG:
        await facts.add_many({"key": f"k{n}", "value": n, "tags": ["ui"], "scope_id": "ann"} for n in range(6))
        first = await facts.filter(scope_id="ann", limit=2, **asked)
        await facts.add("a", 1, scope_id="ann", tags=["ui"])
        await facts.delete("k0", scope_id="ann")
        await facts.delete("k3", scope_id="ann")
        second = await facts.filter(scope_id="ann", limit=2, after=first.next, **asked)
        assert [fact.key for fact in second] == ["k2", "k4"]
        for key in ("a", "k1", "k2", "k4", "k5"):
            await facts.delete(key, scope_id="ann")


async def test_tags_follow_every_change(facts: PersistentFacts) -> None:
    await facts.add("k", 1, scope_id="ann", tags=["a", "b"])
    await facts.update("k", 2, scope_id="ann", tags=["b", "c"], memory_type="goal")
    assert [await keys(facts, tags=[tag], limit=9) for tag in "abc"] == [[], ["k"], ["k"]]
    assert await keys(facts, tags=["b"], memory_type="goal", limit=9) == ["k"]
    await facts.delete("k", scope_id="ann")
    assert await keys(facts, tags=["b"], limit=9) == []
    await facts.rollback("k", 1, scope_id="ann")
    assert [await keys(facts, tags=[tag], limit=9) for tag in "abc"] == [["k"], ["k"], []]


async def test_a_cursor_of_another_order_is_refused(facts: PersistentFacts) -> None:
    await facts.add_many({"key": f"k{n}", "value": n, "scope_id": "ann"} for n in range(3))
    page = await facts.filter(scope_id="ann", limit=1)
    with pytest.raises(InvalidInput, match="in the same order"):
        await facts.filter(scope_id="ann", limit=1, after=page.next, order="-key")
    with pytest.raises(InvalidInput, match="no cursor"):
        await facts.filter(scope_id="ann", limit=1, after="nonsense")
    with pytest.raises(InvalidInput, match="cannot be ordered"):
        await facts.filter(scope_id="ann", limit=1, order="value")


made = st.lists(
    st.fixed_dictionaries(
        {
            "tags": st.lists(st.sampled_from("abc"), max_size=3),
            "memory_type": st.sampled_from(["fact", "goal"]),
            "importance": st.sampled_from([0.1, 0.5]),
            "created_at": st.integers(0, 3).map(lambda day: BEGUN + timedelta(days=day)),
        }
    ),
    max_size=8,
)
tests = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.one_of(
            st.just(["a"]),
            st.just(["a", "b"]),
            st.lists(st.sampled_from("abc")).map(lambda tags: {"any": tags}),
        ),
        "memory_type": st.sampled_from(["fact", "goal"]),
        "created_at": st.integers(0, 3).map(lambda day: {"gte": BEGUN + timedelta(days=day)}),
        "not": st.just({"tags": {"any": ["c"]}}),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])
@given(
    given_facts=made,
    where=tests,
    order=st.sampled_from(["key", "-key", "created_at", "-created_at", "importance", "-memory_type"]),
    size=st.integers(1, 4),
)
async def test_pages_hold_what_the_filter_admits_in_its_order(
    facts: PersistentFacts, given_facts: list[dict[str, Any]], where: Any, order: str, size: int
) -> None:
    me = somebody().id
    every: list[Fact] = [await facts.add(f"k{n}", n, scope_id=me, **one) for n, one in enumerate(given_facts)]
    test = condition(where)
    records = [(fact, fact_record(fact, fact.owner)) for fact in every]
    admitted = [fact for fact, record in records if test is None or test.admits(record)]
    admitted.sort(key=lambda fact: fact.id)
    admitted.sort(key=lambda fact: getattr(fact, order.removeprefix("-")), reverse=order.startswith("-"))
    found: list[Fact] = []
    after: str | None = None
    while True:
        page = await facts.filter(scope_id=me, where=where, order=order, limit=size, after=after)
        found += page
        assert len(page) == size or page.next is None
        if (after := page.next) is None:
            break
    assert [fact.key for fact in found] == [fact.key for fact in admitted]
