"""What recall takes from a question, and what it tells of its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from ltm_core import AsyncMemory
from ltm_core.policies import Ranked, Ranking

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(url, background=False, clock=lambda: NOW) as memory:
        yield memory


async def say(memory: AsyncMemory, text: str, at: datetime) -> None:
    await memory.sessions.add_message("s", {"role": "user", "content": text, "created_at": at}, user_id="u")


async def test_days_in_the_question_bring_forward_what_was_said_in_them_unless_switched_off(
    memory: AsyncMemory,
) -> None:
    await say(memory, "We ate pizza with Max", datetime(2026, 5, 7, tzinfo=UTC))
    await say(memory, "We ate pizza, pizza and more pizza", datetime(2026, 11, 1, tzinfo=UTC))
    asked = {"user_id": "u", "include": ("messages",)}
    assert (await memory.recall("Who ate pizza in May?", **asked)).messages[0].text == "We ate pizza with Max"  # type: ignore[arg-type]
    off = await memory.recall("Who ate pizza in May?", dates=False, **asked)  # type: ignore[arg-type]
    assert "date" not in {name for message in off.messages for name in message.parts}


async def test_explain_shows_each_signal_its_weight_and_what_fell_out(memory: AsyncMemory) -> None:
    await memory.facts.add("a", "plays chess", scope_id="u")
    await memory.facts.add("b", "plays piano", scope_id="u")
    told = (await memory.recall("chess", user_id="u", limit=1)).explain()
    assert "1. " in told
    assert "likely of use" in told
    assert "match             1.00 ×  1.50 = +1.500" in told
    assert "left out (over the limit of 1)" in told
    assert (await memory.recall("chess", user_id="v")).explain() == "Nothing was found."


async def test_small_talk_recalls_nothing_and_a_question_does(memory: AsyncMemory) -> None:
    await memory.facts.add("a", "says hello to good friends", scope_id="u")
    assert not (await memory.recall("Hello, good morning!", user_id="u", min_relevance=0.001)).facts
    assert (await memory.recall("friends", user_id="u", min_relevance=0.001)).facts
    async with memory.turn("Thanks!", user_id="u", learn=False) as turn:
        assert turn.facts == []


async def test_a_strategy_of_ones_own_sees_signals_and_decides(memory: AsyncMemory) -> None:
    for number in range(3):
        await memory.facts.add(f"k{number}", f"note {number}", scope_id="u")

    def backwards(given: Ranking) -> Sequence[Ranked]:
        assert all("coverage" in item.signals for item in given.items)
        items = sorted(given.items, key=lambda item: item.content.id or "")
        return [Ranked(item, float(place), 1.0) for place, item in enumerate(items)][::-1]

    found = (await memory.recall("note", user_id="u", strategy=backwards)).facts
    assert [fact.id for fact in found] == sorted((fact.id for fact in found), reverse=True)


async def test_a_reranker_has_the_last_word_on_the_best(url: str) -> None:
    asked: list[str] = []

    async def by_length(query: str, texts: Sequence[str]) -> list[float]:
        asked.append(query)
        return [float(len(text)) for text in texts]

    async with AsyncMemory(url, background=False, rerank=by_length) as memory:
        await memory.facts.add("a", "x", scope_id="u", text="chess")
        await memory.facts.add("b", "x", scope_id="u", text="something else that is long")
        found = (await memory.recall("chess", user_id="u")).facts
        assert [fact.key for fact in found] == ["b", "a"]
        assert found[0].parts.keys() == {"rerank"}
        assert (await memory.recall("", user_id="u")).facts
    assert asked == ["chess"]


async def test_however_many_say_the_same_the_others_are_recalled_too(memory: AsyncMemory) -> None:
    for number in range(40):
        await memory.facts.add(f"note#{number}", "x", text="User likes hiking in the hills", scope_id="ann")
    for number, name in enumerate(["Oslo", "Lisbon", "Rome", "Vienna", "Prague", "Bergen", "Turin", "Graz", "Bern"]):
        await memory.facts.add(
            f"trip#{number}", name, text=f"User went hiking near {name} with a friend", scope_id="ann"
        )
    found = (await memory.recall("hiking in the hills", user_id="ann")).facts
    assert len(found) == 10
    assert len({fact.text for fact in found}) == 10
