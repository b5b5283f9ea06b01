"""The context of a session: what stands in it, in which order, and that it never takes more room than it was given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Memory, ScopeError
from ltm_core.errors import InvalidInput
from ltm_core.model import Message
from ltm_core.policies import Summarised, Summarising
from ltm_core.recall.budget import estimate_tokens
from ltm_core.recall.context import (
    MEDIA_TOKENS,
    Available,
    Budget,
    Told,
    assemble,
    message_tokens,
    total_tokens,
    turns_of,
)
from ltm_core.text.shortening import shortened
from tests.conftest import told

HEADING = ("summary", "Before.")


def tokens(context: Sequence[dict[str, Any]]) -> int:
    return total_tokens(context, estimate_tokens)


def texts(context: Sequence[dict[str, Any]]) -> list[str]:
    return [str(message["content"]) for message in context]


def talk(*kinds: str) -> list[tuple[int, Message]]:
    """A conversation in short: `u` and `a` speak, `c1` calls a tool, `r1` is its result."""
    made = []
    for number, kind in enumerate(kinds, 1):
        roles = {"u": "user", "a": "assistant", "c": "assistant", "r": "tool"}
        calls = [{"id": kind, "type": "function", "function": {"name": "look", "arguments": "{}"}}]
        made.append(
            Message(
                role=roles[kind[0]],
                content=None if kind[0] == "c" else f"{kind} says {number}",
                tool_calls=calls if kind[0] == "c" else [],
                tool_call_id=f"c{kind[1:]}" if kind[0] == "r" else None,
            )
        )
    return list(enumerate(made, 1))


def assembled(kinds: Sequence[str], max_tokens: int, **given: Any) -> list[dict[str, Any]]:
    turns = turns_of(talk(*kinds), estimate_tokens)
    known: dict[str, Any] = {"from_start": True, "summaries": (), "heading": HEADING, **given}
    return assemble(Available(turns, **known), Budget(max_tokens, estimate_tokens))


# Order


def test_what_was_ranked_stands_before_the_question_that_waits_and_at_the_end_where_none_does() -> None:
    open_turn = assembled(["u", "a", "u"], 500, stable="S", late="L")
    assert texts(open_turn) == ["S", "u says 1", "a says 2", "L", "u says 3"]
    assert texts(assembled(["u", "a"], 500, stable="S", late="L")) == ["S", "u says 1", "a says 2", "L"]
    with_tools = assembled(["u", "a", "u", "c1", "r1"], 500, late="L")
    assert [one["role"] for one in with_tools] == ["user", "assistant", "user", "user", "assistant", "tool"]


def test_turns_begin_where_the_summary_ends() -> None:
    summaries = [Told("old\n", 2), Told("new\n", 20)]
    context = assembled(["u", "a"] * 12, 130, summaries=summaries)
    assert "new" in texts(context)[0]
    assert texts(context)[1:] == [f"{kind} says {n}" for n, kind in enumerate(["u", "a"] * 2, 21)]


def test_where_all_turns_fit_no_summary_tells_them_again() -> None:
    context = assembled(["u", "a"] * 4, 1_000, summaries=[Told("told\n", 4)])
    assert len(context) == 8


def test_an_earlier_version_of_the_summary_stands_before_more_turns() -> None:
    summaries = [Told("one\n", 20), Told("two\n", 40), Told("three\n", 60)]
    context = assembled(["u", "a"] * 35, 400, summaries=summaries)
    assert "two" in texts(context)[0]
    assert texts(context)[1] == "u says 41"


def test_a_long_summary_is_cut_inside_its_fence() -> None:
    long = "".join(f"Line {n} of the summary.\n" for n in range(100))
    system = texts(assembled(["u", "a", "u"], 200, from_start=False, summaries=[Told(long, 1)]))[0]
    assert system.startswith('<long_term_memory part="summary">\nBefore.\nLine 0 of')
    assert system.endswith(" of the summary.\n</long_term_memory>\n")
    assert estimate_tokens(system) <= 50


# Calls and results


def test_a_call_and_its_results_stand_and_fall_together() -> None:
    kinds = ["u", "c1", "r1", "c2", "r2", "a"]
    whole = assembled(kinds, 1_000)
    assert [one["role"] for one in whole] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert whole[1]["tool_calls"][0]["id"] == whole[2]["tool_call_id"] == "c1"
    cut = assembled(kinds, tokens(whole) - 1)
    assert texts(cut) == ["u says 1", "", "r2 says 5", "a says 6"]


def test_what_no_provider_takes_is_left_out() -> None:
    assert texts(assembled(["u", "r9", "a"], 500)) == ["u says 1", "a says 3"]
    assert texts(assembled(["u", "c1", "u", "a"], 500)) == ["u says 1", "u says 3", "a says 4"]


def test_a_call_whose_result_may_yet_come_stays() -> None:
    context = assembled(["u", "c1", "c2", "r2"], 500)
    assert [one["role"] for one in context] == ["user", "assistant", "tool"]
    assert assembled(["u", "c1"], 500)[-1]["tool_calls"][0]["id"] == "c1"


def test_results_that_a_user_gives_begin_no_turn() -> None:
    use = [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]
    result = [{"type": "tool_result", "tool_use_id": "t", "content": "42"}]
    messages = [Message(content="q"), Message(role="assistant", content=use), Message(content=result)]
    (turn,) = turns_of(list(enumerate(messages, 1)), estimate_tokens)
    assert [len(step) for step in turn.steps] == [1, 2]


def test_images_have_a_flat_price_and_names_are_made_acceptable() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    (turn,) = turns_of([(1, Message(content=[{"type": "text", "text": "look"}, image], name="Ann Lee"))], len)
    assert turn.tokens == message_tokens(turn.messages[0], len) == 4 + len("look") + MEDIA_TOKENS + len("Ann_Lee")
    assert turn.messages[0]["name"] == "Ann_Lee"


# Any conversation, any budget

KINDS = st.integers(0, 40).flatmap(
    lambda size: st.lists(st.sampled_from(["u", "a", "c1", "r1", "c2", "r2"]), min_size=size, max_size=size)
)
TEXT = st.text("ab. \n", max_size=200)


@settings(max_examples=500)
@given(KINDS, st.integers(1, 250), TEXT, TEXT, st.lists(st.tuples(TEXT, st.integers(1, 40)), max_size=4), st.booleans())
def test_the_sum_never_exceeds_the_budget(
    kinds: list[str], most: int, stable: str, late: str, summaries: list[tuple[str, int]], from_start: bool
) -> None:
    covers = [Told(text, last) for text, last in sorted(summaries, key=lambda one: one[1])]
    context = assembled(kinds, most, stable=stable, late=late, summaries=covers, from_start=from_start)
    assert tokens(context) <= most
    assert context == assembled(kinds, most, stable=stable, late=late, summaries=covers, from_start=from_start)
    called = {call["id"] for message in context for call in message.get("tool_calls", ())}
    assert {message["tool_call_id"] for message in context if "tool_call_id" in message} <= called
    said = [text for text in texts(context) if " says " in text]
    shown = [int(text.split()[-1]) for text in said]
    assert shown == sorted(shown)


@given(KINDS, st.integers(1, 600))
def test_no_turn_is_left_out_that_would_fit(kinds: list[str], most: int) -> None:
    turns = turns_of(talk(*kinds), estimate_tokens)
    context = assembled(kinds, most)
    newest: list[dict[str, Any]] = []
    room = most
    for turn in reversed(turns):
        room -= turn.tokens
        if room < 0:
            break
        newest = [*turn.messages, *newest]
    assert context[-len(newest) :] == newest if newest else True


@given(TEXT, st.integers(0, 60))
def test_what_is_shortened_ends_where_it_may(text: str, most: int) -> None:
    short = shortened(text, most, len)
    assert len(short) <= most
    assert text.startswith(short)
    assert short == text or not short or text[len(short)].isspace()


# The journey


def joined(given: Summarising) -> Summarised:
    earlier = [given.previous.text] if given.previous else []
    return Summarised(" | ".join([*earlier, *(message.text for message in given.messages)]))


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(
        url, extract=told, summarise=joined, background=False, summary_after_tokens=None, summary_after_messages=10
    ) as memory:
        yield memory


async def say(memory: AsyncMemory, first: int, last: int, more: str = "") -> None:
    lines = [{"role": "user" if n % 2 else "assistant", "content": f"m{n}{more}"} for n in range(first, last + 1)]
    await memory.sessions.add_messages("s", lines, "u")


async def test_facts_summary_and_turns_stand_in_one_prompt(memory: AsyncMemory) -> None:
    await memory.remember("set name Sarah\nset music jazz", user_id="u", session_id="other")
    await say(memory, 1, 10, " and so on" * 8)
    await memory.flush()
    await say(memory, 11, 12)
    context = await memory.context("s", "Which music?", max_tokens=340, user_id="u")
    assert [message["role"] for message in context] == ["system", *["user", "assistant"] * 3, "user"]
    assert "Sarah" in texts(context)[0]
    assert "m1 and so on" in texts(context)[0]
    assert [text.split()[0] for text in texts(context)[1:-1]] == [f"m{n}" for n in range(7, 13)]
    assert "jazz" in texts(context)[-1]
    assert tokens(context) <= 340


async def test_another_users_session_is_refused(memory: AsyncMemory) -> None:
    await say(memory, 1, 2)
    with pytest.raises(ScopeError):
        await memory.context("s", user_id="other")


async def test_no_room_at_all_is_refused(memory: AsyncMemory) -> None:
    for most in (0, -1):
        with pytest.raises(InvalidInput, match="Pass 1 or more"):
            await memory.context("s", user_id="u", max_tokens=most)
    assert await memory.context("s", user_id="u", max_tokens=1) == []
    with pytest.raises(InvalidInput, match="Use 'user' or 'system'"):
        await memory.context("s", user_id="u", late_role="tool")  # type: ignore[arg-type]


async def test_nothing_new_gives_the_same_bytes_and_more_turns_leave_the_prefix(memory: AsyncMemory) -> None:
    await memory.remember("set name Sarah\nset music jazz", user_id="u", session_id="other")
    await say(memory, 1, 30)
    await memory.flush()
    before = await memory.context("s", user_id="u")
    assert before == await memory.context("s", user_id="u")
    for number in range(31, 39):
        await say(memory, number, number)
        after = await memory.context("s", user_id="u")
        assert after[0] == before[0]
        kept = [message for message in before if "recalled" not in message["content"]]
        assert [message for message in after if "recalled" not in message["content"]][: len(kept)] == kept
        before = after


async def test_without_a_query_it_is_what_the_user_said_last(memory: AsyncMemory) -> None:
    await memory.remember("set music jazz\nset sport tennis", user_id="u", session_id="other")
    await memory.sessions.add_message("s", "Which music?", "u")
    assert await memory.context("s", user_id="u", limit=1) == await memory.context(
        "s", "Which music?", user_id="u", limit=1
    )
    assert "jazz" in texts(await memory.context("s", user_id="u", limit=1))[-2]


async def test_what_is_gone_or_put_aside_is_not_shown(memory: AsyncMemory) -> None:
    said = await memory.sessions.add_messages(
        "s", [{"role": "system", "content": "Be kind."}, "one", "two", "three"], "u"
    )
    await memory.sessions.delete_messages("s", [said[1].id or ""], keep=True)
    await memory.sessions.archive_messages("s", [said[2].id or ""])
    assert texts(await memory.context("s", user_id="u")) == ["three"]


async def test_a_long_session_is_read_no_farther_than_it_fits(memory: AsyncMemory) -> None:
    await say(memory, 1, 300)
    context = await memory.context("s", user_id="u", max_tokens=1_000)
    assert texts(context)[-1] == "m300"
    assert 900 < tokens(context) <= 1_000


def test_the_sync_face_gives_the_same() -> None:
    with Memory("memory://") as memory:
        memory.sessions.add_message("s", "hello", "u")
        assert memory.context("s", user_id="u") == [{"role": "user", "content": "hello"}]
        assert memory.context("s", user_id="u", max_tokens=5) == []
