"""The life of a fact: it ends, is swept, is retained for a while; and the counts of what there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, ConfigurationError, InvalidInput, MemoryScope
from ltm_core.scope import Scope
from ltm_core.stores.base import Due, Put, Record, Where
from ltm_core.stores.kinds import KINDS
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock, HashEmbedder
from tests.core.conftest import Open

ANN = Scope.user("ann")


async def left(memory: AsyncMemory, owner: Scope = ANN) -> dict[str, int]:
    """How many records an owner has, by kind."""
    kinds = {kind: await memory.runtime.run(memory.runtime.store.count(Where(kind, (owner,)))) for kind in KINDS}
    return {kind: number for kind, number in kinds.items() if number}


async def used(memory: AsyncMemory, fact_id: str, times: int, owner: Scope = ANN) -> None:
    fields = {"fact_id": fact_id, "access_count": times, "last_accessed_at": memory.runtime.now()}
    access = {"fact_id": fact_id, "recall_id": "r", "how": "search", "at": memory.runtime.now()}
    records = [
        Record("usage", f"u{fact_id}", owner, owner, 1, fields),
        Record("access", f"a{fact_id}", owner, owner, 1, access),
    ]
    await memory.runtime.run(memory.runtime.store.apply([Put(record) for record in records]))


# Ends


@pytest.mark.parametrize("ttl", [60, 60.0, timedelta(minutes=1)])
async def test_a_fact_with_a_time_to_live_ends(memory: AsyncMemory, clock: Clock, ttl: Any) -> None:
    fact = await memory.facts.add("code", "1234", scope_id="ann", ttl=ttl)
    assert fact.expires_at == clock() + timedelta(minutes=1)
    await memory.facts.add_many([{"key": "pin", "value": 1, "ttl": ttl}], scope_id="ann")
    assert (await memory.facts.update("pin", 2, scope_id="ann", ttl=90)).expires_at == clock() + timedelta(seconds=90)
    clock.advance(seconds=60)
    assert [fact.key for fact in await memory.facts.get_all(scope_id="ann")] == ["pin"]
    assert await memory.facts.add("code", "5678", scope_id="ann")
    assert await memory.facts.get("code", scope_id="ann")


@pytest.mark.parametrize("ttl", [0, -1, True, "1h", float("inf"), float("nan"), timedelta(0)])
async def test_what_is_no_time_to_live_is_refused(memory: AsyncMemory, ttl: Any) -> None:
    with pytest.raises(InvalidInput, match="time to live"):
        await memory.facts.add("code", "1234", scope_id="ann", ttl=ttl)


async def test_a_fact_has_one_end(memory: AsyncMemory, clock: Clock) -> None:
    with pytest.raises(InvalidInput, match="Pass one"):
        await memory.facts.add("code", "1234", scope_id="ann", ttl=5, expires_at=clock())


# Sweeps


async def test_what_expired_is_swept_with_all_that_stood_beside_it(open_: Open, clock: Clock) -> None:
    memory = open_(embed=HashEmbedder())
    await memory.facts.add("home", "Rome", scope_id="ann", tags=["x"])
    alone = await left(memory)
    first = await memory.facts.add("code", "1234", scope_id="ann", tags=["x"], ttl=60)
    await memory.facts.update("code", "5678", scope_id="ann", ttl=60)
    await memory.facts.link("code", "home", "related", scope_id="ann")
    await used(memory, first.id, 3)
    assert await memory.flush()
    assert (await memory.sweep()).expired == 0
    clock.advance(seconds=60)
    assert (await memory.sweep()).expired == 1
    assert await left(memory) == {**alone, "vector": 1}
    assert await memory.facts.history("code", scope_id="ann") == []
    assert (await memory.sweep()).expired == 0


async def test_a_sweep_removes_more_than_one_batch_of_everybody(memory: AsyncMemory, clock: Clock) -> None:
    facts = [{"key": f"code{n}", "value": n, "ttl": 60, "scope_id": f"user{n % 3}"} for n in range(450)]
    await memory.facts.add_many(facts)
    await memory.facts.add("home", "Rome", scope_id="user0")
    clock.advance(seconds=60)
    assert (await memory.sweep()).expired == 450
    assert [fact.key for n in range(3) for fact in await memory.facts.get_all(scope_id=f"user{n}")] == ["home"]


async def one_deleted_and_one_deleted_later(memory: AsyncMemory, clock: Clock) -> None:
    await memory.facts.add("home", "Rome", scope_id="ann")
    await memory.facts.delete("home", scope_id="ann")
    await memory.facts.add("job", "nurse", scope_id="ann")
    clock.advance(days=29)
    await memory.facts.delete("job", scope_id="ann")
    clock.advance(days=1)


async def test_what_was_deleted_is_kept_as_long_as_is_said(open_: Open, clock: Clock) -> None:
    memory = open_(retention=timedelta(days=30))
    await one_deleted_and_one_deleted_later(memory, clock)
    assert (await memory.sweep()).deleted == 1
    assert await memory.facts.history("home", scope_id="ann") == []
    assert len(await memory.facts.history("job", scope_id="ann")) == 2
    assert (await memory.facts.add("home", "Oslo", scope_id="ann")).version == 1


async def test_without_a_retention_what_was_deleted_is_kept_for_ever(memory: AsyncMemory, clock: Clock) -> None:
    await one_deleted_and_one_deleted_later(memory, clock)
    clock.advance(days=10_000)
    assert (await memory.sweep()).deleted == 0
    assert len(await memory.facts.history("home", scope_id="ann")) == 2


async def test_what_was_revived_is_not_swept(open_: Open, clock: Clock) -> None:
    memory = open_(retention=0)
    await memory.facts.add("home", "Rome", scope_id="ann", ttl=60)
    clock.advance(seconds=60)
    await memory.facts.add("home", "Oslo", scope_id="ann")
    await memory.sweep()
    fact = await memory.facts.get("home", scope_id="ann")
    assert fact is not None
    assert (fact.value, fact.version) == ("Oslo", 2)


class Late(DictStore):
    """Somebody writes between the look for what is due and the removal."""

    async def due(self, kind: str, before: datetime, limit: int) -> list[Due]:
        found = await super().due(kind, before, limit)
        for one in found if kind == "fact" else ():
            (record,) = await self.scan(Where("fact", subject=one.subject, ids=(one.id,)))
            fields = {name: value for name, value in record.fields.items() if name != "expires_at"}
            await self.apply([Put(replace(record, fields=fields, version=record.version + 1))])
        return found


async def test_what_is_revived_while_a_sweep_runs_stays(clock: Clock) -> None:
    async with AsyncMemory(store=Late(), clock=clock, background=False) as memory:
        await memory.facts.add("home", "Rome", scope_id="ann", ttl=60)
        clock.advance(seconds=60)
        assert (await memory.sweep()).expired == 0
        assert await memory.facts.get("home", scope_id="ann")


async def test_a_sweep_without_an_embedder_removes_the_vectors_too(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, clock=clock, embed=HashEmbedder(), background=False) as memory:
        await memory.facts.add("code", "1234", scope_id="ann", ttl=60)
        assert await memory.flush()
        assert (await left(memory))["vector"] == 1
    clock.advance(seconds=60)
    async with AsyncMemory(url, clock=clock, background=False) as memory:
        assert (await memory.sweep()).expired == 1
        assert await left(memory) == {}


async def test_facts_of_a_session_end_with_it(open_: Open, clock: Clock) -> None:
    memory = open_(session_ttl=60)
    await memory.sessions.add_message("s", "hello", user_id="ann")
    place: dict[str, Any] = {"scope": MemoryScope.SESSION, "scope_id": "s"}
    await memory.facts.add("mood", "calm", **place)
    await memory.facts.add("home", "Rome", scope_id="ann")
    clock.advance(seconds=61)
    assert (await memory.sweep()).sessions == 1
    assert await memory.facts.get("mood", **place) is None
    assert await left(memory, Scope.session("s")) == {}
    assert await memory.facts.get("home", scope_id="ann")


@pytest.mark.parametrize("options", [{"retention": -1}, {"maintain_every": 0}, {"maintain": ["prune"]}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AsyncMemory("memory://", **options)


# Archived


async def test_archived_facts_are_listed_on_request(memory: AsyncMemory) -> None:
    for key in ("home", "job", "pet"):
        await memory.facts.add(key, "something", scope_id="ann")
    await memory.facts.archive("job", "retired", scope_id="ann")
    await memory.facts.archive("pet", "gone", scope_id="ann")
    assert [(fact.key, fact.reason) for fact in await memory.facts.archived(scope_id="ann")] == [
        ("job", "retired"),
        ("pet", "gone"),
    ]
    await memory.facts.unarchive("job", scope_id="ann")
    await memory.facts.delete("job", scope_id="ann")
    assert [fact.key for fact in await memory.facts.archived(scope_id="ann")] == ["pet"]


# Counts


async def test_what_is_remembered_is_counted(memory: AsyncMemory, clock: Clock) -> None:
    clock.advance(days=5)  # a Monday
    begun = clock()
    home = await memory.facts.add("home", "Rome", scope_id="ann")
    await memory.facts.add("work", "Rome", scope_id="ann", memory_type="note", category="work")
    await memory.facts.add("gone", 1, scope_id="ann")
    await memory.facts.delete("gone", scope_id="ann")
    clock.advance(days=1)
    await memory.facts.add("note#1", "Ann likes strong coffee", scope_id="ann", source_type="tool")
    await memory.facts.add("note#2", "Ann likes strong coffee", scope_id="ann", confidence=0.1, tags=["x"])
    await memory.facts.add("doubt", "Maybe Oslo", scope_id="ann", confidence=0.1)
    await memory.facts.add("old", "thing", scope_id="ann")
    await memory.facts.archive("old", "old", scope_id="ann")
    await used(memory, home.id, 3)
    stats = await memory.stats("ann")
    assert (stats.people, stats.facts, stats.archived, stats.deleted, stats.unused) == (1, 5, 1, 1, 4)
    assert stats.by_type == {"note": 3, "fact": 2}
    assert stats.by_scope == {"user": 5}
    assert stats.by_source == {"manual": 4, "tool": 1}
    assert stats.by_category["work"] == 1
    assert {day: count for day, count in stats.per_day.items() if count} == {
        begun.date(): 3,
        begun.date() + timedelta(days=1): 4,
    }
    assert (len(stats.per_day), stats.per_week[date(2025, 1, 6)], len(stats.per_week)) == (14, 7, 8)
    assert [(fact.key, fact.access_count) for fact in stats.most_used] == [("home", 3)]
    assert (stats.duplicates, stats.junk) == (1, 1)
    assert stats.tokens
    quick = await memory.stats("ann", estimates=False)
    assert (quick.tokens, quick.duplicates, quick.junk) == (None, None, None)


async def test_operators_count_everybody(memory: AsyncMemory) -> None:
    for user, keys in (("ann", ("home", "job")), ("bob", ("home",))):
        for key in keys:
            fact = await memory.facts.add(key, "something", scope_id=user)
            await used(memory, fact.id, len(key), Scope.user(user))
    stats = await memory.stats()
    assert (stats.people, stats.facts, stats.by_scope, stats.unused) == (2, 3, {"user": 3}, 0)
    assert [fact.access_count for fact in stats.most_used] == [4, 4, 3]
    assert [fact.access_count for fact in stats.least_used] == [3, 4, 4]
    assert sum(stats.per_day.values()) == 3
    assert (await memory.stats("nobody")).facts == 0
