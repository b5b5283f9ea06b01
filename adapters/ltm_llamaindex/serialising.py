"""What of a `LongTermMemory` is written down, as what `from_defaults` takes again."""

from __future__ import annotations

from typing import Any

from llama_index.core.memory import Memory
from llama_index.core.prompts import RichPromptTemplate

from .block import LongTermMemoryBlock

HOW = (
    "top_k",
    "token_budget",
    "strategy",
    "min_relevance",
    "namespace",
    "recall_timeout",
    "require_user",
    "strict",
    "summary",
)
_OF_BLOCK = ("name", "priority", "user_id", "agent_id", *HOW)
_OF_MEMORY = (
    "session_id",
    "token_limit",
    "token_flush_size",
    "chat_history_token_ratio",
    "image_token_size_estimate",
    "audio_token_size_estimate",
    "video_token_size_estimate",
)


def written(memory: Memory, block: LongTermMemoryBlock) -> dict[str, Any]:
    """The options of a memory as JSON. Callables are not written: they stay with the application."""
    fields = {name: getattr(block, name) for name in _OF_BLOCK}
    return {
        "block": {name: value for name, value in fields.items() if not callable(value)},
        "memory_blocks_template": memory.memory_blocks_template.template_str,
        **{name: getattr(memory, name) for name in _OF_MEMORY},
    }


def read(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were written."""
    return {**options, "memory_blocks_template": RichPromptTemplate(options["memory_blocks_template"])}
