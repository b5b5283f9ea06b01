"""Group commit: by itself with a commit that is a list, and beneath each store that writes so."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from ltm_core.stores import open_store
from ltm_core.stores.base import Put
from ltm_core.stores.sql.batch import GroupCommit
from ltm_core.stores.sql.statements import Step
from ltm_core.stores.sql.store import SqlStore
from ltm_core.testing.store_contract import ANN, fact, names, of


class Ledger:
    """Commits what it is given when the gate is open; negative numbers are refused, 13 breaks the whole group."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()

    async def commit(self, units: Sequence[int]) -> list[Exception | None]:
        self.groups.append(list(units))
        await self.gate.wait()
        if 13 in units:
            raise OSError("disk full")
        return [ValueError(unit) if unit < 0 else None for unit in units]


async def start(group: GroupCommit[int], *units: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(group.add(partial(int, unit))) for unit in units]
    await asyncio.sleep(0)  # let them add
    await asyncio.sleep(0)  # let the first group be taken
    return tasks


async def test_what_waits_is_committed_together_up_to_a_limit() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, most=3)
    tasks = await start(group, 0)
    tasks += await start(group, *range(1, 8))
    assert not any(task.done() for task in tasks)
    ledger.gate.set()
    await asyncio.gather(*tasks)
    assert ledger.groups == [[0], [1, 2, 3], [4, 5, 6], [7]]


async def test_a_refused_unit_is_told_alone() -> None:
    ledger = Ledger()
    ledger.gate.set()
    tasks = await start(GroupCommit(ledger.commit), 1, -2, 3)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == ["None", "ValueError(-2)", "None"]


async def test_a_broken_commit_is_told_to_all_and_the_next_group_goes_on() -> None:
    ledger = Ledger()
    ledger.gate.set()
    group = GroupCommit(ledger.commit)
    outcomes = await asyncio.gather(*await start(group, 1, 13), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    await group.add(lambda: 2)
    assert ledger.groups == [[1, 13], [2]]


async def test_a_caller_that_left_in_time_takes_its_unit_back() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit)
    taken = await start(group, 1)
    waiting = await start(group, 2, 3)
    taken[0].cancel()
    waiting[0].cancel()
    ledger.gate.set()
    await asyncio.wait([*taken, *waiting])
    assert waiting[1].exception() is None
    assert ledger.groups == [[1], [3]]


async def test_idle_waits_for_all_that_was_added() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, most=1)
    await group.idle()
    tasks = await start(group, 1, 2)
    idle = asyncio.create_task(group.idle())
    ledger.gate.set()
    await idle
    assert ledger.groups == [[1], [2]]
    await asyncio.gather(*tasks)


async def test_callers_are_let_go_when_the_work_itself_is_cancelled() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, most=1)
    tasks = await start(group, 1, 2)
    assert group._running is not None
    group._running.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    ledger.gate.set()
    await group.add(lambda: 3)
    with pytest.raises(ValueError, match="-4"):
        await group.add(lambda: -4)


async def test_who_finds_no_room_waits_outside_in_order_and_makes_nothing_yet() -> None:
    ledger, made = Ledger(), list[int]()
    group = GroupCommit(ledger.commit, most=2, room=3)

    def make(unit: int) -> int:
        made.append(unit)
        return unit

    tasks = [asyncio.create_task(group.add(partial(make, unit))) for unit in range(8)]
    await asyncio.sleep(0)
    assert made == [0, 1, 2]
    ledger.gate.set()
    await asyncio.gather(*tasks)
    assert made == [unit for some in ledger.groups for unit in some] == list(range(8))
    assert max(map(len, ledger.groups)) <= 2


async def test_who_leaves_before_there_was_room_leaves_no_trace() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, room=2)
    tasks = await start(group, *range(5))
    for unit in (1, 3):
        tasks[unit].cancel()
    ledger.gate.set()
    await asyncio.wait(tasks)
    assert [unit for some in ledger.groups for unit in some] == [0, 1, 2, 4]  # 1 was taken already
    assert [unit for unit, task in enumerate(tasks) if task.cancelled()] == [1, 3]


async def test_callers_who_give_up_again_and_again_leave_nothing_in_the_queue() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit, room=2)
    first = await start(group, 0)
    for unit in range(1, 50):
        (task,) = await start(group, unit)
        task.cancel()
        await asyncio.wait([task])
    assert len(group._waiting) == 0
    ledger.gate.set()
    await asyncio.gather(*first)
    await group.idle()
    assert ledger.groups == [[0]]


async def test_a_unit_that_cannot_be_made_is_told_and_gives_its_room_back() -> None:
    ledger = Ledger()
    ledger.gate.set()
    group = GroupCommit(ledger.commit, room=1)
    with pytest.raises(ValueError, match="invalid literal"):
        await group.add(partial(int, "none"))
    await group.add(lambda: 1)
    await group.idle()


async def test_idle_waits_also_for_those_who_wait_for_room() -> None:
    ledger = Ledger()
    ledger.gate.set()
    group = GroupCommit(ledger.commit, most=1, room=1)
    tasks = [asyncio.create_task(group.add(partial(int, unit))) for unit in range(5)]
    await asyncio.sleep(0)
    await group.idle()
    assert ledger.groups == [[unit] for unit in range(5)]
    await asyncio.gather(*tasks)


@pytest.fixture(params=["sqlite", "memory", "one_postgres_url", "mysql_url"])
async def narrow(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    """A store with room for three writers, of which two are written together."""
    places = {"sqlite": f"sqlite:///{tmp_path}/ltm.db", "memory": "sqlite://"}
    store = open_store(places.get(request.param) or request.getfixturevalue(request.param))
    assert isinstance(store, SqlStore)
    store._group = GroupCommit(store._commit, most=2, room=3)
    async with store:
        yield store


def writers(store: SqlStore, count: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(store.apply([Put(fact(ANN, f"{n:02}"), expect=0)])) for n in range(count)]


async def test_more_writers_than_there_is_room_for_lose_nothing(narrow: SqlStore) -> None:
    waiting = list[int]()
    commit = narrow._group._commit

    async def watched(units: Sequence[Sequence[Step]]) -> Sequence[Exception | None]:
        waiting.append(len(units) + len(narrow._group._waiting))
        return await commit(units)

    narrow._group._commit = watched
    await asyncio.gather(*writers(narrow, 40))
    assert names(await narrow.scan(of(ANN))) == [f"{n:02}" for n in range(40)]
    assert max(waiting) == 3


async def test_a_writer_that_gives_up_waiting_for_room_writes_nothing(narrow: SqlStore) -> None:
    async with narrow._writing:
        tasks = writers(narrow, 10)
        for _ in range(3):
            await asyncio.sleep(0)
        for task in tasks[2:8]:
            task.cancel()
        await asyncio.wait(tasks[2:8])
    await asyncio.gather(*tasks[:2], *tasks[8:])
    assert names(await narrow.scan(of(ANN))) == ["00", "01", "08", "09"]


async def test_closing_waits_for_writers_that_still_wait_for_room(narrow: SqlStore) -> None:
    tasks = writers(narrow, 20)
    await asyncio.sleep(0)
    await narrow.close()
    assert await asyncio.gather(*tasks) == [None] * 20
    await narrow.open()
    if not getattr(narrow, "in_memory", False):
        assert await narrow.count(of(ANN)) == 20
