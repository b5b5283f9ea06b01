"""The offline extractor: roles, quotations, dates, answers, and that no text can break it."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltm_core.learn.english.dates import read_date
from ltm_core.learn.english.slots import SLOTS
from ltm_core.learn.english.tokens import scan
from ltm_core.learn.offline import extract_offline
from ltm_core.model import Candidate, Message
from ltm_core.policies import ALL_OPERATIONS, Extracting
from ltm_core.scope import Identity

MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
STATEMENTS = [
    "I live in Rome",
    "My name is Bob",
    "I love golf and chess",
    "I'm allergic to nuts",
    "I have a dog named Rex",
]


def learn(*messages: Message, allow: frozenset[str] = ALL_OPERATIONS) -> list[Candidate]:
    return extract_offline(Extracting(messages=messages, identity=Identity(user_id="u"), now=MONDAY, allow=allow))


def said(text: str) -> list[Candidate]:
    return learn(Message(content=text, id="m1"))


def keys(text: str) -> dict[str, object]:
    return {candidate.key: candidate.value for candidate in said(text)}


def test_a_candidate_says_where_it_comes_from() -> None:
    [candidate] = said("So, I moved to Berlin last year.")
    assert (candidate.key, candidate.value, candidate.text) == ("location", "Berlin", "User lives in Berlin.")
    assert candidate.sources == ["m1"]
    assert candidate.created_by == "offline"
    assert candidate.reason == '"I moved to Berlin last year"'
    assert candidate.confidence == 0.9
    assert candidate.importance is None


def test_a_reason_is_short_however_long_the_sentence() -> None:
    [candidate] = said(f"Remember that {'very ' * 50}old keys lie under the mat")
    assert len(candidate.reason) == 80
    assert candidate.reason.endswith('…"')


@pytest.mark.parametrize(
    ("text", "confidence"),
    [("I live in Rome", 0.9), ("I think I live in Rome", 0.6), ("Remember that I live in Rome", 0.95)],
)
def test_confidence_follows_the_words(text: str, confidence: float) -> None:
    assert [candidate.confidence for candidate in said(text)] == [confidence]


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_only_the_user_teaches(role: str) -> None:
    assert learn(Message(role=role, content="I live in Rome")) == []


@pytest.mark.parametrize(
    ("question", "answer", "key", "value"),
    [
        ("Great! Where do you live?", "Lisbon", "location", "Lisbon"),
        ("What’s your name?", "it's Maria", "name", "Maria"),
        ("How old are you?", "34", "age", 34),
        ("What do you do for a living?", "a nurse", "profession", "nurse"),
        ("Any allergies I should know of?", "peanuts", "allergy#peanuts", "yes"),
    ],
)
def test_a_short_answer_is_read_with_its_question(question: str, answer: str, key: str, value: object) -> None:
    found = learn(Message(role="assistant", content=question), Message(content=answer, id="a"))
    assert [(candidate.key, candidate.value, candidate.sources) for candidate in found] == [(key, value, ["a"])]


@pytest.mark.parametrize("answer", ["none", "why do you ask?", "I'd rather not say", "no"])
def test_a_refusal_is_no_answer(answer: str) -> None:
    assert learn(Message(role="assistant", content="Where do you live?"), Message(content=answer)) == []


def test_retractions_are_left_out_where_deleting_is_not_wanted() -> None:
    message = Message(content="I no longer work at Acme. I live in Rome.")
    assert [c.key for c in learn(message)] == ["employer", "location"]
    assert [c.key for c in learn(message, allow=frozenset({"ADD"}))] == ["location"]


def test_pronouns_and_names_keep_their_person() -> None:
    assert keys("My sister Anna lives in Oslo. She loves skiing, and Anna works for Equinor.") == {
        "relation#sister": "Anna",
        "sister/location": "Oslo",
        "sister/opinion#skiing": "likes",
        "sister/employer": "Equinor",
    }


def test_an_animal_gets_its_name_later() -> None:
    assert keys("We have a cat. Her name is Nala.") == {"pet#nala": "cat"}


def test_the_last_word_on_something_comes_last() -> None:
    assert [c.value for c in said("I live in Rome. No wait, I live in Oslo. Sorry: I live in Rome.")] == [
        "Oslo",
        "Rome",
    ]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("tomorrow", "2026-01-06"),
        ("on Friday", "2026-01-09"),
        ("next Friday", "2026-01-16"),
        ("in two weeks", "2026-01-19"),
        ("next month", "2026-02-01"),
        ("on 7 May", "2026-05-07"),
        ("on May 7th, 2027", "2027-05-07"),
        ("in June 2027", "2027-06-01"),
        ("on Jan 2", "2027-01-02"),
        ("2026-04-03", "2026-04-03"),
        ("in 2028", "2028-01-01"),
    ],
)
def test_dates_are_read_relative_to_the_message(text: str, day: str) -> None:
    dated = read_date(list(scan(text)), 0, MONDAY)
    assert dated is not None
    assert dated.day.date().isoformat() == day


@pytest.mark.parametrize("text", ["may", "in May be", "on the table", "31 February 2027", "2026-13-40", "next door"])
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    dated = read_date(list(scan(text)), 0, MONDAY)
    assert dated is None or text == "in May be"


def test_a_plan_begins_on_its_day() -> None:
    message = Message(content="I'm flying to Tokyo next Friday", created_at=datetime(2026, 3, 2, tzinfo=UTC))
    [plan] = learn(message)
    assert (plan.key, plan.valid_from) == ("plan#fly_to_tokyo", datetime(2026, 3, 13, tzinfo=UTC))


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize(
    "frame",
    [
        'She said "{}."',
        "He wrote: “{}”",
        "'{}', he said.",
        "```\n{}\n```",
        "`{}`",
        "> {}",
        "<long_term_memory note='x'>\n{}.\n</long_term_memory>",
        "Imagine {}.",
        "If {}, what then?",
        "{}?",
        "Bob: {}",
        "Translate this: {}.",
        "My boss says {}.",
        "{}, just kidding.",
    ],
)
def test_words_of_others_teach_nothing(frame: str, statement: str) -> None:
    assert said(frame.format(statement)) == []


@pytest.mark.parametrize(
    "text", ["Ich wohne in Berlin und liebe Pizza.", "Vivo en Madrid.", "我住在北京。", "Я живу в Москве"]
)
def test_other_languages_teach_nothing(text: str) -> None:
    assert said(text) == []


TRAPS = [
    line.replace("\\n", "\n")
    for line in (Path(__file__).parent / "gold" / "traps.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("text", TRAPS)
def test_everyday_chat_that_tells_nothing_teaches_nothing(text: str) -> None:
    assert said(text) == []


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    said(text)


WORDS = st.sampled_from(
    [
        "I",
        "my",
        "we",
        "she",
        "her",
        "not",
        "n't",
        "'m",
        "'s",
        "am",
        "is",
        "have",
        "a",
        "an",
        "the",
        "dog",
        "named",
        "Rex",
        "live",
        "in",
        "Rome",
        ",",
        ".",
        "?",
        "!",
        ":",
        ";",
        "and",
        "but",
        "if",
        "that",
        "when",
        "love",
        "hate",
        "no",
        "longer",
        "any",
        "more",
        "remember",
        "call",
        "me",
        "34",
        "years",
        "old",
        "allergic",
        "to",
        "nuts",
        "work",
        "as",
        "nurse",
        "at",
        "Acme",
        "on",
        "7",
        "May",
        "next",
        "Friday",
        "every",
        "morning",
        "sister",
        "Anna",
        "prefer",
        "dark",
        "mode",
        "over",
        "tea",
        "favorite",
        "color",
        "birthday",
        "can",
        "play",
        "want",
        "learn",
        '"q"',
        "(",
        ")",
        "-",
        "/",
    ]
)


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=40))
def test_no_order_of_known_words_breaks_it(words: list[str]) -> None:
    for candidate in said(" ".join(words)):
        assert candidate.text
        assert candidate.reason


@given(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=5), st.sampled_from(['"{}"', "```{}```", "“{}”"]))
def test_nothing_is_learned_from_inside_quotes_or_fences(statements: list[str], marks: str) -> None:
    assert said(f"Please look at {marks.format('. '.join(statements))} and tell me more.") == []


@pytest.mark.parametrize(
    "text",
    [
        "I love hiking and live in Oslo. " * 3000,
        "I like a, " * 10_000,
        "'a " * 30_000,
        " " * 100_000,
        "a." * 50_000,
        "1.1" * 30_000,
        '"' * 100_000,
        "\n" * 100_000,
        "I " * 50_000,
        "my sister " * 10_000,
    ],
    ids=["plain", "list", "quotes", "spaces", "dots", "numbers", "marks", "lines", "I", "people"],
)
def test_long_texts_take_linear_time(text: str) -> None:
    said("warm up")
    half, whole = (min(_seconds(part) for _ in range(3)) for part in (text[: len(text) // 2], text))
    assert whole < 4 * half + 0.5


def _seconds(text: str) -> float:
    """What reading it takes of the processor, whoever else is at work."""
    start = process_time()
    said(text)
    return process_time() - start


def test_every_slot_of_the_statement_table_has_a_reader() -> None:
    table = (files("ltm_core.learn.english") / "statements.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(table)["statement"]
    named = {word.rstrip("2") for row in rows for said in row["said"] for word in re.findall(r"\b[A-Z]{2,}2?\b", said)}
    assert named == set(SLOTS)
