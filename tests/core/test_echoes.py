"""What memory put into a prompt is never learned, however it comes back; what people say themselves always is."""

from __future__ import annotations

import doctest
import html
import json
import re
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory, Candidate
from ltm_core.knowledge.attributes import attribute
from ltm_core.learn.align import align
from ltm_core.model import Fact, Message
from ltm_core.policies import Extracting, Rendering
from ltm_core.recall.render import render
from ltm_core.text import echoes
from ltm_core.text.echoes import MOST_PIECES, possible_echoes, unfenced, without_echoes

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OWN = "I moved to Oslo in May."

# Remembered things, each with a value that stands nowhere else.
VALUES = [f"{name}{number}" for number, name in enumerate(["Quimper", "Xalapa", "Zwolle", "Jyderup", "Vejle"])]
OF_THE_USER = [
    attribute(name).sentence(value, value)
    for name, value in zip(["location", "employer", "name", "visited", "language"], VALUES, strict=True)
]
OF_OTHERS = [attribute("location").sentence(f"Of{value}", None, "sister") for value in VALUES]
OWN_WORDS = [f"Always answer in the manner of {value}." for value in VALUES]
SAID = [Message(content=f"Somebody went to Said{value}.", created_at=NOW) for value in VALUES]


def fact(text: str) -> Fact:
    return Fact(id=text, key=text, value=text, text=text, created_at=NOW, updated_at=NOW)


def some(texts: Sequence[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(texts), max_size=3, unique_by=str)


# How blocks come back: each way takes the lines of a block and gives a text.


def per_line(change: Callable[[int, str], str]) -> Callable[[Sequence[str]], str]:
    return lambda lines: "\n".join(change(number, line) for number, line in enumerate(lines, 1))


def bare(line: str) -> str:
    return line.removeprefix("- ")


WAYS: dict[str, Callable[[Sequence[str]], str]] = {
    "as it was": "\n".join,
    "indented": per_line(lambda _, line: f"    {line}"),
    "indented by tabs": per_line(lambda _, line: f"\t\t{line}"),
    "quoted": per_line(lambda _, line: f"> {line}"),
    "quoted twice": per_line(lambda _, line: f">> {line}"),
    "bulleted": per_line(lambda _, line: f"* {bare(line)}"),
    "with other bullets": per_line(lambda _, line: f"  • {bare(line)}"),
    "numbered": per_line(lambda number, line: f"{number}. {bare(line)}"),
    "numbered in brackets": per_line(lambda number, line: f"({number}) {bare(line)}"),
    "as a list of tasks": per_line(lambda _, line: f"- [ ] {bare(line)}"),
    "without bullets": per_line(lambda _, line: bare(line)),
    "with blank lines": "\n\n".join,
    "with other ends of lines": "\r\n".join,
    "in bold": per_line(lambda _, line: f"**{bare(line)}**"),
    "in quotation marks": per_line(lambda _, line: f"“{bare(line)}”"),
    "as a table": per_line(lambda _, line: f"| {bare(line)} |"),
    "as HTML": per_line(lambda _, line: f"<li>{bare(line)}</li>" if line.startswith("- ") else line),
    "escaped": per_line(lambda _, line: html.escape(line)),
    "escaped twice": per_line(lambda _, line: html.escape(html.escape(line))),
    "without full stops": per_line(lambda _, line: line.rstrip(".")),
    "in a code fence": lambda lines: "\n".join(["```text", *lines, "```"]),
    "wrapped": lambda lines: "\n".join(
        textwrap.fill(line, 34, subsequent_indent="  ") if line[-1] != ">" and "aid" not in line else line
        for line in lines
    ),
}

HOLDERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda text: {"role": "assistant", "content": text},
    "a part": lambda text: {"role": "assistant", "content": [{"type": "text", "text": text}]},
    "a part among others": lambda text: {
        "role": "assistant",
        "content": [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"url": "x"}}, text],
    },
    "the result of a tool": lambda text: {"role": "tool", "tool_call_id": "1", "content": text},
    "JSON of a tool": lambda text: {"role": "tool", "content": json.dumps({"found": [{"memory": text}]})},
    "a result among parts": lambda text: {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": text}]}],
    },
    "a call among parts": lambda text: {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "1", "name": "save", "input": {"facts": [text]}}],
    },
    "arguments of a call": lambda text: {
        "role": "assistant",
        "tool_calls": [{"id": "1", "function": {"name": "save", "arguments": json.dumps({"notes": text})}}],
    },
    "plain arguments": lambda text: {"role": "assistant", "tool_calls": [{"id": "1", "args": {"notes": text}}]},
    "an old function call": lambda text: {
        "role": "assistant", "function_call": {"name": "save", "arguments": json.dumps([text])}
    },
    "an unknown role": lambda text: {"role": "developer", "content": text},
}  # fmt: skip


@st.composite
def blocks(draw: st.DrawFn, texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines of a block, and the texts of the facts in it."""
    facts = draw(some(texts))
    said = draw(some(SAID))
    given = Rendering([], [fact(text) for text in facts], said[:1], said[1:], NOW)
    rendered = render(given).late.splitlines()
    return rendered, facts


def partial(lines: Sequence[str], first: int, last: int) -> list[str]:
    return list(lines[first : len(lines) - last])


PARTS = st.tuples(st.integers(0, 3), st.integers(0, 2))
WAY = st.sampled_from(sorted(WAYS))
STORED = frozenset([*OF_THE_USER, *OF_OTHERS, *OWN_WORDS])


def said_in(message: Message) -> str:
    return message.model_dump_json()


@given(blocks([*OF_THE_USER, *OF_OTHERS, *OWN_WORDS]), PARTS, WAY, st.sampled_from(sorted(HOLDERS)))
def test_nothing_of_a_block_is_left_whoever_hands_it_back(
    block: tuple[list[str], list[str]], part: tuple[int, int], way: str, holder: str
) -> None:
    lines, _ = block
    text = WAYS[way](partial(lines, *part)) if lines else ""
    message = Message.of(HOLDERS[holder](text))
    left = without_echoes(message, possible_echoes([message]) & STORED)
    assert not [value for value in VALUES if value in said_in(left)]


@given(blocks(OF_THE_USER), PARTS, WAY, st.booleans(), st.booleans())
def test_nothing_of_a_block_is_left_in_what_the_user_sends_and_all_that_they_say(
    block: tuple[list[str], list[str]], part: tuple[int, int], way: str, before: bool, in_parts: bool
) -> None:
    lines, _ = block
    kept = partial(lines, *part)
    text = WAYS[way](kept) if kept else ""
    opens, closes = kept[:1] == lines[:1], kept[-1:] == lines[-1:]
    # A fence that lost its other end reaches to that end of the message.
    first = before if opens == closes else opens
    texts = [OWN, text] if first else [text, "", OWN]
    message = Message(content=[{"type": "text", "text": one} for one in texts] if in_parts else "\n".join(texts))
    left = without_echoes(message, possible_echoes([message]) & STORED)
    assert not [value for value in VALUES if value in said_in(left)]
    assert OWN in left.text


@given(st.lists(st.sampled_from(OF_THE_USER), min_size=1, max_size=3), st.sampled_from([" ", "  ", "\n", " \n "]))
def test_sentences_that_a_model_strings_together_are_found(texts: list[str], space: str) -> None:
    message = Message(role="assistant", content=space.join(["Here is what I know:", *texts, "Shall I go on?"]))
    left = without_echoes(message, possible_echoes([message]) & STORED)
    assert not [value for value in VALUES if value in left.text]
    assert left.text.split() == ["Here", "is", "what", "I", "know:", "Shall", "I", "go", "on?"]


# What people say themselves

LISBON = "User lives in Lisbon."
BULLETS = "Always answer in bullet points."
THEIR_OWN = [
    "I live in Lisbon",
    "I live in Lisbon.",
    "- I live in Lisbon.\n- I like tea.",
    "> I live in Lisbon.",
    "My user lives in Lisbon.",
    "Please remember: User lives in Lisbon.",
    "User lives in Lisbon and works in Porto.",
    "User lives in Lisboa.",
    "So you know that User lives in Lisbon. But I moved.",
    "User: I live in Lisbon.",
    BULLETS,
    "always answer in bullet points",
    f"- {BULLETS}\n- Never use emojis.",
    f"> {BULLETS}",
    "Sister lives in Porto.",
    "1. Sister lives in Porto.\n2. Dog is called Rex.",
    "The user manual says: press twice.",
    "Users live in Lisbon.",
    "What is long_term_memory, is 1 < 2 and <memory> a tag?",
    "<p>I live in <b>Lisbon</b>.</p>",
    "&lt;p&gt;I live in Lisbon.&lt;/p&gt;",
    '{"city": "Lisbon", "note": "User lives in Lisbon, sometimes."}',
    "Said by John: I moved to Oslo.",
    "Max said on 2026-11-20: noted.",
    "Talked about until late: the move.",
    "Remembered from earlier, may matter now.",
    "Things remembered about the user.\n- I like tea.",
    "```\nI live in Lisbon.\n```",
    "",
    "   \n\n",
    "5. I live in Lisbon.",
]


@pytest.mark.parametrize("text", THEIR_OWN)
@pytest.mark.parametrize("in_parts", [False, True])
def test_what_people_say_in_their_own_words_stays_as_it_is(text: str, in_parts: bool) -> None:
    message = Message(content=[{"type": "text", "text": text}] if in_parts else text)
    stored = {LISBON, BULLETS, "I live in Lisbon.", "Sister lives in Porto.", "Dog is called Rex.", "Never use emojis."}
    assert without_echoes(message, stored) is message


@pytest.mark.parametrize(
    "text",
    [
        "Do you still live in Lisbon?",
        "So you live in Lisbon, and your sister in Porto?",
        "I think that the User lives in Lisbon or near it.",
        "Shall I always answer in bullet points, or only in lists?",
    ],
)
def test_what_others_ask_and_think_stays_too(text: str) -> None:
    message = Message(role="assistant", content=text)
    assert without_echoes(message, {LISBON, BULLETS, "Sister lives in Porto."}) is message


@given(st.text(), st.sampled_from(["user", "assistant", "tool"]))
def test_whatever_is_no_echo_stays_as_it_is(text: str, role: str) -> None:
    message = Message(role=role, content=text)
    assert without_echoes(message, {LISBON}) is message


def test_a_reply_to_a_pasted_line_stays() -> None:
    for pasted in (f"> {LISBON}", f"- {LISBON}\n- {BULLETS}", f"| {LISBON} |"):
        for reply in ("That is wrong, I moved to Oslo.", "Yes."):
            message = Message(content=f"{pasted}\n\n{reply}")
            assert without_echoes(message, {LISBON, BULLETS}).text.strip() == reply


def test_nobody_is_asked_about_the_words_of_a_person_who_pastes_nothing() -> None:
    assert possible_echoes([Message(content=text) for text in THEIR_OWN if "user" not in text.lower()]) == set()


def test_a_huge_text_is_read_in_bounds_and_its_fences_are_still_found() -> None:
    block = render(Rendering([fact(LISBON)], [], [], [], NOW)).stable
    message = Message(role="tool", content="Once. Twice. " * 50_000 + block)
    assert len(possible_echoes([unfenced(message)])) < 12 * MOST_PIECES
    assert LISBON not in without_echoes(message, set()).text


def test_a_history_that_is_sent_again_without_or_with_other_blocks_is_the_same_history() -> None:
    def turn(*blocks: str) -> list[Message]:
        return [Message(content="".join([*blocks, "I live in Rome."])), Message(role="assistant", content="Noted.")]

    one, other = (render(Rendering([fact(text)], [], [], [], NOW)).stable for text in (LISBON, BULLETS))
    for sent in (turn(), turn(other), turn(other, one)):
        assert align(sent, turn(one)).new == []
        assert align([*sent, Message(content="Bye.")], turn(one)).new == [Message(content="Bye.")]


@pytest.mark.parametrize("module", [echoes])
def test_the_examples_of_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


# The whole way, with an extractor that believes whatever it reads, wherever it stands


def gullible(given: Extracting) -> list[Candidate]:
    new, earlier = ("\n".join(one.model_dump_json() for one in some) for some in (given.messages, given.earlier))
    told = re.findall(r"(?:I live in|I moved to) (\w+)", new) + re.findall(r"User lives in (\w+)", new + earlier)
    return [Candidate(attribute="location", value=city, text=f"User lives in {city}.") for city in told]


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(url, extract=gullible, background=False) as memory:
        yield memory


async def city(memory: AsyncMemory) -> tuple[Any, int]:
    fact = await memory.facts.get("location", scope_id="ana")
    return (fact.value, fact.version) if fact else (None, 0)


async def observed(memory: AsyncMemory, *messages: Any) -> None:
    await memory.observe(list(messages), user_id="ana", session_id="s")
    assert await memory.flush()


async def test_what_was_true_once_is_not_learned_again_from_a_model_that_repeats_it(memory: AsyncMemory) -> None:
    await memory.remember("I live in Lisbon", user_id="ana")
    block = (await memory.recall("Where do I live?", user_id="ana")).text
    await memory.remember("I live in Berlin", user_id="ana")
    before = await city(memory)
    assert before[0] == "Berlin"
    for number, text in enumerate(way(block.splitlines()[2:-1]) for way in WAYS.values()):
        for holder in HOLDERS.values():
            await memory.observe([f"Question {number}", holder(text)], user_id="ana", session_id="s")
        await memory.observe(f"{text}\nQuestion", user_id="ana", session_id="s")
    await memory.observe([block + "Hello", {"role": "assistant", "content": block}], user_id="ana", session_id="s")
    assert await memory.flush()
    assert await city(memory) == before


async def test_what_was_deleted_does_not_come_back_by_an_echo_and_does_when_told(memory: AsyncMemory) -> None:
    await memory.remember("I live in Lisbon", user_id="ana")
    await memory.forget("location", user_id="ana")
    await observed(memory, "Hello", {"role": "assistant", "content": f"I remember:\n{LISBON}"})
    assert (await city(memory))[0] is None
    await observed(memory, "I live in Lisbon")
    assert (await city(memory))[0] == "Lisbon"


async def test_the_same_in_ones_own_words_is_learned_as_usual(memory: AsyncMemory) -> None:
    await memory.remember("I live in Lisbon", user_id="ana")
    (update,) = await memory.remember("I live in Lisbon", user_id="ana")
    assert update.operation == "NOOP"
    (update,) = await memory.remember(f"> {LISBON}\nThat is over. I moved to Oslo", user_id="ana")
    assert (update.operation, await city(memory)) == ("UPDATE", ("Oslo", 2))


async def test_what_is_remembered_of_others_is_no_echo(memory: AsyncMemory) -> None:
    await memory.remember("I live in Lisbon", user_id="ben")
    await observed(memory, "Hello", {"role": "tool", "content": LISBON})
    assert (await city(memory))[0] == "Lisbon"


async def test_a_history_with_a_block_in_every_message_is_learned_once(memory: AsyncMemory) -> None:
    told: list[Any] = []
    for number, said in enumerate(["I live in Lisbon", "I live in Berlin", "I live in Lisbon", "How are you?"], 1):
        block = (await memory.recall("Where do I live?", user_id="ana")).text
        told = [
            *({**one, "content": one["content"] if one["role"] == "assistant" else block + one["own"]} for one in told),
            {"role": "user", "content": block + said, "own": said},
        ]
        await observed(memory, *({name: one[name] for name in ("role", "content")} for one in told))
        told.append({"role": "assistant", "content": f"Answer {number}"})
    assert [fact.value for fact in await memory.facts.history("location", scope_id="ana")] == [
        "Lisbon",
        "Berlin",
        "Lisbon",
    ]
