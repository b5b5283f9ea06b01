"""Maintenance strategies by their names, with their parameters: `prune:max_tokens=2000`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..errors import ConfigurationError, InvalidInput
from ..knowledge.lifecycle import lifetime
from ..policies import MaintenanceStrategy
from .archive import Archive
from .decay import Decay
from .deduplicate import Deduplicate
from .merge import Merge
from .prune import Prune
from .summarise import Summarise

__all__ = [
    "EVERY",
    "STRATEGIES",
    "USUAL",
    "Archive",
    "Decay",
    "Deduplicate",
    "Merge",
    "Prune",
    "Summarise",
    "period_of",
    "strategies_of",
]

USUAL = ("deduplicate", "merge", "decay", "archive")
EVERY = timedelta(days=1)

STRATEGIES: Mapping[str, type[Any]] = {
    "deduplicate": Deduplicate,
    "merge": Merge,
    "summarise": Summarise,
    "prune": Prune,
    "decay": Decay,
    "archive": Archive,
}
_ALSO = {"summarize": "summarise", "prioritise": "prune", "prioritize": "prune"}


def strategies_of(given: Iterable[str | MaintenanceStrategy]) -> Sequence[MaintenanceStrategy]:
    """Strategies as callers write them: by name or as objects. Raises `ConfigurationError` for what is none."""
    if isinstance(given, str):
        raise ConfigurationError(f"strategies={given!r} is one text. Pass a list, such as [{given!r}].")
    return [_named(one) if isinstance(one, str) else _checked(one) for one in given]


def period_of(given: timedelta | float) -> timedelta:
    """How often to maintain. Raises `ConfigurationError` for what is no time."""
    try:
        return lifetime(given, "maintain_every")
    except InvalidInput as error:
        raise ConfigurationError(str(error)) from error


def _named(text: str) -> MaintenanceStrategy:
    name, _, parameters = text.partition(":")
    chosen = STRATEGIES.get(_ALSO.get(name, name))
    if chosen is None:
        raise ConfigurationError(f"There is no strategy {name!r}. Use one of {', '.join(STRATEGIES)}, or an object.")
    try:
        strategy: MaintenanceStrategy = chosen(**dict(map(_parameter, filter(None, parameters.split(",")))))
    except TypeError as error:
        known = ", ".join(sorted(set(chosen.__dataclass_fields__) - {"name"}))
        raise ConfigurationError(f"{text!r} names no parameter of {name!r}. It has: {known or 'none'}.") from error
    return strategy


def _parameter(text: str) -> tuple[str, float | int]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), int(value) if value.strip().isdecimal() else float(value)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no parameter. Write name=number, as in prune:max_tokens=2000; times are in seconds."
        ) from error


def _checked(given: MaintenanceStrategy) -> MaintenanceStrategy:
    if not (isinstance(getattr(given, "name", None), str) and callable(getattr(given, "maintain", None))):
        raise ConfigurationError(
            f"A {type(given).__name__} is no strategy. Pass a name, or an object with a name and an async maintain()."
        )
    return given
