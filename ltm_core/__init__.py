"""Long-term memory for AI agents: what people tell is learned in the background and recalled before an answer.

>>> from ltm_core import Memory
>>> with Memory("memory://") as memory:
...     ticket = memory.observe("My name is Sarah. I love hiking.", user_id="sarah")
...     memory.flush()
...     [fact.text for fact in memory.recall("What is her name?", user_id="sarah").facts][0]
True
'User is called Sarah.'
"""

from __future__ import annotations

from .checkpoints.runs import AsyncRun, Run
from .checkpoints.threads import Snapshot, TaskWrites
from .errors import (
    ConfigurationError,
    ConflictError,
    ExtractionError,
    InvalidInput,
    LTMError,
    MissingExtra,
    NotFound,
    QueueFull,
    SchemaError,
    ScopeError,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from .facts import PersistentFacts
from .memory import AsyncMemory
from .model import (
    Access,
    Candidate,
    Checkpoint,
    Fact,
    FactUpdate,
    JobInfo,
    LeftOut,
    Message,
    Recalled,
    Session,
    Usage,
)
from .providers.base import MemoryProvider
from .scope import Identity, MemoryScope, Scope
from .sync import Memory
from .ticket import Ticket
from .turn import Turn, failures
from .wrapping.decorators import inject_memory, with_memory

__all__ = [
    "Access",
    "AsyncMemory",
    "AsyncRun",
    "Candidate",
    "Checkpoint",
    "ConfigurationError",
    "ConflictError",
    "ExtractionError",
    "Fact",
    "FactUpdate",
    "Identity",
    "InvalidInput",
    "JobInfo",
    "LTMError",
    "LeftOut",
    "Memory",
    "MemoryProvider",
    "MemoryScope",
    "Message",
    "MissingExtra",
    "NotFound",
    "PersistentFacts",
    "QueueFull",
    "Recalled",
    "Run",
    "SchemaError",
    "Scope",
    "ScopeError",
    "Session",
    "Snapshot",
    "StoreError",
    "StoreUnavailable",
    "TaskWrites",
    "Ticket",
    "Turn",
    "Usage",
    "UsageError",
    "failures",
    "inject_memory",
    "with_memory",
]
