"""What is remembered, as a variable of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from ltm_core import AsyncMemory, InvalidInput, Memory

from .faces import apart, async_face, tolerance, wait
from .messages import last_said
from .middleware import Recalling
from .people import Ids, People, Who

_NAMES = ("input", "question", "query", "messages", "text")


def memory_context(
    memory: Memory | AsyncMemory,
    *,
    input_key: str | None = None,
    user_id: Who = None,
    session_id: Who = None,
    agent_id: Who = None,
    user_id_key: str = "user_id",
    strict: bool = False,
    **recalling: Unpack[Recalling],
) -> Runnable[Any, str]:
    """A runnable that gives what is remembered about its input, as text for a prompt; nothing is learned.

    Put it in front of a prompt with a variable of that name:
    `RunnablePassthrough.assign(memory=memory_context(memory)) | prompt | model`. The user comes from the run, as in
    `LongTermMemoryMiddleware`; where nobody is named the text is empty. `recalling` are the options of `memory.recall`.
    """
    people, inner = People(user_id, session_id, agent_id, user_id_key), async_face(memory)

    async def text(who: Ids, value: Any) -> str:
        return (await inner.recall(_query(value, input_key), **who, **recalling)).text

    def recall(value: Any, config: RunnableConfig) -> str:
        with tolerance(inner, "recall", strict=strict):
            return wait(inner, text(people.find(config=config), value))
        return ""

    async def arecall(value: Any, config: RunnableConfig) -> str:
        with tolerance(inner, "recall", strict=strict):
            who = people.find(config=config)
            with apart():
                return await text(who, value)
        return ""

    return RunnableLambda(recall, arecall, name="memory_context")


def _query(value: Any, key: str | None) -> str:
    if isinstance(value, Mapping):
        names = _NAMES if key is None else (key,)
        value = next((value[name] for name in names if name in value), None)
    if isinstance(value, PromptValue):
        value = value.to_messages()
    if isinstance(value, BaseMessage):
        value = [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(str(message.text) for message in last_said([m for m in value if isinstance(m, BaseMessage)]))
    if isinstance(value, str):
        return value
    raise InvalidInput("There is nothing to recall for. Name the input with input_key=.")
