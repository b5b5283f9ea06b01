"""What was recalled, in the forms in which agents take it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..model import Fact, Message, Recalled
from ..policies import Ranked

Selector = Callable[[Any, Any], Any]
"""Takes the context of the call and memories as dicts, best first; gives those to use."""


class Memories(list[dict[str, Any]]):
    """What was recalled: dicts of id, content, score and metadata; as text, the block for a prompt.

    Attributes:
        context: The prompt up to what is said now, where one was asked for.
    """

    def __init__(self, items: Iterable[dict[str, Any]] = (), text: str = "", recalled: Recalled | None = None) -> None:
        super().__init__(items)
        self.text = text
        self.recalled = recalled
        self.context: list[dict[str, Any]] = []

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, recalled: Recalled) -> Memories:
        """The same as dicts: facts, then messages, then what is not learned yet."""
        told = [*recalled.messages, *recalled.pending]
        return cls([*map(fact_dict, recalled.facts), *map(message_dict, told)], recalled.text, recalled)


def fact_dict(fact: Fact, score: float | None = None) -> dict[str, Any]:
    """A fact as memory providers give it."""
    score = fact.score if score is None else score
    return {"id": fact.id, "content": fact.text, "score": score, "metadata": fact.metadata}


def message_dict(message: Message) -> dict[str, Any]:
    """A message as memory providers give it."""
    return {"id": message.id, "content": message.text, "score": message.score, "metadata": message.metadata}


def ranked_dict(ranked: Ranked) -> dict[str, Any]:
    """A ranked fact or message as memory providers give it."""
    content = ranked.item.content
    found = fact_dict(content) if isinstance(content, Fact) else message_dict(content)
    return {**found, "score": ranked.score}
