"""A store that can be read and not written."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StoreError
from ..base import Where, Write
from .base import Wrapper

_REFUSED = (
    "This store is read-only. Write through the store inside it, or leave ReadOnly out; "
    "a memory that only reads takes background=False."
)


class ReadOnly(Wrapper):
    """Passes reads on and refuses writes with `StoreError`. Opening may still bring the schema up to date.

    A memory on it recalls; with `background=False` it also leaves alone what waits to be learned.
    """

    async def apply(self, writes: Sequence[Write]) -> None:
        """Refuse. Nothing to write is no write."""
        if writes:
            raise StoreError(_REFUSED)

    async def purge(self, where: Where) -> int:
        """Refuse."""
        raise StoreError(_REFUSED)
