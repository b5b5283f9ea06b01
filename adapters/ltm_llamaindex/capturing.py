"""Who captures which session, so that no second layer learns the same turns."""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakKeyDictionary

from ltm_core import AsyncMemory

MOST_SESSIONS = 10_000

_CAPTURED: WeakKeyDictionary[AsyncMemory, OrderedDict[str, None]] = WeakKeyDictionary()


def capture(memory: AsyncMemory, session_id: str) -> None:
    """Note that every turn of a session is learned as it is told."""
    sessions = _CAPTURED.setdefault(memory, OrderedDict())
    sessions[session_id] = None
    sessions.move_to_end(session_id)
    while len(sessions) > MOST_SESSIONS:
        sessions.popitem(last=False)


def is_captured(memory: AsyncMemory, session_id: str | None) -> bool:
    """Whether that was noted."""
    return session_id in _CAPTURED.get(memory, ())
