"""Extracting by a model: one call reads the facts and decides what they replace; one more mends a bad reply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from ..attributes import attributes
from ..errors import ExtractionError
from ..home import call
from ..llm import Complete
from ..model import Candidate, Fact, Message
from ..policies import Extracting
from ..reading import UnusableReply, read_json
from ..reading_facts import ASKED_FACTS, Shown, read_facts

KNOWN = 20
EARLIER = 4
# Users' words are never cut; the rest is context.
CONTEXT_CHARS = 600
MENDED_CHARS = 4_000


class ModelExtractor:
    """Extracts facts by asking `complete`, as `Memory(…, extract=ModelExtractor(complete))` wants it.

    Blocking callables run in a thread. One call per batch of messages, two where the first reply could not be used,
    none where no user said anything. Raises `ExtractionError` where the model failed twice or could not be reached.

    Args:
        instructions: What to capture besides the usual, in your words; those of a single call come after them.
    """

    def __init__(self, complete: Complete, instructions: str = "") -> None:
        self._complete = complete
        self._instructions = instructions

    async def __call__(self, given: Extracting) -> list[Candidate]:
        """The candidates of the new messages, in the order in which they were said."""
        shown = Shown([message for message in given.messages if _is_talk(message)], given.known[:KNOWN], given.allow)
        if not any(message.role == "user" for message in shown.messages):
            return []
        prompt = [
            {"role": "system", "content": self._system(given)},
            {"role": "user", "content": _conversation(given, shown)},
        ]
        reply = await _ask(self._complete, prompt)
        try:
            return read_facts(read_json(reply), shown)
        except UnusableReply as error:
            reply = await _ask(self._complete, [*prompt, *_complaint(reply, error.problem)])
        return read_facts(read_json(reply), shown)

    def _system(self, given: Extracting) -> str:
        wanted = "\n".join(filter(None, (self._instructions.strip(), given.instructions.strip())))
        return _template().substitute(
            **_names(),
            limits="".join(_LIMITS[operation] for operation in sorted(_LIMITS.keys() - given.allow)),
            most=ASKED_FACTS,
            instructions=f"\nThe developer asks besides:\n{wanted}" if wanted else "",
        )


_LIMITS = {
    "ADD": "- Only changes of known facts are wanted: nothing new.\n",
    "UPDATE": "- Only new facts are wanted: leave out what changes a known one.\n",
    "DELETE": "- Nothing is to be retracted.\n",
}


@cache
def _template() -> Template:
    return Template((files("ltm_core") / "prompts" / "extract.md").read_text(encoding="utf-8"))


@cache
def _names() -> dict[str, str]:
    known = attributes().values()
    return {
        "single": ", ".join(attribute.name for attribute in known if not attribute.many),
        "many": ", ".join(attribute.name for attribute in known if attribute.many),
    }


def _is_talk(message: Message) -> bool:
    """System and tool messages are no speech of anybody, and may hold what recall put there."""
    return message.role in ("user", "assistant") and bool(message.text.strip())


def _conversation(given: Extracting, shown: Shown) -> str:
    today = given.now.date().isoformat()
    earlier = [message for message in given.earlier if _is_talk(message)][-EARLIER:]
    sections = {
        "Known facts": [_known(number, fact) for number, fact in enumerate(shown.known, 1)],
        "Earlier messages, for context only": [f"- {_said(message, CONTEXT_CHARS, today)}" for message in earlier],
        "New messages": [
            f"{number}. {_said(message, None if message.role == 'user' else CONTEXT_CHARS, today)}"
            for number, message in enumerate(shown.messages, 1)
        ],
    }
    blocks = ["\n".join([f"{title}:", *lines]) for title, lines in sections.items() if lines]
    return "\n\n".join([f"Today is {given.now:%A}, {today}.", *blocks])


def _known(number: int, fact: Fact) -> str:
    text = fact.text or json.dumps(fact.value, ensure_ascii=False)
    return f"{number}. {_quoted(fact.key)}: {_quoted(text[:CONTEXT_CHARS])}"


def _said(message: Message, most: int | None, today: str) -> str:
    """One line. Quoting keeps what is said from looking like another message or section."""
    name = f" {_quoted(message.name)}" if message.name else ""
    day = message.created_at.date().isoformat() if message.created_at else today
    date = f" on {day}" if day != today else ""
    return f"{message.role}{name}{date}: {_quoted(message.text[:most])}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _complaint(reply: Any, problem: str) -> Sequence[dict[str, Any]]:
    asked = (
        f"This reply cannot be used: {problem}. Answer again, completely, with the one JSON object and nothing else."
    )
    said = reply[:MENDED_CHARS].strip() if isinstance(reply, str) else ""
    # Some servers refuse an empty message.
    return [{"role": "assistant", "content": said or "(nothing)"}, {"role": "user", "content": asked}]


async def _ask(complete: Complete, prompt: Sequence[dict[str, Any]]) -> str:
    try:
        return await call(complete, prompt)
    except Exception as error:
        raise ExtractionError(
            f"The model could not be asked ({type(error).__name__}: {str(error)[:300]}). "
            "The turn stays queued; check the model's settings."
        ) from error
