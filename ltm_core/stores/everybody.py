"""Everybody who has anything in a store, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..scope import Scope
from .base import Store

PAGE = 100


async def everybody(store: Store, size: int = PAGE) -> AsyncIterator[Scope]:
    """The subjects of all tenants, `size` to a query."""
    page = await store.subjects(limit=size)
    while page:
        for subject in page:
            yield subject
        page = await store.subjects(after=page[-1], limit=size)
