"""An agent that remembers: middleware for `create_agent`.

python examples/langchain_agent.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_model import chat_model
from langgraph.checkpoint.memory import InMemorySaver

from ltm_core import Memory
from ltm_langchain import LongTermMemoryMiddleware


@dataclass
class Context:
    user_id: str


def main() -> None:
    with Memory("memory://") as memory:
        agent: Any = create_agent(
            chat_model("Nice to meet you, Sarah!", "A walk in the hills around Lisbon?"),
            middleware=[LongTermMemoryMiddleware(memory)],  # keep it last
            checkpointer=InMemorySaver(),
            context_schema=Context,
        )

        def say(text: str, thread: str) -> None:
            config = {"configurable": {"thread_id": thread}}
            answer = agent.invoke({"messages": [("user", text)]}, config, context=Context("sarah@example.com"))
            print(f"Sarah: {text}\nAgent: {answer['messages'][-1].text}\n")

        say("Hi, I'm Sarah. I live in Lisbon and I love hiking.", thread="monday")
        memory.flush()  # for this script only: a server lets the worker learn in the background
        say("What shall I do this weekend?", thread="friday")


if __name__ == "__main__":
    main()
