"""Small talk recalls nothing, short questions do. The lists stand in `gold/small_talk`; who saw which: docs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory
from ltm_core.text.small_talk import is_small_talk
from ltm_core.text.words import terms

GOLD = Path(__file__).parent / "gold" / "small_talk"
LISTS = ("known", "held_out", "fresh", "last", "final", "typed")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def lines(name: str) -> list[str]:
    return (GOLD / f"{name}.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(url, background=False, clock=lambda: NOW) as memory:
        for number, text in enumerate(["Lives in Oslo", "Says good morning to Max", "Learns to bake bread"]):
            await memory.facts.add(f"note#{number}", text, text=text, scope_id="u")
        for text in ("Good morning, thanks!", "My brother bakes bread in Oslo", "ok, sounds great"):
            await memory.sessions.add_message("s", {"role": "user", "content": text}, user_id="u")
        yield memory


@pytest.mark.parametrize("name", LISTS)
def test_of_each_list_at_least_95_percent_are_small_talk(name: str) -> None:
    loud = [text for text in lines(name) if not is_small_talk(text)]
    assert len(loud) <= 0.05 * len(lines(name)), loud


@pytest.mark.parametrize("text", [*lines("short_questions"), *lines("typed_questions")])
def test_no_short_question_is_small_talk(text: str) -> None:
    assert not is_small_talk(text)


@pytest.mark.parametrize(
    "text", ["Thnaks!", "heyyyy", "👍", ":)", "...", "Thanks Ana!", "Hello, my friend", "sooo cool"]
)
def test_misspelled_drawn_out_and_wordless_small_talk_is_small_talk(text: str) -> None:
    assert is_small_talk(text)


@pytest.mark.parametrize("text", ["mor", "thankless", "morningstar", "pheasant", "ours"])
def test_a_word_that_differs_by_more_than_a_letter_is_not_taken_for_a_misspelled_one(text: str) -> None:
    assert not is_small_talk(text)


NONE = """thanks, and my address?|was it good?|hi, restaurants nearby|bee|good restaurants|tomorrow|monday evening
Ok Greta?|special|sick|sis|magic|how we met|how it ended|what I like
last week|next time|in May|every Sunday|a few days ago
hey, tell me about Rome|my best friend|morning routine|Greta| |"""


@pytest.mark.parametrize("text", [*re.split(r"[|\n]", NONE), "ok thanks " * 100])
def test_what_asks_or_names_something_is_none(text: str) -> None:
    assert not is_small_talk(text)


def test_a_strange_word_among_greetings_is_none_to_who_remembers_it() -> None:
    assert is_small_talk("thanks for the lift")
    assert not is_small_talk("thanks for the lift", terms("The lift is broken"))
    assert not is_small_talk("thanks, Sam bought tickets, Tom")


@given(st.sampled_from(["where", "who", "which", "whose"]), st.sampled_from([*lines("known"), *lines("final")]))
def test_with_a_question_word_nothing_is_small_talk(word: str, text: str) -> None:
    assert not is_small_talk(f"{text}, {word} is it")


@given(st.text())
def test_any_text_is_small_talk_or_not(text: str) -> None:
    assert is_small_talk(text) in (True, False)


ASKED: dict[str, Any] = {"user_id": "u", "include": ("facts", "messages")}


async def test_small_talk_recalls_nothing_by_default_and_a_question_does(memory: AsyncMemory) -> None:
    for text in ("Good morning!", "ok, sounds great", "thanks 👍"):
        recalled = await memory.recall(text, **ASKED)
        assert (recalled.facts, recalled.messages, recalled.late_text) == ([], [], "")
    assert (await memory.recall("Who bakes bread?", **ASKED)).facts
    assert (await memory.recall("", **ASKED)).facts


async def test_why_small_talk_recalls_nothing_is_explained(memory: AsyncMemory) -> None:
    assert "of no use for small talk" in (await memory.recall("Good morning!", **ASKED)).explain()


@pytest.mark.parametrize("strategy", ["recent", "all"])
async def test_strategies_that_do_not_look_at_the_query_are_not_silenced(memory: AsyncMemory, strategy: str) -> None:
    assert len((await memory.recall("Good morning!", strategy=strategy, **ASKED)).facts) == 3


async def test_neighbours_links_and_summaries_are_silent_too(memory: AsyncMemory) -> None:
    await memory.facts.link("note#0", "note#1", "near", scope_id="u")
    recalled = await memory.recall("Good morning!", neighbours=2, links=2, **ASKED)
    assert (recalled.facts, recalled.messages) == ([], [])


async def test_the_stable_block_stands_whatever_is_said_so_that_a_prompt_begins_alike(memory: AsyncMemory) -> None:
    await memory.facts.add("user/name", "Ana", text="Is called Ana", pinned=True, scope_id="u")
    stable = (await memory.recall("Where does she live?", **ASKED)).stable_text
    assert "Ana" in stable
    recalled = await memory.recall("thanks!", **ASKED)
    assert (recalled.stable_text, recalled.late_text) == (stable, "")
