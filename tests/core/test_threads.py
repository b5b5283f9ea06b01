"""The state of threads, as frameworks keep it here: on every database, and never about anybody but its user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, ScopeError, Snapshot, TaskWrites


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncMemory]:
    places = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/memory.db"}
    fixtures = {"postgres": "one_postgres_url", "redis": "redis_url"}
    url = places.get(request.param) or str(request.getfixturevalue(fixtures[request.param]))
    async with AsyncMemory(url, background=False) as memory:
        yield memory


def snapshot(number: int, thread_id: str = "t", namespace: str = "", **labels: Any) -> Snapshot:
    return Snapshot(thread_id, namespace, f"id-{number:04}", number // 2, None, {"n": number}, labels)


async def numbers(memory: AsyncMemory, *place: str, **how: Any) -> list[int]:
    return [found.state["n"] async for found in memory.threads.walk(*place, **how)]


async def test_snapshots_come_newest_first_by_number_and_then_by_id(memory: AsyncMemory) -> None:
    for number in (3, 0, 41, 40, 2, 1):
        await memory.threads.put(snapshot(number), "ana")
    await memory.threads.put(snapshot(99, namespace="inner"))
    await memory.threads.put(snapshot(98, "other"))
    assert await numbers(memory, "t", "") == [41, 40, 3, 2, 1, 0]
    assert await numbers(memory, "t") == [99, 41, 40, 3, 2, 1, 0]
    assert await numbers(memory, "t", "", limit=2) == [41, 40]
    assert await numbers(memory, "t", "", before=(20, "id-0041")) == [40, 3, 2, 1, 0]
    newest = await memory.threads.get("t")
    assert newest is not None
    assert (newest.state, newest.namespace, newest.id) == ({"n": 41}, "", "id-0041")
    assert (await memory.threads.get("t", "", "id-0002")) == snapshot(2)
    assert await memory.threads.get("t", "inner", "id-0002") is None
    assert await memory.threads.namespaces("t") == ["inner", ""]


async def test_a_snapshot_is_replaced_by_one_of_the_same_id(memory: AsyncMemory) -> None:
    await memory.threads.put(snapshot(1, source="input"))
    await memory.threads.put(Snapshot("t", "", "id-0001", 0, "id-0000", {"n": 7}, {"source": "loop"}))
    assert [(found.parent, found.state) async for found in memory.threads.walk("t")] == [("id-0000", {"n": 7})]
    assert await numbers(memory, "t", labels={"source": "input"}) == []


async def test_labels_are_compared_as_they_are(memory: AsyncMemory) -> None:
    await memory.threads.put(snapshot(1, source="input", step=1, **{"a.b": "x"}))
    await memory.threads.put(snapshot(2, source="loop", step=True))
    await memory.threads.put(snapshot(3, source="loop", step=1.0))
    assert await numbers(memory, "t", labels={"step": 1}) == [3, 1]
    assert await numbers(memory, "t", labels={"step": True}) == [2]
    assert await numbers(memory, "t", labels={"source": "loop", "step": 1}) == [3]
    assert await numbers(memory, "t", labels={"a.b": "x"}) == [1]
    assert await numbers(memory, "t", labels={"a.b": None}) == [3, 2]


async def test_what_tasks_have_written_stands_beside_its_snapshot(memory: AsyncMemory) -> None:
    await memory.threads.put_writes(snapshot(1), TaskWrites("late", "b", {0: "first", -1: "error"}))
    await memory.threads.put(snapshot(1))
    await memory.threads.put(snapshot(2))
    await memory.threads.put(snapshot(1, namespace="inner"))
    await memory.threads.put_writes(snapshot(1), TaskWrites("early", "a", {0: "x"}))
    await memory.threads.put_writes(snapshot(1), TaskWrites("late", "b", {0: "again", 1: "more", -1: "worse"}))
    found = {(one.namespace, one.id): list(one.writes) async for one in memory.threads.walk("t")}
    assert found == {
        ("", "id-0002"): [],
        ("", "id-0001"): [
            TaskWrites("early", "a", {0: "x"}),
            TaskWrites("late", "b", {-1: "worse", 0: "first", 1: "more"}),
        ],
        ("inner", "id-0001"): [],
    }


async def test_tasks_may_write_side_by_side(memory: AsyncMemory) -> None:
    await memory.threads.put(snapshot(1))
    tasks = [TaskWrites(f"task-{number}", f"{number:02}", {0: number}) for number in range(10)]
    await asyncio.gather(*(memory.threads.put_writes(snapshot(1), task) for task in tasks))
    found = await memory.threads.get("t")
    assert found is not None
    assert list(found.writes) == tasks


async def test_a_thread_that_becomes_a_users_takes_along_what_is_written_meanwhile(
    memory: AsyncMemory, request: pytest.FixtureRequest
) -> None:
    if "[redis]" in request.node.name:  # now and then one of 24 snapshots stays with the session: not mended yet
        request.applymarker(pytest.mark.xfail(reason="A snapshot may miss the move of its thread.", strict=False))

    async def work(thread_id: str) -> None:
        for number in range(4):
            await memory.threads.put(snapshot(number, thread_id))
            await memory.threads.put_writes(snapshot(number, thread_id), TaskWrites("task", "", {0: number}))

    async def claim(thread_id: str) -> None:
        await memory.sessions.add_message(thread_id, "hello", "ana")

    threads = [f"t{number}" for number in range(6)]
    await asyncio.gather(*(part(thread) for thread in threads for part in (work, claim)))
    assert await memory.checkpoints.delete_user("ana") == 4 * len(threads)
    assert [await numbers(memory, thread) for thread in threads] == [[]] * len(threads)
    assert await memory.runtime.run(_left(memory)) == 0


async def _left(memory: AsyncMemory) -> int:
    from ltm_core.stores.base import Where

    subjects = await memory.runtime.store.subjects()
    return sum([await memory.runtime.store.count(Where("checkpoint", subject=subject)) for subject in subjects])


async def test_a_run_and_a_thread_of_one_name_do_not_meet(memory: AsyncMemory) -> None:
    await memory.checkpoints.save("t", 1, "of the run")
    await memory.threads.put(snapshot(1))
    await memory.sessions.add_message("t", "hello", "ana")
    assert await numbers(memory, "t") == [1]
    await memory.threads.delete("t")
    latest = await memory.checkpoints.latest("t")
    assert latest is not None
    assert (latest.state, latest.user_id) == ("of the run", None)
    await memory.threads.put(snapshot(1))
    await memory.checkpoints.delete("t")
    assert await numbers(memory, "t") == [1]


async def test_some_snapshots_can_be_kept_and_all_be_copied(memory: AsyncMemory) -> None:
    for number in range(40):
        await memory.threads.put(snapshot(number, run_id=f"run-{number % 2}"), "ana")
        await memory.threads.put_writes(snapshot(number), TaskWrites("task", "", {0: number}))
    await memory.threads.copy("t", "copy")
    await memory.threads.keep("t", "", ["id-0039", "id-0007"])
    assert await numbers(memory, "t") == [39, 7]
    assert await numbers(memory, "copy") == list(range(39, -1, -1))
    assert [list(one.writes[0].writes.values()) async for one in memory.threads.walk("copy", limit=1)] == [[39]]
    await memory.threads.delete_labelled("run_id", ["run-1"])
    assert await numbers(memory, "copy") == list(range(38, -1, -2))
    assert await numbers(memory, user_id="ana") == list(range(38, -1, -2))
    with pytest.raises(ScopeError, match="belongs to another user"):
        await memory.threads.copy("copy", await _thread_of(memory, "ben"))
    await memory.checkpoints.delete_user("ana")
    assert await memory.runtime.run(_left(memory)) == 0


async def _thread_of(memory: AsyncMemory, user_id: str) -> str:
    await memory.sessions.add_message("taken", "hello", user_id)
    return "taken"
