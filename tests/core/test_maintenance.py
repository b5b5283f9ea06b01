"""Maintenance: what each strategy does, and what holds after any sequence of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltm_core import AsyncMemory, ConfigurationError, Fact, FactUpdate, MemoryScope, ScopeError, Usage
from ltm_core.index.entries import entry_of
from ltm_core.knowledge.edits import deleted, upkept
from ltm_core.knowledge.lifecycle import changed, put_aside
from ltm_core.learn.lease import claim
from ltm_core.maintain.archive import Archive
from ltm_core.maintain.decay import Decay
from ltm_core.maintain.importance import dynamic_importance
from ltm_core.maintain.merge import Merge
from ltm_core.maintain.prune import Prune
from ltm_core.maintain.strategies import strategies_of
from ltm_core.maintain.summarise import Summarise
from ltm_core.policies import Maintaining, MaintenanceStrategy
from ltm_core.scope import Scope
from ltm_core.stores.base import Put, Record, Where
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock, ScriptedModel
from tests.conftest import told

CONTENT: dict[str, Any] = {"exclude": {"version", "updated_at", "reason", "job_id", "upkeep", "created_by"}}
Chosen = Sequence[str | MaintenanceStrategy]


async def add(memory: AsyncMemory, key: str, value: Any, **fields: Any) -> Fact:
    return await memory.facts.add(key, value, scope_id="ann", **fields)


async def kept(memory: AsyncMemory, *strategies: str | MaintenanceStrategy) -> list[str]:
    await memory.maintain(strategies, user_id="ann")
    return [fact.key for fact in await memory.facts.get_all(scope_id="ann")]


async def stored(memory: AsyncMemory) -> dict[str, Fact]:
    """All facts, whatever became of them."""
    facts = memory.facts
    keys = [*await facts.get_all(scope_id="ann"), *await facts.archived(scope_id="ann")]
    return {fact.key: fact for fact in keys}


async def undone(memory: AsyncMemory, job_ids: Sequence[str]) -> None:
    """Take jobs back, the last first."""
    for job_id in reversed(job_ids):
        assert (await memory.jobs.undo(job_id)).left == []


# Deduplicate


async def test_of_facts_that_say_the_same_the_surest_or_oldest_stays_and_takes_their_tags(
    memory: AsyncMemory, clock: Clock
) -> None:
    await add(memory, "note#1", "Ann likes strong coffee", tags=["a"], confidence=0.5)
    clock.advance(days=1)
    await add(memory, "note#2", "ann  likes strong coffee.", tags=["b"], confidence=0.5)
    report = await memory.maintain(["deduplicate"], user_id="ann")
    assert (report.facts_before, report.facts_after) == (2, 1)
    assert report.tokens_after < report.tokens_before
    (fact,) = await memory.facts.get_all(scope_id="ann")
    assert (fact.key, fact.tags, fact.confidence) == ("note#1", ["a", "b"], 0.75)
    (gone,) = await memory.facts.archived(scope_id="ann")
    assert (gone.key, gone.replaced_by, gone.reason) == ("note#2", fact.id, "deduplicate: note#1 says the same")
    (link,) = await memory.facts.links("note#1", scope_id="ann")
    assert (link.type, link.target_key) == ("supersedes", "note#2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("pet#rex", "cat"), ("pet#tom", "cat")),
        (("billing_address", "5 Main Street"), ("shipping_address", "5 Main Street")),
        (("note#1", "Ann likes coffee"), ("sister/note#1", "Ann likes coffee")),
        (("opinion#tea", "likes"), ("opinion#tea_bags", "likes")),
        (("note#1", "Ann likes C++ a lot"), ("note#2", "Ann likes C# a lot")),
    ],
)
async def test_the_same_value_of_two_things_is_no_duplicate(
    memory: AsyncMemory, one: tuple[str, str], other: tuple[str, str]
) -> None:
    await add(memory, *one)
    await add(memory, *other)
    assert len(await kept(memory, "deduplicate", "merge")) == 2


async def test_what_is_pinned_or_lasts_longer_stays(memory: AsyncMemory, clock: Clock) -> None:
    await add(memory, "note#1", "Ann likes strong coffee", ttl=3600)
    await add(memory, "note#2", "Ann likes strong coffee")
    assert await kept(memory, "deduplicate") == ["note#2"]
    await add(memory, "note#3", "Ann likes strong coffee", ttl=3600)
    await memory.facts.pin("note#3", scope_id="ann")
    assert await kept(memory, "deduplicate") == ["note#2", "note#3"]  # the pinned one ends before the other


async def test_links_follow_to_what_stays(memory: AsyncMemory) -> None:
    for key, value in (("note#1", "Ann likes strong coffee"), ("note#2", "Ann likes strong coffee"), ("bar", "Luigi")):
        await add(memory, key, value)
    await memory.facts.link("note#2", "bar", "related", 0.7, scope_id="ann")
    await kept(memory, "deduplicate")
    assert [fact.key for fact in await memory.facts.related("note#1", scope_id="ann")] == ["bar"]
    assert [fact.key for fact in await memory.facts.related("bar", scope_id="ann")] == ["note#1"]


async def test_what_stays_in_the_end_is_said_to_have_replaced_all(memory: AsyncMemory) -> None:
    for number, said in enumerate(
        ["Ann likes strong coffee", "Ann likes strong coffee.", "Ann likes strong black coffee"]
    ):
        await add(memory, f"note#{number}", said)
    assert await kept(memory, "deduplicate", "merge") == ["note#2"]
    (last,) = await memory.facts.get_all(scope_id="ann")
    assert {fact.replaced_by for fact in await memory.facts.archived(scope_id="ann")} == {last.id}
    assert {link.target_key for link in await memory.facts.links("note#2", scope_id="ann")} == {"note#0", "note#1"}


# Merge


@pytest.mark.parametrize(
    ("fuller", "other"),
    [
        ("Ann drinks strong black coffee in the morning", "Ann drinks strong coffee in the morning"),
        ("Ann works with colourful ceramics", "Ann works with colorful ceramics"),
        ("Ann is learning Portuguese at night", "Ann learns Portuguese at night"),
    ],
)
async def test_what_says_no_more_than_another_goes(memory: AsyncMemory, fuller: str, other: str) -> None:
    await add(memory, "note#1", fuller)
    await add(memory, "note#2", other)
    assert await kept(memory, "deduplicate", "merge") == ["note#1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann flew with her sister and both parents to Rome", "Ann flew with her sister and both parents to Paris"),
        ("Ann ran the marathon in 4 hours this spring", "Ann ran the marathon in 5 hours this spring"),
        ("Ann does eat meat at family dinners", "Ann does not eat meat at family dinners"),
        ("Ann is employed at the harbour office", "Ann is unemployed at the harbour office"),
        ("Ann drinks coffee", "Ann drinks strong black coffee in the morning"),
    ],
)
async def test_another_name_number_or_negation_is_another_fact(memory: AsyncMemory, one: str, other: str) -> None:
    await add(memory, "note#1", one)
    await add(memory, "note#2", other)
    assert len(await kept(memory, "deduplicate", "merge")) == 2


async def test_vectors_are_compared_where_there_is_an_embedder(url: str, clock: Clock) -> None:
    near = {"Ann adores the mountains": [1.0, 0.02], "Ann loves peaks": [1.0, 0.0], "Ann fears Norway": [1.0, 0.01]}

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [next((vector for said, vector in near.items() if said in text), [0.0, 1.0]) for text in texts]

    async with AsyncMemory(url, clock=clock, extract=told, embed=embed, background=False) as memory:
        for number, said in enumerate(near):
            await add(memory, f"note#{number}", said)
        await memory.flush()
        assert await kept(memory, Merge()) == ["note#0", "note#2"]


async def test_a_large_family_is_merged_by_its_words_alone(memory: AsyncMemory) -> None:
    words = [f"{chr(97 + n % 26)}{'xyz'[n // 26 % 3]}word{chr(97 + n // 78)}" for n in range(400)]
    facts = ({"key": f"note#{n}", "value": f"she keeps {word} behind the garden house"} for n, word in enumerate(words))
    await memory.facts.add_many(facts, scope_id="ann")
    await add(memory, "note#more", f"she keeps {words[7]} safely behind the garden house")
    gone = {fact.key for fact in await memory.facts.archived(scope_id="ann")}
    assert not gone
    await kept(memory, "merge")
    assert "note#7" in {fact.key for fact in await memory.facts.archived(scope_id="ann")}


# Summarise


async def many_small(memory: AsyncMemory, clock: Clock) -> None:
    await add(memory, "location", "Lisbon", category="food")
    for dish in ("ramen", "pizza", "tacos", "curry"):
        clock.advance(hours=1)
        await add(memory, f"ate#{dish}", f"Ann had {dish}.", text=f"Ann had {dish}.", category="food", tags=[dish])
    clock.advance(days=40)


async def test_many_small_facts_become_one_and_stay_as_its_evidence(memory: AsyncMemory, clock: Clock) -> None:
    await many_small(memory, clock)
    latest = (await memory.facts.filter(scope_id="ann", tags=["curry"]))[0]
    assert await kept(memory, Summarise(at_least=4)) == ["location", "summary#food"]
    summary = await memory.facts.get("summary#food", scope_id="ann")
    assert summary is not None
    assert summary.text == "Ann had ramen. Ann had pizza. Ann had tacos. Ann had curry."
    assert (summary.tags, summary.told_at) == (["ramen", "pizza", "tacos", "curry"], latest.told_at)
    gone = await memory.facts.archived(scope_id="ann")
    assert {fact.replaced_by for fact in gone} == {summary.id}
    linked = await memory.facts.links("summary#food", scope_id="ann", types=["supersedes"])
    assert {link.target for link in linked} == {fact.id for fact in gone}


async def test_a_model_writes_the_summary_and_later_facts_join_it(url: str, clock: Clock) -> None:
    model = ScriptedModel(['{"summary": "Ann eats the world."}', '{"summary": "Ann eats the world and pie."}'])
    async with AsyncMemory(url, clock=clock, complete=model, background=False) as memory:
        await many_small(memory, clock)
        assert await kept(memory, Summarise(at_least=4)) == ["location", "summary#food"]
        assert "Ann had ramen." in str(model.calls[0])
        await add(memory, "ate#pie", "Ann had pie.", category="food")
        clock.advance(days=40)
        await kept(memory, Summarise(at_least=1))
        assert "Ann eats the world." in str(model.calls[1])
        versions = await memory.facts.history("summary#food", scope_id="ann")
        assert [one.value for one in versions] == ["Ann eats the world.", "Ann eats the world and pie."]


async def test_a_summary_that_was_deleted_is_made_anew(memory: AsyncMemory, clock: Clock) -> None:
    await many_small(memory, clock)
    await kept(memory, Summarise(at_least=4))
    await memory.facts.delete("summary#food", scope_id="ann")
    await many_small(memory, clock)
    await add(memory, "ate#pie", "Ann had pie.", category="food")
    for dish in ("ramen", "pizza", "tacos"):
        await memory.facts.unarchive(f"ate#{dish}", scope_id="ann")
    clock.advance(days=40)
    assert await kept(memory, Summarise(at_least=4)) == ["location", "summary#food"]
    (summary,) = [fact for fact in await memory.facts.get_all(scope_id="ann") if fact.key != "location"]
    assert summary.version == 3


# Prune, archive, decay


async def test_the_least_important_go_until_the_rest_fits(memory: AsyncMemory) -> None:
    for number in range(10):
        await add(memory, f"fact{number}", f"thing {number}", importance=number / 10)
    await memory.facts.pin("fact0", scope_id="ann")
    assert await kept(memory, Prune(max_facts=4)) == ["fact0", "fact7", "fact8", "fact9"]
    report = await memory.maintain(["prune:max_tokens=25"], user_id="ann")
    assert report.tokens_after <= 25
    assert await kept(memory, Prune(max_tokens=0)) == ["fact0"]


async def test_what_nobody_used_or_told_for_long_and_matters_little_goes(memory: AsyncMemory, clock: Clock) -> None:
    await add(memory, "name", "Ann", importance=1.0)
    await add(memory, "shoe_size", 38, importance=0.2)
    assert await kept(memory, Archive(unused_for=86400, below=0.15)) == ["name", "shoe_size"]
    clock.advance(days=2)
    assert await kept(memory, Archive(unused_for=timedelta(days=1), below=0.15)) == ["name"]
    back = await memory.facts.unarchive("shoe_size", scope_id="ann")
    assert back.told_at == clock()
    assert "shoe_size" in await kept(memory, Archive(unused_for=timedelta(days=1), below=0.15))


async def test_use_keeps_a_fact(memory: AsyncMemory, clock: Clock) -> None:
    fact = await add(memory, "shoe_size", 38, importance=0.2)
    clock.advance(days=400)
    used = {"fact_id": fact.id, "access_count": 3, "last_accessed_at": clock() - timedelta(days=1)}
    record = Record("usage", "u", fact.owner, fact.owner, 1, used)
    await memory.runtime.run(memory.runtime.store.apply([Put(record)]))
    assert await kept(memory, Archive(below=1.0)) == ["shoe_size"]
    clock.advance(days=400)
    assert await kept(memory, Archive(below=1.0)) == []


async def inferred(memory: AsyncMemory, key: str, confidence: float, **fields: Any) -> Fact:
    given = {"source_type": "conversation", "created_by": "model", **fields}
    return await add(memory, key, "something", confidence=confidence, **given)


async def confidence(memory: AsyncMemory, key: str) -> float:
    fact = await memory.facts.get(key, scope_id="ann")
    assert fact is not None
    return fact.confidence


async def test_what_was_inferred_and_never_repeated_fades_and_nothing_else(memory: AsyncMemory, clock: Clock) -> None:
    await inferred(memory, "guess", 0.7)
    await inferred(memory, "sure", 0.8)
    await inferred(memory, "repeated", 0.7, sources=["m1", "m2"])
    await inferred(memory, "by_hand", 0.7, source_type="manual")
    await inferred(memory, "pinned", 0.7, pinned=True)
    clock.advance(days=90)
    await memory.maintain([Decay()], user_id="ann")
    found = {key: await confidence(memory, key) for key in ("guess", "sure", "repeated", "by_hand", "pinned")}
    assert found == {"guess": 0.35, "sure": 0.8, "repeated": 0.7, "by_hand": 0.7, "pinned": 0.7}


@settings(max_examples=20)
@given(pauses=st.lists(st.floats(0.01, 60), min_size=1, max_size=8), start=st.floats(0.05, 0.8, exclude_max=True))
async def test_decay_is_the_same_however_often_it_runs(pauses: list[float], start: float) -> None:
    clock = Clock()
    async with (
        AsyncMemory(store=DictStore(), clock=clock, background=False) as often,
        AsyncMemory(store=DictStore(), clock=clock, background=False) as once,
    ):
        for memory in (often, once):
            await inferred(memory, "guess", start)
        for pause in pauses:
            clock.advance(days=pause)
            await often.maintain([Decay()], user_id="ann")
        await once.maintain([Decay()], user_id="ann")
        assert await confidence(often, "guess") == await confidence(once, "guess")
        assert not (await often.maintain([Decay()], user_id="ann")).updates


async def test_maintenance_makes_no_fact_look_fresh(memory: AsyncMemory, clock: Clock) -> None:
    begun = clock()
    await inferred(memory, "guess", 0.7)
    clock.advance(days=90)
    await memory.maintain([Decay()], user_id="ann")
    await memory.facts.pin("guess", scope_id="ann")
    fact = await memory.facts.get("guess", scope_id="ann")
    assert fact is not None
    assert (fact.updated_at, fact.told_at, fact.told_confidence) == (clock(), begun, 0.7)
    (record,) = await memory.runtime.run(memory.runtime.store.scan(Where("fact", (fact.owner,))))
    entry = entry_of(record, clock())
    assert entry is not None
    assert entry.at == begun.timestamp()
    told_again = await memory.facts.update("guess", "something else", scope_id="ann", confidence=0.6)
    assert (told_again.told_at, told_again.told_confidence) == (clock(), 0.6)


@given(
    importance=st.floats(0, 1),
    confidence=st.floats(0, 1),
    uses=st.integers(0, 1000),
    age=st.integers(0, 5000),
    feedback=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_dynamic_importance_is_from_0_to_1_and_grows_with_use_and_freshness(
    importance: float, confidence: float, uses: int, age: int, feedback: tuple[int, int]
) -> None:
    clock = Clock()
    now = clock()
    then = now - timedelta(days=age)
    fact = Fact(
        id="f", key="k", value=1, created_at=then, updated_at=then, importance=importance, confidence=confidence
    )
    usage = Usage(access_count=uses, useful=feedback[0], not_useful=feedback[1])

    def weight(**fields: Any) -> float:
        return dynamic_importance(fact, usage.model_copy(update=fields), now)

    value = dynamic_importance(fact, usage, now)
    assert 0 <= value <= 1
    assert value <= weight(access_count=uses + 1)
    assert value <= weight(useful=feedback[0] + 1)
    assert value >= weight(not_useful=feedback[1] + 1)
    assert value >= dynamic_importance(fact, usage, now + timedelta(days=1))
    assert value <= weight(last_accessed_at=now)


# Strategies of one's own, and what is refused


@dataclass
class Shout:
    """Writes every text in capitals."""

    name: str = "shout"
    seen: list[int] = field(default_factory=list)

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        self.seen.append(len(given.facts))
        quiet = [fact for fact in given.facts if not fact.text.isupper()]
        return [changed(fact, upkept(fact, given.now, text=fact.text.upper(), reason="shout")) for fact in quiet]


async def test_strategies_run_in_order_each_on_what_the_one_before_left(memory: AsyncMemory) -> None:
    await add(memory, "note#1", "Ann likes strong coffee")
    await add(memory, "note#2", "Ann likes strong coffee")
    shout = Shout()
    report = await memory.maintain(["deduplicate", shout], user_id="ann")
    assert shout.seen == [1]
    assert [step.strategy for step in report.strategies] == ["deduplicate", "shout"]
    fact = await memory.facts.get("note#1", scope_id="ann")
    assert fact is not None
    assert (fact.version, fact.text.isupper(), fact.job_id) == (2, True, report.job_ids[0])
    (job,) = await memory.jobs.list(user_id="ann")
    assert (job.id, job.task, job.status) == (report.job_ids[0], "maintenance", "done")


async def test_no_strategy_touches_what_is_pinned(memory: AsyncMemory) -> None:
    pinned = await add(memory, "note#1", "Ann likes strong coffee", pinned=True)
    assert not (await memory.maintain([Shout()], user_id="ann")).updates
    assert await memory.facts.get("note#1", scope_id="ann") == pinned


@dataclass
class Stray:
    """Returns a fact of somebody else."""

    fact: Fact
    name: str = "stray"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        return [changed(self.fact, put_aside(self.fact, given.now, "stray"))]


async def test_a_strategy_may_not_change_what_is_not_its_owners(memory: AsyncMemory) -> None:
    await add(memory, "note#1", "Ann likes strong coffee")
    other = await memory.facts.add("home", "Rome", scope_id="bob")
    with pytest.raises(ConfigurationError, match="another owner"):
        await memory.maintain([Stray(other)], user_id="ann")
    assert await memory.facts.get("home", scope_id="bob") == other
    assert await kept(memory, "deduplicate") == ["note#1"]  # the lease was given back


@dataclass
class Meddling:
    """Has a fact written by hand while it runs, the first time."""

    memory: AsyncMemory
    runs: int = 0
    name: str = "meddling"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        self.runs += 1
        if self.runs == 1:
            await self.memory.facts.update("home", "Rome", scope_id="ann")
        return [changed(fact, put_aside(fact, given.now, f"{fact.value} goes")) for fact in given.facts]


async def test_what_is_written_in_between_is_read_again(memory: AsyncMemory) -> None:
    await add(memory, "home", "Lisbon")
    meddling = Meddling(memory)
    assert await kept(memory, meddling) == []
    assert meddling.runs == 2
    (gone,) = await memory.facts.archived(scope_id="ann")
    assert (gone.version, gone.reason) == (3, "Rome goes")


@pytest.mark.parametrize(
    "strategies",
    [["nonsense"], "merge", [3], ["prune"], ["prune:max_facts=-1"], ["prune:size=3"], ["decay:half_life=x"]],
)
async def test_what_is_no_strategy_is_refused(memory: AsyncMemory, strategies: Any) -> None:
    with pytest.raises(ConfigurationError):
        await memory.maintain(strategies, user_id="ann")


async def test_nobody_is_refused_and_every_named_scope_is_maintained(memory: AsyncMemory) -> None:
    with pytest.raises(ScopeError):
        await memory.maintain(["deduplicate"])
    await memory.sessions.add_message("s", "hi", user_id="ann")
    places: list[dict[str, Any]] = [
        {"scope_id": "ann"},
        {"scope": MemoryScope.SESSION, "scope_id": "s"},
        {"scope": MemoryScope.AGENT, "scope_id": "helper"},
        {"scope": MemoryScope.GLOBAL},
    ]
    for place in places:
        for number in (1, 2):
            await memory.facts.add(f"note#{number}", "strong coffee for all", **place)
    report = await memory.maintain(["deduplicate"], user_id="ann", session_id="s", agent_id="helper")
    assert (report.facts_before, report.facts_after, len(report.job_ids)) == (6, 3, 2)
    report = await memory.maintain(["deduplicate"], scope=MemoryScope.GLOBAL)
    assert (report.facts_before, report.facts_after) == (2, 1)


async def test_each_namespace_is_kept_in_order_by_itself(memory: AsyncMemory) -> None:
    for name in ("", "work"):
        await memory.remember("set note#a strong-coffee", user_id="ann", namespace=name)
    assert (await memory.maintain(["deduplicate"], user_id="ann")).facts_before == 2
    assert (await memory.maintain(["prune:max_facts=0"], user_id="ann", namespace="work")).facts_before == 1
    assert (await memory.recall("", strategy="all", user_id="ann")).facts


async def test_it_waits_for_whoever_learns_about_the_same_person(memory: AsyncMemory, clock: Clock) -> None:
    await add(memory, "note#1", "Ann likes strong coffee")
    runtime, ann = memory.runtime, Scope.user("ann")
    lease = await runtime.run(claim(runtime.store, ann, clock()))
    assert lease is not None
    waiting = asyncio.create_task(memory.maintain(["prune:max_facts=0"], user_id="ann"))
    assert len(await memory.facts.get_all(scope_id="ann")) == 1
    await runtime.run(runtime.store.apply([lease.released(clock())]))
    assert (await waiting).facts_after == 0


class Lasting:
    """Does nothing until its lease has been renewed."""

    name = "lasting"

    def __init__(self, memory: AsyncMemory) -> None:
        self._runtime = memory.runtime

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        first = await self._version(given.owner)
        while await self._version(given.owner) == first:
            pass
        return []

    async def _version(self, owner: Scope) -> int:
        (lease,) = await self._runtime.run(self._runtime.store.scan(Where("lease", (owner,))))
        return lease.version


async def test_a_run_that_lasts_keeps_its_lease(memory: AsyncMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltm_core.learn.lease.LEASE", timedelta(seconds=0.01))
    await add(memory, "note#1", "Ann likes strong coffee")
    report = await memory.maintain([Lasting(memory), "prune:max_facts=0"], user_id="ann")
    assert report.facts_after == 0


class Forgetful:
    """Deletes everything."""

    name = "forgetful"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        gone = [deleted(fact, fact.key, given.now) for fact in given.facts]
        return [FactUpdate(operation="DELETE", fact=fact, reason=fact.reason) for fact in gone]


async def test_where_a_strategy_deletes_no_summary_of_a_session_tells_it(memory: AsyncMemory) -> None:
    await memory.remember([{"role": "user", "content": "set home Rome"}], user_id="ann", session_id="s")
    assert "Rome" in await memory.sessions.summarize("s")
    assert await kept(memory, Forgetful()) == []
    assert "Rome" not in await memory.sessions.summarize("s")
    assert [one.reason for one in await memory.facts.history("home", scope_id="ann")][1:] == ["deleted by hand"]


# The schedule


async def test_it_is_done_once_in_a_period_however_many_do_it(memory: AsyncMemory, clock: Clock) -> None:
    runtime = memory.runtime
    runtime.maintain, runtime.maintain_every = strategies_of(["deduplicate"]), timedelta(days=1)

    async def come_and_go(key: str) -> list[str]:
        await add(memory, key, "Ann likes strong coffee")
        await asyncio.gather(*(runtime.teach(runtime.maintain_due()) for _ in range(4)))
        return [job.id for job in await memory.jobs.list(user_id="ann")]

    await add(memory, "note#1", "Ann likes strong coffee")
    assert len(await come_and_go("note#2")) == 1
    assert len(await come_and_go("note#3")) == 1
    clock.advance(days=1)
    assert len(await come_and_go("note#4")) == 2


class Failing:
    """Fails for one person."""

    name = "failing"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        if given.owner.id == "ann":
            raise RuntimeError("the model is down")
        return [changed(fact, put_aside(fact, given.now, "failing: not this time")) for fact in given.facts]


async def test_who_cannot_be_maintained_holds_up_nobody(memory: AsyncMemory, caplog: pytest.LogCaptureFixture) -> None:
    runtime = memory.runtime
    runtime.maintain = (Failing(),)
    for user in ("ann", "bob", "cid"):
        await memory.facts.add("home", "Rome", scope_id=user)
    await runtime.teach(runtime.maintain_due())
    assert [len(await memory.facts.get_all(scope_id=user)) for user in ("ann", "bob", "cid")] == [1, 0, 0]
    assert "the model is down" in caplog.text
    runtime.maintain = strategies_of(["prune:max_facts=0"])
    await runtime.teach(runtime.maintain_due())  # for her it is still due
    assert await memory.facts.get_all(scope_id="ann") == []


async def test_the_background_keeps_to_its_schedule(url: str, clock: Clock) -> None:
    if "memory:" in url:
        return
    async with AsyncMemory(url, clock=clock, background=False) as memory:
        await add(memory, "note#1", "Ann likes strong coffee")
        await add(memory, "note#2", "Ann likes strong coffee")
    async with AsyncMemory(url, clock=clock, maintain=["deduplicate"], maintain_every=3600) as memory:
        while len(await memory.facts.get_all(scope_id="ann")) > 1:
            pass


# Any sequence of runs

VALUES = (
    "Ann likes strong coffee",
    "Ann likes strong black coffee",
    "ann likes strong coffee.",
    "Ann had ramen",
    "Ann had 2 ramen",
    "dark",
    7,
    {"size": 3},
)
some_facts = st.lists(
    st.tuples(
        st.sampled_from(["note#1", "note#2", "note#3", "theme", "mode", "pet#rex", "pet#tom"]),
        st.sampled_from(VALUES),
        st.fixed_dictionaries(
            {
                "importance": st.sampled_from([0.0, 0.3, 1.0]),
                "confidence": st.sampled_from([0.3, 0.7, 1.0]),
                "pinned": st.booleans(),
                "source_type": st.sampled_from(["manual", "conversation"]),
            }
        ),
    ),
    min_size=1,
    max_size=8,
)
ONE_OF_EACH: tuple[MaintenanceStrategy, ...] = (
    *strategies_of(["deduplicate", "merge"]),
    Prune(max_facts=3),
    Prune(max_tokens=40),
    Decay(half_life=86400 * 30),
    Archive(unused_for=86400, below=0.2),
    Summarise(at_least=2, older_than=60),
)
some_runs = st.lists(st.lists(st.sampled_from(ONE_OF_EACH), min_size=1, max_size=4), min_size=1, max_size=4)
STEADY = ("deduplicate", "merge", "prune", "archive", "decay")


@settings(max_examples=60)
@given(facts=some_facts, runs=some_runs)
async def test_after_any_runs_pins_stand_history_replays_and_all_can_be_taken_back(
    facts: list[tuple[str, Any, dict[str, Any]]], runs: list[list[MaintenanceStrategy]]
) -> None:
    clock = Clock()
    async with AsyncMemory(store=DictStore(), clock=clock, background=False) as memory:
        for key, value, fields in facts:
            await add(memory, key, value, **fields)
            clock.advance(hours=1)
        before, job_ids = await stored(memory), list[str]()
        for strategies in runs:
            clock.advance(days=20)
            log = await stored(memory)
            preview = await memory.maintain(strategies, user_id="ann", dry_run=True)
            assert await stored(memory) == log
            report = await memory.maintain(strategies, user_id="ann")
            assert report.model_copy(update={"job_ids": [], "dry_run": True}) == preview
            job_ids += report.job_ids
            for strategy in {strategies[-1].name: strategies[-1]}.values():
                if strategy.name in STEADY:
                    again = await memory.maintain([strategy], user_id="ann")
                    assert (again.updates, again.job_ids) == ([], [])
        after = await stored(memory)
        for key, fact in before.items():
            assert not fact.pinned or after[key] == fact
        for key in after:
            versions = await memory.facts.history(key, scope_id="ann")
            assert [one.version for one in versions] == list(range(1, len(versions) + 1))
            assert versions[-1] == after[key]
            assert all(one.reason for one in versions)
        await undone(memory, job_ids)
        restored = await stored(memory)
        assert {key: fact.model_dump(**CONTENT) for key, fact in restored.items()} == {
            key: fact.model_dump(**CONTENT) for key, fact in before.items()
        }


async def test_a_dry_run_writes_nothing_at_all(clock: Clock) -> None:
    store = DictStore()
    async with AsyncMemory(store=store, clock=clock, background=False) as memory:
        for number in range(5):
            await add(memory, f"note#{number}", "Ann likes strong coffee", source_type="conversation", confidence=0.5)
        clock.advance(days=400)
        before = dict(store._records)
        report = await memory.maintain(
            ["deduplicate", "merge", "summarise", "decay", "archive", Prune(max_facts=0)], user_id="ann", dry_run=True
        )
        assert report.updates
        assert store._records == before
        assert report.text.endswith("Nothing was written.")
        assert json.loads(report.model_dump_json())["dry_run"] is True
