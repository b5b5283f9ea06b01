"""A pytest plugin that puts our classes in the place of LlamaIndex's own ones, before its tests are collected.

LTM_SWAP says which: see `SWAPS`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import llama_index.core.agent.workflow
import llama_index.core.chat_engine.multi_modal_condense_plus_context
import llama_index.core.chat_engine.multi_modal_context  # noqa: F401 # replaced in, as all that is imported
from llama_index.core.chat_engine import CondenseQuestionChatEngine, SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.memory import Memory as StockMemory
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

import ltm_core
from ltm_llamaindex import LearningChatStore, LongTermChatStore, LongTermMemory, LongTermMemoryBlock


def core() -> ltm_core.Memory:
    """An empty memory that learns in the background."""
    return ltm_core.Memory("memory://")


class StockForBuffer(StockMemory):
    """LlamaIndex's `Memory` with the constructor of its `ChatMemoryBuffer`."""

    @classmethod
    def from_defaults(cls, llm: Any = None, **options: Any) -> StockMemory:  # type: ignore[override]
        return super().from_defaults(**options)


class OurMemory(LongTermMemory):
    """Ours with the constructors of `Memory` and `ChatMemoryBuffer`."""

    def __init__(self, **fields: Any) -> None:
        blocks = list(fields.pop("memory_blocks", ()))
        if not any(isinstance(block, LongTermMemoryBlock) for block in blocks):
            blocks.insert(0, LongTermMemoryBlock(core(), user_id="upstream"))
        super().__init__(memory_blocks=blocks, **fields)

    @classmethod
    def from_defaults(cls, llm: Any = None, **options: Any) -> LongTermMemory:  # type: ignore[override]
        return super().from_defaults(memory=core(), user_id="upstream", **options)


class OurMemoryAndHistory(OurMemory):
    """The same with the history in our database."""

    @classmethod
    def from_defaults(cls, llm: Any = None, **options: Any) -> LongTermMemory:  # type: ignore[override]
        memory = core()
        store = LongTermChatStore(memory, user_id="upstream")
        return LongTermMemory.from_defaults(memory=memory, user_id="upstream", chat_store=store, **options)


class OurLearningStore(LearningChatStore):
    """Ours around a `SQLAlchemyChatStore`, with the constructor and the attributes of that."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(SQLAlchemyChatStore(**fields), core(), user_id="upstream")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError:
            return getattr(self.inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        known = name in type(self).__private_attributes__
        setattr(self.inner, name, value) if not known else super().__setattr__(name, value)

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return self.inner.model_dump()

    @classmethod
    def model_validate(cls, obj: Any, **_: Any) -> Any:
        return cls(**obj)


class OurStore(LongTermChatStore):
    """Ours with the constructor of `SQLAlchemyChatStore`."""

    def __init__(self, **_: Any) -> None:
        super().__init__(core(), user_id="upstream")


def replace(stock: type, ours: type) -> None:
    """Let every module of LlamaIndex, and the defaults of its engines, mean ours."""
    for module in [one for name, one in sys.modules.items() if name.startswith("llama_index.")]:
        for name, value in list(vars(module).items()):
            if value is stock:
                setattr(module, name, ours)
    engines: list[Any] = [SimpleChatEngine, CondenseQuestionChatEngine]
    for engine in engines:
        function = engine.from_defaults.__func__
        function.__defaults__ = tuple(ours if value is stock else value for value in function.__defaults__ or ())


def everywhere(ours: type) -> None:
    """Let it stand for the old buffer too, which agents and engines of today have where none is passed."""
    replace(StockMemory, ours)
    replace(ChatMemoryBuffer, ours)


SWAPS: dict[str, Callable[[], None]] = {
    "stock": lambda: None,
    "stock for the buffer": lambda: replace(ChatMemoryBuffer, StockForBuffer),
    "memory": lambda: replace(StockMemory, OurMemory),
    "memory for the buffer": lambda: everywhere(OurMemory),
    "memory and history": lambda: everywhere(OurMemoryAndHistory),
    "learning store": lambda: replace(SQLAlchemyChatStore, OurLearningStore),
    "own store": lambda: replace(SQLAlchemyChatStore, OurStore),
}
SWAPS[os.environ.get("LTM_SWAP", "stock")]()
