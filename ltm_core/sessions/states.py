"""The state of sessions: a JSON object each, every version of it kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConflictError, InvalidInput
from ..knowledge.values import merge_patch
from ..learn.turns import STATE
from ..model import SessionState, valid_json
from ..runtime import Runtime
from ..scope import Scope, digest
from ..stores.again import again
from ..stores.base import Compare, Put, Record, Where


class States:
    """One record per version, so that a change is an insert that only one of two writers makes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def read(self, thread: Scope) -> SessionState:
        """The present state; empty and at version 0 where none was ever set."""
        found = await self._stored(thread, 1)
        return found[0] if found else SessionState(session_id=thread.id)

    async def versions(self, thread: Scope) -> list[SessionState]:
        """Every version, oldest first."""
        return (await self._stored(thread))[::-1]

    async def replace(self, thread: Scope, state: object, expected: int | None) -> SessionState:
        """Put `state` in the place of the present one."""
        return await self._change(thread, lambda _: state, expected)

    async def patch(self, thread: Scope, patch: object, expected: int | None) -> SessionState:
        """Change what a JSON merge patch (RFC 7396) names."""
        return await self._change(thread, lambda present: merge_patch(present, patch), expected)

    async def _change(
        self, thread: Scope, change: Callable[[dict[str, Any]], object], expected: int | None
    ) -> SessionState:
        async for attempt in again(30 if expected is None else 1):
            with attempt:
                present = await self.read(thread)
                if expected not in (None, present.version):
                    raise ConflictError(
                        f"The state of {thread.id!r} is at version {present.version}, not {expected}. "
                        "Read it again and retry."
                    )
                fresh = SessionState(
                    session_id=thread.id,
                    state=_object(change(present.state)),
                    version=present.version + 1,
                    updated_at=self._runtime.now(),
                )
                if fresh.state == present.state and present.version:
                    return present
                await self._runtime.store.apply([await self._put(thread, fresh)])
        return fresh

    async def _put(self, thread: Scope, state: SessionState) -> Put:
        fields = {
            "namespace": STATE,
            "key": thread.id,
            "step": state.version,
            "created_at": state.updated_at,
            "state": state.state,
        }
        made = digest(STATE, thread.token, str(state.version))
        return Put(Record("checkpoint", made, thread, await self._runtime.turns.subject(thread), 1, fields), expect=0)

    async def _stored(self, thread: Scope, limit: int | None = None) -> list[SessionState]:
        where = Where("checkpoint", (thread,), test=Compare("namespace", "eq", STATE))
        found = await self._runtime.store.scan(where, order=[("step", "desc")], limit=limit)
        return [
            SessionState(
                session_id=thread.id,
                state=record.fields["state"],
                version=record.fields["step"],
                updated_at=record.fields["created_at"],
            )
            for record in found
        ]


def _object(state: object) -> dict[str, Any]:
    if not isinstance(state, Mapping):
        raise InvalidInput(f"The state of a session is an object, not a {type(state).__name__}. Pass a dict.")
    checked: dict[str, Any] = valid_json(state)
    return checked
