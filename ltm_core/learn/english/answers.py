"""Answers of a few words, read together with the question that they answer."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files

from .message import read_text
from .said import Said

MAX_ANSWER_WORDS = 6
_READ_OF_QUESTION = 400

_LEAD_IN = re.compile(
    r"^(?:oh|well|uh|um|it['’]s|it is|that['’]s|i['’]m|sure|yes|yeah|in|at|to|as|a|an|just|thanks)\b[,.!]?\s*",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"\b(?:no|none|nope|not|never|why|you|prefer|rather|secret|don['’]t|nothing|nowhere|anywhere|idk|skip|what|who)\b|\?",
    re.IGNORECASE,
)


def read_answer(question: str, answer: str, now: datetime) -> list[Said]:
    """What `answer` tells as an answer to `question`: "Where do you live?", "Lisbon"."""
    words = answer.strip().rstrip(".!")
    while (rest := _LEAD_IN.sub("", words)) != words:
        words = rest
    if not words or "\n" in words or len(words.split()) > MAX_ANSWER_WORDS or _NO_ANSWER.search(words):
        return []
    asked = " ".join(question[-_READ_OF_QUESTION:].lower().replace("’", "'").replace("'s", " is").split())
    for questions, statement in _questions():
        if any(known in asked for known in questions):
            return [replace(fact, quote=answer.strip()) for fact in read_text(statement.format(words), now)]
    return []


@cache
def _questions() -> Sequence[tuple[Sequence[str], str]]:
    table = tomllib.loads((files(__package__) / "statements.toml").read_text(encoding="utf-8"))
    return [(row["asked"], row["means"]) for row in table["question"]]
