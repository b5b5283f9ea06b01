"""A memory for any callable: decorators for agents of every make, and an ASGI middleware for servers."""

from __future__ import annotations

from ltm_core import failures, inject_memory, with_memory

from .asgi import MemoryASGI

__all__ = ["MemoryASGI", "failures", "inject_memory", "with_memory"]
