"""The checkpointer: LangGraph's own conformance tests, real graphs, and whose the state of a thread is."""

from __future__ import annotations

import asyncio
import operator
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from ltm_core import InvalidInput, Memory, ScopeError
from ltm_langchain import LongTermCheckpointer, LongTermMemoryMiddleware
from tests.adapters.langchain.models import Scripted

BASE, EXTENDED = 58, 23


@pytest.fixture
def memory(url: str) -> Iterator[Memory]:
    with Memory(url, background=False) as memory:
        yield memory


@pytest.fixture
def saver(memory: Memory) -> LongTermCheckpointer:
    return LongTermCheckpointer(memory)


class Reversing:
    """A cipher that hides nothing."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "reversing", plaintext[::-1]

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "reversing"
        return ciphertext[::-1]


class State(TypedDict):
    done: Annotated[list[str], operator.add]


@dataclass
class Context:
    user_id: str


def config(thread_id: str = "t", **configurable: Any) -> Any:
    return {"configurable": {"thread_id": thread_id, **configurable}}


def steps(saver: LongTermCheckpointer, *names: str) -> Any:
    """A graph that does its nodes one after the other."""
    builder: Any = StateGraph(State, context_schema=Context)
    for name, before in zip(names, (START, *names), strict=False):
        builder.add_node(name, lambda _, name=name: {"done": [name]})
        builder.add_edge(before, name)
    return builder.compile(checkpointer=saver)


# Their own tests


async def test_the_conformance_tests_of_langgraph_pass_in_full(memory: Memory) -> None:
    if find_spec("langgraph.checkpoint.conformance") is None:
        wanted = os.environ.get("LTM_REQUIRE_LANGCHAIN") == "1" and os.environ.get("LTM_FLOORS") != "1"
        message = "Install it with: pip install langgraph-checkpoint-conformance"
        pytest.fail(message) if wanted else pytest.skip(message)

    async def ours() -> AsyncIterator[LongTermCheckpointer]:
        yield LongTermCheckpointer(memory)

    conformance: Any = import_module("langgraph.checkpoint.conformance")
    report = await conformance.validate(conformance.checkpointer_test(name="LongTermCheckpointer")(ours))
    report.print_report()
    assert [failure for result in report.results.values() for failure in result.failures or ()] == []
    assert report.passed_all_base()
    assert report.passed_all()
    assert sum(result.tests_passed or 0 for result in report.results.values()) >= BASE + EXTENDED


# Real graphs

ASKING = textwrap.dedent("""
    import operator, sys
    from typing import Annotated, TypedDict

    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt

    from ltm_core import Memory
    from ltm_langchain import LongTermCheckpointer

    class State(TypedDict):
        done: Annotated[list[str], operator.add]

    def ask(state):
        return {"done": [f"heard {interrupt('Which way?')}"]}

    with Memory(sys.argv[1], background=False) as memory:
        builder = StateGraph(State)
        builder.add_node("pack", lambda state: {"done": ["packed"]})
        builder.add_node("ask", ask)
        builder.add_node("go", lambda state: {"done": ["gone"]})
        for one, other in ((START, "pack"), ("pack", "ask"), ("ask", "go"), ("go", END)):
            builder.add_edge(one, other)
        graph = builder.compile(checkpointer=LongTermCheckpointer(memory))
        config = {"configurable": {"thread_id": "trip", "user_id": "ana"}}
        given = Command(resume=sys.argv[2]) if len(sys.argv) > 2 else {"done": ["set out"]}
        found = graph.invoke(given, config)
        print([one.value for one in found.get("__interrupt__", ())], found["done"], graph.get_state(config).next)
""")


def _process(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", ASKING, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_interrupt_is_resumed_by_another_process(url: str) -> None:
    if url == "memory://":
        pytest.skip("A dict is of one process.")
    assert _process(url) == "['Which way?'] ['set out', 'packed'] ('ask',)"
    assert _process(url, "north") == "[] ['set out', 'packed', 'heard north', 'gone'] ()"
    with Memory(url, background=False) as memory:
        assert [session.id for session in memory.sessions.list("ana")] == ["trip"]
        assert memory.checkpoints.delete_user("ana") > 0
        assert LongTermCheckpointer(memory).get_tuple(config("trip")) is None


def test_a_thread_can_be_gone_on_with_from_any_point_of_its_past(saver: LongTermCheckpointer) -> None:
    graph = steps(saver, "a", "b", "c")
    graph.invoke({"done": ["go"]}, config())
    history = list(graph.get_state_history(config()))
    assert [state.values["done"] for state in history[:-1]] == [
        ["go", "a", "b", "c"],
        ["go", "a", "b"],
        ["go", "a"],
        ["go"],
    ]
    past = next(state for state in history if state.next == ("b",))
    forked = graph.update_state(past.config, {"done": ["else"]})
    assert graph.invoke(None, forked)["done"] == ["go", "a", "else", "b", "c"]
    assert graph.get_state(config()).values["done"] == ["go", "a", "else", "b", "c"]
    assert graph.get_state(past.config).values["done"] == ["go", "a"]
    assert len(list(graph.get_state_history(config()))) == len(history) + 3
    assert len(list(graph.get_state_history(config(), limit=2))) == 2


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_subgraphs_keep_their_own_state_and_resume(saver: LongTermCheckpointer, durability: Any) -> None:
    inner: Any = StateGraph(State)
    inner.add_node("first", lambda _: {"done": ["first"]})
    inner.add_node("ask", lambda _: {"done": [interrupt("Go on?")]})
    inner.add_edge(START, "first")
    inner.add_edge("first", "ask")
    outer: Any = StateGraph(State)
    outer.add_node("inner", inner.compile())
    outer.add_node("after", lambda _: {"done": ["after"]})
    outer.add_edge(START, "inner")
    outer.add_edge("inner", "after")
    graph = outer.compile(checkpointer=saver)

    async def go_on() -> None:
        stopped = await graph.ainvoke({"done": ["go"]}, config(user_id="ana"), durability=durability)
        assert [one.value for one in stopped["__interrupt__"]] == ["Go on?"]
        state = await graph.aget_state(config(), subgraphs=True)
        assert state.tasks[0].state.values["done"] == ["go", "first"]
        namespaces = {found.config["configurable"]["checkpoint_ns"] async for found in saver.alist(config())}
        assert len(namespaces) == 2
        ended = await graph.ainvoke(Command(resume="yes"), config(), durability=durability)
        assert ended["done"][-2:] == ["yes", "after"]
        await saver.aprune(["t"])
        assert len([found async for found in saver.alist(config())]) == 2
        assert (await graph.aget_state(config())).values == ended

    asyncio.run(go_on())


def test_what_side_by_side_tasks_have_written_is_not_done_again(saver: LongTermCheckpointer) -> None:
    done, broken = list[str](), {"b"}

    async def work(given: str) -> dict[str, list[str]]:
        if given in broken:
            raise ConnectionError(given)
        done.append(given)
        return {"done": [given]}

    builder: Any = StateGraph(State)
    builder.add_node("work", work)
    builder.add_conditional_edges(START, lambda _: [Send("work", name) for name in "abc"], ["work"])
    builder.add_edge("work", END)
    graph = builder.compile(checkpointer=saver)

    async def go_on() -> None:
        with pytest.raises(ConnectionError):
            await graph.ainvoke({"done": []}, config(), durability="sync")
        first = sorted(done)
        broken.clear()
        assert (await graph.ainvoke(None, config(), durability="sync"))["done"] == ["a", "b", "c"]
        assert sorted(done) == ["a", "b", "c"]
        assert "b" not in first

    asyncio.run(go_on())


def test_an_agent_goes_on_with_its_conversation(memory: Memory, saver: LongTermCheckpointer) -> None:
    model = Scripted(replies=["Hello.", "You said hi."])
    agent: Any = create_agent(
        model, middleware=[LongTermMemoryMiddleware(memory)], checkpointer=saver, context_schema=Context
    )
    agent.invoke({"messages": [("user", "Hi.")]}, config(), context=Context("ana"))
    again: Any = create_agent(
        model, middleware=[LongTermMemoryMiddleware(memory)], checkpointer=saver, context_schema=Context
    )
    found = again.invoke({"messages": [("user", "What did I say?")]}, config(), context=Context("ana"))
    assert [message.text for message in found["messages"]] == ["Hi.", "Hello.", "What did I say?", "You said hi."]
    assert [(session.id, session.message_count) for session in memory.sessions.list("ana")] == [("t", 4)]
    with pytest.raises(ScopeError):
        again.invoke({"messages": [("user", "Hi.")]}, config(), context=Context("ben"))


# Whose it is


def test_erasing_a_user_reaches_the_threads_of_that_user_only(memory: Memory, saver: LongTermCheckpointer) -> None:
    graph = steps(saver, "a")
    graph.invoke({"done": ["by config"]}, config("one", user_id="ana"))
    graph.invoke({"done": ["by context"]}, config("two"), context=Context("ana"))
    graph.invoke({"done": ["other"]}, config("three", user_id="ben"))
    graph.invoke({"done": ["nobody"]}, config("four"))
    found = {one.config["configurable"]["thread_id"] for one in saver.list({"configurable": {"user_id": "ana"}})}
    assert found == {"one", "two"}
    assert memory.checkpoints.delete_user("ana") == 6
    left = [graph.get_state(config(thread)).values for thread in ("one", "two", "three", "four")]
    assert left == [{}, {}, {"done": ["other", "a"]}, {"done": ["nobody", "a"]}]
    assert len(list(saver.list(None))) == 6


def test_another_users_thread_is_neither_read_nor_written(saver: LongTermCheckpointer) -> None:
    graph = steps(saver, "a")
    graph.invoke({"done": []}, config(user_id="ana"))
    for attempt in (
        lambda: graph.invoke({"done": []}, config(user_id="ben")),
        lambda: graph.get_state(config(user_id="ben")),
        lambda: list(saver.list(config(user_id="ben"))),
        lambda: saver.put(config(user_id="ben", checkpoint_ns=""), empty_checkpoint(), {}, {}),
    ):
        with pytest.raises(ScopeError, match="belongs to another user"):
            attempt()
    assert graph.get_state(config()).values == {"done": ["a"]}


def test_a_thread_of_nobody_becomes_its_first_users_whoever_names_them(
    memory: Memory, saver: LongTermCheckpointer
) -> None:
    graph = steps(saver, "a")
    graph.invoke({"done": []}, config("one"))
    graph.invoke({"done": []}, config("two"))
    memory.sessions.add_message("one", "Hello.", "ana")
    graph.invoke({"done": []}, config("two", user_id="ana"))
    assert memory.checkpoints.delete_user("ana") == 3 + 6
    assert list(saver.list(None)) == []
    assert [message.text for message in memory.sessions.get_messages("one")] == ["Hello."]


def test_a_copy_is_the_same_users(memory: Memory, saver: LongTermCheckpointer) -> None:
    steps(saver, "a").invoke({"done": []}, config("one", user_id="ana"))
    saver.copy_thread("one", "two")
    assert memory.checkpoints.delete_user("ana") == 6
    assert list(saver.list(None)) == []


# What is kept


def test_metadata_are_filtered_as_they_are(saver: LongTermCheckpointer) -> None:
    graph = steps(saver, "a", "b")
    graph.invoke({"done": []}, {**config(), "metadata": {'odd "name".x': "it's", "flag": True, "size": 1}})
    every = list(saver.list(config()))
    for wanted, count in (
        ({'odd "name".x': "it's"}, len(every)),
        ({"source": "loop", "flag": True}, len(every) - 1),
        ({"size": 1.0}, len(every)),
        ({"step": 1}, 1),
        ({"parents": {}}, len(every)),
        ({"parents": {"x": "y"}}, 0),
        ({"absent": None}, len(every)),
        ({"absent": 1}, 0),
    ):
        assert len(list(saver.list(config(), filter=wanted))) == count, wanted
    assert len(list(saver.list(config(), filter={"parents": {}}, limit=2))) == 2
    assert list(saver.list(config(), limit=0)) == []
    newest, *older = every
    assert list(saver.list(config(), before=newest.config)) == older


def test_any_value_that_langgraph_can_write_comes_back(memory: Memory) -> None:
    saver = LongTermCheckpointer(memory, serde=EncryptedSerializer(Reversing()))
    value = {"bytes": b"\0\xff", "set": {3}, "text": "ü\0"}
    stored = saver.put(
        config(checkpoint_ns=""), {**empty_checkpoint(), "channel_values": value}, {"source": "input"}, {}
    )
    found = saver.get_tuple(stored)
    assert found is not None
    assert found.checkpoint["channel_values"] == value
    plain = LongTermCheckpointer(memory, serde=JsonPlusSerializer())
    with pytest.raises(NotImplementedError, match="reversing"):
        plain.get_tuple(stored)


def test_long_threads_are_read_page_by_page(saver: LongTermCheckpointer) -> None:
    stored = config(checkpoint_ns="")
    for number in range(70):
        stored = saver.put(stored, empty_checkpoint(), {"step": number}, {})
        saver.put_writes(stored, [("done", number)], "task", "path")
    found = list(saver.list(config()))
    assert [one.metadata["step"] for one in found] == list(range(69, -1, -1))
    assert [[value for _, _, value in one.pending_writes or ()] for one in found] == [[n] for n in range(69, -1, -1)]
    saver.delete_thread("t")
    assert list(saver.list(config())) == []


def test_a_checkpointer_has_a_database_of_its_own_where_it_is_given_a_url(tmp_path: Path) -> None:
    with LongTermCheckpointer.from_conn_string(f"sqlite:///{tmp_path}/state.db") as saver:
        saver.setup()
        steps(saver, "a").invoke({"done": []}, config())
    with LongTermCheckpointer.from_conn_string(f"sqlite:///{tmp_path}/state.db") as saver:
        assert steps(saver, "a").get_state(config()).values == {"done": ["a"]}


def test_what_cannot_be_done_is_said_with_a_remedy(saver: LongTermCheckpointer) -> None:
    with pytest.raises(InvalidInput, match="needs a thread"):
        saver.get_tuple({"configurable": {}})
    with pytest.raises(InvalidInput, match="Pass the config that put"):
        saver.put_writes(config(), [("a", 1)], "task")
    with pytest.raises(InvalidInput, match="no strategy 'all'"):
        saver.prune(["t"], strategy="all")


def test_the_state_of_a_session_that_is_over_is_gone(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    url = f"sqlite:///{tmp_path}/memory.db"
    with Memory(url, background=False, session_ttl=60, clock=lambda: now[0]) as memory:
        saver = LongTermCheckpointer(memory)
        graph = steps(saver, "a")
        graph.invoke({"done": []}, config("old", user_id="ana"))
        graph.invoke({"done": []}, config("used", user_id="ana"))
        now[0] += timedelta(seconds=50)
        graph.invoke({"done": []}, config("used", user_id="ana"))
        now[0] += timedelta(seconds=20)
        assert graph.get_state(config("old")).values == {}
        assert graph.get_state(config("used")).values == {"done": ["a", "a"]}
        assert memory.sessions.sweep() == 1
        assert len(list(saver.list({"configurable": {"user_id": "ana"}}))) == 6
        graph.invoke({"done": []}, config("old", user_id="ben"))
