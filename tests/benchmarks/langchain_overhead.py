"""What the middleware adds to an agent with an instant model, beside one bare `recall` and two bare `observe`.

python tests/benchmarks/langchain_overhead.py [URL]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from ltm_core import Memory
from ltm_langchain import LongTermMemoryMiddleware

TIMES = 200


class Instant(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Fine."))])


class Node(AgentMiddleware[Any, Any, Any]):
    """One bare extra node, which the framework charges for, and not we."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request)

    def after_agent(self, state: Any, runtime: Any) -> None:
        return None


def p50(*calls: Callable[[int], object]) -> list[float]:
    """The median time of each call in milliseconds, measured in turns so that a busy machine slows all alike."""
    took: list[list[float]] = [[] for _ in calls]
    for number in range(TIMES):
        for times, call in zip(took, calls, strict=True):
            start = time.perf_counter()
            call(number)
            times.append(time.perf_counter() - start)
    return [statistics.median(times) * 1000 for times in took]


def main(url: str = "memory://") -> None:
    """Measure, and print the ratio."""
    with Memory(url, background=False) as memory:

        def agent(*middleware: Any) -> Callable[[int], object]:
            made: Any = create_agent(Instant(), middleware=middleware)

            def ask(number: int) -> object:
                config = {"configurable": {"user_id": f"asks-{number}"}}
                return made.invoke({"messages": [("user", f"Which fact is number {number}?")]}, config)

            return ask

        def bare(number: int) -> None:
            user, asked = f"bare-{number}", f"Which fact is number {number}?"
            memory.recall(asked, user_id=user)
            memory.observe({"role": "user", "content": asked}, user_id=user, turn_id="1")
            memory.observe({"role": "assistant", "content": "Fine."}, user_id=user, turn_id="1")

        without, with_memory, verbs = p50(agent(Node()), agent(LongTermMemoryMiddleware(memory)), bare)
        added = with_memory - without
        print(f"bare node {without:.2f} ms, with memory {with_memory:.2f} ms, verbs {verbs:.2f} ms")  # noqa: T201
        print(f"added {added:.2f} ms: {added / verbs:.2f} of the bare verbs")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
