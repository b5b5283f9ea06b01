"""Group commit, with a commit that is a list."""

import asyncio
from collections.abc import Sequence

import pytest

from ltm_core.stores.sql.batch import GroupCommit


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
    tasks = [asyncio.create_task(group.add(unit)) for unit in units]
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
    await group.add(2)
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
    await group.add(3)
    with pytest.raises(ValueError, match="-4"):
        await group.add(-4)
