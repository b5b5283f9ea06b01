"""What was recalled, in the forms in which agents take it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..model import Fact, Message, Recalled, Remembered, Summary
from ..policies import Ranked

Selector = Callable[[Any, Any], Any]
"""Takes the context of the call and memories as dicts, best first; gives those to use."""


class Memories(list[dict[str, Any]]):
    """What was recalled: dicts of id, content, score and metadata; as text, the block for a prompt.

    Attributes:
        context: The prompt up to what is said now, where one was asked for.
        has_talk: Whether that is about a session with any earlier turn.
    """

    def __init__(self, items: Iterable[dict[str, Any]] = (), text: str = "", recalled: Recalled | None = None) -> None:
        super().__init__(items)
        self.text = text
        self.recalled = recalled
        self.context: list[dict[str, Any]] = []
        self.has_talk = False

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, recalled: Recalled) -> Memories:
        """The same as dicts: facts, then summaries, then messages, then what is not learned yet."""
        told = [*map(summary_dict, recalled.summaries), *map(message_dict, [*recalled.messages, *recalled.pending])]
        return cls([*map(fact_dict, recalled.facts), *told], recalled.text, recalled)


def fact_dict(fact: Fact, score: float | None = None) -> dict[str, Any]:
    """A fact as memory providers give it."""
    score = fact.score if score is None else score
    return {"id": fact.id, "content": fact.text, "score": score, "metadata": fact.metadata}


def message_dict(message: Message) -> dict[str, Any]:
    """A message as memory providers give it."""
    return {"id": message.id, "content": message.text, "score": message.score, "metadata": message.metadata}


def summary_dict(summary: Summary) -> dict[str, Any]:
    """A summary of a session as memory providers give it."""
    about = {"session_id": summary.session_id, "topics": summary.topics}
    return {"id": summary.id, "content": summary.text, "score": summary.score, "metadata": about}


def ranked_dict(ranked: Ranked) -> dict[str, Any]:
    """Something that was ranked as memory providers give it."""
    return {**_dict(ranked.item.content), "score": ranked.score}


def _dict(content: Remembered) -> dict[str, Any]:
    if isinstance(content, Fact):
        return fact_dict(content)
    return message_dict(content) if isinstance(content, Message) else summary_dict(content)
