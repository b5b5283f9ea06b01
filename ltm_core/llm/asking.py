"""Asking a model for JSON: one call, and one more where the first reply cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import ExtractionError
from ..home import call
from . import Complete
from .metering import model_call
from .reading import UnusableReply, read_json

R = TypeVar("R")

MENDED_CHARS = 4_000


async def ask_json(complete: Complete, prompt: Sequence[dict[str, Any]], read: Callable[[Any], R]) -> R:
    """What `read` makes of the JSON of the model's reply; asked once more, with the complaint, if it cannot be used.

    `read` raises `UnusableReply` for what it cannot use. Raises that where the second reply is no better, and
    `ExtractionError` where the model cannot be reached.
    """
    reply = await _ask(complete, prompt)
    try:
        return read(read_json(reply))
    except UnusableReply as error:
        reply = await _ask(complete, [*prompt, *_complaint(reply, error.problem)])
    return read(read_json(reply))


def _complaint(reply: Any, problem: str) -> Sequence[dict[str, Any]]:
    asked = (
        f"This reply cannot be used: {problem}. Answer again, completely, with the one JSON object and nothing else."
    )
    said = reply[:MENDED_CHARS].strip() if isinstance(reply, str) else ""
    # Some servers refuse an empty message.
    return [{"role": "assistant", "content": said or "(nothing)"}, {"role": "user", "content": asked}]


async def _ask(complete: Complete, prompt: Sequence[dict[str, Any]]) -> Any:
    try:
        with model_call(prompt) as asked:
            asked.reply = await call(complete, prompt)
        return asked.reply
    except Exception as error:
        raise ExtractionError(
            f"The model could not be asked ({type(error).__name__}: {str(error)[:300]}). "
            "The turn stays queued; check the model's settings."
        ) from error
