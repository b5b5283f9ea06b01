"""Extracting by a model: one call reads the facts and decides what they replace; one more mends a bad reply."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from string import Template

from ..knowledge.attributes import attributes
from ..knowledge.reading_facts import ASKED_FACTS, Shown, read_facts
from ..llm import Complete
from ..llm.asking import ask_json
from ..model import Candidate, Fact, Message
from ..policies import Extracting

KNOWN = 20
EARLIER = 4
# Users' words are never cut; the rest is context.
CONTEXT_CHARS = 600


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

    @property
    def complete(self) -> Complete:
        """The model that is asked."""
        return self._complete

    async def __call__(self, given: Extracting) -> list[Candidate]:
        """The candidates of the new messages, in the order in which they were said."""
        shown = Shown([message for message in given.messages if _is_talk(message)], given.known[:KNOWN], given.allow)
        if not any(message.role == "user" for message in shown.messages):
            return []
        prompt = [
            {"role": "system", "content": self._system(given)},
            {"role": "user", "content": _conversation(given, shown)},
        ]
        return await ask_json(self._complete, prompt, lambda reply: read_facts(reply, shown))

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
