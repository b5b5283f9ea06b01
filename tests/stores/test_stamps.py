"""Stamps: another process that writes is seen, and who writes to others is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory
from ltm_core.index.held import Indexes
from ltm_core.index.memories import Memories
from ltm_core.index.quiet import Quiet
from ltm_core.stores.base import All, Compare, Put, Record, Where
from ltm_core.stores.memory import DictStore
from ltm_core.stores.redis.layout import descending, ranged
from ltm_core.stores.redis.store import RedisStore
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.testing.store_contract import ANN, BOB, fact, put, stamp_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def test_a_file_has_a_new_stamp_after_another_connection_wrote(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "ltm.db") as one, SqliteStore(tmp_path / "ltm.db") as other:
        before = await stamp_of(one, ANN)
        assert await stamp_of(one, ANN) == before
        await put(other, fact(ANN, "a"))
        assert await stamp_of(one, ANN) != before


async def test_two_openings_of_a_file_never_share_a_stamp(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ltm.db")
    async with store:
        before = await stamp_of(store, ANN)
    async with store:
        assert await stamp_of(store, ANN) != before


async def test_in_redis_a_stamp_is_for_some_people(redis_url: str) -> None:
    async with RedisStore(redis_url, prefix="stamps") as one, RedisStore(redis_url, prefix="stamps") as other:
        await put(one, fact(ANN, "a"), fact(BOB, "b"))
        before = await stamp_of(one, ANN)
        await put(other, fact(BOB, "c"))
        assert await stamp_of(one, ANN) == before
        await put(other, fact(ANN, "d"))
        assert await stamp_of(one, ANN) != before
        await one.purge(Where("fact", (ANN, BOB)))


async def test_a_recall_that_follows_no_write_reads_nothing_but_what_it_found(tmp_path: Path) -> None:
    async with AsyncMemory(f"sqlite:///{tmp_path / 'ltm.db'}", background=False, clock=lambda: NOW) as memory:
        await memory.facts.add("pet", "User has a dog", text="User has a dog", scope_id="ann")
        for _ in range(2):
            assert (await memory.recall("Which dog?", user_id="ann")).facts
        indexes = memory.facts._runtime.recalling.indexes
        before = indexes.reads
        assert (await memory.recall("Which dog?", user_id="ann")).facts
        assert indexes.reads == before


@pytest.mark.parametrize(
    "test", [Compare("updated_at", "gte", NOW), All(Compare("key", "eq", "a"), Compare("updated_at", "lt", NOW))]
)
async def test_redis_reads_what_changed_in_time_without_the_rest(redis_url: str, test: All) -> None:
    async with RedisStore(redis_url, prefix="ranges") as store:
        changed = [
            fact(ANN, f"{minutes}", key="a", updated_at=NOW + timedelta(minutes=minutes)) for minutes in range(-3, 4)
        ]
        await store.apply([Put(record) for record in changed])
        where = Where("fact", (ANN,), test=test)
        assert {record.id for record in await store.scan(where)} == {one.id for one in changed if where.admits(one)}
        await store.purge(Where("fact", (ANN,)))


@given(st.integers() | st.floats() | st.datetimes(timezones=st.just(UTC)) | st.text() | st.booleans() | st.none())
def test_any_value_may_be_compared_with(value: object) -> None:
    for operator in ("gt", "gte", "lt", "lte"):
        among = ranged("fact", Compare("updated_at", operator, value))
        if among is not None:
            assert descending(value) in (among.least, among.most)


async def test_what_is_written_while_an_index_is_read_is_found_by_the_next_recall() -> None:
    read, go_on = asyncio.Event(), asyncio.Event()

    class Slow(DictStore):
        async def scan(self, where: Where, **how: Any) -> list[Record]:
            found = await super().scan(where, **how)
            read.set()
            await go_on.wait()
            return found

    store = Slow()
    indexes = Indexes(store)

    async def found() -> list[Memories] | None:
        return await indexes.facts([ANN], "", NOW, await store.stamps([ANN], ["fact"]))

    def told(name: str) -> Record:
        return fact(ANN, name, key=name, namespace="", created_at=NOW, updated_at=NOW)

    await put(store, told("a"))
    one = asyncio.create_task(found())
    await read.wait()
    await put(store, told("b"))
    other = asyncio.create_task(found())
    go_on.set()
    await asyncio.gather(one, other)
    (memories,) = await found() or []
    assert len(memories) == 2


def test_quiet_forgets_the_oldest_and_knows_nothing_without_a_stamp() -> None:
    quiet = Quiet(most=2)
    for number in range(3):
        quiet.note(number, "s")
    quiet.note("x", None)
    assert [quiet.holds(number, "s") for number in range(3)] == [False, True, True]
    assert not quiet.holds(1, "t")
    assert not quiet.holds("x", None)
