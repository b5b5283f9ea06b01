"""What was read once is not read again, and nothing that has changed or is behind a wall is shown for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory
from ltm_core.index.contents import Contents, Kept, Reading
from ltm_core.model import Fact, Message, Scored, Summary
from ltm_core.scope import Scope
from ltm_core.stores.base import All, Compare, Delete, Put, Record, Store, Where
from ltm_core.stores.changes import Changes
from ltm_core.stores.memory import DictStore
from ltm_core.testing.store_contract import ANN, BOB, fact, put

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = ("fact", "message")


class Counting(DictStore):
    """Tells how many records were asked for by id."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def scan(self, where: Where, **how: Any) -> list[Record]:
        self.asked += len(where.ids or ())
        return await super().scan(where, **how)


def told(owner: Scope, name: str, **fields: Any) -> Record:
    dated = {"key": name, "namespace": "", "created_at": NOW, "updated_at": NOW}
    return fact(owner, name, **{**dated, **fields})


async def reading(store: Store, contents: Contents, *owners: Scope) -> Reading:
    return Reading(store, contents, await store.stamps(owners, KINDS))


def these(*owners: Scope, ids: tuple[str, ...], test: Any = None) -> Where:
    return Where("fact", owners, ids=ids, test=test or All())


async def test_what_is_known_is_asked_for_once_what_is_not_there_included() -> None:
    store, contents = Counting(), Contents()
    a = told(ANN, "a")
    await put(store, a)
    for _ in range(3):
        reads = await reading(store, contents, ANN)
        assert [one.id for one in await reads.scan(these(ANN, ids=(a.id, "x")))] == [a.id]
    assert store.asked == 2


async def test_whoever_is_written_to_is_asked_for_again_and_nobody_else() -> None:
    store, contents = Counting(), Contents()
    a, b = told(ANN, "a", text="old"), told(BOB, "b")
    await put(store, a, b)
    for owner, one in ((ANN, a), (BOB, b)):
        await (await reading(store, contents, owner)).scan(these(owner, ids=(one.id,)))
    await put(store, replace(a, version=2, fields={**a.fields, "text": "new"}))
    store.asked = 0
    [found] = await (await reading(store, contents, ANN)).scan(these(ANN, ids=(a.id,)))
    assert (found.fields["text"], store.asked) == ("new", 1)
    await (await reading(store, contents, BOB)).scan(these(BOB, ids=(b.id,)))
    assert store.asked == 1


async def test_what_is_known_of_one_is_not_shown_to_another_nor_against_a_condition() -> None:
    store, contents = Counting(), Contents()
    a = told(ANN, "a", category="work")
    await put(store, a)
    stamps = await store.stamps([ANN, BOB], KINDS)
    reads = Reading(store, contents, stamps)
    assert await reads.scan(these(ANN, ids=(a.id,)))
    assert not await reads.scan(these(BOB, ids=(a.id,)))
    assert not await reads.scan(these(ANN, ids=(a.id,), test=Compare("category", "eq", "home")))


async def test_that_somebody_has_none_says_nothing_of_others() -> None:
    store, contents = Counting(), Contents()
    a = told(ANN, "a")
    await put(store, a)
    reads = Reading(store, contents, await store.stamps([ANN, BOB], KINDS))
    assert not await reads.scan(these(BOB, ids=(a.id,)))
    assert await reads.scan(these(ANN, ids=(a.id,)))


async def test_a_store_without_stamps_is_asked_each_time() -> None:
    store, contents = Counting(), Contents()
    a = told(ANN, "a")
    await put(store, a)
    for _ in range(3):
        assert await Reading(store, contents).scan(these(ANN, ids=(a.id,)))
    assert (store.asked, len(contents)) == (3, 0)


def test_what_was_used_longest_ago_makes_room() -> None:
    contents = Contents(most_bytes=12_000)
    wall = ((ANN,), None)
    for name in "abc":
        contents.keep(("fact", name), Kept(told(ANN, name), 1))
        contents.look(("fact", "a"), 1, wall)
    assert [contents.look(("fact", name), 1, wall) is not None for name in "abc"] == [True, False, True]


async def test_what_a_caller_changes_in_a_recalled_fact_stays_his_own(open_: Any) -> None:
    memory: AsyncMemory = open_()
    await memory.facts.add("pets", ["dog"], text="User has a dog", scope_id="ann", tags=["animal"])
    for _ in range(2):
        [found] = (await memory.recall("Which dog?", user_id="ann")).facts
        assert (found.value, found.tags, found.metadata) == (["dog"], ["animal"], {})
        found.value.append("cat")
        found.tags.append("x")
        found.metadata["y"] = 1


WRITES = st.lists(
    st.tuples(st.sampled_from("pdg"), st.sampled_from([ANN, BOB]), st.sampled_from("ab"), st.integers(0, 3)),
    max_size=25,
)


@given(WRITES)
def test_a_recall_reads_what_the_database_has_whatever_was_written_before(
    writes: list[tuple[str, Scope, str, int]],
) -> None:
    async def journey() -> None:
        store, contents = DictStore(), Contents(most_bytes=16_000)
        for verb, owner, name, value in writes:
            one = told(owner, f"{owner.id}{name}", text=str(value))
            if verb == "p":
                await store.apply([Put(one)])
            elif verb == "d":
                await store.apply([Delete("fact", one.id, owner)])
            else:
                await store.purge(Where("fact", (owner,)))
            for whose in (ANN, BOB):
                where = these(whose, ids=tuple(told(whose, f"{whose.id}{n}").id for n in "ab"))
                found = await (await reading(store, contents, whose)).scan(where)
                assert {each.id: each for each in found} == {each.id: each for each in await store.scan(where)}

    asyncio.run(journey())


def test_who_is_not_told_apart_any_more_counts_as_written_to() -> None:
    changes = Changes(most=4)
    changes.note([Put(told(ANN, "a"))])
    before = changes.of([ANN], ["fact"])
    changes.note([Put(told(Scope.user(str(n)), "b")) for n in range(9)])
    assert changes.of([ANN], ["fact"]) != before


def test_a_removal_may_concern_anybody_of_its_kind() -> None:
    changes = Changes()
    before = changes.of([BOB], KINDS)
    changes.note([Delete("fact", "a", ANN)])
    after = changes.of([BOB], KINDS)
    assert after["fact"] != before["fact"]
    assert after["message"] == before["message"]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[AsyncMemory, AsyncMemory]]:
    url = f"sqlite:///{tmp_path / 'ltm.db'}"
    clock = {"now": NOW}
    how: dict[str, Any] = {"background": False, "clock": lambda: clock["now"], "log_access": False}
    async with AsyncMemory(url, **how) as here, AsyncMemory(url, **how) as there:
        yield here, there


async def test_what_another_process_changes_or_takes_back_is_seen_by_the_next_recall(
    two: tuple[AsyncMemory, AsyncMemory],
) -> None:
    here, there = two
    await here.facts.add("home", "Oslo", text="User lives in Oslo", scope_id="ann")
    for _ in range(2):
        assert [fact.text for fact in (await here.recall("Oslo?", user_id="ann")).facts] == ["User lives in Oslo"]
    await there.facts.update("home", "Rome", text="User lives in Rome, not Oslo", scope_id="ann")
    assert [fact.value for fact in (await here.recall("Oslo?", user_id="ann")).facts] == ["Rome"]
    await there.facts.delete("home", scope_id="ann")
    assert not (await here.recall("Oslo?", user_id="ann")).facts


async def test_what_expires_between_two_recalls_is_gone_though_nobody_wrote(tmp_path: Path) -> None:
    now = [NOW]
    async with AsyncMemory(f"sqlite:///{tmp_path / 'ltm.db'}", background=False, clock=lambda: now[0]) as memory:
        await memory.facts.add(
            "code", "1234", text="The door code is 1234", scope_id="ann", expires_at=NOW + timedelta(hours=1)
        )
        for _ in range(2):
            assert (await memory.recall("door code?", user_id="ann")).facts
        now[0] += timedelta(hours=2)
        assert not (await memory.recall("door code?", user_id="ann")).facts


async def test_others_who_write_and_what_is_only_said_do_not_make_a_recall_of_facts_read_again(
    two: tuple[AsyncMemory, AsyncMemory],
) -> None:
    here, _ = two
    await here.facts.add("home", "Oslo", text="User lives in Oslo", scope_id="ann")
    await here.recall("Oslo?", user_id="ann")
    indexes = here.facts._runtime.recalling.indexes
    before = indexes.reads
    for name in ("bob", "cleo"):
        await here.facts.add("home", "Rome", text="User lives in Rome", scope_id=name)
    await here.sessions.add_message("s", {"role": "user", "content": "hi"}, user_id="ann")
    assert (await here.recall("Oslo?", user_id="ann")).facts
    assert indexes.reads == before


@pytest.mark.parametrize("model", [Fact, Message, Summary])
def test_every_field_that_can_be_changed_from_outside_is_known_as_such(model: type[Scored]) -> None:
    names = model.model_fields.keys() - Scored.model_fields.keys()
    may_change = {
        name for name in names if re.search(r"list|dict|Any|Context", str(model.model_fields[name].annotation))
    }
    assert set(model._changeable) == may_change
