"""Episodes: messages and summaries that are recalled, what was said around them, and the way to facts and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Memory, Message, NotFound, ScopeError
from ltm_core.errors import InvalidInput
from ltm_core.policies import Item, Ranked, Summarised, Summarising
from ltm_core.recall.neighbours import in_groups, with_neighbours
from ltm_core.records import message_record
from ltm_core.scope import Scope
from ltm_core.testing.fakes import Clock
from tests.conftest import told


def joined(given: Summarising) -> Summarised:
    earlier = [given.previous.text] if given.previous else []
    return Summarised(" ".join([*earlier, *(message.text for message in given.messages)]))


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(
        url, extract=told, summarise=joined, background=False, summary_after_tokens=None, summary_after_messages=None
    ) as memory:
        yield memory


async def say(memory: AsyncMemory, session_id: str, *texts: str) -> list[Message]:
    return await memory.sessions.add_messages(session_id, list(texts), "u")


# Summaries


async def test_summaries_are_recalled_by_their_words_the_best_first(memory: AsyncMemory) -> None:
    await say(memory, "trip", "We sail to Iceland in May.", "The boat is blue.")
    await say(memory, "work", "The report about the budget is due.")
    for session in ("trip", "work"):
        await memory.sessions.summarize(session)
    recalled = await memory.recall("Which boat sails to Iceland?", user_id="u", include=("summaries",))
    assert [summary.session_id for summary in recalled.summaries] == ["trip", "work"]
    best = recalled.summaries[0]
    assert best.score == pytest.approx(sum(best.parts.values()))
    assert best.parts["body"] > 0
    assert (recalled.facts, recalled.messages) == ([], [])
    assert "We sail to Iceland" in recalled.late_text
    assert "We sail to Iceland" in recalled.explain()
    assert recalled


async def test_only_the_present_summary_of_a_session_is_recalled(memory: AsyncMemory) -> None:
    await say(memory, "trip", "We sail to Iceland.")
    await memory.sessions.summarize("trip")
    await say(memory, "trip", "No, to Norway.")
    await memory.sessions.summarize("trip")
    found = (await memory.recall("Iceland Norway", user_id="u", include=("summaries",))).summaries
    assert [(one.version, one.text) for one in found] == [(2, "We sail to Iceland. No, to Norway.")]


async def test_what_was_edited_or_forgotten_is_in_no_recalled_summary(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u", session_id="s")
    (said,) = await say(memory, "s", "Oslo is cold.")
    await memory.sessions.summarize("s")
    await memory.forget("location", user_id="u")
    assert (await memory.recall("Oslo", user_id="u", include=("summaries",))).summaries == []
    await memory.flush()
    await memory.sessions.delete_messages("s", [said.id or ""])
    assert (await memory.recall("Oslo", user_id="u", include=("summaries",))).summaries == []


async def test_nobody_elses_summary_is_recalled(memory: AsyncMemory) -> None:
    await say(memory, "trip", "We sail to Iceland.")
    await memory.sessions.summarize("trip")
    assert (await memory.recall("Iceland", user_id="other", include=("summaries",))).summaries == []


async def test_summaries_have_a_limit_and_a_budget_like_all_else(memory: AsyncMemory) -> None:
    for number in range(4):
        await say(memory, f"s{number}", f"The {number}th town on the way to Iceland.")
        await memory.sessions.summarize(f"s{number}")
    asked: dict[str, Any] = {"user_id": "u", "include": ("summaries", "messages")}
    recalled = await memory.recall("Iceland", limit=2, **asked)
    assert (len(recalled.summaries), len(recalled.messages)) == (2, 2)
    tight = await memory.recall("Iceland", max_tokens=60, **asked)
    assert tight.tokens <= 60
    assert len(tight.summaries) + len(tight.messages) < 4


async def test_the_summary_of_what_is_over_is_shown_no_more(url: str) -> None:
    clock = Clock()
    async with AsyncMemory(url, summarise=joined, background=False, clock=clock, session_ttl=60) as memory:
        await say(memory, "s", "We sail to Iceland.")
        await memory.sessions.summarize("s")
        clock.now += timedelta(seconds=61)
        asked: dict[str, Any] = {"user_id": "u", "include": ("summaries",)}
        assert (await memory.recall("Iceland", **asked)).summaries == []
        await say(memory, "s", "Now to Norway.")
        assert await memory.sessions.summary("s") is None
        assert await memory.sessions.summarize("s") == "Now to Norway."
        assert [one.text for one in (await memory.recall("Iceland Norway", **asked)).summaries] == ["Now to Norway."]


# Neighbours


async def test_a_recalled_message_comes_with_those_around_it(memory: AsyncMemory) -> None:
    await say(memory, "a", "Hello!", "Where shall we go?", "I would love to see Iceland.", "When?", "In May.")
    await say(memory, "b", "Let us talk about Iceland again.", "Fine.")
    asked: dict[str, Any] = {"user_id": "u", "include": ("messages",), "limit": 3}
    recalled = await memory.recall("love to see Iceland", neighbours=1, **asked)
    assert [message.text for message in recalled.messages] == [
        "Where shall we go?",
        "I would love to see Iceland.",
        "When?",
    ]
    assert {"neighbour": recalled.messages[1].score} in [message.parts for message in recalled.messages]
    lines = [line for line in recalled.text.splitlines() if line.startswith("- ")]
    assert [line.rpartition(": ")[2] for line in lines] == [message.text for message in recalled.messages]
    with pytest.raises(InvalidInput, match="cannot be negative"):
        await memory.recall("Iceland", neighbours=-1, **asked)


async def test_neighbours_keep_limit_and_budget_and_no_deleted_one_comes_along(memory: AsyncMemory) -> None:
    said = await say(memory, "a", "before it", "Iceland!", "after it", "later on")
    asked: dict[str, Any] = {"user_id": "u", "include": ("messages",), "neighbours": 1}
    assert len((await memory.recall("Iceland", limit=2, **asked)).messages) == 2
    assert (await memory.recall("Iceland", max_tokens=50, **asked)).tokens <= 50
    await memory.sessions.delete_messages("a", [said[0].id or ""], keep=True)
    found = (await memory.recall("Iceland", limit=2, **asked)).messages
    assert [message.text for message in found] == ["Iceland!", "after it"]


def ranked(thread: int, number: int, score: float) -> Ranked:
    message = Message(content=f"{thread}/{number}", id=f"{thread}/{number}")
    return Ranked(Item(message, (), Clock().now, thread=Scope.session(f"s{thread}"), number=number), score, 0.5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), unique=True, max_size=8), st.integers(0, 3))
def test_every_message_stands_once_and_groups_are_in_order(places: Sequence[tuple[int, int]], reach: int) -> None:
    given = [ranked(thread, number, -float(n)) for n, (thread, number) in enumerate(places)]
    records = [
        message_record(Message(content="x"), Scope.session(f"s{thread}"), Scope.user("u"), number)
        for thread in range(3)
        for number in range(1, 13)
    ]
    grown = in_groups(with_neighbours(given, records, reach), reach)
    found = [(each.item.thread, each.item.number) for each in grown]
    assert len(found) == len(set(found))
    assert {(each.item.thread, each.item.number) for each in given} <= set(found)
    for each in given:
        around = {(each.item.thread, each.item.number + step) for step in range(-reach, reach + 1)}
        assert {place for place in around if 1 <= place[1] <= 12} <= set(found)
    if not reach:
        assert grown == given


# How the user wants to be answered


async def test_instructions_stand_in_the_stable_block_whatever_is_asked_until_they_are_taken_back(url: str) -> None:
    async with AsyncMemory(url, background=False) as memory:
        await memory.remember("Always answer in bullet points. I like jazz.", user_id="u", session_id="before")
        await memory.facts.add("tone", "formal", text="Address them formally", memory_type="instruction", scope_id="u")
        for query in ("", "What is a monad?", "thanks!"):
            recalled = await memory.recall(query, user_id="u", min_relevance=0.5)
            assert "Always answer in bullet points" in recalled.stable_text
            assert "Address them formally" in recalled.stable_text
        (system, *_) = await memory.context("s", "What is a monad?", user_id="u")
        assert system["role"] == "system"
        assert "Always answer in bullet points" in system["content"]
        await memory.forget({"memory_type": "instruction"}, user_id="u")
        assert (await memory.recall("What is a monad?", user_id="u")).stable_text == ""


# From facts to what was said, and back


async def test_a_fact_leads_to_what_was_said_and_back(memory: AsyncMemory) -> None:
    await memory.remember([{"role": "user", "content": "set location Oslo", "id": "mine"}], user_id="u", session_id="s")
    await memory.remember("set pet Rex", user_id="u", session_id="s")
    (source,) = await memory.facts.sources("location", scope_id="u")
    assert (source.text, source.id, source.session_id) == ("set location Oslo", "mine", "s")
    assert [fact.key for fact in await memory.sessions.facts("s", "mine", user_id="u")] == ["location"]
    await memory.facts.delete("location", scope_id="u")
    assert await memory.sessions.facts("s", "mine") == []
    with pytest.raises(NotFound):
        await memory.facts.sources("location", scope_id="u")
    with pytest.raises(NotFound):
        await memory.sessions.facts("s", "unknown")
    with pytest.raises(ScopeError):
        await memory.sessions.facts("s", "mine", user_id="other")


def test_a_fact_by_hand_came_from_no_message() -> None:
    with Memory("memory://") as memory:
        memory.facts.add("theme", "dark", scope_id="u")
        assert memory.facts.sources("theme", scope_id="u") == []
