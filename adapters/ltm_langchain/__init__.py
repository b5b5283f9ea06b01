"""Long-term memory for LangChain and LangGraph: middleware, tools, retriever, prompts, store, checkpointer, history."""

from __future__ import annotations

from ltm_core import MissingExtra

try:
    import langchain.agents  # noqa: F401 # asked for here, so that one sentence says what is missing
    import langgraph.graph  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtra("LangChain", "langchain") from error

from .checkpointer import LongTermCheckpointer
from .context import memory_context
from .history import HISTORY_CONFIG_SPECS, get_history
from .middleware import LongTermMemoryMiddleware
from .retriever import LongTermMemoryRetriever
from .store import LongTermMemoryStore
from .tools import create_manage_memory_tool, create_memory_tools, create_search_memory_tool

__all__ = [
    "HISTORY_CONFIG_SPECS",
    "LongTermCheckpointer",
    "LongTermMemoryMiddleware",
    "LongTermMemoryRetriever",
    "LongTermMemoryStore",
    "create_manage_memory_tool",
    "create_memory_tools",
    "create_search_memory_tool",
    "get_history",
    "memory_context",
]
