"""A long-term memory for LlamaIndex: recalled into chat engines and agents, learned from every turn.

>>> from ltm_core import Memory
>>> from ltm_llamaindex import LongTermMemory
>>> core = Memory("sqlite:///memory.db")  # doctest: +SKIP
>>> memory = LongTermMemory.from_defaults(memory=core, user_id="ana", session_id="thread-1")  # doctest: +SKIP
>>> SimpleChatEngine.from_defaults(llm=llm, memory=memory).chat("I moved to Lisbon.")  # doctest: +SKIP
"""

from __future__ import annotations

from ltm_core import MissingExtra

try:
    import llama_index.core  # noqa: F401 # only to say what is missing
except ModuleNotFoundError as error:
    raise MissingExtra("LlamaIndex", "llamaindex") from error

from .block import LongTermMemoryBlock
from .chat_store import LongTermChatStore
from .learning_store import LearningChatStore
from .memory import LongTermMemory
from .models import completion, embedding
from .retriever import LongTermMemoryRetriever
from .tools import memory_tools

__all__ = [
    "LearningChatStore",
    "LongTermChatStore",
    "LongTermMemory",
    "LongTermMemoryBlock",
    "LongTermMemoryRetriever",
    "completion",
    "embedding",
    "memory_tools",
]
