"""LlamaIndex's `Memory` with a long-term memory in it: recalls for every question, learns from every turn."""

from __future__ import annotations

import logging
from typing import Any, Literal
from uuid import uuid4
from weakref import WeakValueDictionary

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.memory import BaseMemoryBlock, InsertMethod, Memory
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

import ltm_core
from ltm_core import AsyncMemory, ConfigurationError, ScopeError

from .binding import Resolver, async_memory
from .block import Kept, LongTermMemoryBlock, Texts, keeping
from .capturing import capture
from .chat_store import turn_id_in
from .learning_store import LearningChatStore
from .line import Line
from .messages import Turns, text_of
from .restoring import address, chat_store_of, dumped, memory_at, offer, register
from .serialising import HOW, read, written

Learn = Literal["every_turn", "flush", "off"]

log = logging.getLogger("ltm_llamaindex")


class LongTermMemory(Memory):
    """A `Memory` for chat engines and agents that remembers the user across conversations.

    What matters is recalled for each question and put where the model sees it: before the question where that is part
    of the history already, else into a system message, unless `insert_method` says where. Each turn is learned once,
    in the background, when its answer is put. It may be copied, pickled and kept in a workflow's `Context`: in this
    process it stays the same object, in the next it is rebuilt.
    """

    _block: LongTermMemoryBlock | None = PrivateAttr(default=None)
    _learn: Learn = PrivateAttr(default="every_turn")
    _places_itself: bool = PrivateAttr(default=True)
    _live_key: str = PrivateAttr(default_factory=lambda: uuid4().hex)
    _turns: Turns = PrivateAttr(default_factory=Turns)
    _kept: Texts = PrivateAttr(default_factory=dict)
    _line: Line = PrivateAttr(default_factory=Line)

    def model_post_init(self, context: Any, /) -> None:
        """Find our block among those that were passed. Raises `ConfigurationError` where there is none."""
        super().model_post_init(context)
        self._block = next((one for one in self.memory_blocks if isinstance(one, LongTermMemoryBlock)), None)
        self._places_itself = "insert_method" not in self.model_fields_set
        register(self.core)
        _LIVE[self._live_key] = self

    @classmethod
    def from_defaults(  # type: ignore[override] # all by name
        cls,
        *,
        memory: ltm_core.Memory | AsyncMemory | None = None,
        user_id: str | int | None = None,
        session_id: str | None = None,
        agent_id: str | int | None = None,
        scope_resolver: Resolver | None = None,
        block: LongTermMemoryBlock | dict[str, Any] | None = None,
        learn: Learn = "every_turn",
        memory_blocks: list[BaseMemoryBlock[Any]] | None = None,
        insert_method: InsertMethod | None = None,
        chat_history: list[ChatMessage] | None = None,
        **options: Any,
    ) -> LongTermMemory:
        """A memory for one conversation.

        Args:
            memory: A `Memory` or `AsyncMemory` of ltm_core; one for the whole application.
            user_id, agent_id: Whose memory it is; else `memory.scope` or `scope_resolver` says so.
            session_id: The conversation; a new one unless you name it. It belongs to its first user.
            block: A `LongTermMemoryBlock` of your own, or fields for one.
            learn: From `every_turn`; on `flush` only from what no longer fits the history; `off`.
            memory_blocks: Other blocks, beside ours.
            insert_method: Where all blocks go; without it, where the model sees them.
            chat_history: Messages to begin with, in place of those that are there.
            options: As for our block: `top_k`, `token_budget`, `strict`, …; and as for LlamaIndex's
                `Memory.from_defaults`: `chat_store`, `async_database_uri`, `token_limit`, ….

        Raises `ConfigurationError` without a memory.
        """
        who = {"user_id": user_id, "agent_id": agent_id, "scope_resolver": scope_resolver}
        named = {name: one for name, one in who.items() if one is not None}
        how = {name: options.pop(name) for name in HOW if name in options}
        ours = _block_of(block, memory, {**named, **how, "learn": "flush" if learn == "flush" else "off"})
        made = super().from_defaults(
            session_id=session_id or None,
            memory_blocks=[ours, *(memory_blocks or ())],
            insert_method=insert_method or InsertMethod.SYSTEM,
            **options,
        )
        assert isinstance(made, LongTermMemory)  # LlamaIndex makes a `cls` and calls it a Memory
        made._learn, made._places_itself = learn, insert_method is None
        if chat_history is not None:  # set here, so that a question at its end is known to be open
            made.set(chat_history)
        made._captures()
        return made

    @classmethod
    def restore_with(cls, memory: ltm_core.Memory | AsyncMemory, chat_store: AsyncDBChatStore | None = None) -> None:
        """Let those that are restored from now on use these, where they do not find their own by themselves."""
        offer(async_memory(memory), chat_store)

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class."""
        return "LongTermMemory"

    @property
    def core(self) -> AsyncMemory:
        """The memory of ltm_core behind it."""
        return self.block.binding.memory

    @property
    def block(self) -> LongTermMemoryBlock:
        """The block that recalls."""
        if self._block is None:
            raise ConfigurationError("This LongTermMemory has no memory. Make it with LongTermMemory.from_defaults.")
        return self._block

    async def aget(self, input: str | ChatMessage | None = None, **block_kwargs: Any) -> list[ChatMessage]:  # noqa: A002
        """The history, with what is remembered in it.

        Recalled for is `input` or else what the user said last, if that is not answered yet: once, however often the
        history is got. Behind an answer the same memories stay, and nothing new is looked for.
        """
        query = text_of(input) if isinstance(input, ChatMessage) else input
        with keeping(self._kept_for(query)):
            return await Memory.aget(self._placing(query), input=query, **block_kwargs)

    async def aput(self, message: ChatMessage) -> None:
        """Add a message; with an answer to what the user said, the turn is learned."""
        self._captures()
        async with self._line.place():
            await super().aput(message)
        await self._told([message])

    async def aput_messages(self, messages: list[ChatMessage]) -> None:
        """Add messages, and learn the turns that they complete."""
        self._captures()
        async with self._line.place():
            await super().aput_messages(messages)
        await self._told(messages)

    async def aset(self, messages: list[ChatMessage]) -> None:
        """Replace the history. It is old: nothing is learned from it."""
        async with self._line.place():
            await super().aset(messages)
        self._kept.clear()
        self._turns.replace(messages)

    async def areset(self, status: MessageStatus | None = None) -> None:
        """Forget the history. What was learned from it stays: see `forget_user`."""
        async with self._line.place():
            await super().areset(status)
        self._kept.clear()
        self._turns.replace([])

    async def aflush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 # as ltm_core's own
        """Learn all that waits, for at most `timeout` seconds. True if nothing is left waiting."""
        return await self.core.flush(timeout)

    def flush(self, timeout: float | None = None) -> bool:
        """The same as `aflush`, blocking."""
        return self.core.runtime.home.wait(self.aflush(timeout))

    async def aforget_user(self) -> int:
        """Forget all facts of the user, and what was told and is not learned yet; returns how many facts.

        Raises `ScopeError` where no user is known. The history of this conversation stays: see `reset`.
        """
        binding = self.block.binding
        user_id = binding.turn("", self.session_id).who.user_id
        if user_id is None:
            raise ScopeError("No user is known here. Pass user_id= to from_defaults, or call inside memory.scope(…).")
        for job in await self.core.jobs.list(status="waiting", user_id=user_id):
            await self.core.jobs.drop(job.id)
        self._kept.clear()
        return await self.core.forget({"importance": {"gte": 0.0}}, user_id=user_id, namespace=binding.namespace)

    def forget_user(self) -> int:
        """The same as `aforget_user`, blocking."""
        return self.core.runtime.home.wait(self.aforget_user())

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """What it takes to be found again in this process and rebuilt in another."""
        return {
            "class_name": self.class_name(),
            "live_key": self._live_key,
            "memory": address(self.core),
            "chat_store": dumped(self.sql_store),
            "options": written(self, self.block),
            "insert_method": None if self._places_itself else self.insert_method.value,
            "learn": self._learn,
            "said": self._turns.said,
            "other_blocks": [one.name for one in self.memory_blocks if one is not self._block],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> LongTermMemory:
        """The object that was written, if it lives; else another one over the same memory and history.

        Raises `ConfigurationError` where the memory or the chat store must be opened by you: see `restore_with`.
        """
        data = {**data, **kwargs}
        return _LIVE.get(data["live_key"]) or cls._rebuilt(data)

    def __reduce__(self) -> tuple[Any, ...]:
        # LlamaIndex's own way takes out of the living object whatever cannot be pickled.
        return type(self).from_dict, (self.to_dict(),)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LongTermMemory:
        """Itself: a memory has one life, however often what holds it is copied."""
        return self

    @classmethod
    def _rebuilt(cls, data: dict[str, Any]) -> LongTermMemory:
        memory = memory_at(data["memory"])
        if data["other_blocks"]:
            log.warning("Restored without the blocks %s. Add them to memory_blocks again.", data["other_blocks"])
        made = cls.from_defaults(
            memory=memory,
            chat_store=chat_store_of(data["chat_store"], memory),
            insert_method=InsertMethod(data["insert_method"]) if data["insert_method"] else None,
            learn=data["learn"],
            **read(data["options"]),
        )
        made._turns = Turns(data["said"])
        made._live_key = data["live_key"]
        _LIVE[made._live_key] = made
        return made

    def _captures(self) -> None:
        if self._learn == "every_turn":
            capture(self.core, self.session_id)

    async def _told(self, messages: list[ChatMessage]) -> None:
        for told in list(self._turns.of(messages)):
            if self._learn == "every_turn" and not isinstance(self.sql_store, LearningChatStore):
                await self.block.binding.learn(told, self.session_id, turn_id_in(self.sql_store, told))
        if self._turns.said:
            self._kept.clear()

    def _kept_for(self, query: str | None) -> Kept | None:
        """What was recalled for the question that is open or was answered last; nothing for another one."""
        if query is None and not self._turns.said:
            return Kept(self._kept, complete=True)
        return Kept(self._kept) if self._is_open(query) else None

    def _placing(self, query: str | None) -> Memory:
        """This memory with the place for what is remembered: at the question, where the history holds it.

        A system message in front would be the wrong place there: a ReAct agent without a system prompt drops it.
        """
        if not self._places_itself:
            return self
        return self.model_copy(update={"insert_method": _place(self._is_open(query))})

    def _is_open(self, query: str | None) -> bool:
        """Whether the history ends with a question that is not answered yet, and it is this one."""
        return bool(self._turns.said) and query in (None, self._turns.said)


_LIVE: WeakValueDictionary[str, LongTermMemory] = WeakValueDictionary()


def _place(at_question: bool) -> InsertMethod:
    return InsertMethod.USER if at_question else InsertMethod.SYSTEM


def _block_of(
    block: LongTermMemoryBlock | dict[str, Any] | None,
    memory: ltm_core.Memory | AsyncMemory | None,
    fields: dict[str, Any],
) -> LongTermMemoryBlock:
    if isinstance(block, LongTermMemoryBlock):
        return block.model_copy(update=fields)
    return LongTermMemoryBlock(memory, **{**(block or {}), **fields})
