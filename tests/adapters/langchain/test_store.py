"""E. The store: LangGraph's contract, on our database, and one memory with the facts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from ltm_core import Memory
from ltm_core.stores.base import Record, Where
from ltm_core.stores.memory import DictStore
from ltm_core.testing.fakes import Clock
from ltm_langchain import (
    LongTermMemoryMiddleware,
    LongTermMemoryRetriever,
    LongTermMemoryStore,
    create_memory_tools,
    create_search_memory_tool,
    memory_context,
)
from ltm_langchain.filters import passes
from tests.adapters.langchain.models import Scripted, call, run, said
from tests.conftest import told


def letters(texts: Sequence[str]) -> list[list[float]]:
    """An embedder that counts letters."""
    return [[float(Counter(text)[letter]) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(url: str, clock: Clock) -> Iterator[Memory]:
    with Memory(url, clock=clock, extract=told, background=False) as memory:
        yield memory


@pytest.fixture
def store(held: Memory) -> LongTermMemoryStore:
    return LongTermMemoryStore(held, index={"embed": letters, "dims": 26, "fields": ["text"]})


def test_13_any_id_makes_a_label_and_comes_back(store: LongTermMemoryStore) -> None:
    for user_id in ("ana@example.com", "a/b", "*", "雪", "x" * 300, "u1", "u10", "%2E"):
        label = store.label(user_id)
        store.put(("users", label), "who", {"id": user_id})
        assert store.id_of(label) == user_id
        assert [item.value["id"] for item in store.search(("users", label))] == [user_id]


def test_13_labels_are_compared_whole_and_are_no_patterns(store: LongTermMemoryStore) -> None:
    labels = ["u1", "u10", "U1", "%", "_", "*", "a/b", "a", "%2F", "["]
    for label in labels:
        store.put(("users", label), "key", {"label": label})
    for label in labels:
        assert [item.value["label"] for item in store.search(("users", label))] == [label]


def test_13_a_period_in_a_label_is_refused_in_batches_too(store: LongTermMemoryStore) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.batch([PutOp(("users", "ana@example.com"), "key", {})])


def test_34_an_update_keeps_the_time_of_creation(store: LongTermMemoryStore, clock: Clock) -> None:
    store.put(("docs",), "key", {"n": 1})
    clock.advance(hours=1)
    store.put(("docs",), "key", {"n": 2})
    item = store.get(("docs",), "key")
    assert item is not None
    assert item.value == {"n": 2}
    assert item.updated_at - item.created_at == timedelta(hours=1)


def test_34_what_is_not_indexed_is_found_without_a_score(store: LongTermMemoryStore) -> None:
    store.put(("docs",), "one", {"text": "aaa", "kind": "x"})
    store.put(("docs",), "two", {"text": "bbb", "kind": "x"}, index=False)
    assert store.get(("docs",), "two") is not None
    found = store.search(("docs",), query="aaa", filter={"kind": "x"})
    assert [(item.key, item.score) for item in found] == [("one", 1.0), ("two", None)]


def test_34_items_expire_unless_they_are_read(store: LongTermMemoryStore, clock: Clock) -> None:
    for key in ("read", "searched", "left", "peeked"):
        store.put((key,), key, {}, ttl=10)
    store.put(("kept",), "kept", {})
    clock.advance(minutes=9)
    assert store.get(("read",), "read")
    assert store.search(("searched",))
    assert store.get(("peeked",), "peeked", refresh_ttl=False)
    clock.advance(minutes=2)
    assert sorted(item.key for item in store.search(())) == ["kept", "read", "searched"]
    assert store.sweep_ttl() == 2
    assert store.sweep_ttl() == 0


def test_a_batch_reads_what_was_there_before_it_writes(store: LongTermMemoryStore) -> None:
    store.put(("docs",), "key", {"n": 1})
    put, get = PutOp(("docs",), "key", {"n": 2}), GetOp(("docs",), "key")
    first, _, found, _ = store.batch([get, put, SearchOp(("docs",)), PutOp(("docs",), "key", {"n": 3})])
    assert first.value == {"n": 1}  # type: ignore[union-attr]
    assert [item.value for item in found] == [{"n": 1}]  # type: ignore[union-attr]
    assert store.get(("docs",), "key").value == {"n": 3}  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="Unknown operation"):
        store.batch([put, "nonsense"])  # type: ignore[list-item]


LABELS = some.sampled_from(["a", "b", "ab", "A", "*", "a/b", "雪"])
SPACES = some.lists(LABELS, min_size=1, max_size=3).map(tuple)
VALUES = some.fixed_dictionaries({"n": some.integers(0, 3), "on": some.booleans()})
OPS = some.one_of(
    some.tuples(SPACES, some.sampled_from("kl"), some.none() | VALUES).map(lambda given: PutOp(*given)),
    some.tuples(SPACES, some.sampled_from("kl")).map(lambda given: GetOp(*given)),
)


@settings(deadline=None, max_examples=50)
@given(some.lists(OPS, max_size=12), SPACES, some.integers(0, 3))
def test_it_does_what_the_store_of_langgraph_does(ops: list[Any], prefix: tuple[str, ...], number: int) -> None:
    theirs = InMemoryStore()
    with Memory("memory://", background=False) as memory:
        ours = LongTermMemoryStore(memory)
        for op in ops:
            assert _plain(ours.batch([op])) == _plain(theirs.batch([op]))
        for wanted in (None, {"n": number}, {"n": {"$gt": number}}, {"n": {"$ne": number}}, {"on": True}):
            mine, other = ours.search(prefix, filter=wanted), theirs.search(prefix, filter=wanted)
            assert sorted(map(_shown, mine)) == sorted(map(_shown, other))
        # What is left of a namespace when its last item is gone, theirs still lists.
        assert set(ours.list_namespaces(prefix=prefix)) <= set(theirs.list_namespaces(prefix=prefix))


SCALARS = some.one_of(
    some.none(),
    some.booleans(),
    some.sampled_from([0, 1, 1.0, 0.5, -1, 2**53, 2**53 + 1, -(2**60)]),
    some.sampled_from(["", "1", "a", "A", "%", "é"]),
)
ANY = SCALARS | some.lists(SCALARS, max_size=2)
NAMES = some.sampled_from(["a", "b-c", "é", "a.b"])
NUMBERS = some.sampled_from([0, 1, 0.5, -1, 2**53, 2**53 + 1])
FILTERS = some.dictionaries(
    NAMES,
    ANY
    | some.dictionaries(some.sampled_from(["$eq", "$ne"]), ANY, min_size=1)
    | some.dictionaries(some.sampled_from(["$gt", "$gte", "$lt", "$lte"]), NUMBERS, min_size=1),
    max_size=2,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(some.lists(some.dictionaries(NAMES, ANY, max_size=3), max_size=5), FILTERS, some.integers(1, 3))
@example([{"a": 2**53}], {"a": {"$lt": 2**53 + 1}}, 1)  # alike as floats, which LangGraph compares
def test_33_a_filter_means_the_same_to_every_database(
    store: LongTermMemoryStore, values: list[dict[str, Any]], wanted: dict[str, Any], limit: int
) -> None:
    place = ("filtered", uuid4().hex)
    store.batch([PutOp(place, str(number), value) for number, value in enumerate(values)])
    every = store.search(place, limit=9)
    expected = [item.key for item in every if passes(item.value, wanted)]
    assert len(every) == len(values)
    assert [item.key for item in store.search(place, filter=wanted, limit=9)] == expected
    assert [item.key for item in store.search(place, filter=wanted, limit=limit, offset=1)] == expected[1:][:limit]


class Counting(DictStore):
    """Counts the items that are read."""

    read = 0

    async def scan(self, where: Where, **how: Any) -> list[Record]:
        found = await super().scan(where, **how)
        self.read += len(found) if where.kind == "item" else 0
        return found


def test_a_search_reads_no_more_than_it_shows() -> None:
    counting = Counting()
    with Memory(store=counting, background=False) as memory:
        store = LongTermMemoryStore(memory)
        store.batch([PutOp(("docs", f"{n % 2}"), str(n), {"n": n, "even": n % 2 == 0}) for n in range(100)])
        counting.read = 0
        assert len(store.search(("docs",), filter={"even": True, "n": {"$gte": 50}}, limit=5)) == 5
        assert len(store.search(("docs", "1"), limit=5, offset=3)) == 5
        assert counting.read == 5 + 8
        assert store.list_namespaces(prefix=("other",)) == []
        assert counting.read == 5 + 8


@pytest.mark.parametrize("name", ["a b", "a'", "a) OR (1=1", ""])
def test_33_a_hostile_name_in_a_filter_is_refused_even_where_nothing_is_stored(
    store: LongTermMemoryStore, name: str
) -> None:
    with pytest.raises(ValueError, match="Invalid filter key"):
        store.search(("nothing",), filter={name: 1})


def _plain(results: Sequence[Any]) -> list[Any]:
    return [_shown(result) if result is not None else None for result in results]


def _shown(item: Any) -> Any:
    return item.namespace, item.key, sorted(item.value.items())


def test_an_item_is_about_the_user_of_the_run_or_of_the_namespace(held: Memory) -> None:
    def about(namespace: tuple[str, ...]) -> str | None:
        return LongTermMemoryStore.id_of(namespace[1]) if namespace[0] == "users" else None

    store = LongTermMemoryStore(held, subject_of=about)
    store.put(("users", store.label("ana@example.com")), "key", {})
    store.put(("docs",), "key", {})

    @tool
    def note(text: str, runtime: ToolRuntime) -> str:
        """Write something down."""
        assert runtime.store is not None
        runtime.store.put(("notes",), "key", {"text": text})
        return "Done."

    agent: Any = create_agent(Scripted(replies=[call("note", text="Hi.")]), [note], store=store)
    agent.invoke(said("Hi."), run(user_id="ben"))
    held.facts.add("pet", "Rex", scope_id="ana@example.com")
    subjects = held.as_async().runtime.home.wait(held.as_async().runtime.run(_subjects(held)))
    assert {"user:ana@example.com", "user:ben", "global:"} == set(subjects)


async def _subjects(memory: Memory) -> list[str]:
    return [subject.name for subject in await memory.runtime.store.subjects()]


def test_36_facts_learned_by_the_middleware_are_seen_live(held: Memory, store: LongTermMemoryStore) -> None:
    create_agent(Scripted(), middleware=[LongTermMemoryMiddleware(held)]).invoke(
        said("set pet Rex"), run(user_id="ana@example.com")
    )
    held.flush()
    mine = ("ltm", "user", store.label("ana@example.com"))
    (found,) = store.search(mine, query="pet")
    assert (found.key, found.value["value"]) == ("pet", "Rex")
    assert found.score is not None
    store.put(mine, "motto", {"content": "Onward!"})
    assert held.facts.get("motto", scope_id="ana@example.com").text == "Onward!"  # type: ignore[union-attr]
    assert store.get(mine, "motto").value["content"] == "Onward!"  # type: ignore[union-attr]
    assert [item.key for item in store.search(mine, filter={"value": "Rex"})] == ["pet"]
    store.delete(mine, "pet")
    assert held.facts.get("pet", scope_id="ana@example.com") is None
    assert store.search(("ltm", "user", store.label("ben"))) == []
    with pytest.raises(ValueError, match="shows no facts"):
        store.search(("ltm", "user"))


@pytest.mark.parametrize("way", ["forget", "store", "tool"])
def test_36_what_is_deleted_in_one_place_is_gone_in_all(held: Memory, store: LongTermMemoryStore, way: str) -> None:
    who = run("t", user_id="ana@example.com")
    mine = ("ltm", "user", store.label("ana@example.com"))
    model = Scripted()
    agent: Any = create_agent(model, middleware=[LongTermMemoryMiddleware(held)], checkpointer=InMemorySaver())
    agent.invoke(said("set pet Rexford"), who)
    held.flush()
    _, recall, forget = create_memory_tools(held)
    retriever = LongTermMemoryRetriever(memory=held)

    def everywhere() -> list[str]:
        """What each slot knows of the pet."""
        agent.invoke(said("Which pet?"), run("u", user_id="ana@example.com"))
        return [
            model.prompts[-1],
            repr(store.search(mine, query="pet")),
            repr(store.search(mine)),
            repr(store.get(mine, "pet")),
            recall.invoke({"query": "pet"}, who),
            create_search_memory_tool(held).invoke({"query": "pet"}, who),
            repr(retriever.invoke("pet", who)),
            memory_context(held).invoke("pet", who),
        ]

    assert ["Rexford" in text for text in everywhere()] == [True] * 8
    if way == "forget":
        held.forget("pet", user_id="ana@example.com")
    elif way == "store":
        store.delete(mine, "pet")
    else:
        forget.invoke({"key": "pet"}, who)
    assert [text for text in everywhere() if "Rexford" in text] == []


async def test_37_a_cancelled_call_leaves_the_store_usable(store: LongTermMemoryStore) -> None:
    for work in (store.aput(("docs",), "key", {"text": "a"}), store.asearch(("docs",), query="a")):
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.aput(("docs",), "other", {"text": "b"})
    assert await store.aget(("docs",), "other") is not None


def test_28_two_loops_and_many_threads_use_one_store(store: LongTermMemoryStore) -> None:
    asyncio.run(store.aput(("docs",), "key", {"n": 0}))
    assert asyncio.run(store.aget(("docs",), "key")) is not None
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: store.put(("docs", str(n % 4)), f"{n}", {"n": n}), range(64)))
    assert len(store.search(("docs",), limit=100)) == 65


def test_a_store_may_have_a_memory_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    with LongTermMemoryStore.from_conn_string(url) as store:
        store.setup()
        store.put(("docs",), "key", {"n": 1})

    async def reopened() -> Any:
        async with LongTermMemoryStore.afrom_conn_string(url) as store:
            return await store.aget(("docs",), "key")

    assert asyncio.run(reopened()).value == {"n": 1}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_35_langmems_tools_work_on_it(held: Memory, store: LongTermMemoryStore, mode: str) -> None:
    langmem = pytest.importorskip("langmem", reason="langmem is not installed: pip install langmem")
    namespace = ("memories", "{langgraph_user_id}")
    tools = [langmem.create_manage_memory_tool(namespace), langmem.create_search_memory_tool(namespace)]
    config = run(langgraph_user_id=store.label("ana@example.com"))

    def told_by(reply: Any) -> Any:
        agent: Any = create_agent(Scripted(replies=[reply]), tools, store=store)
        if mode == "async":
            return asyncio.run(agent.ainvoke(said("Hi."), config))["messages"][2].content
        return agent.invoke(said("Hi."), config)["messages"][2].content

    created = told_by(call("manage_memory", content="I am vegan.", action="create"))
    key = created.split()[-1]
    assert "vegan" in told_by(call("search_memory", query="diet"))
    told_by(call("manage_memory", content="I am vegetarian.", action="update", id=key))
    assert "vegetarian" in told_by(call("search_memory", query="diet"))
    told_by(call("manage_memory", action="delete", id=key))
    assert "vegetarian" not in told_by(call("search_memory", query="diet"))
