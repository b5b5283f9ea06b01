"""Sessions summarised: when, up to where, and what becomes of a summary when its messages change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory, ConflictError, Memory, NotFound, ScopeError
from ltm_core.errors import ExtractionError, InvalidInput
from ltm_core.journeys.summarising import KEPT, whole_turns
from ltm_core.knowledge.values import merge_patch
from ltm_core.learn.summarise import summarise_by_words
from ltm_core.learn.summary_by_model import ModelSummariser
from ltm_core.model import Message, Summary
from ltm_core.policies import Summarised, Summarising
from ltm_core.recall.budget import estimate_tokens
from ltm_core.testing.fakes import ScriptedModel
from tests.conftest import told

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def joined(given: Summarising) -> Summarised:
    """A summariser for tests: the old summary and all words, in order."""
    earlier = [given.previous.text] if given.previous else []
    return Summarised(" | ".join([*earlier, *(message.text for message in given.messages)]), ["tests"])


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(
        url, extract=told, summarise=joined, background=False, summary_after_tokens=None, summary_after_messages=10
    ) as memory:
        yield memory


async def say(memory: AsyncMemory, first: int, last: int, session_id: str = "s") -> list[Message]:
    lines = [{"role": "user" if n % 2 else "assistant", "content": f"m{n}"} for n in range(first, last + 1)]
    return [await memory.sessions.add_message(session_id, line, "u") for line in lines]


async def summary(memory: AsyncMemory, session_id: str = "s") -> Summary:
    found = await memory.sessions.summary(session_id)
    assert found is not None
    return found


async def test_a_session_is_summarised_when_enough_was_said_and_its_end_stays_verbatim(memory: AsyncMemory) -> None:
    await say(memory, 1, 9)
    assert await memory.flush()
    assert await memory.sessions.summary("s") is None
    await say(memory, 10, 10)
    assert await memory.flush()
    found = await summary(memory)
    assert (found.text, found.first, found.last) == ("m1 | m2 | m3 | m4 | m5 | m6", 1, 10 - KEPT)
    assert (found.version, found.topics, found.session_id) == (1, ["tests"], "s")


async def test_the_next_summary_goes_on_from_the_last(memory: AsyncMemory) -> None:
    await say(memory, 1, 20)
    await memory.flush()
    await say(memory, 21, 30)
    await memory.flush()
    found = await summary(memory)
    assert found.text == " | ".join(f"m{n}" for n in range(1, 27))
    assert [one.version for one in await memory.sessions.summaries("s")] == list(range(1, found.version + 1))
    assert found.last >= 30 - 10 - KEPT  # never more than one trigger behind


async def test_summarize_tells_all_that_was_said(memory: AsyncMemory) -> None:
    assert await memory.sessions.summarize("s") == ""
    await say(memory, 1, 3)
    assert await memory.sessions.summarize("s") == "m1 | m2 | m3"
    assert await memory.sessions.summarize("s") == "m1 | m2 | m3"
    assert [one.version for one in await memory.sessions.summaries("s")] == [1]


async def test_long_histories_are_summarised_in_parts(memory: AsyncMemory) -> None:
    long = "word " * 4_000  # about 5,000 tokens
    await memory.sessions.add_messages("s", [f"{n} {long}" for n in range(3)], "u")
    await memory.sessions.summarize("s")
    assert [one.last for one in await memory.sessions.summaries("s")] == [1, 2, 3]


async def test_what_is_edited_or_deleted_is_in_no_summary_any_more(memory: AsyncMemory) -> None:
    said = await say(memory, 1, 10)
    await memory.flush()
    await memory.sessions.edit_message("s", said[0].id or "", "M1")
    assert await memory.sessions.summaries("s") == []
    await memory.flush()
    assert (await summary(memory)).text.startswith("M1 | m2")
    await memory.sessions.delete_messages("s", [said[1].id or ""], keep=True)
    await memory.flush()
    assert (await summary(memory)).text.startswith("M1 | m3")
    await memory.sessions.delete_messages("s", [said[2].id or ""])
    await memory.flush()
    assert (await summary(memory)).text.startswith("M1 | m4")
    assert (await summary(memory)).version == 4


async def test_an_edit_behind_the_summary_leaves_it_alone(memory: AsyncMemory) -> None:
    said = await say(memory, 1, 10)
    await memory.flush()
    await memory.sessions.edit_message("s", said[-1].id or "", "new")
    assert (await summary(memory)).version == 1


async def test_what_was_forgotten_is_in_no_summary_any_more(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u", session_id="s")
    await say(memory, 2, 10)
    await memory.flush()
    assert "Oslo" in (await summary(memory)).text
    assert await memory.forget("location", user_id="u") == 1
    assert await memory.sessions.summary("s") is None
    await memory.flush()
    assert "Oslo" not in (await summary(memory)).text
    assert (await memory.sessions.get_messages("s"))[0].text == "set location Oslo"


async def test_clearing_a_session_takes_its_summaries_along(memory: AsyncMemory) -> None:
    await say(memory, 1, 10)
    await memory.flush()
    assert await memory.sessions.clear("s") == 10
    assert await memory.sessions.summaries("s") == []
    await say(memory, 1, 2)
    assert await memory.sessions.summarize("s") == "m1 | m2"


async def test_a_summary_that_was_overtaken_by_an_edit_is_not_stored(url: str) -> None:
    edit: list[Callable[[], Any]] = []

    async def slow(given: Summarising) -> Summarised:
        while edit:
            await edit.pop()()
        return joined(given)

    async with AsyncMemory(url, summarise=slow, background=False) as memory:
        first, *_ = await say(memory, 1, 3)
        edit.append(lambda: memory.sessions.delete_messages("s", [first.id or ""]))
        assert await memory.sessions.summarize("s") == "m2 | m3"
        assert [one.text for one in await memory.sessions.summaries("s")] == ["m2 | m3"]


async def test_a_summariser_that_fails_delays_no_learning_and_is_tried_again(url: str) -> None:
    fails = [True]

    def faulty(given: Summarising) -> Summarised:
        if fails:
            raise RuntimeError(fails.pop())
        return joined(given)

    async with AsyncMemory(url, extract=told, summarise=faulty, background=False) as memory:
        await say(memory, 1, 2)
        with pytest.raises(ExtractionError, match="The summariser failed with RuntimeError"):
            await memory.sessions.summarize("s")
        (job,) = await memory.jobs.list(user_id="u")
        assert (job.status, job.task) == ("waiting", "summary")
        await memory.remember("set location Oslo", user_id="u", session_id="s")
        assert await memory.flush()
        assert (await summary(memory)).text == "m1 | m2 | set location Oslo"


async def test_a_summary_is_found_by_nobody_else(memory: AsyncMemory) -> None:
    await say(memory, 1, 10)
    await memory.flush()
    with pytest.raises(ScopeError):
        await memory.sessions.summary("s", user_id="other")
    with pytest.raises(ScopeError):
        await memory.sessions.summarize("s", user_id="other")
    with pytest.raises(ScopeError):
        await memory.sessions.get_messages("s", user_id="other")


# A tool call and its result


def called(*ids: str) -> Message:
    return Message(role="assistant", tool_calls=[{"id": one} for one in ids])


def answered(one: str) -> Message:
    return Message(role="tool", tool_call_id=one, content="42")


def test_no_call_is_parted_from_its_result() -> None:
    talk = [Message(content="q"), called("a", "b"), answered("a"), answered("b"), Message(role="assistant"), Message()]
    assert [whole_turns(talk, end) for end in range(len(talk) + 1)] == [0, 1, 1, 1, 4, 5, 6]
    assert whole_turns(talk[:3], 3) == 1
    assert whole_turns([called("lost"), Message(content="next"), Message()], 3) == 3


roles = st.sampled_from(["user", "assistant", "call", "tool"])


@given(st.lists(roles, max_size=12), st.integers(0, 12))
def test_the_place_is_never_behind_the_end(kinds: Sequence[str], end: int) -> None:
    talk = [
        called("x") if kind == "call" else answered("x") if kind == "tool" else Message(role=kind) for kind in kinds
    ]
    place = whole_turns(talk, min(end, len(talk)))
    assert 0 <= place <= min(end, len(talk))
    assert place == len(talk) or talk[place].role != "tool" or place == 0


# The two summarisers


def summarising(*texts: str, previous: str | None = None, most: int = 60) -> Summarising:
    talk = [Message(role="user", name="Ann", content=text) for text in texts]
    earlier = (
        Summary(id="", session_id="s", text=previous, version=1, first=1, last=1, created_at=NOW) if previous else None
    )
    return Summarising(talk, earlier, most, NOW, estimate_tokens)


@given(st.lists(st.text(max_size=80), max_size=12), st.integers(0, 80), st.none() | st.text(min_size=1, max_size=200))
def test_the_summary_by_words_keeps_its_bound(texts: list[str], most: int, previous: str | None) -> None:
    asked = summarising(*texts, previous=previous, most=most)
    made = summarise_by_words(asked)
    assert sum(estimate_tokens(f"{line}\n") for line in made.text.split("\n") if line) <= most
    assert summarise_by_words(asked) == made


def test_the_summary_by_words_keeps_what_people_say_of_themselves() -> None:
    told = ["Hey! How are you?", "I moved to Lisbon with my dog Rex last month.", "Wow, great!", "Is the sea far away?"]
    made = summarise_by_words(summarising(*told, "My dog loves the beach in Lisbon.", most=24))
    assert made.text == "Ann: I moved to Lisbon with my dog Rex last month.\nAnn: My dog loves the beach in Lisbon."
    assert {"lisbon", "dog"} <= set(made.topics)


async def test_a_model_is_asked_once_with_the_last_summary_and_what_is_new() -> None:
    model = ScriptedModel([json.dumps({"summary": "Ann moved.", "topics": ["move", 7], "open_questions": ["Why?"]})])
    made = await ModelSummariser(model)(summarising("I moved.", previous="Ann talked."))
    assert made == Summarised("Ann moved.", ["move"], ["Why?"])
    ((system, user),) = model.calls
    assert "at most 42 words" in system["content"]
    assert "Ann talked." in user["content"]
    assert '1. user "Ann": "I moved."' in user["content"]


async def test_what_a_model_says_too_much_is_cut_at_a_sentence() -> None:
    long = "Ann moved to Lisbon. She has a dog called Rex.\n" + "Then she talked about the sea. " * 50
    made = await ModelSummariser(ScriptedModel([json.dumps({"summary": long})]))(summarising("I moved.", most=30))
    assert made.text.startswith("Ann moved to Lisbon. She has a dog called Rex.\nThen she")
    assert made.text.endswith(" the sea.")
    assert estimate_tokens(made.text) <= 30
    unbroken = ScriptedModel([json.dumps({"summary": "sea " * 200})])
    assert (await ModelSummariser(unbroken)(summarising("I moved.", most=10))).text == "sea " * 9 + "sea"


async def test_a_model_that_answers_no_summary_is_asked_once_more_and_refused() -> None:
    model = ScriptedModel(['{"summary": ""}', "[]"])
    with pytest.raises(ExtractionError, match='it is not an object with a text under "summary"'):
        await ModelSummariser(model)(summarising("I moved."))
    assert len(model.calls) == 2


# State, forks, titles, pages


async def test_the_state_of_a_session_is_an_object_with_versions(memory: AsyncMemory) -> None:
    assert await memory.sessions.state("s") == {}
    assert (await memory.sessions.set_state("s", {"step": 1, "cart": {"a": 1, "b": 2}})).version == 1
    assert (await memory.sessions.patch_state("s", {"cart": {"a": None}, "step": 2})).version == 2
    assert await memory.sessions.state("s") == {"step": 2, "cart": {"b": 2}}
    assert (await memory.sessions.set_state("s", {"step": 2, "cart": {"b": 2}})).version == 2
    assert [one.state["step"] for one in await memory.sessions.state_versions("s")] == [1, 2]
    with pytest.raises(ConflictError, match="at version 2, not 1"):
        await memory.sessions.patch_state("s", {}, expected_version=1)
    with pytest.raises(InvalidInput, match="Pass a dict"):
        await memory.sessions.set_state("s", [])  # type: ignore[arg-type]


json_data = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


@given(json_data, json_data)
def test_a_patch_given_twice_is_a_patch_given_once(value: Any, patch: Any) -> None:
    once = merge_patch(value, patch)
    assert merge_patch(once, patch) == once


async def test_a_fork_goes_its_own_way(memory: AsyncMemory) -> None:
    said = await say(memory, 1, 4)
    await memory.sessions.set_state("s", {"step": 1})
    fork = await memory.sessions.fork("s", "t", at=said[1].id)
    assert (fork.id, fork.user_id, fork.message_count) == ("t", "u", 2)
    await memory.sessions.add_message("t", "else", "u")
    assert [message.text for message in await memory.sessions.get_messages("t")] == ["m1", "m2", "else"]
    assert len(await memory.sessions.get_messages("s")) == 4
    assert await memory.sessions.state("t") == {"step": 1}
    with pytest.raises(ConflictError):
        await memory.sessions.fork("s", "t")
    with pytest.raises(NotFound):
        await memory.sessions.fork("s", "v", at="unknown")


async def test_what_was_copied_is_not_learned_again(memory: AsyncMemory) -> None:
    await memory.remember("set location Oslo", user_id="u", session_id="s")
    await memory.sessions.fork("s", "t")
    await memory.observe([{"role": "user", "content": "set location Oslo"}], user_id="u", session_id="t")
    await memory.flush()
    assert len(await memory.facts.history("location", scope_id="u")) == 1


async def test_sessions_are_named_searched_and_deleted(memory: AsyncMemory) -> None:
    await memory.sessions.add_messages("trip", ["We sail to Iceland.", "The boat is blue."], "u")
    await memory.sessions.add_messages("work", ["The report is due."], "u")
    assert [one.id for one in await memory.sessions.search("Which boat?", "u", limit=1)] == ["trip"]
    assert (await memory.sessions.rename("trip", "Iceland")).title == "Iceland"
    assert [one.title for one in await memory.sessions.list("u") if one.id == "trip"] == ["Iceland"]
    assert await memory.sessions.delete("trip")
    assert not await memory.sessions.delete("trip")
    assert [one.id for one in await memory.sessions.list("u")] == ["work"]
    with pytest.raises(NotFound, match="There is no session 'trip'"):
        await memory.sessions.rename("trip", "x")


async def test_pages_go_back_from_a_message(memory: AsyncMemory) -> None:
    said = await say(memory, 1, 6)
    page = await memory.sessions.get_messages("s", 2, before=said[4].id)
    assert [message.text for message in page] == ["m3", "m4"]
    with pytest.raises(NotFound):
        await memory.sessions.get_messages("s", before="unknown")


def test_the_sync_face_has_them_too() -> None:
    with Memory("memory://", summarise=joined) as memory:
        memory.sessions.add_message("s", "one", "u")
        assert memory.sessions.summarize("s") == "one"
        assert memory.sessions.patch_state("s", {"a": 1}).state == memory.sessions.state("s")


async def test_deleting_the_checkpoints_of_a_user_leaves_the_state_of_sessions(memory: AsyncMemory) -> None:
    await memory.sessions.add_message("s", "hello", "u")
    await memory.sessions.set_state("s", {"step": 1})
    await memory.checkpoints.save("run", 1, {"done": True}, user_id="u")
    assert await memory.checkpoints.delete_user("u") == 1
    assert await memory.sessions.state("s") == {"step": 1}
