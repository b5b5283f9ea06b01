"""Versions of facts: what was stored at a time, what was true at a time, and going back."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Fact, NotFound
from ltm_core.facts.shelf import Shelf
from ltm_core.knowledge.edits import following
from ltm_core.knowledge.versions import Moment, as_it_was
from ltm_core.scope import Scope
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock
from tests.conftest import told

KEYS = ("home", "theme")
CONTENT: dict[str, Any] = {"exclude": {"version", "updated_at", "reason", "job_id"}}


async def moved_about(memory: AsyncMemory, clock: Clock) -> list[datetime]:
    """Lisbon, a day later Berlin, a day later nothing; the three times."""
    times = [clock()]
    await memory.facts.add("home", "Lisbon", scope_id="ann")
    times.append(clock.advance(days=1))
    await memory.facts.update("home", "Berlin", scope_id="ann")
    times.append(clock.advance(days=1))
    await memory.facts.delete("home", scope_id="ann")
    clock.advance(days=1)
    return times


async def test_what_was_true_and_what_was_stored_at_a_time(memory: AsyncMemory, clock: Clock) -> None:
    first, second, third = await moved_about(memory, clock)
    hour = timedelta(hours=1)
    for at, value in (
        (first - hour, None),
        (first, "Lisbon"),
        (second, "Berlin"),
        (third - hour, "Berlin"),
        (third, None),
    ):
        every: list[dict[str, Any]] = [{"as_of": at}, {"known_at": at}, {"as_of": at, "known_at": at}]
        for asked in every:
            found = await memory.facts.get("home", scope_id="ann", **asked)
            assert (found and found.value) == value, asked
            assert [fact.value for fact in await memory.facts.get_all(scope_id="ann", **asked)] == [value][
                : bool(value)
            ]


async def test_both_times_say_what_was_thought_then_of_another_time(memory: AsyncMemory, clock: Clock) -> None:
    first, second, _ = await moved_about(memory, clock)

    async def at(as_of: datetime, known_at: datetime) -> Any:
        found = await memory.facts.get("home", scope_id="ann", as_of=as_of, known_at=known_at)
        return found and found.value

    assert await at(second, first) == "Lisbon"  # nobody knew of Berlin yet
    assert await at(first, second) == "Lisbon"
    assert await at(first - timedelta(days=1), second) is None


async def test_a_time_that_is_over_is_told_later_and_answers_for_itself(memory: AsyncMemory, clock: Clock) -> None:
    begun = clock()
    may, april = begun - timedelta(days=30), begun - timedelta(days=60)
    told = await memory.facts.add("home", "Lisbon", scope_id="ann", valid_to=may)
    assert (told.valid_from, told.valid_to) == (None, may)
    assert await memory.facts.get("home", scope_id="ann") is None
    found = await memory.facts.get("home", scope_id="ann", as_of=april)
    assert found is not None
    assert found.value == "Lisbon"
    assert await memory.facts.get("home", scope_id="ann", as_of=may) is None
    assert await memory.facts.get("home", scope_id="ann", as_of=april, known_at=begun - timedelta(days=1)) is None


async def test_a_time_that_is_over_leaves_the_present_as_it_is(memory: AsyncMemory, clock: Clock) -> None:
    await memory.facts.add("home", "Berlin", scope_id="ann", valid_from=clock() - timedelta(days=90))
    before = clock()
    clock.advance(days=1)
    may, april = clock() - timedelta(days=30), clock() - timedelta(days=60)
    await memory.facts.add("home", "Lisbon", scope_id="ann", valid_to=may)
    present = await memory.facts.get("home", scope_id="ann")
    assert present is not None
    assert (present.value, present.valid_from, present.version) == ("Berlin", may, 3)
    values = [fact.value for fact in await memory.facts.history("home", scope_id="ann")]
    assert values == ["Berlin", "Lisbon", "Berlin"]
    thought: list[tuple[dict[str, Any], str]] = [({}, "Lisbon"), ({"known_at": before}, "Berlin")]
    for asked, value in thought:
        found = await memory.facts.get("home", scope_id="ann", as_of=april, **asked)
        assert found is not None
        assert found.value == value


def test_what_is_over_needs_no_following_where_nothing_is_current(clock: Clock) -> None:
    now = clock()
    one = Fact(id="f", key="k", value=1, created_at=now, updated_at=now, valid_to=now)
    assert following(one, one, now) == []


async def test_recall_answers_out_of_another_time(memory: AsyncMemory, clock: Clock) -> None:
    first, second, _ = await moved_about(memory, clock)

    async def recalled(**asked: Any) -> list[Any]:
        found = await memory.recall("Where is her home, Lisbon or Berlin?", user_id="ann", **asked)
        return [fact.value for fact in found.facts]

    assert await recalled() == []
    assert await recalled(as_of=first) == await recalled(known_at=first) == ["Lisbon"]
    assert await recalled(as_of=second) == ["Berlin"]
    assert await recalled(as_of=second, known_at=first) == ["Lisbon"]
    assert await recalled(as_of=first - timedelta(days=1)) == []
    assert "Lisbon" in (await memory.recall("", user_id="ann", strategy="all", as_of=first)).text


async def test_recall_of_another_time_shows_what_was_said_until_then(memory: AsyncMemory, clock: Clock) -> None:
    await memory.sessions.add_message("s", "I like Oslo.", user_id="ann")
    then = clock()
    clock.advance(days=1)
    await memory.sessions.add_message("s", "I like Oslo even more.", user_id="ann")
    found = await memory.recall("Oslo", user_id="ann", include=("messages",), known_at=then)
    assert [message.text for message in found.messages] == ["I like Oslo."]


async def test_filters_ask_for_the_facts_of_a_time(memory: AsyncMemory, clock: Clock) -> None:
    await memory.facts.add("a", 1, scope_id="ann", tags=["x"])
    then = clock()
    clock.advance(days=1)
    await memory.facts.add("a", 2, scope_id="ann", tags=["y"])

    async def found(*tags: str, **asked: Any) -> list[Any]:
        return [fact.value for fact in await memory.facts.filter(scope_id="ann", tags=tags, **asked)]

    assert (await found("x"), await found("y")) == ([], [2])
    assert (await found("x", known_at=then), await found("y", known_at=then)) == ([1], [])


async def test_history_says_why_who_and_out_of_which_messages(memory: AsyncMemory, clock: Clock) -> None:
    await memory.remember("set home Lisbon", user_id="ann", session_id="s")
    clock.advance(days=1)
    await memory.facts.update("home", "Berlin", scope_id="ann", created_by="support", reason="the user called")
    learned, by_hand = await memory.facts.history("home", scope_id="ann")
    (message,) = await memory.sessions.get_messages("s")
    assert (learned.created_by, learned.sources) == ("extractor", [message.id])
    assert "Lisbon" in learned.reason
    assert (by_hand.created_by, by_hand.reason) == ("support", "the user called")


async def test_rollback_adds_a_version_that_says_what_the_old_one_said(memory: AsyncMemory, clock: Clock) -> None:
    end = clock() + timedelta(days=99)
    first = await memory.facts.add("k", {"a": 1}, scope_id="ann", tags=["x"], importance=0.9, valid_to=end)
    clock.advance(days=1)
    await memory.facts.update("k", {"a": 2}, scope_id="ann", tags=["y"])
    clock.advance(days=1)
    again = await memory.facts.rollback("k", 1, scope_id="ann")
    assert again.model_dump(**CONTENT) == first.model_dump(**CONTENT)
    assert (again.version, again.updated_at, again.reason) == (3, clock(), "rolled back to version 1")
    assert await memory.facts.get("k", scope_id="ann") == again
    assert [fact.key for fact in await memory.facts.filter(scope_id="ann", tags=["x"])] == ["k"]


async def test_rollback_revives_what_was_deleted_and_deletes_what_was_revived(memory: AsyncMemory) -> None:
    await memory.facts.add("k", 1, scope_id="ann")
    await memory.facts.delete("k", scope_id="ann")
    assert (await memory.facts.rollback("k", 1, scope_id="ann")).deleted_at is None
    assert (await memory.facts.rollback("k", 2, scope_id="ann")).deleted_at is not None
    assert await memory.facts.get("k", scope_id="ann") is None


@pytest.mark.parametrize(("key", "version"), [("k", 0), ("k", 2), ("other", 1)])
async def test_a_version_that_never_was_is_said_to_be_missing(memory: AsyncMemory, key: str, version: int) -> None:
    await memory.facts.add("k", 1, scope_id="ann")
    with pytest.raises(NotFound, match=r"no version .*See history"):
        await memory.facts.rollback(key, version, scope_id="ann")
    with pytest.raises(NotFound, match="no version"):
        await memory.facts.diff(key, version, version, scope_id="ann")


async def test_diff_names_every_place_that_differs(memory: AsyncMemory, clock: Clock) -> None:
    await memory.facts.add("k", {"ui": {"theme": "dark", "size": 2}, "old": 1}, scope_id="ann", tags=["x"], text="A.")
    clock.advance(days=1)
    changed = {"ui": {"theme": "light", "size": 2}, "new": None}
    await memory.facts.update("k", changed, scope_id="ann", tags=["x", "y"], text="A.", importance=0.9)
    found = await memory.facts.diff("k", 1, 2, scope_id="ann")
    assert {change.path: (change.before, change.after) for change in found if change.path != "valid_from"} == {
        "importance": (0.5, 0.9),
        "tags": (["x"], ["x", "y"]),
        "value.old": (1, None),
        "value.ui.theme": ("dark", "light"),
    }
    back = await memory.facts.diff("k", 2, 1, scope_id="ann")
    assert [(one.path, one.after, one.before) for one in back] == [(one.path, one.before, one.after) for one in found]
    assert await memory.facts.diff("k", 1, 1, scope_id="ann") == []


def test_versions_that_were_stored_at_one_instant_answer_in_their_order(clock: Clock) -> None:
    now = clock()
    one = Fact(id="f", key="k", value=1, created_at=now, updated_at=now, valid_from=now)
    two = one.model_copy(update={"value": 2, "version": 2})
    assert as_it_was([one, two], Moment.of(now, now) or Moment(now, None)) == two


async def test_what_is_archived_is_put_aside_and_comes_back(memory: AsyncMemory, clock: Clock) -> None:
    await memory.facts.add("home", "Lisbon", scope_id="ann", tags=["x"])
    clock.advance(days=1)
    aside = await memory.facts.archive("home", "she asked for it", scope_id="ann")
    assert (aside.version, aside.archived_at, aside.reason) == (2, clock(), "she asked for it")
    assert await memory.facts.get("home", scope_id="ann") is None
    assert await memory.facts.filter(scope_id="ann", tags=["x"], limit=5) == []
    assert not (await memory.recall("home in Lisbon", user_id="ann")).facts
    with pytest.raises(NotFound):
        await memory.facts.archive("home", "again", scope_id="ann")
    clock.advance(days=1)
    back = await memory.facts.unarchive("home", scope_id="ann")
    assert (back.version, back.archived_at) == (3, None)
    assert await memory.facts.unarchive("home", scope_id="ann") == back
    assert [fact.value for fact in await memory.facts.filter(scope_id="ann", tags=["x"], limit=5)] == ["Lisbon"]
    await memory.facts.delete("home", scope_id="ann")
    with pytest.raises(NotFound):
        await memory.facts.unarchive("home", scope_id="ann")


async def test_pins_are_versions_too(memory: AsyncMemory) -> None:
    await memory.facts.add("home", "Lisbon", scope_id="ann")
    assert (await memory.facts.pin("home", scope_id="ann")).pinned
    assert (await memory.facts.pin("home", scope_id="ann")).version == 2
    assert not (await memory.facts.unpin("home", scope_id="ann")).pinned
    with pytest.raises(NotFound):
        await memory.facts.pin("other", scope_id="ann")


# Any sequence of operations


@dataclass
class Log:
    """What was seen at each time, and every version that was ever given out."""

    seen: list[tuple[datetime, dict[str, Fact | None]]] = field(default_factory=list)
    thought: list[tuple[datetime, datetime, dict[str, Fact | None]]] = field(default_factory=list)
    versions: dict[str, dict[int, Fact]] = field(default_factory=dict)


values = st.sampled_from(["Lisbon", "Berlin", 1, {"a": 1}, {"a": {"b": [1]}}])
days = st.one_of(st.none(), st.integers(-40, 5))
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(KEYS), values, days, days),
        st.tuples(st.just("update"), st.sampled_from(KEYS), values, days, days),
        st.tuples(st.sampled_from(["archive", "unarchive"]), st.sampled_from(KEYS)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS)),
        st.tuples(st.just("rollback"), st.sampled_from(KEYS), st.integers(1, 6)),
        st.tuples(st.just("learn"), st.sampled_from(["set home Oslo", "set home Rome", "drop home", "set theme dark"])),
    ),
    max_size=9,
)


def shelf_of(memory: AsyncMemory) -> Shelf:
    return Shelf(memory.runtime, Scope.user("ann"), "")


async def done(memory: AsyncMemory, now: datetime, what: str, key: str, *given: Any) -> None:
    facts = memory.facts
    if what == "learn":
        await memory.remember(key, user_id="ann", session_id="s")
    elif what == "rollback":
        before = {fact.version: fact for fact in await shelf_of(memory).versions(key)}
        again = await facts.rollback(key, given[0], scope_id="ann")
        assert again.model_dump(**CONTENT) == before[given[0]].model_dump(**CONTENT)
        assert again.version == max(before) + 1
    elif what == "delete":
        await facts.delete(key, scope_id="ann")
    elif what == "archive":
        await facts.archive(key, "put aside", scope_id="ann")
    elif what == "unarchive":
        await facts.unarchive(key, scope_id="ann")
    else:
        value, since, until = given
        times = {"valid_from": since, "valid_to": until}
        valid: dict[str, Any] = {name: now + timedelta(days=day) for name, day in times.items() if day is not None}
        await (facts.add if what == "add" else facts.update)(key, value, scope_id="ann", **valid)


async def look(memory: AsyncMemory, log: Log, now: datetime) -> None:
    facts = memory.facts
    log.seen.append((now, {key: await facts.get(key, scope_id="ann") for key in KEYS}))
    for past in (now - timedelta(days=50), now - timedelta(days=20), now - timedelta(days=2)):
        log.thought.append((now, past, {key: await facts.get(key, scope_id="ann", as_of=past) for key in KEYS}))
    for key in KEYS:
        stored = await shelf_of(memory).stored(key)
        if stored is not None:
            log.versions.setdefault(key, {})[stored.version] = stored


@settings(max_examples=60)
@given(operations)
async def test_after_any_operations_the_history_is_the_log(steps: list[tuple[Any, ...]]) -> None:
    clock, log = Clock(), Log()
    async with AsyncMemory(store=DictStore(), clock=clock, extract=told, background=False) as memory:
        facts = memory.facts
        for step in steps:
            with contextlib.suppress(NotFound):
                await done(memory, clock(), *step)
            await look(memory, log, clock())
            clock.advance(days=1)
        for key in KEYS:
            versions = await shelf_of(memory).versions(key)
            assert [one.version for one in versions] == list(range(1, len(versions) + 1))
            for one in log.versions.get(key, {}).values():
                assert versions[one.version - 1] == one
            present = await shelf_of(memory).stored(key)
            assert (await facts.history(key, scope_id="ann"))[-1:] == ([present] if present else [])
        for at, found in log.seen:
            assert {key: await facts.get(key, scope_id="ann", known_at=at) for key in KEYS} == found
            everything = await facts.get_all(scope_id="ann", known_at=at)
            assert everything == [found[key] for key in KEYS if found[key]]
        for at, past, found in log.thought:
            again = {key: await facts.get(key, scope_id="ann", known_at=at, as_of=past) for key in KEYS}
            assert again == found
