"""A memory around a plain function: told in one conversation, known in the next.

    python examples/plain_function.py

Needs nothing but ltm-core. `agent` stands for yours: whatever takes a prompt and gives an answer.
"""

from __future__ import annotations

from ltm_core import Memory
from ltm_middleware import with_memory

memory = Memory("memory://")  # "sqlite:///agent.db" outlives the process


@with_memory(memory)
def agent(prompt: str, user_id: str) -> str:
    """An agent that answers with the line it was given that has most words of the question."""
    *known, question = prompt.splitlines()
    words = set(question.lower().strip("?").split())
    facts = [line.removeprefix("- ") for line in known if line.startswith("- ")]
    return max(facts, key=lambda fact: len(words & set(fact.lower().strip(".").split())), default="I do not know.")


def main() -> None:
    for told in ("My name is Sarah and I live in Lisbon.", "I love hiking."):
        agent(told, user_id="sarah")
    memory.flush()  # learning happens in the background; a script waits for it, a server never does

    for user_id in ("sarah", "tom"):
        question = "User lives in which city?"
        print(f"{user_id}: {question}\nagent: {agent(question, user_id=user_id)}\n")

    with memory.turn("What do I love?", user_id="sarah") as turn:  # the same by hand, for loops of your own
        print(turn.prompt())
        turn.answer("Hiking.")
    memory.close()


if __name__ == "__main__":
    main()
