"""An index is the same however it came about, follows what others write, and hands out nothing that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory
from ltm_core.index.columns import Arrays, Lists
from ltm_core.index.entries import Entry
from ltm_core.index.held import Indexes
from ltm_core.index.memories import Memories
from ltm_core.recall.rank import ALSO, weights
from ltm_core.recall.signals import Asked, Scores
from ltm_core.scope import Scope
from ltm_core.stores.base import Put, Store, Where
from ltm_core.vectors import pack, unpack

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORDS = ["oslo", "lisbon", "garden", "piano", "chess"]


def entry(number: int, text: list[str], thread: str, version: int = 1) -> Entry:
    return Entry(
        id=str(number),
        version=version,
        name=("", str(number)),
        terms=tuple(text),
        thread=thread,
        place=(number, ""),
        speaker="user" if number % 2 else "assistant",
        at=NOW.timestamp() - number,
        day=20261120,
        type="message",
        importance=0.5,
        confidence=1.0,
        stable=False,
        asks=False,
        dated=False,
        content=" ".join(text),
    )


def unit(text: Sequence[str]) -> Sequence[float]:
    """A vector that says which words a text has."""
    return unpack(pack([1.0, *(float(word in text) for word in WORDS)]))


TEXT = st.lists(st.sampled_from(WORDS), max_size=40)
CHANGES = st.lists(st.tuples(st.integers(0, 9), st.none() | TEXT), max_size=20)


def found(index: Memories, query: str, kind: str) -> dict[str, float]:
    asked = Asked(query, [index], NOW, vector=unit(query.split()), are_facts=kind == "fact")
    scores = Scores(asked, weights(kind, vectors=True), ALSO)
    return {index.entries[row].id: round(float(scores.totals[0][row]), 6) for row in index.rows.values()}


def taken_in(index: Memories, one: Entry, text: Sequence[str]) -> None:
    index.put(one.id, one)
    index.put_vector(one.id, one.content, pack(unit(text)))


@pytest.mark.parametrize("kind", ["fact", "message"])
@given(changes=CHANGES, one=st.sampled_from(WORDS), two=st.sampled_from(WORDS))
def test_an_index_that_was_changed_scores_like_one_made_anew(
    changes: list[tuple[int, list[str] | None]], one: str, two: str, kind: str
) -> None:
    changed, anew = Memories(), Memories()
    now: dict[int, Entry] = {}
    for version, (number, text) in enumerate(changes):
        if text is None:
            changed.remove(str(number))
            now.pop(number, None)
        else:
            now[number] = entry(number, text, f"t{number % 3}", version)
            taken_in(changed, now[number], text)
    for number in sorted(now):
        taken_in(anew, now[number], now[number].terms)
    assert found(changed, f"{one} {two}", kind) == pytest.approx(found(anew, f"{one} {two}", kind), abs=1e-4)


@given(changes=CHANGES)
def test_how_rare_words_are_is_the_same_in_plain_python_and_numpy(changes: list[tuple[int, list[str] | None]]) -> None:
    pytest.importorskip("numpy")
    plain, numpy = Memories(Lists()), Memories(Arrays())
    for index in (plain, numpy):
        for version, (number, text) in enumerate(changes):
            index.put(str(number), None if text is None else entry(number, text, "t", version))
    assert list(plain.rarity) == pytest.approx(list(numpy.rarity))


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[AsyncMemory, AsyncMemory]]:
    """Two memories on one database, as in two processes."""
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, background=False) as here, AsyncMemory(url, background=False) as there:
        yield here, there


async def keys(memory: AsyncMemory, query: str) -> list[str]:
    return [fact.key for fact in (await memory.recall(query, user_id="u", min_relevance=0.2)).facts]


async def said(memory: AsyncMemory, query: str) -> set[str]:
    return {one.text for one in (await memory.recall(query, user_id="u", include=("messages",))).messages}


async def test_what_another_process_writes_changes_and_deletes_is_seen(two: tuple[AsyncMemory, AsyncMemory]) -> None:
    here, there = two
    await here.facts.add("game", "plays chess", scope_id="u")
    assert await keys(here, "chess") == await keys(there, "chess") == ["game"]
    await there.facts.add("sport", "goes sailing", scope_id="u")
    assert await keys(here, "sailing") == ["sport"]
    await there.facts.update("game", "plays piano", scope_id="u")
    assert (await keys(here, "piano"), await keys(here, "chess")) == (["game"], [])
    await there.facts.delete("game", scope_id="u")
    assert await keys(here, "piano") == []


async def test_messages_of_another_process_are_seen_and_cleared_ones_are_gone(
    two: tuple[AsyncMemory, AsyncMemory],
) -> None:
    here, there = two
    await here.sessions.add_message("s", "I play chess", user_id="u")
    assert await said(here, "chess") == {"I play chess"}
    await there.sessions.add_message("s", "I sail", user_id="u")
    await there.sessions.add_message("t", "I cook", user_id="u")
    assert await said(here, "chess") == {"I play chess", "I sail", "I cook"}
    await there.sessions.clear("s")
    assert await said(here, "chess") == {"I cook"}


async def test_what_was_purged_behind_an_index_that_does_not_know_is_not_handed_out(
    two: tuple[AsyncMemory, AsyncMemory], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = two
    await here.facts.add("game", "plays chess", scope_id="u")
    assert await keys(here, "chess") == ["game"]

    async def looks_away(*_: object) -> bool:
        return True

    monkeypatch.setattr(here.runtime.recalling.indexes, "_facts_changed", looks_away)
    await there.runtime.run(there.runtime.store.purge(Where("fact", (Scope.user("u"),))))
    assert await keys(here, "chess") == []


async def test_the_session_of_nobody_is_found_once_it_is_somebodys(two: tuple[AsyncMemory, AsyncMemory]) -> None:
    here, there = two
    await here.sessions.add_message("s", "I play chess")
    assert await said(there, "chess") == set()
    await here.sessions.add_message("s", "I sail", user_id="u")
    assert await said(there, "chess") == {"I play chess", "I sail"}


async def test_a_warm_recall_reads_what_changed_and_not_the_scope(two: tuple[AsyncMemory, AsyncMemory]) -> None:
    here, _ = two
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    given = [{"key": f"k{n}", "value": f"note {n}", "scope_id": "u"} for n in range(300)]
    await here.facts.add_many(given)
    await _age(here, long_ago)
    assert await keys(here, "note 7")
    indexes = here.runtime.recalling.indexes
    before = indexes.reads
    await here.facts.update("k7", "a very special note", scope_id="u")
    assert (await keys(here, "special"))[0] == "k7"
    assert indexes.reads - before <= 2


async def _age(memory: AsyncMemory, at: datetime) -> None:
    """As if all had been written long ago: what is young is read again, for clocks that differ."""
    store: Store = memory.runtime.store
    records = await memory.runtime.run(store.scan(Where("fact", (Scope.user("u"),))))
    aged = [Put(replace(record, fields={**record.fields, "updated_at": at})) for record in records]
    await memory.runtime.run(store.apply(aged))


async def test_scopes_used_least_lately_make_room(two: tuple[AsyncMemory, AsyncMemory]) -> None:
    here, _ = two
    indexes = Indexes(here.runtime.store, most_bytes=1)
    for user in ("a", "b"):
        await here.facts.add("game", "plays chess", scope_id=user)
        (index,) = await here.runtime.run(indexes.facts([Scope.user(user)], "", NOW + timedelta(days=1))) or []
        assert len(index) == 1
    assert len(indexes._held) == 1


async def test_nothing_crosses_a_wall(two: tuple[AsyncMemory, AsyncMemory]) -> None:
    here, _ = two
    await here.facts.add("game", "plays chess", scope_id="u")
    await here.sessions.add_message("s", "I play chess", user_id="u")
    assert await keys(here, "chess") == ["game"]
    other = await here.recall("chess", user_id="v", include=("facts", "messages"))
    assert not other
    assert not other.left_out


async def test_recalls_and_writes_at_the_same_time_do_not_disturb_each_other(
    two: tuple[AsyncMemory, AsyncMemory],
) -> None:
    here, _ = two
    await here.facts.add_many({"key": f"k{n}", "value": f"note {n}", "scope_id": "u"} for n in range(400))
    await here.sessions.add_messages("s", [f"note {n}" for n in range(400)], user_id="u")

    async def writes(number: int) -> None:
        await here.facts.update(f"k{number}", f"changed note {number}", scope_id="u")
        await here.sessions.add_message("s", f"new note {number}", user_id="u")

    async def recalls(number: int) -> None:
        asked = {"user_id": "u", "include": ("facts", "messages"), "filters": {"key": "k7"}}
        for _ in range(8):
            found = await here.recall(f"note {number}", **asked)  # type: ignore[arg-type]
            assert {fact.key for fact in found.facts} <= {"k7"}
            assert found.messages

    await asyncio.gather(*(work(number) for number in range(20) for work in (writes, recalls)))
    assert "new note 19" in await said(here, "new note 19")
