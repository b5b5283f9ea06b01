"""A model is two callables: `Complete` answers messages, `Embed` turns texts into vectors. No client lives here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Complete = Callable[[Sequence[dict[str, Any]]], str | Awaitable[str]]
"""Takes role messages (`[{"role": "system", "content": …}, …]`), gives the text of the answer; sync or async."""

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]] | Awaitable[Sequence[Sequence[float]]]]
"""Takes texts, gives one vector for each; sync or async."""
