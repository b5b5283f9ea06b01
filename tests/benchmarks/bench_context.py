"""What the prompt of a long conversation costs, turn by turn: tokens, milliseconds, and records that are read for it.

    LTM_BENCH_DATA=dialogues.json make bench ARGS="tests/benchmarks/bench_context.py"

Each file is a list of conversations `{id, speakers, turns: [{speaker, text, …}]}`; of each file the longest is told,
one message after the other, in one session of one user, on SQLite and with the offline summariser. Before each message
the context for it is asked for, and must have at most 2,000 tokens; the summary must never be more than one trigger
behind.
With `LTM_BENCH_PICTURE` the curves are drawn into that file as SVG.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ltm_core import Memory
from ltm_core.journeys.summarising import KEPT
from ltm_core.recall.budget import estimate_tokens
from ltm_core.recall.context import total_tokens
from ltm_core.stores import open_store
from ltm_core.stores.wrappers import Observed

R = TypeVar("R")

FILES = [Path(name) for name in os.environ.get("LTM_BENCH_DATA", "").split(":") if name]
MOST_TOKENS = 2_000
TRIGGER_TOKENS, TRIGGER_MESSAGES = 1_000, 40  # as they are by default
WINDOW = 50


@dataclass(frozen=True)
class Point:
    """One turn: the tokens and messages of its prompt, milliseconds, and records read for the prompt and afterwards."""

    tokens: float
    messages: float
    whole_history: float
    context: float
    observe: float
    learning: float
    read: float
    read_learning: float


@dataclass
class Meter:
    """How many records were read, of each kind."""

    records: int = 0

    def __call__(self, call: Any) -> None:
        self.records += call.records if call.verb in ("scan", "search_text", "search_vector") else 0

    def take(self, work: Callable[[], R]) -> tuple[R, float, int]:
        """What `work` gives, the milliseconds that it takes and the records that are read in them."""
        self.records, began = 0, time.perf_counter()
        result = work()
        return result, (time.perf_counter() - began) * 1000, self.records


def longest(file: Path) -> dict[str, Any]:
    conversations: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return max(conversations, key=lambda one: len(one["turns"]))


def said(conversation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    user, *_ = conversation["speakers"]
    for turn in conversation["turns"]:
        role = "user" if turn["speaker"] == user else "assistant"
        yield {"role": role, "content": turn["text"], "name": turn["speaker"]}


def behind(memory: Memory) -> tuple[int, int]:
    """Messages and tokens that no summary tells and one could: all but the newest four."""
    summary = memory.sessions.summary("s")
    untold = memory.sessions.get_messages("s")[summary.last if summary else 0 :][:-KEPT]
    return len(untold), sum(estimate_tokens(message.text) for message in untold[KEPT if summary else 0 :])


def told(memory: Memory, meter: Meter, conversation: dict[str, Any]) -> Iterator[Point]:
    history = 0
    for message in said(conversation):
        ask = partial(memory.context, "s", message["content"], max_tokens=MOST_TOKENS, user_id="u")
        prompt, context, read = meter.take(ask)
        tokens = total_tokens(prompt, estimate_tokens)
        assert tokens <= MOST_TOKENS
        _, observe, _ = meter.take(partial(memory.observe, [message], user_id="u", session_id="s"))
        done, learning, read_learning = meter.take(memory.flush)
        assert done
        messages, untold = behind(memory)
        assert messages <= TRIGGER_MESSAGES
        assert untold <= TRIGGER_TOKENS
        yield Point(tokens, len(prompt), history, context, observe, learning, read, read_learning)
        history += total_tokens([message], estimate_tokens)


def smoothed(points: Sequence[Point], name: str) -> list[float]:
    """The median of each fifty turns."""
    values = [getattr(point, name) for point in points]
    return [statistics.median(values[start : start + WINDOW]) for start in range(0, len(values) - WINDOW + 1, WINDOW)]


def table(points: Sequence[Point]) -> str:
    names = [field.name for field in fields(Point)]
    columns = {name: smoothed(points, name) for name in names}
    rows = [f"{'turns':>12}" + "".join(f"{name:>15}" for name in names)]
    for place in range(len(columns["tokens"])):
        turns = f"{place * WINDOW + 1}-{(place + 1) * WINDOW}"
        rows.append(f"{turns:>12}" + "".join(f"{columns[name][place]:>15,.1f}" for name in names))
    return "\n".join(rows)


def drawn(points: Sequence[Point]) -> str:
    """The tokens of each prompt and the milliseconds that it took, by the number of messages before it, as SVG."""

    def line(name: str, colour: str, bottom: int, most: float, *, every: int = 1) -> str:
        values = [getattr(point, name) for point in points] if every == 1 else smoothed(points, name)
        spots = [
            f"{50 + 460 * place * every / len(points):.0f},{bottom - 100 * value / most:.0f}"
            for place, value in enumerate(values)
            if value <= most
        ]
        return f'<polyline points="{" ".join(spots)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'

    def word(x: int, y: int, text: str, colour: str = "#57606a", anchor: str = "start") -> str:
        return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{text}</text>'

    slow = max(*smoothed(points, "context"), *smoothed(points, "observe")) * 1.25
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 300" font-family="sans-serif" font-size="12">',
        word(50, 16, "tokens of the prompt", "#1f6feb"),
        word(200, 16, "the whole history", "#8b949e"),
        '<line x1="50" y1="30" x2="510" y2="30" stroke="#cf222e" stroke-dasharray="4"/>',
        word(46, 34, f"{MOST_TOKENS:,}", "#cf222e", "end"),
        line("whole_history", "#8b949e", 130, MOST_TOKENS),
        line("tokens", "#1f6feb", 130, MOST_TOKENS),
        word(50, 160, "ms for the prompt", "#1f6feb"),
        word(200, 160, "ms to write the message down", "#2da44e"),
        line("context", "#1f6feb", 275, slow, every=WINDOW),
        line("observe", "#2da44e", 275, slow, every=WINDOW),
        word(46, 275, "0", anchor="end"),
        word(46, 179, f"{slow:.0f}", anchor="end"),
        word(50, 294, "1"),
        word(510, 294, f"{len(points)} messages", anchor="end"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def test_the_prompt_of_a_long_conversation_costs_no_more_than_that_of_a_short_one(tmp_path: Path) -> None:
    there = [file for file in FILES if file.exists()]
    if not there:
        pytest.skip("There are no conversations: set LTM_BENCH_DATA to a file of them.")
    for number, file in enumerate(there):
        meter, conversation = Meter(), longest(file)
        store = Observed(open_store(f"sqlite:///{tmp_path}/{number}.db"), meter)
        with Memory(store=store, background=False) as memory:
            points = list(told(memory, meter, conversation))
            versions = memory.sessions.summaries("s")
        print(f"\n{file.name}: {len(points)} messages, {len(versions)} summaries\n{table(points)}")  # noqa: T201
        if number == 0 and "LTM_BENCH_PICTURE" in os.environ:
            Path(os.environ["LTM_BENCH_PICTURE"]).write_text(drawn(points), encoding="utf-8")
        read = smoothed(points, "read")
        assert max(read[len(read) // 2 :]) <= 1.5 * max(read[: len(read) // 2])
