"""langmem's own tools on our store: nothing of them is changed.

pip install langmem; python examples/langchain_langmem.py
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_model import calls, chat_model
from langmem import create_manage_memory_tool, create_search_memory_tool

from ltm_core import Memory
from ltm_langchain import LongTermMemoryStore


def main() -> None:
    with Memory("memory://") as memory:
        store = LongTermMemoryStore(memory)
        namespace = ("memories", "{langgraph_user_id}")
        model = chat_model(
            calls("manage_memory", content="Sarah is vegan.", action="create"),
            "Noted.",
            calls("search_memory", query="diet"),
            "Lentil soup!",
        )
        tools = [create_manage_memory_tool(namespace), create_search_memory_tool(namespace)]
        agent: Any = create_agent(model, tools, store=store)
        # An e-mail address holds a period, which no label may: label() takes care of it.
        config = {"configurable": {"langgraph_user_id": store.label("sarah@example.com")}}
        for text in ("Remember that I am vegan.", "What shall I cook?"):
            for message in agent.invoke({"messages": [("user", text)]}, config)["messages"]:
                print(f"{message.type:5} {message.text or [call['name'] for call in message.tool_calls]}")


if __name__ == "__main__":
    main()
