"""Jobs taken back: what they wrote and nothing else, as new versions, whatever happened since."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import (
    AsyncMemory,
    Candidate,
    ExtractionError,
    Fact,
    FactUpdate,
    JobInfo,
    Memory,
    MemoryScope,
    NotFound,
    UsageError,
)
from ltm_core.learn.reconcile import reconcile
from ltm_core.policies import Extracting, Reconciling, Summarised, Summarising
from ltm_core.records import fact_id, fact_of, stored_version_of
from ltm_core.reports import Undone
from ltm_core.scope import Scope
from ltm_core.stores import open_store
from ltm_core.stores.base import Put, Store, Where, Write
from ltm_core.stores.memory import DictStore
from ltm_core.stores.wrappers import Observed
from ltm_core.testing.fakes import Clock
from tests.conftest import told

ANN = Scope.user("ann")
OF_THE_VERSION = {"version", "updated_at", "reason", "job_id", "upkeep", "created_by"}


def content(fact: Fact) -> dict[str, Any]:
    """What a version says, and since when that is known."""
    return {**fact.model_dump(exclude=OF_THE_VERSION), "told_at": fact.told_at, "sure": fact.told_confidence}


async def learned(memory: AsyncMemory, *messages: str, **who: Any) -> str:
    """Learn a turn of these messages by themselves; the id of its job."""
    said = [{"role": "user", "content": message} for message in messages]
    ticket = await memory.observe(said, **{"user_id": "ann", **who})
    await ticket
    assert ticket.id is not None
    return ticket.id


async def present(memory: AsyncMemory, user: str = "ann") -> dict[str, dict[str, Any]]:
    return {fact.key: content(fact) for fact in await memory.facts.get_all(scope_id=user)}


def beside(memory: AsyncMemory, url: str, **options: Any) -> AsyncMemory:
    """Another memory of the same database; where that is a dict, on the same loop."""
    given = {"clock": memory.runtime.now, "extract": told, "background": False, **options}
    if url != "memory://":
        return AsyncMemory(url, **given)
    other = AsyncMemory(store=memory.runtime.store, **given)
    other.runtime.home.stop()
    other.runtime.home = memory.runtime.home
    return other


def keys(undone: Undone) -> list[tuple[str, str]]:
    return [(update.operation, update.fact.key) for update in undone.updates if update.fact is not None]


# What is taken back


async def test_what_a_job_added_is_deleted_and_nothing_else_is_touched(memory: AsyncMemory, clock: Clock) -> None:
    await learned(memory, "set name Ann")
    await learned(memory, "set location Rome", user_id="bob")
    before, others = await present(memory), await present(memory, "bob")
    clock.advance(hours=1)
    job = await learned(memory, "set location Oslo\nset pet#rex dog")
    clock.advance(hours=1)
    undone = await memory.jobs.undo(job)
    assert keys(undone) == [("DELETE", "location"), ("DELETE", "pet#rex")]
    assert (undone.job_id, undone.left, undone.before, bool(undone)) == (job, [], None, True)
    assert repr(undone) == f"<Undone {job}: DELETE location; DELETE pet#rex>"
    assert (await present(memory), await present(memory, "bob")) == (before, others)
    recalled = await memory.recall("Oslo", user_id="ann")
    assert ([fact.key for fact in recalled.facts], recalled.pending) == (["name"], [])
    assert (await memory.jobs.show(job)).undone == clock()
    first, second = await memory.facts.history("location", scope_id="ann")
    assert (first.value, second.value, second.deleted_at, second.version) == ("Oslo", "Oslo", clock(), 2)
    assert (second.created_by, second.reason) == ("undo", f"job {job} is undone: it had added this")


async def test_what_a_job_changed_or_deleted_is_as_before_with_its_times_and_tags(
    memory: AsyncMemory, clock: Clock
) -> None:
    end = clock() + timedelta(days=100)
    await memory.facts.add("location", "Rome", scope_id="ann", tags=["city"], importance=0.9, expires_at=end)
    await memory.facts.add("pet#rex", "dog", scope_id="ann", valid_from=clock() - timedelta(days=9), confidence=0.5)
    clock.advance(days=1)
    await memory.facts.pin("location", scope_id="ann")
    await memory.facts.unpin("location", scope_id="ann")
    before = await present(memory)
    assert before["location"]["told_at"] < clock()
    clock.advance(days=1)
    job = await learned(memory, "set location Oslo\ndrop pet#rex")
    assert list(await present(memory)) == ["location"]
    clock.advance(days=1)
    undone = await memory.jobs.undo(job)
    assert keys(undone) == [("UPDATE", "location"), ("ADD", "pet#rex")]
    assert await present(memory) == before
    assert [fact.key for fact in await memory.facts.filter(tags=["city"], scope_id="ann")] == ["location"]
    history = await memory.facts.history("location", scope_id="ann")
    assert [(one.value, one.created_by) for one in history[2:]] == [
        ("Rome", "user"),
        ("Oslo", "extractor"),
        ("Rome", "undo"),
    ]
    assert history[-1].reason == f"job {job} is undone: as in version 3 again"


async def test_what_is_undone_was_never_true_and_still_was_known(memory: AsyncMemory, clock: Clock) -> None:
    await learned(memory, "set location Rome")
    known = clock.advance(days=10)
    job = await learned(memory, "set location Oslo\nset name Ann")
    while_known = clock.advance(days=1)
    clock.advance(days=1)
    await memory.jobs.undo(job)

    async def values(**moment: Any) -> list[Any]:
        return [fact.value for fact in await memory.facts.get_all(scope_id="ann", **moment)]

    assert await values(as_of=while_known) == ["Rome"]
    assert await values(known_at=while_known) == ["Oslo", "Ann"]
    assert await values(known_at=known - timedelta(days=1)) == ["Rome"]


async def test_several_versions_of_a_key_in_one_job_are_taken_back_together(memory: AsyncMemory, clock: Clock) -> None:
    await learned(memory, "set location Rome")
    before = await present(memory)
    clock.advance(hours=1)
    job = await learned(memory, "set location Oslo", "set location Bern", "set name Ann", "set name Anna")
    assert [one["version"] for one in (await memory.jobs.show(job)).updates] == [2, 3, 1, 2]
    undone = await memory.jobs.undo(job)
    assert keys(undone) == [("UPDATE", "location"), ("DELETE", "name")]
    assert await present(memory) == before
    assert [one.version for one in await memory.facts.history("location", scope_id="ann")] == [1, 2, 3, 4]


async def test_of_turns_learned_in_one_call_each_undoes_its_own_share(memory: AsyncMemory) -> None:
    tickets = [
        await memory.observe(said, user_id="ann", session_id="s")
        for said in ("set location Rome\nset name Ann", "set location Oslo\nset pet#rex dog", "set location Bern")
    ]
    assert await memory.flush()
    first, second, third = [str(ticket.id) for ticket in tickets]
    undone = await memory.jobs.undo(second)
    assert keys(undone) == [("DELETE", "pet#rex")]
    (left,) = undone.left
    assert left.key == "location"
    assert left.fact is not None
    assert left.fact.value == "Bern"
    assert left.why.startswith("it was changed since, to version 3: 'Bern' replaces 'Oslo'")
    assert {key: fact["value"] for key, fact in (await present(memory)).items()} == {"location": "Bern", "name": "Ann"}
    # The last first: then each finds what it wrote.
    values = []
    for job in (third, second, first):
        await memory.jobs.undo(job)
        values.append({key: fact["value"] for key, fact in (await present(memory)).items()})
    assert values == [{"location": "Oslo", "name": "Ann"}, {"location": "Rome", "name": "Ann"}, {}]


def to_session(given: Reconciling) -> Sequence[FactUpdate]:
    """Reconciles as usual, and gives what is said of a goal to the session."""
    return [
        replace_owner(update, Scope.session("s")) if update.fact and update.fact.attribute == "goal" else update
        for update in reconcile(given)
    ]


def replace_owner(update: FactUpdate, owner: Scope) -> FactUpdate:
    assert update.fact is not None
    place = {"id": fact_id(owner, "", update.fact.key), "scope": owner.level, "scope_id": owner.id}
    return update.model_copy(update={"fact": update.fact.model_copy(update=place)})


async def test_facts_of_the_user_and_of_the_session_are_found(url: str) -> None:
    async with AsyncMemory(url, extract=told, reconcile=to_session, background=False) as memory:
        ticket = await memory.observe("set location Oslo\nset goal Rest", user_id="ann", session_id="s")
        async with beside(memory, url, reconcile=to_session) as other:
            assert await other.flush()
        told_by_other = [update.fact.key for update in await ticket if update.fact is not None]
        assert told_by_other == ["location", "goal"]
        job = str(ticket.id)
        assert await memory.facts.get("goal", MemoryScope.SESSION, "s")
        assert keys(await memory.jobs.undo(job)) == [("DELETE", "location"), ("DELETE", "goal")]
        assert await memory.facts.get("goal", MemoryScope.SESSION, "s") is None
        assert await present(memory) == {}


async def test_what_a_session_learned_before_its_user_was_known_is_undone_afterwards(memory: AsyncMemory) -> None:
    ticket = await memory.observe("set location Oslo", session_id="s")
    assert ticket.status == "waiting"
    await ticket
    await memory.observe("Hello!", session_id="s", user_id="ann")
    assert await memory.facts.get("location", MemoryScope.SESSION, "s")
    assert keys(await memory.jobs.undo(str(ticket.id))) == [("DELETE", "location")]
    assert await memory.facts.get("location", MemoryScope.SESSION, "s") is None


async def test_facts_of_any_namespace_are_found_and_a_job_that_wrote_nothing_is_undone_too(memory: AsyncMemory) -> None:
    job = await learned(memory, "set location Oslo", namespace="work")
    idle = await learned(memory, "Hello!")
    assert keys(await memory.jobs.undo(job)) == [("DELETE", "location")]
    assert await memory.facts.get("location", scope_id="ann", namespace="work") is None
    assert repr(await memory.jobs.undo(idle)) == f"<Undone {idle}: it had written nothing>"
    assert (await memory.jobs.show(idle)).undone is not None


# What is left alone


@pytest.mark.parametrize("change", ["update", "delete", "pin", "rollback", "learn"])
async def test_a_fact_that_was_changed_since_is_left_and_told(memory: AsyncMemory, clock: Clock, change: str) -> None:
    await learned(memory, "set location Rome")
    job = await learned(memory, "set location Oslo\nset name Ann")
    clock.advance(hours=1)
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "update": lambda: memory.facts.update("location", "Bern", scope_id="ann"),
        "delete": lambda: memory.facts.delete("location", scope_id="ann"),
        "pin": lambda: memory.facts.pin("location", scope_id="ann"),
        "rollback": lambda: memory.facts.rollback("location", 2, scope_id="ann"),
        "learn": lambda: memory.remember("set location Bern", user_id="ann"),
    }
    await changes[change]()
    before = await memory.facts.history("location", scope_id="ann")
    undone = await memory.jobs.undo(job)
    assert (keys(undone), [one.key for one in undone.left]) == ([("DELETE", "name")], ["location"])
    assert undone.left[0].why == f"it was changed since, to version 3: {before[-1].reason}"
    assert await memory.facts.history("location", scope_id="ann") == before
    assert f"DELETE name; location is left, {undone.left[0].why}" in str(undone)


async def test_a_fact_that_was_swept_and_told_anew_is_not_taken_for_the_job_s(url: str, clock: Clock) -> None:
    async with AsyncMemory(url, clock=clock, extract=told, background=False, retention=0) as memory:
        job = await learned(memory, "set location Oslo\nset name Ann")
        clock.advance(hours=1)
        for key in ("location", "name"):
            await memory.facts.delete(key, scope_id="ann")
        clock.advance(hours=1)
        assert (await memory.sweep()).deleted == 2
        await learned(memory, "set location Bern")
        undone = await memory.jobs.undo(job)
        assert [(one.key, one.why.partition(":")[0]) for one in undone.left] == [
            ("location", "it was changed since, to version 1"),
            ("name", "it is no longer there"),
        ]
        assert [fact["value"] for fact in (await present(memory)).values()] == ["Bern"]
        assert (await memory.jobs.show(job)).undone is None


async def test_undoing_twice_changes_nothing_and_says_so(memory: AsyncMemory, clock: Clock) -> None:
    job = await learned(memory, "set location Oslo\nset name Ann")
    await memory.facts.update("name", "Anna", scope_id="ann")
    first = await memory.jobs.undo(job)
    at = clock()
    clock.advance(hours=1)
    await memory.facts.rollback("location", 1, scope_id="ann", reason="it was right")
    before = await present(memory)
    again = await memory.jobs.undo(job)
    assert (again.updates, again.before, bool(again)) == ([], at, False)
    assert again.left == first.left
    assert f"undone at {at:%Y-%m-%d %H:%M:%S} UTC already; name is left" in repr(again)
    assert await present(memory) == before
    assert (await memory.jobs.show(job)).undone == at


# What cannot be undone


def failing(_: object) -> Any:
    raise RuntimeError("the key has expired")


async def test_what_waits_is_being_learned_or_is_dead_cannot_be_undone_and_the_error_says_what_to_do(url: str) -> None:
    async with AsyncMemory(url, extract=failing, background=False) as memory:
        ticket = await memory.observe("set location Oslo", user_id="ann")
        with pytest.raises(UsageError, match=r"still waits.*jobs\.drop.*flush"):
            await memory.jobs.undo(str(ticket.id))
        while await memory.jobs.list("waiting"):
            await memory.flush()
        with pytest.raises(UsageError, match=r"could not be learned.*jobs\.drop.*jobs\.retry"):
            await memory.jobs.undo(str(ticket.id))
        with pytest.raises(NotFound, match="no job 'nothing'"):
            await memory.jobs.undo("nothing")


async def test_what_is_being_learned_cannot_be_undone(url: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(given: Any) -> Any:
        begun.set()
        await go_on.wait()
        return told(given)

    async with AsyncMemory(url, extract=slow, background=False) as memory:
        ticket = await memory.observe("set location Oslo", user_id="ann")
        learning = asyncio.create_task(memory.flush())
        async with asyncio.timeout(30):
            while not begun.is_set():  # noqa: ASYNC110 # it is set on another loop
                await asyncio.sleep(0.01)
        with pytest.raises(UsageError, match=r"is being learned.*flush"):
            await memory.jobs.undo(str(ticket.id))
        memory.runtime.school.submit(_set(go_on))
        assert await learning
        assert keys(await memory.jobs.undo(str(ticket.id))) == [("DELETE", "location")]


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_a_summary_is_no_job_to_undo(memory: AsyncMemory) -> None:
    await memory.observe("Hello!", user_id="ann", session_id="s")
    await memory.sessions.summarize("s")
    (job,) = [one for one in await memory.jobs.list() if one.task == "summary"]
    with pytest.raises(UsageError, match=r"made a summary.*summarize"):
        await memory.jobs.undo(job.id)


async def test_a_job_of_another_tenant_is_not_found(url: str) -> None:
    async with AsyncMemory(url, extract=told, background=False, tenant="acme") as theirs, beside(theirs, url) as ours:
        job = await learned(theirs, "set location Oslo")
        for call in (ours.jobs.show, ours.jobs.undo, ours.jobs.retry, ours.jobs.drop):
            with pytest.raises(NotFound):
                await call(job)
        assert (await theirs.jobs.show(job)).undone is None


# The turn and its summaries


@pytest.mark.parametrize("turn_id", [None, "t1"])
async def test_an_undone_turn_that_is_sent_again_is_not_learned_again(memory: AsyncMemory, turn_id: str | None) -> None:
    turn = [{"role": "user", "content": "set location Oslo"}, {"role": "assistant", "content": "Nice."}]
    sent = {"user_id": "ann", "session_id": "s", "turn_id": turn_id}
    ticket = await memory.observe(turn, **sent)  # type: ignore[arg-type]
    await ticket
    await memory.jobs.undo(str(ticket.id))
    again = await memory.observe(turn, **sent)  # type: ignore[arg-type]
    assert again.messages == []
    assert await memory.flush()
    assert (await present(memory), len(await memory.jobs.list())) == ({}, 1)
    assert await memory.remember("set location Oslo", user_id="ann", session_id="s"), "said once more is another turn"


def verbatim(given: Summarising) -> Summarised:
    """A summary of everything that was said."""
    earlier = [given.previous.text] if given.previous is not None else []
    return Summarised(" / ".join([*earlier, *(message.text for message in given.messages)]))


async def test_a_summary_that_tells_what_is_undone_is_made_anew_without_it(url: str) -> None:
    async with AsyncMemory(url, extract=told, summarise=verbatim, background=False) as memory:
        await learned(memory, "set name Ann", session_id="s")
        job = await learned(memory, "set location Oslo", "Nice weather.", session_id="s")
        await memory.sessions.summarize("s")
        await memory.jobs.undo(job)
        assert await memory.sessions.summary("s") is None
        assert await memory.flush()
        await memory.sessions.summarize("s")
        summary = await memory.sessions.summary("s")
        assert summary is not None
        assert summary.text == "set name Ann / Nice weather."
        said = [message.text for message in await memory.sessions.get_messages("s")]
        assert said == ["set name Ann", "set location Oslo", "Nice weather."]


# Others who write meanwhile


async def test_undos_and_edits_at_once_end_in_one_history(url: str, clock: Clock) -> None:
    async with AsyncMemory(url, clock=clock, extract=told, background=False) as one, beside(one, url) as other:
        jobs = [await learned(one, f"set location City{number}\nset name Ann{number}") for number in range(6)]
        undone = await asyncio.gather(
            *(memory.jobs.undo(job) for job in reversed(jobs) for memory in (one, other)),
            *(one.facts.add(f"note#{number}", "x", scope_id="ann") for number in range(6)),
            return_exceptions=True,
        )
        assert not [each for each in undone if isinstance(each, BaseException)]
        for job in reversed(jobs):
            await other.jobs.undo(job)
        assert sorted(await present(one)) == [f"note#{number}" for number in range(6)]
        for key in ("location", "name"):
            history = await one.facts.history(key, scope_id="ann")
            assert [fact.version for fact in history] == list(range(1, 13))


class Meddling(DictStore):
    """Lets somebody write right before the next write of a job."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: Any = None

    async def apply(self, writes: Sequence[Write]) -> None:
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            await meddle()
        await super().apply(writes)


async def test_who_edits_a_fact_while_it_is_undone_keeps_what_they_wrote() -> None:
    store = Meddling()
    async with AsyncMemory(store=store, extract=told, background=False) as memory:
        job = await learned(memory, "set location Oslo\nset name Ann")
        store.meddle = lambda: memory.facts.update("location", "Bern", scope_id="ann")
        undone = await memory.jobs.undo(job)
        assert (keys(undone), [one.key for one in undone.left]) == ([("DELETE", "name")], ["location"])
        assert [fact["value"] for fact in (await present(memory)).values()] == ["Bern"]


async def test_versions_that_another_job_wrote_in_between_are_not_taken_back() -> None:
    store = DictStore()
    async with AsyncMemory(store=store, extract=told, background=False) as memory:
        jobs = [await learned(memory, f"set location {city}") for city in ("Rome", "Oslo", "Bern")]
        first, last = [await memory.runtime.run(memory.runtime.worker.find(one)) for one in (jobs[0], jobs[2])]
        assert first is not None
        assert last is not None
        both = [*first.fields["updates"], *last.fields["updates"]]  # as where a model told the turns out of order
        await store.apply([Put(replace(last, fields={**last.fields, "updates": both}))])
        assert keys(await memory.jobs.undo(jobs[2])) == [("UPDATE", "location")]
        assert [fact["value"] for fact in (await present(memory)).values()] == ["Oslo"]


# Maintenance


async def test_what_maintenance_merged_and_archived_comes_back(memory: AsyncMemory, clock: Clock) -> None:
    said = ["Likes strong coffee", "likes strong coffee.", "Likes strong black coffee", "Lives alone"]
    for number, text in enumerate(said):
        await memory.facts.add(f"note#{number}", text, scope_id="ann", tags=[f"t{number}"], confidence=0.5)
    await memory.facts.add("note#s", "Likes strong coffee", MemoryScope.SESSION, "s")
    await memory.facts.add("note#t", "likes strong coffee", MemoryScope.SESSION, "s")
    before = await present(memory)
    clock.advance(days=400)
    report = await memory.maintain(["deduplicate", "merge", "decay", "archive"], user_id="ann", session_id="s")
    assert await present(memory) != before
    for job in report.job_ids:
        undone = await memory.jobs.undo(job)
        assert undone
        assert not undone.left
        assert not await memory.jobs.undo(job)
    assert await present(memory) == before
    assert await memory.facts.archived(scope_id="ann") == []
    session = await memory.facts.get_all(MemoryScope.SESSION, "s")
    assert [fact.key for fact in session] == ["note#s", "note#t"]
    assert (await memory.facts.links("note#2", scope_id="ann"))[0].type == "supersedes", "links stay"


async def test_a_summary_of_facts_is_deleted_and_they_come_back(memory: AsyncMemory, clock: Clock) -> None:
    for number in range(8):
        await learned(memory, f"set note#n{number} walked {number} km", session_id="s")
    before = await present(memory)
    clock.advance(days=400)
    report = await memory.maintain(["summarise"], user_id="ann")
    assert len(await present(memory)) < len(before)
    undone = await memory.jobs.undo(report.job_ids[0])
    assert undone
    assert await present(memory) == before


# Other faces


def test_the_same_without_await(tmp_path: Path) -> None:
    with Memory(f"sqlite:///{tmp_path}/ltm.db", extract=told, background=False) as memory:
        ticket = memory.observe("set location Oslo", user_id="ann")
        ticket.wait()
        undone = memory.jobs.undo(str(ticket.id))
        assert keys(undone) == [("DELETE", "location")]
        assert memory.jobs.list()[0].undone is not None
        assert not memory.jobs.undo(str(ticket.id))


# Whatever happened


@dataclass
class World:
    """A memory, and beside it who wrote each fact of Ann in what words, the last on top."""

    memory: AsyncMemory
    clock: Clock
    store: Store
    piles: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    jobs: list[JobInfo] = field(default_factory=list)

    async def versions(self) -> dict[str, list[Fact]]:
        """All versions of each fact as they were stored, oldest first."""
        found: dict[str, list[Fact]] = {}
        past = map(stored_version_of, await self.store.scan(Where("version", (ANN,)), order=[("number", "asc")]))
        for fact in [*past, *map(fact_of, await self.store.scan(Where("fact", (ANN,))))]:
            found.setdefault(fact.key, []).append(fact)
        return found

    async def learn(self, turns: Sequence[Sequence[str]]) -> None:
        for turn in turns:
            said = [{"role": "user", "content": message} for message in turn]
            await self.memory.observe(said, user_id="ann", session_id="s")
        assert await self.memory.flush()
        known = {job.id for job in self.jobs}
        new = [job for job in await self.memory.jobs.list(user_id="ann") if job.id not in known]
        self.jobs += new
        versions = await self.versions()
        wrote = [
            (one["version"], one["key"], job.id) for job in new for one in job.updates if one["operation"] != "NOOP"
        ]
        for number, key, job in sorted(wrote):
            self.piles.setdefault(key, []).append((job, content(versions[key][number - 1])))

    async def edit(self, key: str, value: str | None) -> None:
        before = len((await self.versions()).get(key, ()))
        if value is None:
            await self.memory.facts.delete(key, scope_id="ann")
        else:
            await self.memory.facts.add(key, value, scope_id="ann")
        for fact in (await self.versions()).get(key, [])[before:]:
            self.piles.setdefault(key, []).append(("hand", content(fact)))

    async def undo(self, choice: int) -> None:
        if not self.jobs:
            return
        job = self.jobs[choice % len(self.jobs)].id
        on_top = {key for key, pile in self.piles.items() if pile and pile[-1][0] == job}
        beneath = {key for key, pile in self.piles.items() if job in {who for who, _ in pile}} - on_top
        undone = await self.memory.jobs.undo(job)
        assert {key for _, key in keys(undone)} == on_top
        assert {one.key for one in undone.left} == beneath
        for key in on_top:
            while self.piles[key] and self.piles[key][-1][0] == job:
                self.piles[key].pop()

    async def check(self) -> None:
        """The present is what lies on top, and each history leads there without a gap."""
        versions = await self.versions()
        for key, every in versions.items():
            assert [one.version for one in every] == list(range(1, len(every) + 1))
            last, pile = every[-1], self.piles.get(key)
            assert (content(last) == pile[-1][1]) if pile else not last.is_current(self.clock())
            told = await self.memory.facts.history(key, scope_id="ann")
            assert [(one.version, one.value, one.reason) for one in told] == [
                (one.version, one.value, one.reason) for one in every
            ]
        alive = {key for key, every in versions.items() if every[-1].is_current(self.clock())}
        assert {fact.key for fact in await self.memory.facts.get_all(scope_id="ann")} == alive


_KEYS = ["location", "name", "pet#rex"]
_LINES = st.builds(
    lambda key, value: f"set {key} {value}" if value else f"drop {key}",
    st.sampled_from(_KEYS),
    st.sampled_from(["Ada", "Bo", "Cy", ""]),
)
_MESSAGES = st.lists(_LINES, min_size=1, max_size=2).map("\n".join)
_TURNS = st.lists(_MESSAGES, min_size=1, max_size=3)
_STEPS = st.one_of(
    st.tuples(st.just("learn"), st.lists(_TURNS, min_size=1, max_size=3)),
    st.tuples(st.just("edit"), st.tuples(st.sampled_from(_KEYS), st.sampled_from(["Dee", "Ada", None]))),
    st.tuples(st.just("undo"), st.integers(0, 20)),
)


@given(st.lists(_STEPS, min_size=2, max_size=12))
async def test_after_any_steps_an_undo_brings_back_what_was_before_its_job(steps: list[tuple[str, Any]]) -> None:
    clock, store = Clock(), DictStore()
    quiet: dict[str, Any] = {"summary_after_tokens": None, "summary_after_messages": None}
    async with AsyncMemory(store=store, clock=clock, extract=told, background=False, **quiet) as memory:
        await memory.remember("set location Rome\nset name Bob", user_id="bob")
        world, others = World(memory, clock, store), await present(memory, "bob")
        for what, how in steps:
            clock.advance(minutes=1)
            await {"learn": world.learn, "edit": lambda how: world.edit(*how), "undo": world.undo}[what](how)
            await world.check()
        for place in reversed(range(len(world.jobs))):
            clock.advance(minutes=1)
            await world.undo(place)
        await world.check()
        assert await present(memory, "bob") == others
        assert all(who == "hand" for pile in world.piles.values() for who, _ in pile[-1:])


def unsourced(given: Extracting) -> Sequence[Candidate]:
    return [candidate.model_copy(update={"sources": []}) for candidate in told(given)]


async def test_where_nobody_knows_which_message_told_it_no_summary_tells_any_of_the_turn(url: str) -> None:
    async with AsyncMemory(url, extract=unsourced, summarise=verbatim, background=False) as memory:
        await learned(memory, "set name Ann", session_id="s")
        job = await learned(memory, "set location Oslo", "Nice weather.", session_id="s")
        await memory.jobs.undo(job)
        assert await memory.sessions.summarize("s") == "set name Ann"


# Found by id


async def test_no_call_about_one_job_looks_at_everybody(url: str) -> None:
    calls: list[tuple[str, str | None]] = []
    store = Observed(open_store(url), lambda call: calls.append((call.verb, call.kind)))
    async with AsyncMemory(store=store, extract=told, background=False) as memory:
        jobs = [await learned(memory, "set location Oslo", user_id=f"u{number}") for number in range(5)]
        for call in (memory.jobs.show, memory.jobs.retry, memory.jobs.undo, memory.jobs.drop):
            calls.clear()
            await call(jobs[3])
            assert calls[:2] == [("whose", "job"), ("scan", "job")]
            assert "subjects" not in {verb for verb, _ in calls}


# Tickets


async def test_a_ticket_tells_of_a_dead_letter_and_so_does_waiting_for_it(url: str) -> None:
    async with AsyncMemory(url, extract=failing, background=False) as memory:
        ticket = await memory.observe("set location Oslo", user_id="ann")
        assert ticket.status == "waiting"
        while await memory.jobs.list("waiting"):
            assert ticket.status == "waiting"
            await memory.flush()
        assert (str(ticket.status), ticket.updates, repr(ticket)) == ("dead", [], f"<Ticket {ticket.id}>")
        async with asyncio.timeout(30):
            with pytest.raises(ExtractionError, match=r"the key has expired.*dead letter.*jobs\.retry"):
                await ticket
        await memory.jobs.retry(str(ticket.id))
        assert str(ticket.status) == "waiting"
        await memory.jobs.drop(str(ticket.id))
        assert str(ticket.status) == "done"
        with pytest.raises(NotFound, match="no longer there"):
            await ticket


async def test_a_ticket_follows_its_turn_when_the_session_becomes_a_user_s(memory: AsyncMemory) -> None:
    ticket = await memory.observe("set location Oslo", session_id="s")
    await memory.observe("Hello!", session_id="s", user_id="ann")
    assert ticket.status == "waiting"
    assert [update.operation for update in await ticket] == ["ADD"]
    assert str(ticket.status) == "done"


BURIED = """
import sys
from ltm_core import Memory

def failing(given):
    raise RuntimeError("the key has expired")

with Memory(sys.argv[1], extract=failing, background=False) as memory:
    while memory.jobs.list("waiting"):
        memory.flush()
"""


async def test_a_ticket_tells_what_another_process_made_of_its_turn(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ltm.db"
    async with AsyncMemory(url, extract=told, background=False) as memory:
        ticket = await memory.observe("set location Oslo", user_id="ann")
        subprocess.run([sys.executable, "-c", BURIED, url], check=True)  # noqa: ASYNC221
        assert str(ticket.status) == "dead"
        async with asyncio.timeout(30):
            with pytest.raises(ExtractionError, match=r"the key has expired.*dead letter"):
                await ticket
        await memory.jobs.retry(str(ticket.id))
        async with AsyncMemory(url, extract=told, background=False) as other:
            assert await other.flush()
        assert str(ticket.status) == "done"
        assert [update.operation for update in await ticket] == ["ADD"]
    with pytest.raises(UsageError, match="closed"):
        _ = ticket.status
    assert repr(ticket) == f"<Ticket {ticket.id}>"
