"""The verbs of a memory, as a caller sees them, on a store that forgets and on one that lasts."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator

import pytest

from ltm_core import AsyncMemory, ConfigurationError, InvalidInput, Memory, Scope, ScopeError, UsageError
from ltm_core.facts import PersistentFacts
from ltm_core.sync import Facts
from tests.conftest import told


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(url, extract=told) as memory:
        yield memory


async def test_what_is_observed_is_learned_in_the_background(memory: AsyncMemory) -> None:
    ticket = await memory.observe("set location Oslo", user_id="u", session_id="s")
    updates = await ticket
    assert [(update.operation, update.fact and update.fact.value) for update in updates] == [("ADD", "Oslo")]
    assert ticket.status == "done"
    assert ticket.updates == updates


async def test_nobody_else_sees_it(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u")
    assert not await memory.recall("location", user_id="v")
    assert (await memory.recall("location", user_id="v")).text == ""


async def test_another_tenant_sees_nothing(url: str) -> None:
    async with AsyncMemory(url, extract=told, tenant="one") as one:
        await one.remember("set location Oslo", user_id="u")
    async with AsyncMemory(url, extract=told, tenant="two") as two:
        assert await two.facts.get_all(scope_id="u") == []


async def test_remember_updates_and_keeps_the_old_version(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u")
    (update,) = await memory.remember("set location Rome", user_id="u")
    assert update.operation == "UPDATE"
    history = await memory.facts.history("location", scope_id="u")
    assert [(fact.version, fact.value) for fact in history] == [(1, "Oslo"), (2, "Rome")]
    assert history[0].valid_to == history[1].valid_from


async def test_the_same_said_again_is_noop(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u")
    (update,) = await memory.remember("set location Oslo", user_id="u")
    assert update.operation == "NOOP"
    assert update.reason


async def test_what_is_taken_back_is_no_longer_recalled_and_comes_back_when_told_again(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u")
    (gone,) = await memory.remember("drop location Oslo", user_id="u")
    assert gone.operation == "DELETE"
    assert not (await memory.recall("location", user_id="u")).facts
    (back,) = await memory.remember("set location Oslo", user_id="u")
    assert back.operation == "ADD"
    assert back.fact is not None
    assert back.fact.version == 3


async def test_a_dry_run_stores_nothing(memory: AsyncMemory) -> None:
    (update,) = await memory.remember("set location Oslo", user_id="u", dry_run=True)
    assert update.operation == "ADD"
    assert await memory.facts.get("location", scope_id="u") is None
    assert await memory.jobs.list() == []


async def test_what_is_not_learned_yet_is_recalled_as_raw_turn(url: str) -> None:
    async with AsyncMemory(url, extract=told, background=False) as memory:
        await memory.observe("set location Oslo", user_id="u", session_id="one")
        recalled = await memory.recall("location", user_id="u", session_id="two")
        assert [message.text for message in recalled.pending] == ["set location Oslo"]
        assert "Not yet confirmed" in recalled.text
        assert not await memory.recall("location", user_id="v")
        assert not await memory.recall("location", user_id="u", pending=False)
        assert await memory.flush()
        assert (await memory.recall("location", user_id="u")).pending == []


async def test_the_most_specific_scope_wins_a_key(memory: AsyncMemory) -> None:
    await memory.facts.add("theme", "global", scope="global")  # type: ignore[arg-type] # a plain str is a MemoryScope
    await memory.facts.add("theme", "agent", scope="agent", scope_id="a")  # type: ignore[arg-type]
    assert [fact.value for fact in (await memory.recall("theme", user_id="u", agent_id="a")).facts] == ["agent"]
    await memory.facts.add("theme", "user", scope_id="u")
    await memory.facts.add("theme", "session", scope="session", scope_id="s")  # type: ignore[arg-type]
    assert [fact.value for fact in (await memory.recall("theme", user_id="u", agent_id="a")).facts] == ["user"]
    recalled = await memory.recall("theme", user_id="u", agent_id="a", session_id="s")
    assert [fact.value for fact in recalled.facts] == ["session"]


async def test_learning_writes_facts_of_the_user_or_where_nobody_is_known_of_the_session(memory: AsyncMemory) -> None:
    (of_user,) = await memory.remember("set location Oslo", user_id="u", session_id="s", agent_id="a")
    (of_session,) = await memory.remember("set location Rome", session_id="t")
    assert of_user.fact is not None
    assert of_session.fact is not None
    assert of_user.fact.owner == Scope.user("u")
    assert of_session.fact.owner == Scope.session("t")


async def test_a_session_is_its_first_users(memory: AsyncMemory) -> None:
    await memory.observe("set location Oslo", user_id="u", session_id="s")
    with pytest.raises(ScopeError, match="another user"):
        await memory.observe("set location Rome", user_id="v", session_id="s")
    with pytest.raises(ScopeError, match="another user"):
        await memory.recall("location", user_id="v", session_id="s")


async def test_an_anonymous_session_becomes_its_first_users(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", session_id="s")
    await memory.remember("set name Ana", user_id="u", session_id="s")
    with pytest.raises(ScopeError, match="another user"):
        await memory.observe("hello", user_id="v", session_id="s")
    assert (await memory.recall("location", user_id="u", session_id="s")).facts[0].value == "Oslo"


@pytest.mark.parametrize("ids", [{}, {"user_id": ""}, {"user_id": " "}, {"user_id": 7}, {"user_id": "a\0b"}])
async def test_ids_that_name_nobody_are_refused(memory: AsyncMemory, ids: dict[str, str]) -> None:
    for call in (memory.observe, memory.remember, memory.recall):
        with pytest.raises(ScopeError):
            await call("set location Oslo", **ids)  # type: ignore[arg-type]
    with pytest.raises(ScopeError):
        await memory.facts.add("k", 1, scope_id=ids.get("user_id"))


async def test_ids_are_named_once_for_a_block(memory: AsyncMemory) -> None:
    with memory.scope(user_id="u"), memory.scope(session_id="s"):
        await memory.remember("set location Oslo")
    assert await memory.facts.get("location", scope_id="u")
    with pytest.raises(ScopeError):
        await memory.recall("location")


async def test_another_user_takes_no_session_over_from_the_block_around(memory: AsyncMemory) -> None:
    with memory.scope(user_id="ana", session_id="s"):
        await memory.remember("set location Oslo")
        await memory.remember("set location Rome", user_id="ben")
        with memory.scope(user_id="ben"):
            assert (await memory.recall("location")).facts[0].value == "Rome"
        assert (await memory.recall("location")).facts[0].value == "Oslo"


async def test_forget_by_key_by_id_and_by_filter(memory: AsyncMemory) -> None:
    for name in ("one", "two", "three"):
        await memory.facts.add(name, 1, scope_id="u", category="odd" if name == "three" else None)
    fact = await memory.facts.get("two", scope_id="u")
    assert fact is not None
    assert await memory.forget("one", user_id="v") == 0
    assert await memory.forget("one", user_id="u") == 1
    assert await memory.forget(fact.id, user_id="u") == 1
    assert await memory.forget({"category": "odd"}, user_id="u") == 1
    assert await memory.facts.get_all(scope_id="u") == []
    with pytest.raises(InvalidInput):
        await memory.forget({}, user_id="u")
    with pytest.raises(InvalidInput, match="no field"):
        await memory.forget({"scope_id": "v"}, user_id="u")


async def test_forgetting_reaches_what_is_archived_or_holds_no_more(memory: AsyncMemory) -> None:
    await memory.facts.add("old", "x", scope_id="u")
    await memory.facts.archive("old", "stale", scope_id="u")
    await memory.facts.add("over", "x", scope_id="u", valid_to=memory.runtime.now())
    assert await memory.facts.get_all(scope_id="u") == []
    assert await memory.forget({"value": "x"}, user_id="u") == 2
    for key in ("old", "over"):
        assert (await memory.facts.history(key, scope_id="u"))[-1].deleted_at is not None
    assert await memory.facts.delete("old", scope_id="u") is False


async def test_recall_refuses_what_it_cannot_understand(memory: AsyncMemory) -> None:
    for wrong in ({"strategy": "best"}, {"include": ("poems",)}, {"limit": -1}, {"filters": {"owner": "v"}}):
        with pytest.raises(InvalidInput):
            await memory.recall("x", user_id="u", **wrong)


async def test_recall_finds_messages_too(memory: AsyncMemory) -> None:
    await memory.sessions.add_message("s", {"role": "user", "content": "The pump needs oil.", "id": "m1"}, user_id="u")
    await memory.sessions.add_message("s", {"role": "assistant", "content": "Noted."}, user_id="u")
    recalled = await memory.recall("oil for the pump", user_id="u", include=("messages",), min_relevance=0.1)
    assert [(message.id, message.text) for message in recalled.messages] == [("m1", "The pump needs oil.")]
    assert recalled.messages[0].score is not None


async def test_what_is_told_in_the_session_itself_may_be_left_out_while_it_waits(url: str) -> None:
    async with AsyncMemory(url, background=False) as memory:
        await memory.observe("in here", user_id="u", session_id="here")
        await memory.observe("over there", user_id="u", session_id="there")
        await memory.observe("anywhere", user_id="u")
        for options, expected in (
            ({"session_id": "here", "pending": "elsewhere"}, ["anywhere", "over there"]),
            ({"session_id": "here"}, ["anywhere", "in here", "over there"]),
            ({"pending": "elsewhere"}, ["in here", "over there"]),
            ({"pending": False}, []),
        ):
            recalled = await memory.recall("What?", user_id="u", **options)
            assert sorted(message.text for message in recalled.pending) == expected


async def test_a_budget_of_tokens_holds(memory: AsyncMemory) -> None:
    for number in range(50):
        await memory.facts.add(f"thing_{number}", f"a pump of kind {number} " * 5, scope_id="u")
    recalled = await memory.recall("pump", user_id="u", limit=None, max_tokens=200)
    assert 0 < recalled.tokens <= 200
    assert recalled.left_out


async def test_what_memory_injected_is_never_learned(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u")
    injected = (await memory.recall("location", user_id="u")).text
    updates = await memory.remember([{"role": "user", "content": injected + "\nset name Ana"}], user_id="u")
    assert [update.fact and update.fact.key for update in updates] == ["name"]


async def test_a_redactor_sees_everything_before_it_is_stored(url: str) -> None:
    async with AsyncMemory(url, extract=told, redact=lambda text: text.replace("secret", "[gone]")) as memory:
        await memory.remember("set password secret", user_id="u", session_id="s")
        assert [message.text for message in await memory.sessions.get_messages("s")] == ["set password [gone]"]
        fact = await memory.facts.get("password", scope_id="u")
        assert fact is not None
        assert fact.value == "[gone]"


async def test_after_close_every_call_says_so(url: str) -> None:
    memory = AsyncMemory(url, extract=told)
    await memory.close()
    await memory.close()
    with pytest.raises(UsageError, match="closed"):
        await memory.recall("x", user_id="u")


def test_a_memory_needs_one_place() -> None:
    with pytest.raises(ConfigurationError):
        Memory()
    with pytest.raises(ConfigurationError):
        Memory("memory://", store="memory://")
    with pytest.raises(ConfigurationError, match="Pass one"):
        Memory("memory://", extract=told, model="openai/x")
    with pytest.raises(ConfigurationError, match="ADD"):
        Memory("memory://", allow="ADD")


def test_allow_limits_what_learning_may_do() -> None:
    with Memory("memory://", extract=told, allow={"ADD"}) as memory:
        memory.remember("set location Oslo", user_id="u")
        (update,) = memory.remember("set location Rome", user_id="u")
        assert update.operation == "NOOP"


@pytest.mark.parametrize(("face", "inner"), [(Memory, AsyncMemory), (Facts, PersistentFacts)])
def test_both_faces_have_the_same_verbs(face: type, inner: type) -> None:
    def verbs(of: type) -> dict[str, inspect.Signature]:
        public = {name: verb for name, verb in inspect.getmembers(of, callable) if not name.startswith("_")}
        return {name: inspect.signature(verb) for name, verb in public.items() if name not in ("as_async", "close")}

    assert verbs(face) == verbs(inner)
