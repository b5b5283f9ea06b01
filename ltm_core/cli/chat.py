"""`ltm chat`: lines from a terminal or a pipe, answers from an agent with a memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from .. import LTMError, Memory
from .agent import Answer, Turn, by_model, offline, with_memory_of
from .place import Place
from .show import one_line, printable

PATIENCE = 10.0  # seconds that learning what was said may take at the end


def converse(place: Place, model: str | None, *, verbose: bool = False) -> int:
    """Talk until the input ends. Returns 1 if any answer failed."""
    place.check_somebody()
    place = place if place.session else replace(place, session=f"chat-{uuid4().hex[:8]}")
    with place.memory(background=True, model=model) as memory:
        if model is None:
            memory.flush(timeout=PATIENCE)  # what an earlier process left, so that the first answer knows it
        turn = with_memory_of(memory, place.who, _answer(model, memory, place))
        fine = True
        with suppress(KeyboardInterrupt):
            for said in _lines():
                fine = _answered(turn, said, verbose=verbose) and fine
        _learn_the_rest(memory)
    return 0 if fine else 1


def _answer(model: str | None, memory: Memory, place: Place) -> Answer:
    return offline if model is None else by_model(model, memory, place.session or "")


def _answered(turn: Callable[[str], Turn], said: str, *, verbose: bool) -> bool:
    """Answer on stdout; whatever went wrong is one line on stderr, and the conversation goes on."""
    try:
        done = turn(said)
    except LTMError as error:
        sys.stderr.write(f"ltm: {one_line(str(error))}\n")
        return False
    if verbose:
        sys.stderr.write(printable(done.recalled.explain()) + "\n")
    sys.stdout.write(printable(done.answer) + "\n")
    sys.stdout.flush()
    return True


def _lines() -> Iterator[str]:
    asked = _typed() if sys.stdin.isatty() else iter(sys.stdin)
    return (line.strip() for line in asked if line.strip())


def _typed() -> Iterator[str]:
    with suppress(ImportError):
        import readline  # noqa: F401 # input() edits lines and has a history with it
    sys.stdout.write("Say something; Ctrl-D ends.\n")
    while True:
        try:
            yield input("you> ")
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return


def _learn_the_rest(memory: Memory) -> None:
    try:
        done = memory.flush(timeout=PATIENCE)
    except KeyboardInterrupt:
        done = False
    if not done:
        sys.stderr.write("ltm: Not all that was said is learned yet. See: ltm jobs\n")
