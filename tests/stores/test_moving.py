"""Copying from store to store: whole, once, resumable, and compared."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ltm_core import AsyncMemory, MemoryScope, Scope
from ltm_core.errors import InvalidInput, StoreError
from ltm_core.records import vector_record
from ltm_core.stores.base import Put, Record, Store, Where, Write
from ltm_core.stores.items import ItemWrite
from ltm_core.stores.kinds import KINDS
from ltm_core.stores.memory import DictStore
from ltm_core.stores.moving import MOVED, PAGE, Progress, copy
from ltm_core.stores.mysql import MysqlStore
from ltm_core.stores.postgres import PostgresStore
from ltm_core.stores.redis import RedisStore
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.stores.wrappers import Wrapper
from ltm_core.testing.store_contract import ANN, BOB, NOW, TRICKY_IDS, fact, put
from tests.conftest import told
from tests.servers.fixtures import empty_database

COPIER = textwrap.dedent("""
    import asyncio, sys
    from ltm_core.stores import open_store
    from ltm_core.stores.moving import copy

    async def main(source, target):
        async with open_store(source) as one, open_store(target) as other:
            await copy(one, other, on_progress=lambda progress: print(progress.copied, flush=True))

    asyncio.run(main(*sys.argv[1:]))
""")


def empty(request: pytest.FixtureRequest, name: str) -> Store:
    """A store with nothing in it, of the kind that the fixture asks for."""
    match request.param:
        case "dict":
            return DictStore()
        case "sqlite":
            return SqliteStore(request.getfixturevalue("tmp_path") / f"{name}.db")
        case "postgres":
            servers = request.getfixturevalue("servers")
            return PostgresStore(empty_database(servers.url("postgres18"), f"{name}_{servers.worker}"))
        case "mariadb":
            servers = request.getfixturevalue("servers")
            return MysqlStore(empty_database(servers.url("mariadb"), f"{name}_{servers.worker}"))
        case _:
            return RedisStore(request.getfixturevalue("redis_url"), prefix=f"test:{uuid4().hex}")


@pytest.fixture(params=["dict", "sqlite", "postgres", "mariadb", "redis"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with empty(request, "source") as store:
        yield store


@pytest.fixture(params=["dict", "sqlite", "postgres", "mariadb", "redis"])
async def target(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with empty(request, "target") as store:
        yield store


async def whole(store: Store) -> dict[tuple[str, str], Record]:
    """All that a store holds, but for leases."""
    found: dict[tuple[str, str], Record] = {}
    for subject in await store.subjects(limit=10_000):
        for kind in MOVED:
            found |= {(kind, record.id): record for record in await store.scan(Where(kind, subject=subject))}
    return found


async def lived_in(store: Store) -> None:
    """Leave in `store` what memories leave: every kind, several people, tenants and sessions."""
    lived = DictStore()  # memories use a store on a loop of theirs, which few stores allow for on two loops
    for tenant in ("default", "acme"):
        async with AsyncMemory(store=lived, extract=told, tenant=tenant, background=False) as memory:
            await memory.remember("set location Oslo", user_id="ann", session_id="s")
            await memory.remember("set location Rome", user_id="ann", session_id="s")
            await memory.observe("set pet#rex dog", user_id="bob")
            await memory.sessions.add_message("lonely", "Is anybody there?")
            await memory.items.write([ItemWrite(("docs", "a/b"), "k", {"x": [1, None]}, 5.0, [[1.0]], "ann")])
            await memory.facts.add("motto", {"a": 1}, MemoryScope.GLOBAL)
    await put(store, *(await whole(lived)).values())
    record = fact(ANN, "with a vector", created_at=NOW, importance=1, terms=["oslo"])
    await put(store, record, vector_record(record, "s", [3, 4], at=NOW), vector_record(record, "s", [1, 0], number=1))
    await put(store, *(fact(Scope.user(name), "f", value=name) for name in TRICKY_IDS))
    later = (
        Record("summary", "s1", ANN, ANN, fields={"number": 1, "text": "Ann moved."}, terms=("ann",)),
        Record("checkpoint", "c1", ANN, ANN, fields={"step": 1, "state": {"a": [1, None]}}),
        Record("spend", "m1", ANN, ANN, fields={"day": "2026-01-01", "calls": 2, "tokens": 900, "seconds": 1.5}),
        Record("tag", "t1", ANN, ANN, fields={"fact_id": "f", "tag": "ui", "key": "theme", "created_at": NOW}),
        Record("link", "l1", ANN, ANN, fields={"source": "f", "target": "g", "strength": 0.5, "mutual": True}),
        Record("access", "a1", ANN, ANN, fields={"fact_id": "f", "at": NOW, "useful": None, "query": "theme?"}),
        Record("usage", "u1", ANN, ANN, fields={"fact_id": "f", "access_count": 3, "last_accessed_at": NOW}),
    )
    await put(store, *later)


async def test_everything_of_everybody_is_copied_as_it_was(source: Store, target: Store) -> None:
    await lived_in(source)
    report = await copy(source, target)
    there = await whole(target)
    assert there == await whole(source)
    assert {kind for kind, _ in there} == set(KINDS) - {"lease"}
    assert report.copied == report.records == len(there)
    assert (report.present, report.kept) == (0, 0)
    assert dict(report.counts) == {kind: [one for one, _ in there].count(kind) for kind in report.counts}


async def test_what_was_copied_can_be_worked_with(source: Store, target: Store) -> None:
    await lived_in(source)
    await copy(source, target)
    there = DictStore()
    await put(there, *(await whole(target)).values())
    async with AsyncMemory(store=there, extract=told, background=False) as memory:
        assert await memory.flush(20)
        assert [one.value for one in await memory.facts.history("location", scope_id="ann")] == ["Oslo", "Rome"]
        assert (await memory.recall("pet", user_id="bob")).facts[0].value == "dog"
        assert (await memory.items.get([(("docs", "a/b"), "k")])) != {}


async def test_nothing_is_copied_twice(source: Store, target: Store) -> None:
    await lived_in(source)
    first = await copy(source, target)
    again = await copy(source, target)
    assert (again.copied, again.present, again.records) == (0, first.copied, first.records)


async def test_pages_of_one_person_miss_nothing(source: Store, target: Store) -> None:
    await put(source, *(fact(ANN, f"{number:05}") for number in range(2 * PAGE)), fact(BOB, "x"))
    assert (await copy(source, target)).copied == 2 * PAGE + 1
    assert await whole(target) == await whole(source)


async def test_an_empty_source_is_copied_too(source: Store, target: Store) -> None:
    report = await copy(source, target)
    assert (report.copied, report.subjects, report.records) == (0, 0, 0)


class Breaking(Wrapper):
    """Breaks off after a number of writes."""

    def __init__(self, inner: Store, after: int) -> None:
        super().__init__(inner)
        self.left = after

    async def apply(self, writes: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionResetError
        await super().apply(writes)


async def test_an_interrupted_copy_goes_on_wherever_it_stopped(source: Store, target: Store) -> None:
    await lived_in(source)
    size = len(await whole(source))
    reached = [0]
    for _ in range(size):
        reached.append(0)
        try:
            report = await copy(source, Breaking(target, 7), on_progress=lambda one: reached.append(one.copied))
        except ConnectionResetError:
            continue
        break
    tries = [before for before, after in pairwise([*reached, 0]) if after == 0]
    assert len(tries) > 3
    assert sum(tries) == size
    assert report.records == size
    assert await whole(target) == await whole(source)


async def test_what_changed_in_the_source_since_is_copied_again(source: Store, target: Store) -> None:
    await put(source, fact(ANN, "a", value=1), fact(ANN, "b"))
    await copy(source, target)
    changed = replace(fact(ANN, "a", value=2, version=2), subject=BOB)
    await source.apply([Put(changed, expect=1)])
    report = await copy(source, target)
    assert (report.copied, report.present) == (1, 1)
    assert await whole(target) == await whole(source)


OTHERS: dict[str, list[Write]] = {
    "another record": [Put(fact(ANN, "other"))],
    "somebody else": [Put(fact(Scope.user("eve"), "a"))],
    "another tenant": [Put(fact(Scope.user("ann", "acme"), "a"))],
    "another content": [Put(fact(ANN, "a", value="other"))],
    "a later version": [Put(fact(ANN, "a", value="other", version=2))],
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=list(OTHERS))
async def test_a_target_with_other_data_is_refused_before_anything_is_written(
    source: Store, target: Store, others: list[Write]
) -> None:
    await put(source, fact(ANN, "a", value=1), fact(BOB, "b"))
    await target.apply(others)
    before = await whole(target)
    with pytest.raises(InvalidInput, match=r"holds other data.*Name an empty database, or pass --merge"):
        await copy(source, target)
    assert await whole(target) == before


@pytest.mark.parametrize("others", OTHERS.values(), ids=list(OTHERS))
async def test_merging_adds_and_keeps_what_the_target_has(source: Store, target: Store, others: list[Write]) -> None:
    await put(source, fact(ANN, "a", value=1), fact(BOB, "b"))
    await target.apply(others)
    before = await whole(target)
    report = await copy(source, target, merge=True)
    assert await whole(target) == {**await whole(source), **before}
    conflicts = len(before.keys() & (await whole(source)).keys())
    assert (report.copied, report.kept) == (2 - conflicts, conflicts)


class Lossy(Wrapper):
    """Says that it wrote, and did not."""

    async def apply(self, writes: Any) -> None:
        await super().apply([write for write in writes if "lost" not in write.record.id])


class Altering(Wrapper):
    async def apply(self, writes: Any) -> None:
        puts = [
            replace(write, record=replace(write.record, fields={**write.record.fields, "importance": 0.25}))
            for write in writes
        ]
        await super().apply(puts)


@pytest.mark.parametrize("broken", [Lossy, Altering])
@pytest.mark.parametrize("merge", [False, True])
async def test_a_difference_in_the_end_is_found_and_named(target: Store, broken: type[Wrapper], *, merge: bool) -> None:
    source = DictStore()
    await put(source, fact(ANN, "a", importance=0.5), fact(ANN, "lost", importance=0.5))
    if merge and broken is Altering:
        report = await copy(source, broken(target), merge=True)
        assert report.kept == 2
        return
    with pytest.raises(StoreError, match=r"differ in kind 'fact' of user:ann .*Stop whatever writes"):
        await copy(source, broken(target), merge=merge)


async def test_progress_goes_through_three_steps_and_ends_complete() -> None:
    source, heard = DictStore(), list[Progress]()
    await put(source, *(fact(Scope.user(str(number)), "a") for number in range(5)))
    await copy(source, DictStore(), on_progress=lambda progress: heard.append(replace(progress)))
    assert list(dict.fromkeys(one.step for one in heard)) == ["looking", "copying", "comparing"]
    assert heard[-1] == Progress("comparing", 5, 5, copied=5)


async def test_only_ids_are_asked_of_everybody(tmp_path: Path) -> None:
    source = DictStore()
    await put(source, fact(ANN, "a"), fact(BOB, "b"))
    walls: list[Where] = []

    class Watched(Wrapper):
        async def scan(self, where: Where, **options: Any) -> list[Record]:
            walls.append(where)
            return await super().scan(where, **options)

    await copy(Watched(source), DictStore())
    assert {where.subject for where in walls} == {ANN, BOB}


async def test_two_copies_at_once_end_alike(source: Store, target: Store) -> None:
    await lived_in(source)
    first, second = await asyncio.gather(copy(source, target), copy(source, target))
    assert await whole(target) == await whole(source)
    assert first.records == second.records


def test_a_copy_that_is_killed_again_and_again_is_finished_by_the_last(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("source", "target")]
    size = 40
    asyncio.run(_filled(urls[0], size, 60))
    kills = 0
    while True:
        with subprocess.Popen([sys.executable, "-c", COPIER, *urls], stdout=subprocess.PIPE, text=True) as copier:
            assert copier.stdout is not None
            heard = [line for line in (copier.stdout.readline() for _ in range(8 * (kills + 1))) if line]
            if kills < 4 and int(heard[-1]) > 0:
                copier.kill()
                kills += 1
            else:
                copier.communicate()
                break
    assert copier.returncode == 0
    asyncio.run(_alike(*urls, records=size * 60))
    assert kills == 4


async def _filled(url: str, people: int, facts: int) -> None:
    async with SqliteStore(url) as store:
        for person in range(people):
            owner = Scope.user(str(person))
            await put(store, *(fact(owner, f"{number}", value=number, terms=["x"]) for number in range(facts)))


async def _alike(source: str, target: str, *, records: int) -> None:
    async with SqliteStore(source) as one, SqliteStore(target) as other:
        assert await whole(one) == await whole(other)
        assert len(await whole(other)) == records
