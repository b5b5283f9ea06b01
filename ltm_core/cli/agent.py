"""An agent with a memory: it recalls before an answer and observes after it. The offline one needs no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from .. import LTMError, Memory, Message, Recalled
from ..text.words import terms
from .place import Who

Answer = Callable[[str, Recalled], str]

LAST_MESSAGES = 20
MOST_SENTENCES = 5
FITS = 0.1  # how probable it must be that a fact is of use to be spoken of

_QUESTION = re.compile(
    r"\?|^(what|who|where|when|which|why|how|do|does|did|am|is|are|can|could|tell me)\b", re.IGNORECASE
)
_SUBJECT = re.compile(r"^User('s| \w+|,)")
_IRREGULAR = {"is": "are", "has": "have", "was": "were"}


@dataclass(frozen=True, slots=True)
class Turn:
    """What was answered, and what it was made from."""

    answer: str
    recalled: Recalled


def with_memory_of(memory: Memory, who: Who, answer: Answer) -> Callable[[str], Turn]:
    """The agent `answer`, told before each turn what is remembered and overheard after it."""

    def turn(said: str) -> Turn:
        recalled = memory.recall(said, min_relevance=FITS, **who)
        answered = answer(said, recalled)
        memory.observe([{"role": "user", "content": said}, {"role": "assistant", "content": answered}], **who)
        return Turn(answered, recalled)

    return turn


def offline(said: str, recalled: Recalled) -> str:
    """An answer in plain sentences from what was recalled."""
    if not _QUESTION.search(said):
        return "Thank you, I will remember that."
    fitting = [fact for fact in recalled.facts if fact.signals.get("match")]
    known = [to_you(fact.text) for fact in fitting[:MOST_SENTENCES]]
    return " ".join([*known, *_just_told(said, recalled.pending, known)]) or "I do not know that yet."


def _just_told(said: str, pending: Sequence[Message], known: Sequence[str]) -> list[str]:
    """What was told and is not learned yet, as far as it may answer; all of it where nothing else does."""
    statements = [message.text for message in pending if not _QUESTION.search(message.text)]
    asked = set(terms(said))
    fitting = [text for text in statements if asked.intersection(terms(text))]
    return [f"You just told me: {text}" for text in fitting or ([] if known else statements)]


def by_model(model: str, memory: Memory, session_id: str) -> Answer:
    """An agent that asks a model, with the last messages of the session. Raises `MissingExtra` without LiteLLM."""
    from ..llm.litellm_model import completion

    complete = completion(model)
    prompt = (files(__package__) / "chat.md").read_text(encoding="utf-8")

    def answer(said: str, recalled: Recalled) -> str:
        earlier = map(_as_given, memory.sessions.get_messages(session_id, limit=LAST_MESSAGES))
        system = {"role": "system", "content": f"{prompt}\n{recalled.text}"}
        return _asked(complete, [system, *earlier, {"role": "user", "content": said}], model)

    return answer


def _asked(complete: Callable[..., Any], messages: Sequence[dict[str, str]], model: str) -> str:
    try:
        return str(complete(messages))
    except Exception as error:
        why = str(error).rstrip(".")
        raise LTMError(f"{model} did not answer: {why}. Check its name, key and connection.") from error


def _as_given(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.text}


def to_you(sentence: str) -> str:
    """What is remembered of the user, said to the user.

    >>> to_you("User lives in Lisbon."), to_you("User's sister is called Ana.")
    ('You live in Lisbon.', 'Your sister is called Ana.')
    """
    return _SUBJECT.sub(_second_person, sentence)


def _second_person(found: re.Match[str]) -> str:
    rest = found[1]
    return f"You {_verb(rest.strip())}" if rest.startswith(" ") else "Your"


def _verb(third_person: str) -> str:
    """`goes` to `go`, `tries` to `try`, `lives` to `live`; what is no third person stays."""
    if third_person in _IRREGULAR:
        return _IRREGULAR[third_person]
    if third_person.endswith("ies"):
        return f"{third_person[:-3]}y"
    if re.search(r"(ch|sh|ss|x|o)es$", third_person):
        return third_person[:-2]
    return third_person.removesuffix("s") if not third_person.endswith("ss") else third_person
