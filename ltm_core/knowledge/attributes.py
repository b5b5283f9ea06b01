"""What can be said of a person: the table `attributes.toml`, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

INSTRUCTION = "instruction"  # the type of facts that say how the user wants the assistant to work


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the table; its columns are explained at the head of the file."""

    name: str
    many: bool = False
    says: str = ""
    type: str = "fact"
    category: str | None = None
    importance: float = 0.5
    profile: bool = False
    words: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    means: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sentence(self, value: Any, item: str | None, about: str = "user") -> str:
        """The fact as a sentence.

        >>> attribute("location").sentence("Oslo", None, about="sister")
        "User's sister lives in Oslo."
        >>> attribute("note").sentence("Rex bites.", None)
        'User asked to remember: Rex bites.'
        """
        who = "User" if about == "user" else f"User's {about.replace('_', ' ')}"
        if not self.says:
            return _ended(f"{who}, {self.name.replace('_', ' ')}{f' ({item})' if item else ''}: {_plain(value)}")
        told = _plain(value)
        article = "an" if told[:1].casefold() in tuple("aeiou") else "a"
        said = self.says.format(value=told, a_value=f"{article} {told}", item=(item or told).replace("_", " "))
        return _ended(f"{who} {said}")


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)


@cache
def attributes() -> Mapping[str, Attribute]:
    """All attributes by name."""
    table = tomllib.loads((files(__package__) / "attributes.toml").read_text(encoding="utf-8"))
    return {name: _row(name, **row) for name, row in table.items()}


def _row(name: str, **cells: Any) -> Attribute:
    return Attribute(name, **{column: _frozen(cell) for column, cell in cells.items()})


def _frozen(cell: Any) -> Any:
    if isinstance(cell, Mapping):
        return {name: _frozen(inner) for name, inner in cell.items()}
    return tuple(cell) if isinstance(cell, list) else cell


def attribute(name: str) -> Attribute:
    """The attribute called `name`; one that is not in the table has a single value and no special words."""
    return attributes().get(name) or Attribute(name)


def in_profile(about: str, name: str, memory_type: str | None) -> bool:
    """Whether a fact of this kind belongs to the profile of the user; how they want to be answered always does."""
    return about == "user" and (attribute(name).profile or memory_type == INSTRUCTION)
