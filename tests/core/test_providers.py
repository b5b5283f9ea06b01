"""Ready-made providers: what their options mean, and what they refuse to take without meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from ltm_core import AsyncMemory, ConfigurationError
from ltm_core.providers import MemoryProvider, PostgresProvider, RedisProvider, RedisSessionMemory, SessionMemory
from ltm_core.providers.own import OwnProvider
from ltm_core.testing.store_contract import NOW
from tests.conftest import told


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def provider(url: str, clock: Clock) -> AsyncIterator[OwnProvider]:
    async with AsyncMemory(url, extract=told, clock=clock) as memory:
        yield OwnProvider(memory, ttl=timedelta(seconds=60))


async def contents(provider: MemoryProvider) -> list[str]:
    return sorted(one["content"] for one in await provider.get_all("u"))


async def test_with_a_ttl_what_is_added_is_forgotten_after_that_time(provider: OwnProvider, clock: Clock) -> None:
    learned = await provider.add("u", "set location Oslo", {"a": 1})
    noted = await provider.add("u", "Nobody understands this.")
    clock.now += timedelta(seconds=59)
    assert len(await contents(provider)) == 2
    assert (await provider.get("u", learned) or {})["metadata"] == {"a": 1}
    clock.now += timedelta(seconds=1)
    assert await contents(provider) == []
    assert await provider.search("u", "location") == []
    assert await provider.get("u", noted) is None


async def test_what_is_added_or_updated_again_lives_as_long_again(provider: OwnProvider, clock: Clock) -> None:
    await provider.add("u", "set location Oslo")
    noted = await provider.add("u", "Nobody understands this.")
    clock.now += timedelta(seconds=50)
    await provider.add("u", "set location Oslo")
    await provider.update("u", noted, "Nor this.")
    clock.now += timedelta(seconds=50)
    assert len(await contents(provider)) == 2
    clock.now += timedelta(seconds=10)
    assert await contents(provider) == []


async def test_what_is_taken_back_stays_taken_back(provider: OwnProvider) -> None:
    await provider.add("u", "set location Oslo")
    await provider.add("u", "drop location", {"a": 1})
    assert await contents(provider) == []


async def test_what_has_expired_can_be_added_again(provider: OwnProvider, clock: Clock) -> None:
    for _ in range(2):
        await provider.add("u", "set location Oslo")
        await provider.add("u", "Nobody understands this.")
        assert len(await contents(provider)) == 2
        clock.now += timedelta(seconds=60)
        assert await contents(provider) == []


async def test_a_redis_provider_keeps_prefixes_apart_and_forgets_in_time(redis_url: str, clock: Clock) -> None:
    mine, other = (f"test:{uuid4().hex}:" for _ in range(2))
    async with (
        RedisProvider(redis_url, prefix=mine, ttl_seconds=60, extract=told, clock=clock) as provider,
        RedisProvider(redis_url, prefix=other, extract=told, clock=clock) as elsewhere,
    ):
        await provider.add("u", "set location Oslo")
        assert [one["content"] for one in await provider.search("u", "location")] != []
        assert await elsewhere.get_all("u") == []
        clock.now += timedelta(seconds=60)
        assert await provider.get_all("u") == []


async def test_session_memory_on_redis_keeps_the_newest_messages_as_dicts(redis_url: str) -> None:
    prefix = f"test:{uuid4().hex}:"
    async with RedisSessionMemory(redis_url, ttl_seconds=3600, max_messages=2, prefix=prefix) as sessions:
        for number in range(4):
            await sessions.add_message("s", {"role": "user", "content": str(number)})
        found = await sessions.get_messages("s")
        assert [(one["role"], one["content"]) for one in found] == [("user", "2"), ("user", "3")]
        await sessions.clear("s")
        assert await sessions.get_messages("s") == []


async def test_memories_under_two_table_names_do_not_see_each_other(one_postgres_url: str) -> None:
    async with (
        PostgresProvider(one_postgres_url, table="agent_memories") as ours,
        PostgresProvider(one_postgres_url, table="others") as theirs,
        PostgresProvider(one_postgres_url) as plain,
    ):
        await ours.add("u", "The user lives in Oslo.")
        assert await contents(ours) == ["The user lives in Oslo."]
        assert await contents(theirs) == await contents(plain) == []


@pytest.mark.parametrize("make", [RedisProvider, PostgresProvider, RedisSessionMemory])
@pytest.mark.parametrize("url", ["sqlite:///x.db", "localhost", "mysql://u:pw@h"])
def test_a_url_of_another_server_is_refused_with_the_way_out(make: type, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"takes a URL such as .*AsyncMemory\(url\)") as error:
        make(url)
    assert "pw" not in str(error.value)


def test_a_table_that_can_name_no_schema_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no plain name"):
        PostgresProvider("postgres://u@h/db", table="Agent Memories")


def test_an_embedder_is_chosen_by_the_names_that_people_know() -> None:
    named = [
        {"vector_enabled": True},
        {"embedding_model": "local"},
        {"vector_enabled": True, "embedding_model": "local"},
    ]
    made = [PostgresProvider("postgres://u@h/db", **one) for one in named]  # type: ignore[arg-type]
    spaces = {one.memory.runtime.policies.embedder.space for one in made if one.memory.runtime.policies.embedder}
    assert len(spaces) == 1
    assert PostgresProvider("postgres://u@h/db").memory.runtime.policies.embedder is None


async def test_a_session_memory_tells_what_a_session_was_about(redis_url: str) -> None:
    async with RedisSessionMemory(redis_url, prefix=uuid4().hex) as sessions:
        assert isinstance(sessions, SessionMemory)
        assert await sessions.summarize("s") == ""
        await sessions.add_message("s", {"role": "user", "content": "I moved to Lisbon with my dog."})
        assert await sessions.summarize("s") == "User: I moved to Lisbon with my dog."


def test_a_time_to_live_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Pass seconds"):
        RedisProvider("redis://localhost", ttl_seconds=0)
