"""The memory of a chain."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from langchain_classic.base_memory import BaseMemory
from langchain_classic.memory.utils import get_prompt_input_key
from langchain_core.messages import BaseMessage, SystemMessage, get_buffer_string
from pydantic import Field, field_validator

from ltm_core import AsyncMemory, InvalidInput, Memory, Message
from ltm_langchain.faces import apart, async_face, tolerance, wait
from ltm_langchain.history import restored
from ltm_langchain.people import Ids, People


class LongTermMemory(BaseMemory):
    """The memory of `ConversationChain`, `AgentExecutor` and other chains. Legacy: LangChain removes them in 2.0.

    Before a run it gives what is remembered about the input and, where there is a session, its last messages; after
    it, the turn is learned. One object is for one user, unless `user_id` is a callable or comes with the run.

    Attributes:
        memory_key: The variable of the prompt.
        input_key, output_key: What of the inputs the user said and what of the outputs was answered, where there are
            several.
        return_messages: Give messages instead of text, for a `MessagesPlaceholder`.
        limit: Most facts.
        last_messages: Most messages of the session.
        max_tokens: Most tokens in all, in place of `last_messages`: what is remembered, the summary of the session, and
            as many of its last turns as there is room for (`memory.context`).
        strict: Raise what goes wrong with the memory, instead of logging it and going on without.
    """

    memory: Any = Field(exclude=True, repr=False)
    user_id: Any = None
    session_id: Any = None
    agent_id: Any = None
    user_id_key: str = "user_id"
    memory_key: str = "history"
    input_key: str | None = None
    output_key: str | None = None
    return_messages: bool = False
    limit: int | None = 10
    last_messages: int = 10
    max_tokens: int | None = None
    strict: bool = False

    @field_validator("memory")
    @classmethod
    def _async(cls, memory: Memory | AsyncMemory) -> AsyncMemory:
        return async_face(memory)

    @property
    def memory_variables(self) -> list[str]:
        """The variable that this gives."""
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What is remembered about the inputs."""
        with tolerance(self.memory, "recall", strict=self.strict):
            return wait(self.memory, self._load(self._who(), self._asked(inputs)))
        return self._given("", [])

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The same as `load_memory_variables`, without blocking the loop."""
        with tolerance(self.memory, "recall", strict=self.strict):
            who, asked = self._who(), self._asked(inputs)
            with apart():
                return await self._load(who, asked)
        return self._given("", [])

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Write the turn down; it is learned in the background."""
        with tolerance(self.memory, "learn", strict=self.strict):
            wait(self.memory, self._save(self._who(), self._asked(inputs), self._answered(outputs)))

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """The same as `save_context`, without blocking the loop."""
        with tolerance(self.memory, "learn", strict=self.strict):
            who, asked, answered = self._who(), self._asked(inputs), self._answered(outputs)
            with apart():
                await self._save(who, asked, answered)

    def clear(self) -> None:
        """Remove the messages of the session; what was learned stays."""
        wait(self.memory, self._clear(self._who()))

    async def aclear(self) -> None:
        """The same as `clear`, without blocking the loop."""
        await self._clear(self._who())

    def _who(self) -> Ids:
        return People(self.user_id, self.session_id, self.agent_id, self.user_id_key).find()

    def _asked(self, inputs: dict[str, Any]) -> str:
        key = self.input_key or get_prompt_input_key(inputs, self.memory_variables)
        return _text(inputs[key])

    def _answered(self, outputs: dict[str, Any]) -> str:
        key = self.output_key or (next(iter(outputs)) if len(outputs) == 1 else "output")
        if key not in outputs:
            raise InvalidInput(f"The outputs are {', '.join(outputs)}. Say with output_key= which of them to remember.")
        return _text(outputs[key])

    async def _load(self, who: Ids, query: str) -> dict[str, Any]:
        session = who["session_id"]
        if session and self.max_tokens is not None:
            return self._given("", await self._context(who, query, self.max_tokens))
        recalled = await self.memory.recall(query, **who, limit=self.limit, max_tokens=self.max_tokens)
        last = await self.memory.sessions.get_messages(session, self.last_messages) if session else []
        return self._given(recalled.text, list(map(restored, last)))

    async def _context(self, who: Ids, query: str, max_tokens: int) -> list[BaseMessage]:
        prompt = await self.memory.context(**who, query=query, limit=self.limit, max_tokens=max_tokens)
        return [restored(Message.of(one)) for one in prompt]

    def _given(self, text: str, messages: list[BaseMessage]) -> dict[str, Any]:
        if not self.return_messages:
            return {self.memory_key: text + get_buffer_string(messages)}
        return {self.memory_key: [*([SystemMessage(text)] if text else []), *messages]}

    async def _save(self, who: Ids, asked: str, answered: str) -> None:
        turn = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        # An id of its own says that this is new, even if the same words were said just before.
        await self.memory.observe(turn, **who, turn_id=uuid4().hex)

    async def _clear(self, who: Ids) -> None:
        if who["session_id"]:
            await self.memory.sessions.clear(who["session_id"])


def _text(said: Any) -> str:
    if isinstance(said, list) and said:
        return _text(said[-1])
    return str(said.text) if isinstance(said, BaseMessage) else str(said)
