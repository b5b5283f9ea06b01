"""Conversations: their messages, kept in order and read back as they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .ambient import identity
from .errors import InvalidInput
from .learn.turns import WAITING, Sent
from .model import Message
from .redaction import redacted
from .runtime import Runtime
from .scope import Scope, check_id
from .stores.base import Compare, Where


class Sessions:
    """The messages of conversations, by `session_id`.

    A session belongs to the first user who writes to it; another user's id on it raises `ScopeError`.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def add_message(
        self, session_id: str, message: Message | Mapping[str, Any] | str, user_id: str | None = None
    ) -> Message:
        """Append a message and return it as stored. Nothing is learned from it: that is what `observe` does."""
        who = identity(self._runtime.name, self._runtime.tenant, session_id=check_id(session_id, "session_id"),
                       user_id=user_id)  # fmt: skip
        told = redacted(Message.of(message), self._runtime.policies.redact)
        sent = Sent([told], who, self._runtime.now(), learn=False, aligned=False)
        written = await self._runtime.run(self._runtime.turns.write(sent))
        return written.messages[0]

    async def get_messages(self, session_id: str, limit: int | None = None) -> list[Message]:
        """The messages of a session, oldest first; with `limit`, the last ones."""
        if limit is not None and limit < 0:
            raise InvalidInput("limit cannot be negative. Pass None for all messages.")
        return await self._runtime.run(self._runtime.turns.messages(self._thread(session_id), limit))

    async def clear(self, session_id: str) -> int:
        """Remove the messages of a session for good, and what of it waits to be learned; returns how many messages.

        Facts that were learned from it stay: see `forget` and `facts.delete`.
        """
        return await self._runtime.run(self._clear(self._thread(session_id)))

    def _thread(self, session_id: str) -> Scope:
        return Scope.session(session_id, self._runtime.tenant)

    async def _clear(self, thread: Scope) -> int:
        store = self._runtime.store
        waiting = Where("job", (thread,), test=Compare("status", "eq", WAITING))
        await store.purge(waiting)
        return await store.purge(Where("message", (thread,)))
