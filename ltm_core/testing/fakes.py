"""Fakes that behave: a scripted model, an embedder of hashes, a clock by hand. Deterministic, offline, for your tests.

`FakeOpenAI`, a real HTTP server, is imported from here too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import UsageError
from .hash_embedder import HashEmbedder
from .openai_server import Fail, FakeOpenAI, Garbage, HangUp

__all__ = ["Clock", "Fail", "FakeOpenAI", "Garbage", "HangUp", "HashEmbedder", "ScriptedModel"]

Conversation = list[dict[str, Any]]


class ScriptedModel:
    """A `Complete` that answers from a script: a list of replies, or a function of the messages.

    An exception in the list is raised in its turn. `calls` holds what was asked, oldest first.

    >>> model = ScriptedModel(['{"facts": []}'])
    >>> model([{"role": "user", "content": "hi"}]), len(model.calls)
    ('{"facts": []}', 1)
    """

    def __init__(self, replies: Sequence[str | Exception] | Callable[[Conversation], str] = ()) -> None:
        self._answer = replies if callable(replies) else None
        self._left = deque(() if callable(replies) else replies)
        self.calls: list[Conversation] = []

    def __call__(self, messages: Sequence[dict[str, Any]]) -> str:
        """The next reply. Raises `UsageError` when the script is used up."""
        self.calls.append(list(messages))
        if self._answer:
            return self._answer(list(messages))
        if not self._left:
            raise UsageError(f"The script has no reply for call {len(self.calls)}. Give ScriptedModel more replies.")
        reply = self._left.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply


class Clock:
    """A clock by hand: it stands still until it is told.

    >>> clock = Clock()
    >>> clock.advance(hours=1).isoformat()
    '2025-01-01T01:00:00+00:00'
    """

    def __init__(self, start: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def advance(self, **units: float) -> datetime:
        """Move on by `units` as `timedelta` names them: days, hours, seconds, …; negative ones move back."""
        self.now += timedelta(**units)
        return self.now
