"""LlamaIndex's models as those of a memory: `Memory(complete=completion(), …)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.settings import Settings


def completion(llm: LLM | None = None, **options: Any) -> Callable[[Sequence[dict[str, Any]]], str]:
    """A model that extracts facts: `llm` or, without one, what `Settings.llm` is when it is asked.

    `options` are handed to each call of `llm.chat`.
    """

    def complete(messages: Sequence[dict[str, Any]]) -> str:
        asked = [ChatMessage(role=message["role"], content=message["content"]) for message in messages]
        return (llm or Settings.llm).chat(asked, **options).message.content or ""

    return complete


def embedding(embed_model: BaseEmbedding | None = None) -> Callable[[Sequence[str]], list[list[float]]]:
    """A model that turns texts into vectors: `embed_model` or, without one, `Settings.embed_model` when asked."""

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return (embed_model or Settings.embed_model).get_text_embedding_batch(list(texts))

    return embed
