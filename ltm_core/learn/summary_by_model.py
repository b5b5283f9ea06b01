"""Summarising by a model: the last summary and what was said since become the new one, in one call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from ..llm import Complete
from ..llm.asking import ask_json
from ..llm.reading import UnusableReply
from ..model import Message, valid_text
from ..policies import Summarised, Summarising
from ..text.shortening import shortened

MESSAGE_CHARS = 2_000
TOPICS, QUESTIONS, LINE_CHARS = 5, 10, 300
WORDS_PER_TOKEN = 0.7  # of English, with a margin


class ModelSummariser:
    """Summarises by asking `complete`, as `Memory(…, summarise=ModelSummariser(complete))` wants it.

    One call, two where the first reply could not be used. Raises `ExtractionError` where the model failed twice or
    could not be reached; what is to be summarised stays queued then.
    """

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    async def __call__(self, given: Summarising) -> Summarised:
        """The new summary; what is longer than was asked for ends at its last whole sentence that is not."""
        prompt = [
            {
                "role": "system",
                "content": _template().substitute(words=max(int(given.max_tokens * WORDS_PER_TOKEN), 20)),
            },
            {"role": "user", "content": _told(given)},
        ]
        made = await ask_json(self._complete, prompt, _read)
        return replace(made, text=shortened(made.text, given.max_tokens, given.count_tokens))


@cache
def _template() -> Template:
    return Template((files("ltm_core") / "prompts" / "summarise.md").read_text(encoding="utf-8"))


def _told(given: Summarising) -> str:
    parts = [f"Today is {given.now:%A}, {given.now.date().isoformat()}."]
    if given.previous is not None:
        known = {
            "summary": given.previous.text,
            "topics": given.previous.topics,
            "open_questions": given.previous.open_questions,
        }
        parts.append(f"Previous summary:\n{json.dumps(known, ensure_ascii=False)}")
    lines = [_line(number, message) for number, message in enumerate(given.messages, 1)]
    return "\n\n".join([*parts, "\n".join(["New messages:", *lines])])


def _line(number: int, message: Message) -> str:
    name = f" {json.dumps(message.name, ensure_ascii=False)}" if message.name else ""
    date = f" on {message.created_at.date().isoformat()}" if message.created_at else ""
    calls = f" (calls {_called(message.tool_calls)})" if message.tool_calls else ""
    return (
        f"{number}. {message.role}{name}{date}{calls}: {json.dumps(message.text[:MESSAGE_CHARS], ensure_ascii=False)}"
    )


def _called(calls: Iterable[Any]) -> str:
    return json.dumps(list(calls), ensure_ascii=False)[:LINE_CHARS]


def _read(reply: Any) -> Summarised:
    found = reply[0] if isinstance(reply, list) and len(reply) == 1 else reply
    text = found.get("summary") if isinstance(found, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise UnusableReply('it is not an object with a text under "summary"')
    lists = (_texts(found.get("topics"), TOPICS), _texts(found.get("open_questions"), QUESTIONS))
    return Summarised(valid_text(text.strip()), *lists)


def _texts(given: Any, most: int) -> list[str]:
    texts = [one.strip() for one in given if isinstance(one, str)] if isinstance(given, list) else []
    return [valid_text(one[:LINE_CHARS]) for one in texts if one][:most]
