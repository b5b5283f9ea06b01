"""Vectors are made in the background, belong to what they stand for, and go with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from ltm_core import AsyncMemory, ConfigurationError
from ltm_core.errors import MissingExtra
from ltm_core.llm.embedding import Embedder, embedder_of
from ltm_core.scope import Scope
from ltm_core.stores.base import Record, Where
from ltm_core.text.words import words

ANIMALS = {"dog", "pet", "rex", "animal"}
CALLS: list[list[str]] = []


def by_topic(texts: Sequence[str]) -> list[list[float]]:
    """Near are texts about animals, and all others."""
    CALLS.append(list(texts))
    return [[1.0, 0.1] if ANIMALS & set(words(text)) else [0.1, 1.0] for text in texts]


def other_model(texts: Sequence[str]) -> list[list[float]]:
    return [[*vector, 0.0] for vector in by_topic(texts)]


def broken(texts: Sequence[str]) -> list[list[float]]:
    raise OSError("no model today")


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncMemory]:
    CALLS.clear()
    async with AsyncMemory(url, embed=by_topic, background=False) as memory:
        yield memory


async def vectors(memory: AsyncMemory, subject: str = "u") -> list[Record]:
    return await memory.runtime.run(memory.runtime.store.scan(Where("vector", subject=Scope.user(subject))))


async def first(memory: AsyncMemory, query: str) -> str:
    return (await memory.recall(query, user_id="u")).facts[0].key


async def test_what_shares_no_word_is_found_by_its_meaning(memory: AsyncMemory) -> None:
    await memory.facts.add("a", "keeps rex", scope_id="u")
    for number in range(5):
        await memory.facts.add(f"b{number}", f"cooks soup {number}", scope_id="u")
    assert await memory.flush()
    assert await first(memory, "Which animal") == "a"
    assert len(await vectors(memory)) == 6


async def test_a_changed_text_is_embedded_anew_and_the_same_one_is_not(memory: AsyncMemory) -> None:
    await memory.facts.add("a", "cooks soup", scope_id="u")
    await memory.facts.add("b", "goes sailing", scope_id="u")
    await memory.flush()
    made = len(CALLS)
    await memory.facts.update("a", "cooks soup", scope_id="u", importance=0.9)
    await memory.flush()
    assert len(CALLS) == made
    await memory.facts.update("a", "walks the dog", scope_id="u")
    await memory.flush()
    assert await first(memory, "animal") == "a"
    assert len(await vectors(memory)) == 2


async def test_with_a_record_go_its_vectors(memory: AsyncMemory) -> None:
    await memory.facts.add("a", "walks the dog", scope_id="u")
    await memory.sessions.add_message("s", "my dog is old", user_id="u")
    await memory.sessions.add_message("t", "my pet too", user_id="u")
    await memory.flush()
    assert len(await vectors(memory)) == 3
    await memory.facts.delete("a", scope_id="u")
    (message,) = await memory.sessions.get_messages("s")
    await memory.sessions.delete_messages("s", [message.id or ""])
    await memory.sessions.clear("t")
    assert await vectors(memory) == []


async def test_what_another_embedder_left_is_embedded_when_it_is_looked_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with AsyncMemory(url, embed=by_topic, background=False) as memory:
        await memory.facts.add("a", "walks the dog", scope_id="u")
        await memory.facts.add("b", "goes sailing", scope_id="u")
        await memory.flush()
    async with AsyncMemory(url, embed=other_model, background=False) as memory:
        assert await first(memory, "walks") == "a"
        await memory.flush()
        assert await first(memory, "animal") == "a"
        assert len(await vectors(memory)) == 4
        await memory.facts.delete("a", scope_id="u")
        assert {record.fields["space"] for record in await vectors(memory)} == {"by_topic", "other_model"}
        assert len(await vectors(memory)) == 2


async def test_all_are_embedded_on_demand_and_progress_is_told(tmp_path: Path) -> None:
    url, told = f"sqlite:///{tmp_path}/memory.db", list[int]()
    async with AsyncMemory(url, background=False) as memory:
        await memory.facts.add("a", "walks the dog", scope_id="u")
        await memory.sessions.add_message("s", "hello", user_id="v")
        with pytest.raises(ConfigurationError, match="no embedder"):
            await memory.runtime.embed_all(told.append)
    async with AsyncMemory(url, embed=by_topic, background=False) as memory:
        assert await memory.runtime.embed_all(told.append)
        assert sorted(told) == told
        assert told[-1] == 2
        assert (len(await vectors(memory)), len(await vectors(memory, "v"))) == (1, 1)


async def test_an_embedder_that_fails_costs_no_answer_and_no_write(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncMemory(url, embed=broken, background=False) as memory:
        await memory.facts.add("a", "walks the dog", scope_id="u")
        assert await first(memory, "dog") == "a"
        assert not await memory.flush()
    assert "found by" in caplog.text


async def test_a_text_is_embedded_once_while_it_is_kept() -> None:
    CALLS.clear()
    embedder = Embedder("test", by_topic)
    assert await embedder.vectors(["dog", "soup", "dog"]) == await embedder.vectors(["dog", "soup", "dog"])
    assert CALLS == [["dog", "soup"]]


def test_what_is_no_embedder_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no embedder"):
        embedder_of("")
    if find_spec("wordllama") is None:
        with pytest.raises(MissingExtra, match="local"):
            embedder_of("local")


@pytest.mark.skipif(find_spec("wordllama") is None, reason="needs the extra `local`")
async def test_the_local_embedder_knows_what_is_alike() -> None:
    from ltm_core.vectors import cosine, pack, unpack

    made = [unpack(pack(one)) for one in await embedder_of("local").vectors(["a dog", "my puppy", "the stock market"])]
    assert cosine(made[0], made[1]) > cosine(made[0], made[2])
