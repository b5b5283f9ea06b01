"""What is sent twice is stored once, and what is said twice is stored twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ltm_core import AsyncMemory, Message
from ltm_core.learn.turns import Sent
from ltm_core.scope import Identity
from ltm_core.testing.fakes import Clock
from tests.conftest import told


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(url, extract=told, background=False) as memory:
        yield memory


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


async def texts(memory: AsyncMemory) -> list[str]:
    return [message.text for message in await memory.sessions.get_messages("s")]


async def test_the_whole_conversation_sent_each_time_is_stored_once(memory: AsyncMemory) -> None:
    said = [user("one"), assistant("1")]
    await memory.observe(said, user_id="u", session_id="s")
    said += [user("two"), assistant("2")]
    ticket = await memory.observe([{"role": "system", "content": "be nice"}, *said], user_id="u", session_id="s")
    assert [message.text for message in ticket.messages] == ["two", "2"]
    assert await texts(memory) == ["one", "1", "two", "2"]
    assert len(await memory.jobs.list()) == 2


async def test_a_retry_is_stored_once_and_has_nothing_to_wait_for(memory: AsyncMemory) -> None:
    await memory.observe([user("one"), assistant("1")], user_id="u", session_id="s")
    ticket = await memory.observe([user("one"), assistant("1")], user_id="u", session_id="s")
    assert ticket.id is None
    assert await ticket == []
    assert await texts(memory) == ["one", "1"]


async def test_lisbon_berlin_lisbon_is_three_turns(memory: AsyncMemory) -> None:
    for city in ("Lisbon", "Berlin", "Lisbon"):
        await memory.observe([user(f"set location {city}"), assistant("ok")], user_id="u", session_id="s")
    await memory.flush()
    assert [fact.value for fact in await memory.facts.history("location", scope_id="u")][-1] == "Lisbon"
    assert len(await texts(memory)) == 6


async def test_a_regenerated_answer_replaces_the_old_one(memory: AsyncMemory) -> None:
    await memory.observe([user("one"), assistant("1")], user_id="u", session_id="s")
    await memory.observe([user("one"), assistant("uno")], user_id="u", session_id="s")
    assert await texts(memory) == ["one", "uno"]


async def test_a_question_is_found_behind_what_tools_and_answers_said_since(memory: AsyncMemory) -> None:
    used = [{"role": "tool", "content": str(number), "tool_call_id": str(number)} for number in range(8)]
    await memory.observe([user("one"), *used, assistant("1")], user_id="u", session_id="s")
    ticket = await memory.observe([user("one"), assistant("1")], user_id="u", session_id="s")
    assert ticket.messages == []
    await memory.observe([user("one"), assistant("uno")], user_id="u", session_id="s")
    assert [text for text in await texts(memory) if not text.isdigit()] == ["one", "uno"]


async def test_a_conversation_in_which_nobody_asks_goes_on(memory: AsyncMemory) -> None:
    for number in range(9):
        await memory.observe([assistant(str(number))], user_id="u", session_id="s")
    assert await texts(memory) == [str(number) for number in range(9)]


async def test_a_turn_id_decides_and_may_come_in_two_pieces(memory: AsyncMemory) -> None:
    first = await memory.observe([user("set name Ana")], user_id="u", session_id="s", turn_id="t1")
    second = await memory.observe([user("set name Ana"), assistant("hi")], user_id="u", session_id="s", turn_id="t1")
    assert second.id == first.id
    assert [update.operation for update in await second] == ["ADD"]
    again = await memory.observe([user("set name Ana"), assistant("hi")], user_id="u", session_id="s", turn_id="t2")
    assert again.id != first.id
    assert await texts(memory) == ["set name Ana", "hi"] * 2


async def test_the_end_of_a_turn_that_was_learned_already_is_stored_and_not_learned(memory: AsyncMemory) -> None:
    asked, answered = [Message.of(user("set name Ana"))], [Message.of(assistant("hi"))]
    who, turns, now = Identity(user_id="u", session_id="s"), memory.runtime.turns, memory.runtime.now()
    first = await memory.runtime.run(turns.write(Sent(asked, who, now, "t1")))
    await memory.flush()
    late = await memory.runtime.run(turns.write(Sent(answered, who, now, "t1", completes=True)))
    assert await texts(memory) == ["set name Ana", "hi"]
    assert first.job is not None
    assert late.job is not None
    assert (late.job.id, len(await memory.jobs.list(user_id="u"))) == (first.job.id, 1)


async def test_what_a_history_of_ours_stored_is_learned_and_not_stored_twice(memory: AsyncMemory) -> None:
    await memory.sessions.add_message("s", user("set location Oslo"), user_id="u")
    await memory.sessions.add_message("s", assistant("ok"), user_id="u")
    await memory.flush()
    assert await memory.facts.get_all(scope_id="u") == []
    await memory.observe([user("set location Oslo"), assistant("ok")], user_id="u", session_id="s")
    assert await memory.flush()
    assert await texts(memory) == ["set location Oslo", "ok"]
    assert await memory.facts.get("location", scope_id="u")


async def test_what_an_anonymous_session_stored_is_taught_as_its_first_users(memory: AsyncMemory) -> None:
    await memory.sessions.add_message("s", user("set location Oslo"))
    await memory.observe([user("set location Oslo"), assistant("ok")], user_id="u", session_id="s", turn_id=None)
    assert await memory.flush()
    assert await memory.facts.get("location", scope_id="u")
    assert await texts(memory) == ["set location Oslo", "ok"]


async def test_messages_come_back_as_they_went_in(memory: AsyncMemory) -> None:
    message = Message(
        role="assistant",
        content=[{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
        name="Bot",
        metadata={"id": "D1:3", "deep": {"a": [1, None]}},
        tool_calls=[{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
        id="own",
    )
    await memory.sessions.add_message("s", {"role": "system", "content": "be nice"}, user_id="u")
    await memory.sessions.add_message("s", message, user_id="u")
    rules, back = await memory.sessions.get_messages("s")
    assert rules.role == "system"
    for name in ("role", "content", "name", "metadata", "tool_calls", "id"):
        assert getattr(back, name) == getattr(message, name)
    assert back.session_id == "s"
    assert back.created_at is not None
    assert [found.id for found in await memory.sessions.get_messages("s", limit=1)] == ["own"]


async def test_clearing_a_session_drops_its_messages_and_what_waits(memory: AsyncMemory) -> None:
    await memory.observe([user("set location Oslo"), assistant("ok")], user_id="u", session_id="s")
    assert await memory.sessions.clear("s") == 2
    assert await texts(memory) == []
    assert await memory.flush()
    assert await memory.facts.get_all(scope_id="u") == []
    await memory.observe(user("set location Rome"), user_id="u", session_id="s")
    assert await texts(memory) == ["set location Rome"]


async def test_without_a_session_a_user_has_one_conversation(memory: AsyncMemory) -> None:
    await memory.observe(user("set location Oslo"), user_id="u")
    await memory.observe(user("set name Ana"), user_id="u")
    assert await memory.flush()
    assert {fact.key for fact in await memory.facts.get_all(scope_id="u")} == {"location", "name"}


async def test_turns_that_waited_together_leave_a_version_each_true_since_it_was_said() -> None:
    clock = Clock()
    async with AsyncMemory("memory://", background=False, clock=clock) as memory:
        who = {"user_id": "ann", "session_id": "s"}
        first = clock()
        await memory.observe("I live in Rome.", **who)
        second = clock.advance(days=2)
        await memory.observe("I live in Oslo.", **who)
        clock.advance(days=5)
        assert await memory.flush()
        versions = await memory.facts.history("location", scope_id="ann")
        assert [(one.value, one.valid_from, one.valid_to) for one in versions] == [
            ("Rome", first, second),
            ("Oslo", second, None),
        ]
        then = await memory.facts.get("location", scope_id="ann", as_of=first)
        assert then is not None
        assert then.value == "Rome"
