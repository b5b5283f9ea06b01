"""Legacy: memory for chains, `AgentExecutor` and `RunnableWithMessageHistory`. LangChain removes these slots in 2.0.

New code takes `ltm_langchain.LongTermMemoryMiddleware`.
"""

from __future__ import annotations

from ltm_core import MissingExtra

try:
    import langchain_classic  # noqa: F401 # asked for here, so that one sentence says what is missing
except ModuleNotFoundError as error:
    raise MissingExtra("langchain-classic", "langchain-classic") from error

from ltm_langchain.history import HISTORY_CONFIG_SPECS, LongTermMemoryChatMessageHistory, get_history

from .memory import LongTermMemory

__all__ = ["HISTORY_CONFIG_SPECS", "LongTermMemory", "LongTermMemoryChatMessageHistory", "get_history"]
