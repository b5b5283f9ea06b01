"""An agent that decides itself what to remember: memory tools.

python examples/langchain_tools.py
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_model import calls, chat_model

from ltm_core import Memory
from ltm_langchain import create_memory_tools


def main() -> None:
    with Memory("memory://") as memory:
        model = chat_model(
            calls("remember", content="I am vegan."),
            "I'll remember that.",
            calls("recall", query="diet"),
            "Lentil soup!",
        )
        agent: Any = create_agent(model, create_memory_tools(memory))
        for text in ("Remember that I am vegan.", "What shall I cook?"):
            config = {"configurable": {"user_id": "sarah@example.com"}}
            for message in agent.invoke({"messages": [("user", text)]}, config)["messages"]:
                print(f"{message.type:5} {message.text or [call['name'] for call in message.tool_calls]}")


if __name__ == "__main__":
    main()
