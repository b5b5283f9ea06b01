"""The retriever and the prompt variable."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_tests.integration_tests import RetrieversIntegrationTests

from ltm_core import Memory, StoreUnavailable
from ltm_langchain import LongTermMemoryRetriever, memory_context
from tests.adapters.langchain.models import Scripted, run


def test_documents_carry_what_is_known_of_a_fact(memory: Memory) -> None:
    memory.facts.add("pet", "Rex", scope_id="ana", tags=["home"], metadata={"source": "form"}, text="Rex is a dog.")
    (document,) = LongTermMemoryRetriever(memory=memory, user_id="ana", k=1).invoke("Who is the dog?")
    assert document.page_content == "Rex is a dog."
    assert document.id == memory.facts.get("pet", scope_id="ana").id  # type: ignore[union-attr]
    assert {"key": "pet", "value": "Rex", "scope": "user", "tags": ["home"], "source": "form"}.items() <= (
        document.metadata.items()
    )
    assert document.metadata["score"] is not None


def test_the_user_comes_from_the_call_the_config_or_a_configurable_field(memory: Memory) -> None:
    retriever = LongTermMemoryRetriever(memory=memory)
    field: Any = retriever.configurable_fields(user_id=ConfigurableField(id="who"))
    chain: Any = RunnablePassthrough() | retriever
    for documents in (
        retriever.invoke("Where?", user_id="ana"),
        retriever.invoke("Where?", run(user_id="ana")),
        field.invoke("Where?", run(who="ana")),
        chain.invoke("Where?", run(user_id="ana")),
    ):
        assert ["Oslo" in document.page_content for document in documents] == [True]


async def test_async_calls_find_the_same(memory: Memory) -> None:
    found = await LongTermMemoryRetriever(memory=memory).ainvoke("Where?", run(user_id="ana"))
    assert ["Oslo" in document.page_content for document in found] == [True]


def test_messages_are_found_too_if_asked_for(memory: Memory) -> None:
    memory.observe("The gate is green.", user_id="ana", session_id="t")
    retriever = LongTermMemoryRetriever(memory=memory, user_id="ana", session_id="t", include=("messages",))
    assert [document.page_content for document in retriever.invoke("gate")] == ["The gate is green."]


def test_nobody_finds_nothing_and_is_warned_of_once(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    retriever = LongTermMemoryRetriever(memory=memory)
    with caplog.at_level(logging.WARNING):
        for config in (None, run("t"), run("t", user_id="")):
            assert retriever.invoke("Where?", config) == []
    assert len(caplog.records) == 1


def test_a_memory_that_fails_finds_nothing_unless_strict() -> None:
    def broken(_: Any) -> Any:
        raise StoreUnavailable("The disk is on fire. Put it out.")

    with Memory("memory://", render=broken, background=False) as memory:
        assert LongTermMemoryRetriever(memory=memory, user_id="ana").invoke("Where?") == []
        assert memory_context(memory, user_id="ana").invoke("Where?") == ""
        with pytest.raises(StoreUnavailable):
            LongTermMemoryRetriever(memory=memory, user_id="ana", strict=True).invoke("Where?")
        with pytest.raises(StoreUnavailable):
            memory_context(memory, user_id="ana", strict=True).invoke("Where?")


@pytest.mark.parametrize("value", ["Where?", {"input": "Where?"}, {"question": "Where?"}, [HumanMessage("Where?")]])
def test_a_chain_gets_what_is_known_as_a_variable(memory: Memory, value: Any) -> None:
    assert "Oslo" in memory_context(memory).invoke(value, run(user_id="ana"))


def test_07_braces_in_a_fact_are_no_variables_of_the_prompt(memory: Memory) -> None:
    memory.facts.add("motto", "{curly}", scope_id="ana", text="The motto is {curly}.")
    model = Scripted()
    _chain(memory, model).invoke({"input": "What is my motto?"}, run(user_id="ana"))
    assert "motto is" in model.prompts[0]


async def test_async_chains_get_the_same_variable(memory: Memory) -> None:
    model = Scripted()
    await _chain(memory, model).ainvoke({"input": "Where am I?"}, run(user_id="ana"))
    assert "Oslo" in model.prompts[0]


def _chain(memory: Memory, model: Scripted) -> Any:
    prompt = ChatPromptTemplate.from_messages([("system", "Known: {memory}"), ("human", "{input}")])
    return RunnablePassthrough.assign(memory=memory_context(memory)) | prompt | model


def test_without_a_user_the_variable_is_empty(memory: Memory) -> None:
    assert memory_context(memory).invoke("Where?", run("t")) == ""


class Test38Standard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[LongTermMemoryRetriever]:
        return LongTermMemoryRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        memory = Memory("memory://", background=False)
        for number in range(5):
            memory.facts.add(f"gate{number}", number, scope_id="ana", text=f"Gate {number} is green.")
        return {"memory": memory, "user_id": "ana"}

    @property
    def retriever_query_example(self) -> str:
        return "Which gate is green?"
