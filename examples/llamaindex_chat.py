"""A chat engine that remembers from one conversation to the next.

python examples/llamaindex_chat.py
"""

from __future__ import annotations

from llama_index.core.chat_engine import SimpleChatEngine
from llamaindex_model import scripted

from ltm_core import Memory
from ltm_llamaindex import LongTermMemory


def main() -> None:
    with Memory("memory://") as core:
        model = scripted("Nice to meet you, Sarah!", "A walk in the hills around Lisbon?")

        def say(text: str, thread: str) -> None:
            memory = LongTermMemory.from_defaults(memory=core, user_id="sarah", session_id=thread)
            print(f"Sarah: {text}")
            print(f"Agent: {SimpleChatEngine.from_defaults(llm=model, memory=memory).chat(text)}\n")

        say("Hi, I'm Sarah. I live in Lisbon and I love hiking.", thread="monday")
        core.flush()  # for this script only: a server lets the worker learn in the background
        say("What shall I do this weekend?", thread="friday")


if __name__ == "__main__":
    main()
