"""Forms that the stemmer does not join are one word where something is asked for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from ltm_core import AsyncMemory
from ltm_core.recall.signals import Asked
from ltm_core.text.word_forms import forms_of
from ltm_core.text.words import STOP_WORDS, stems, terms

LINES = [
    line.split()
    for line in (files("ltm_core") / "text/word_forms.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize(
    ("one", "other"),
    [("bought", "buy"), ("children", "child"), ("worst", "bad"), ("favourite", "favorite"), ("taught", "teaches")],
)
def test_irregular_forms_have_the_same_forms(one: str, other: str) -> None:
    assert forms_of(*stems(one)) == forms_of(*stems(other))


def test_other_words_stand_alone() -> None:
    assert forms_of("piano") == ("piano",)
    assert forms_of("") == ("",)


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_each_line_of_the_list_joins_what_the_stemmer_does_not(line: list[str]) -> None:
    assert all(re.fullmatch("[a-z]+", word) for word in line)
    assert len({stem for word in line for stem in stems(word)}) == len(line)
    assert not STOP_WORDS.issuperset(line)
    assert len({forms_of(*stems(word)) for word in line}) == 1


def test_a_database_is_asked_for_all_forms() -> None:
    asked = Asked("What did Anna buy for the children?", (), datetime(2026, 11, 20, tzinfo=UTC))
    assert set(asked.terms) >= {"buy", "bought", "children", "child"}


async def test_forms_of_one_word_count_as_one(memory: AsyncMemory) -> None:
    for number in range(6):
        await memory.facts.add(f"user/note#{number}", f"She {('bought', 'buys')[number % 2]} bread", scope_id="anna")
    await memory.facts.add("user/note#9", "She bakes bread", scope_id="anna")
    found = await memory.recall("buy, bought, bakes", user_id="anna", min_relevance=0)
    assert found.facts[0].value == "She bakes bread"  # its word is the rarer one, whatever forms the other is asked in


async def test_a_question_in_the_present_finds_a_fact_in_the_past(memory: AsyncMemory) -> None:
    await memory.facts.add("user/note#1", "Anna bought a red bicycle", scope_id="anna")
    await memory.facts.add("user/note#2", "Anna taught mathematics", scope_id="anna")
    found = await memory.recall("What bike did she buy?", user_id="anna", min_relevance=0)
    assert found.facts[0].value == "Anna bought a red bicycle"
    assert found.facts[0].signals["coverage"] == pytest.approx(1.0)
    assert "buy" not in terms("Anna bought a red bicycle")  # what is stored stays as it was
