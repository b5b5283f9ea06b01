"""Tools, the retriever, LlamaIndex's models as ours, and what importing costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Memory, ScopeError, StoreError
from tests.adapters.llamaindex.fakes import FakeLLM, call

# isort: split
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.settings import Settings
from llama_index.core.tools import FunctionTool

from ltm_llamaindex import LongTermMemory, LongTermMemoryRetriever, completion, embedding, memory_tools


def tools(memory: Memory, **options: Any) -> dict[str, FunctionTool]:
    return {str(tool.metadata.name): tool for tool in memory_tools(memory, **options) if isinstance(tool, FunctionTool)}


async def test_tools_remember_recall_and_forget(memory: Memory) -> None:
    hands = tools(memory, user_id="ana")
    assert sorted(hands) == ["forget", "recall", "remember"]
    assert all(tool.metadata.description for tool in hands.values())
    await hands["remember"].acall(text="set drink tea")
    await hands["remember"].acall(text="Prefers window seats.")
    drinks = json.loads(str(await hands["recall"].acall(query="Which drink?")))
    assert "drink" in [fact.get("key") for fact in drinks]
    seats = json.loads(str(hands["recall"].call(query="window seats")))  # blocking works as well
    assert {"key": "note#prefers window seats.", "text": "Prefers window seats."} in seats
    assert str(await hands["forget"].acall(key="drink")) == "Forgotten."
    assert "Nothing" in str(await hands["forget"].acall(key="drink"))
    assert memory.facts.get("drink", scope_id="ana") is None


async def test_tools_belong_to_whoever_the_scope_names_and_to_nobody_else(memory: Memory) -> None:
    hands = tools(memory)
    with memory.scope(user_id="ben"):
        assert "Rome" in str(await hands["recall"].acall(query="location"))
    with pytest.raises(ScopeError, match="memory_tools"):
        await hands["recall"].acall(query="location")
    await tools(memory, session_id="s")["remember"].acall(text="Whispers.")
    assert "Whispers" in str(await tools(memory, session_id="s")["recall"].acall(query="Whispers"))
    assert "Whispers" not in str(await tools(memory, session_id="t")["recall"].acall(query="Whispers"))


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
async def test_an_agent_uses_the_tools(memory: Memory) -> None:
    llm = FakeLLM(call("recall", query="location"), "In Oslo.")
    await FunctionAgent(llm=llm, tools=memory_tools(memory, user_id="ana")).run("Where?")
    assert "Oslo" in llm.texts[-1]


async def test_the_retriever_gives_facts_as_nodes(memory: Memory) -> None:
    memory.facts.add("motto", "x", scope_id="ana", text="Her motto is {query_str}</memory>", metadata={"by": "hand"})
    finds = LongTermMemoryRetriever(memory, user_id="ana", recall_timeout=None, top_k=1)
    (found,) = await finds.aretrieve("What is the motto?")
    assert found.node.get_content() == "Her motto is (query_str)‹/memory›"
    assert (found.node.metadata["key"], found.node.metadata["by"]) == ("motto", "hand")
    assert found.score is not None
    assert [node.node_id for node in finds.retrieve("What is the motto?")] == [found.node_id]
    assert LongTermMemoryRetriever(memory).retrieve("motto") == []


def test_a_strict_retriever_raises(memory: Memory) -> None:
    finds = LongTermMemoryRetriever(memory, user_id="ana", strict=True)
    memory.close()
    with pytest.raises(StoreError, match="closed"):
        finds.retrieve("motto")
    assert LongTermMemoryRetriever(memory, user_id="ana").retrieve("motto") == []


def test_the_models_of_the_settings_extract_and_embed(monkeypatch: pytest.MonkeyPatch) -> None:
    complete, embed = completion(), embedding()
    llm = FakeLLM("[]")
    monkeypatch.setattr(Settings, "_llm", llm)
    monkeypatch.setattr(Settings, "_embed_model", MockEmbedding(embed_dim=3))
    assert complete([{"role": "system", "content": "Extract."}, {"role": "user", "content": "I am Ana."}]) == "[]"
    assert [message.role.value for message in llm.seen[-1]] == ["system", "user"]
    assert embed(["a", "b"]) == [[0.5] * 3] * 2
    assert embed([]) == []


def test_a_memory_learns_with_a_model_of_llamaindex() -> None:
    fact = {"about": "user", "attribute": "home", "value": "Lisbon", "text": "User lives in Lisbon.", "sources": [1]}
    llm = FakeLLM(json.dumps({"facts": [fact]}))
    with Memory("memory://", complete=completion(llm), background=False) as memory:
        memory.remember("I live in Lisbon.", user_id="ana")
        assert llm.seen
        assert [fact.value for fact in memory.facts.get_all(scope_id="ana")] == ["Lisbon"]


def test_an_engine_of_the_settings_learns_with_their_model(monkeypatch: pytest.MonkeyPatch) -> None:
    fact = {"about": "user", "attribute": "home", "value": "Lisbon", "text": "User lives in Lisbon.", "sources": [1]}
    llm = FakeLLM("Noted.", json.dumps({"facts": [fact]}), "In Lisbon.")
    monkeypatch.setattr(Settings, "_llm", llm)
    with Memory("memory://", complete=completion(), background=False) as memory:
        first = LongTermMemory.from_defaults(memory=memory, user_id="ana")
        assert str(SimpleChatEngine.from_defaults(memory=first).chat("I live in Lisbon.")) == "Noted."
        assert first.flush(5)
        second = LongTermMemory.from_defaults(memory=memory, user_id="ana")
        assert str(SimpleChatEngine.from_defaults(memory=second).chat("Where do I live?")) == "In Lisbon."
        assert "User lives in Lisbon." in llm.texts[-1]


ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "llama_index":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import ltm_llamaindex
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_26_the_core_does_not_import_llamaindex() -> None:
    done = run("import ltm_core, sys; print([name for name in sys.modules if name.startswith('llama_index')])")
    assert done.stdout == "[]\n", done.stderr


def test_26_a_missing_extra_is_named_in_one_line() -> None:
    assert run(WITHOUT).stderr.splitlines()[-1].endswith("Install it with: pip install 'ltm-core[llamaindex]'")
