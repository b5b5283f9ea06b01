"""A graph with a store: items of your own, tools of ours, and the facts of a user live among them.

python examples/langchain_graph.py
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_model import calls, chat_model

from ltm_core import Memory
from ltm_langchain import LongTermMemoryStore, create_memory_tools


@tool
def save_recipe(name: str, runtime: ToolRuntime) -> str:
    """Save a recipe."""
    assert runtime.store is not None
    runtime.store.put(("recipes",), name, {"name": name})
    return "Saved."


def main() -> None:
    with Memory("memory://") as memory:
        store = LongTermMemoryStore(memory)
        model = chat_model(calls("remember", content="I am vegan."), calls("save_recipe", name="Lentil soup"), "Done!")
        agent: Any = create_agent(model, [save_recipe, *create_memory_tools(memory)], store=store)
        config = {"configurable": {"user_id": "sarah@example.com"}}
        agent.invoke({"messages": [("user", "I'm vegan. Save a lentil soup.")]}, config)
        print("items:", [item.value for item in store.search(("recipes",))])
        facts = store.search(("ltm", "user", store.label("sarah@example.com")), query="diet")
        print("facts:", [item.value["content"] for item in facts])


if __name__ == "__main__":
    main()
