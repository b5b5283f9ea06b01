"""Checkpoints of runs: saved once, kept apart by user, bounded, and gone when they are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory, ConflictError, InvalidInput, Memory, ScopeError
from ltm_core.testing.strategies import json_values


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "postgres":
            return str(request.getfixturevalue("one_postgres_url"))
        case "redis":
            return str(request.getfixturevalue("redis_url"))
        case "sqlite":
            return f"sqlite:///{tmp_path}/memory.db"
    return "memory://"


@pytest.fixture
async def memory(place: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(place, background=False) as memory:
        yield memory


async def steps(memory: AsyncMemory, run_id: str = "r") -> list[int]:
    return [checkpoint.step for checkpoint in await memory.checkpoints.list(run_id)]


async def test_the_latest_checkpoint_is_that_of_the_highest_step(memory: AsyncMemory) -> None:
    assert await memory.checkpoints.latest("r") is None
    for step in (1, 3, 2):
        await memory.checkpoints.save("r", step, {"at": step}, user_id="ana")
    await memory.checkpoints.save("other", 9, {}, user_id="ana")
    latest = await memory.checkpoints.latest("r")
    assert latest is not None
    assert (latest.run_id, latest.step, latest.state, latest.user_id) == ("r", 3, {"at": 3}, "ana")
    assert await steps(memory) == [1, 2, 3]
    assert [checkpoint.state for checkpoint in await memory.checkpoints.list("r", limit=2)] == [{"at": 2}, {"at": 3}]


async def test_a_step_is_saved_once(memory: AsyncMemory) -> None:
    first = await memory.checkpoints.save("r", 1, {"a": [1, None, "ü\0"]})
    assert await memory.checkpoints.save("r", 1, {"a": (1, None, "ü\0")}) == first
    with pytest.raises(ConflictError, match=r"another state. Read latest\(\)"):
        await memory.checkpoints.save("r", 1, {"a": [True, None, "ü\0"]})
    assert await memory.checkpoints.list("r") == [first]


async def test_of_many_who_save_the_same_step_one_wins(place: str) -> None:
    async with AsyncMemory(place, background=False) as one, AsyncMemory(place, background=False) as other:
        two = one if place == "memory://" else other
        saves = [memory.checkpoints.save("r", 1, number) for number in range(10) for memory in (one, two)]
        outcomes = await asyncio.gather(*saves, return_exceptions=True)
        (latest,) = await one.checkpoints.list("r")
    saved = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert {outcome.state for outcome in saved} == {latest.state}
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)} == {ConflictError}


async def test_steps_of_many_at_once_are_all_saved(memory: AsyncMemory) -> None:
    await asyncio.gather(*(memory.checkpoints.save("r", step, step, user_id="ana") for step in range(12)))
    assert await steps(memory) == list(range(12))


async def test_a_run_belongs_to_its_first_user(memory: AsyncMemory) -> None:
    await memory.checkpoints.save("r", 1, {}, user_id="ana")
    with pytest.raises(ScopeError, match="belongs to another user"):
        await memory.checkpoints.save("r", 2, {}, user_id="ben")
    with pytest.raises(ScopeError), memory.scope(user_id="ben"):
        await memory.checkpoints.latest("r")
    for verb in (memory.checkpoints.latest, memory.checkpoints.list, memory.checkpoints.delete):
        with pytest.raises(ScopeError):
            await verb("r", "ben")
    assert (await memory.checkpoints.save("r", 2, {})).user_id == "ana"
    assert await steps(memory) == [1, 2]


async def test_a_run_of_nobody_becomes_its_first_users_with_all_that_it_saved(memory: AsyncMemory) -> None:
    await memory.checkpoints.save("r", 1, {})
    await memory.checkpoints.save("r", 2, {})
    await memory.checkpoints.save("r", 3, {}, user_id="ana", keep=2)
    assert [checkpoint.user_id for checkpoint in await memory.checkpoints.list("r")] == ["ana", "ana"]
    assert await memory.checkpoints.delete_user("ana") == 2
    assert await memory.checkpoints.list("r") == []


async def test_deleting_a_user_reaches_the_runs_of_that_user_and_no_others(memory: AsyncMemory) -> None:
    for run_id, user_id in (("a", "ana"), ("b", "ana"), ("c", "ben"), ("d", None)):
        for step in (1, 2):
            await memory.checkpoints.save(run_id, step, run_id, user_id=user_id)
    found = await memory.checkpoints.list(user_id="ana")
    assert [(checkpoint.run_id, checkpoint.step) for checkpoint in found] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert [checkpoint.run_id for checkpoint in await memory.checkpoints.list(user_id="ana", limit=1)] == ["b"]
    assert await memory.checkpoints.delete_user("ana") == 4
    assert await memory.checkpoints.delete_user("ana") == 0
    assert [await steps(memory, run_id) for run_id in "abcd"] == [[], [], [1, 2], [1, 2]]
    await memory.checkpoints.save("a", 1, "anew", user_id="ben")


async def test_a_deleted_run_begins_anew(memory: AsyncMemory) -> None:
    for step in range(5):
        await memory.checkpoints.save("r", step, "old", keep=2)
    assert await memory.checkpoints.delete("r") == 2
    assert await memory.checkpoints.delete("r") == 0
    await memory.checkpoints.save("r", 0, "new", user_id="ben")
    assert await steps(memory) == [0]


async def test_only_the_last_steps_stay_where_that_is_asked_for(memory: AsyncMemory) -> None:
    for step in range(1, 8):
        await memory.checkpoints.save("r", step, step, keep=3)
    assert await steps(memory) == [5, 6, 7]
    with pytest.raises(ConflictError, match="is at step 7 and no longer keeps step 2"):
        await memory.checkpoints.save("r", 2, 2)
    with pytest.raises(InvalidInput, match="keep=0"):
        await memory.checkpoints.save("r", 8, 8, keep=0)


async def test_what_is_no_json_or_no_step_is_refused_with_a_remedy(memory: AsyncMemory) -> None:
    with pytest.raises(InvalidInput, match=r"A set is not JSON data\. Convert it first"):
        await memory.checkpoints.save("r", 1, {"a": {1}})
    for step in (-1, True, "1", 1.0):
        with pytest.raises(InvalidInput, match="Count the steps from 0 or 1"):
            await memory.checkpoints.save("r", step, {})  # type: ignore[arg-type]
    with pytest.raises(ScopeError, match="run_id is empty"):
        await memory.checkpoints.save(" ", 1, {})
    with pytest.raises(ScopeError, match="Whose checkpoints"):
        await memory.checkpoints.list()


async def test_the_user_of_the_scope_around_counts(memory: AsyncMemory) -> None:
    with memory.scope(user_id="ana"):
        await memory.checkpoints.save("r", 1, {})
        assert [checkpoint.run_id for checkpoint in await memory.checkpoints.list()] == ["r"]
    assert await memory.checkpoints.delete_user("ana") == 1


async def test_who_took_a_run_up_before_can_save_no_more(memory: AsyncMemory) -> None:
    first = await memory.checkpoints.begin("r", "ana")
    await memory.checkpoints.save_step(first, 1, "one")
    second = await memory.checkpoints.begin("r")
    assert [checkpoint.state for checkpoint in second.checkpoints] == ["one"]
    for step, state in ((2, "two"), (1, "one")):
        with pytest.raises(ConflictError, match="taken up by somebody else"):
            await memory.checkpoints.save_step(first, step, state)
    await memory.checkpoints.save_step(second, 2, "two")
    await memory.checkpoints.delete("r")
    with pytest.raises(ConflictError, match="was deleted"):
        await memory.checkpoints.save_step(second, 3, "three")
    assert await steps(memory) == []


async def test_a_run_and_a_session_of_one_name_do_not_meet(memory: AsyncMemory) -> None:
    await memory.sessions.add_message("r", "hello", "ben")
    await memory.checkpoints.save("r", 1, {}, user_id="ana")
    await memory.checkpoints.delete("r")
    assert [message.text for message in await memory.sessions.get_messages("r")] == ["hello"]


def test_the_blocking_face_has_the_same_verbs(place: str) -> None:
    with Memory(place, background=False) as memory:
        saved = memory.checkpoints.save("r", 1, {"at": 1}, user_id="ana")
        assert memory.checkpoints.latest("r") == saved
        assert memory.checkpoints.list("r") == memory.checkpoints.list(user_id="ana") == [saved]
        assert memory.checkpoints.delete("r") == 1
        assert memory.checkpoints.delete_user("ana") == 0


@given(st.lists(st.tuples(st.integers(0, 6), json_values, st.integers(1, 3) | st.none()), max_size=8))
def test_whatever_is_saved_in_whatever_order_comes_back_as_it_was(saves: list[tuple[int, Any, int | None]]) -> None:
    with Memory("memory://", background=False) as memory:
        expected: dict[int, Any] = {}
        removed = -1
        for step, state, keep in saves:
            if step in expected or step <= removed:
                continue
            saved = memory.checkpoints.save("r", step, state, keep=keep)
            expected[step] = saved.state
            gone = [old for old in sorted(expected, reverse=True)[keep:] if old < step] if keep else []
            removed = max([removed, *gone])
            expected = {old: value for old, value in expected.items() if old not in gone}
        found = {checkpoint.step: checkpoint.state for checkpoint in memory.checkpoints.list("r")}
        latest = memory.checkpoints.latest("r")
    assert found == expected
    assert (latest.step if latest else None) == max(expected, default=None)
