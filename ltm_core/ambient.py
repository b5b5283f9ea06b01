"""Who is talking, carried by ContextVars through threads, tasks and event loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from .scope import Identity

LEARNING: ContextVar[bool] = ContextVar("ltm_learning", default=False)
"""True inside our own model calls, so that a wrapped model never learns from them."""

_NONE: Mapping[str, Mapping[str, str]] = MappingProxyType({})
_SCOPES: ContextVar[Mapping[str, Mapping[str, str]]] = ContextVar("ltm_scopes", default=_NONE)


@contextmanager
def scoped(memory: str, **ids: str | None) -> Iterator[None]:
    """Let calls to the memory of that name inside the block use `ids` where they name none. Blocks nest."""
    outer = _SCOPES.get()
    token = _SCOPES.set({**outer, memory: _completed(outer.get(memory, {}), ids)})
    try:
        yield
    finally:
        _SCOPES.reset(token)


def identity(memory: str, tenant: str, **ids: str | None) -> Identity:
    """The ids of a call, completed by those of the blocks around it."""
    named: dict[str, Any] = dict(_completed(_SCOPES.get().get(memory, {}), ids))
    return replace(Identity(tenant=tenant), **named)


def _completed(around: Mapping[str, str], ids: Mapping[str, str | None]) -> Mapping[str, str]:
    """`ids` over those around them; another user takes nothing over, least of all the session."""
    given = {name: value for name, value in ids.items() if value is not None}
    is_other = "user_id" in given and around.get("user_id", given["user_id"]) != given["user_id"]
    return given if is_other else {**around, **given}
