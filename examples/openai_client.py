"""A memory around a client of the OpenAI API, streamed and not: no line of the calls changes.

    python examples/openai_client.py

Runs offline: a small server on this machine speaks the protocol. To use a real one, give the client its address and
your key. Needs the package `openai`.
"""

from __future__ import annotations

from typing import Any

from openai import OpenAI

from ltm_core import Memory
from ltm_core.testing.fakes import FakeOpenAI


def answer(request: dict[str, Any]) -> str:
    """What the model on this machine says: what it was told of the user, in one line."""
    system = next((message["content"] for message in request["messages"] if message["role"] == "system"), "")
    facts = [line.removeprefix("- ") for line in system.splitlines() if line.startswith("- ")]
    return " ".join(facts) or "Nice to meet you!"


def main() -> None:
    with FakeOpenAI(answer) as server, Memory("memory://") as memory:
        client = OpenAI(base_url=server.url, api_key="none")
        create: Any = memory.wrap(client.chat.completions.create)  # of overloads, only the last is kept

        with memory.scope(user_id="sarah", session_id="monday"):
            said = "I live in Lisbon and I prefer dark mode."
            reply = create(model="any", messages=[{"role": "user", "content": said}])
            print("sarah:", said, "\nmodel:", reply.choices[0].message.content)
        memory.flush()

        with memory.scope(user_id="sarah", session_id="friday"):
            stream = create(model="any", messages=[{"role": "user", "content": "What do you know of me?"}], stream=True)
            print("\nsarah: What do you know of me?\nmodel: ", end="")
            for chunk in stream:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
            print()


if __name__ == "__main__":
    main()
