"""How a memory is wired to a callable: everything that `with_memory` and `inject_memory` may be told."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ConfigurationError
from ..turn import RECALL_BUDGET_MS, Turn
from .durable import Durable
from .output import Output
from .people import People
from .signatures import Parameters
from .sources import Source

Input = str | Callable[..., Any]
Hook = Callable[[Turn], Any]

INJECTIONS = ("system", "prepend", "none")
KEYWORD = "kwarg:"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What to take from a call, where to put what is remembered, and what to do afterwards."""

    source: Source
    people: People = field(default_factory=People)
    input: Input | None = None
    output: Output | None = None
    inject: str | None = "system"
    learn: bool = True
    recall_budget_ms: float | None = RECALL_BUDGET_MS
    on_partial: Literal["skip", "learn"] = "skip"
    strict: bool = False
    pre: Hook | None = None
    post: Hook | None = None
    durable: Durable | None = None

    def __post_init__(self) -> None:
        if self.inject not in (None, *INJECTIONS) and not self.keyword:
            ways = "'system', 'prepend', 'kwarg:NAME' or 'none'"
            raise ConfigurationError(f"inject={self.inject!r} is unknown. Use {ways}.")
        if self.on_partial not in ("skip", "learn"):
            raise ConfigurationError(f"on_partial={self.on_partial!r} is unknown. Use 'skip' or 'learn'.")
        if self.recall_budget_ms is not None and not self.recall_budget_ms > 0:
            raise ConfigurationError("recall_budget_ms must be more than 0 milliseconds. Pass None for no bound.")

    @property
    def keyword(self) -> str:
        """The argument that takes the memories, if one does."""
        inject = self.inject or ""
        return inject.removeprefix(KEYWORD) if inject.startswith(KEYWORD) else ""

    def check(self, parameters: Parameters, *, awaits: bool) -> None:
        """Refuse early what could never work with a callable of these parameters."""
        if self.keyword and not parameters.take(self.keyword):
            raise ConfigurationError(f"The function takes no {self.keyword!r}. Add the parameter or inject otherwise.")
        if isinstance(self.input, str) and not parameters.take(self.input):
            raise ConfigurationError(f"The function takes no {self.input!r}. Name one of its parameters as input=.")
        if not awaits and any(map(inspect.iscoroutinefunction, (self.pre, self.post))):
            raise ConfigurationError("A function without await cannot wait for an async hook. Pass a plain function.")
