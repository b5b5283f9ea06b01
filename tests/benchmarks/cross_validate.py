"""How well weights do that were found on other conversations: each conversation is left out in turn.

    LTM_BENCH_DATA=dialogues.json make bench ARGS="tests/benchmarks/cross_validate.py"

Reads the files that `recall_quality.py` reads, and takes the signals of every memory from the public face
(`recall(limit=None)`). The search goes weight by weight through a few steps, twice, and keeps what adds at least a
twentieth of a point. Prints recall@10 of the turns that hold the evidence, in %: of the weights in the code, of weights
searched on all conversations (what a choice in view of them could reach at most), and of those searched without the
one that is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Memory
from ltm_core.recall.rank import weights

from .recall_quality import facts, files, messages, told

STEPS = (-0.3, 0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0)
LEAST_GAIN = 0.05
AT = 10


@dataclass(frozen=True)
class Asked:
    """One question: its conversation, the signals of each memory (rows), and which evidence each memory holds."""

    talk: str
    signals: Any
    holds: Any


def asked(talk: dict[str, Any], what: str, names: Sequence[str], memory: Memory) -> Iterator[Asked]:
    import numpy

    {"facts": facts, "messages": messages}[what](memory, talk)
    memory.flush()
    turns = {turn["id"] for turn in talk["turns"]}
    for question in talk["questions"]:
        evidence = [one for one in dict.fromkeys(question["evidence"]) if one in turns]
        if not evidence or str(question["category"]).startswith("5"):
            continue
        recalled = memory.recall(question["text"], user_id=talk["id"], include=(what,), limit=None, pending=False)
        found: list[Any] = [*recalled.facts, *recalled.messages]
        held = [one.metadata["turns"] if what == "facts" else [one.metadata["id"]] for one in found]
        signals = numpy.array([[one.signals.get(name, 0.0) for name in names] for one in found])
        yield Asked(talk["id"], signals, numpy.array([[turn in some for turn in evidence] for some in held]))


def recall_at(given: Sequence[Asked], counts: Any) -> float:
    """In %."""
    import numpy

    shares = []
    for one in given:
        best = numpy.argsort(-(one.signals @ counts), kind="stable")[:AT]
        shares.append(one.holds[best].any(axis=0).mean())
    return 100 * float(numpy.mean(shares))


def searched(given: Sequence[Asked], begun: Any) -> Any:
    """The best weights, found one by one."""
    found, best = begun.copy(), recall_at(given, begun)
    for place in [*range(len(begun))] * 2:
        for step in STEPS:
            tried = found.copy()
            tried[place] = step
            reached = recall_at(given, tried)
            if reached > best + LEAST_GAIN:
                best, found = reached, tried
    return found


def cross_validated(given: Sequence[Asked], begun: Any) -> Mapping[str, float]:
    """Recall of each conversation by weights that were found on the others."""
    talks = dict.fromkeys(one.talk for one in given)
    found = {}
    for talk in talks:
        others = searched([one for one in given if one.talk != talk], begun)
        found[talk] = recall_at([one for one in given if one.talk == talk], others)
    return found


@pytest.mark.parametrize("what", ["facts", "messages"])
@pytest.mark.parametrize("path", files() or [None], ids=str)
def test_weights_found_on_other_conversations(path: Path | None, what: str) -> None:
    if path is None:
        pytest.skip("Set LTM_BENCH_DATA to the paths of data files, as for recall_quality.py.")
    numpy = pytest.importorskip("numpy")
    talks = [talk for talk in json.loads(path.read_text(encoding="utf-8")) if what == "messages" or talk.get("facts")]
    if not talks:
        pytest.skip(f"{path.name} has no facts.")
    for options in [{}, {"embedder": "local"}] if find_spec("wordllama") else [{}]:
        counts = weights(what.removesuffix("s"), vectors=bool(options))
        begun = numpy.array(list(counts.values()))
        with Memory("sqlite://", background=False, **options) as memory:  # type: ignore[arg-type]
            given = [one for talk in talks for one in asked(talk, what, list(counts), memory)]
        told(f"\n{path.stem}, {what}, {options or 'words'}: {len(given)} questions, recall@{AT}")
        held_out = cross_validated(given, begun)
        for talk, reached in held_out.items():
            own = [one for one in given if one.talk == talk]
            told(f"  {talk} ({len(own)}): in the code {recall_at(own, begun):.1f}, held out {reached:.1f}")
        of_each = [held_out[one.talk] for one in given]
        best = searched(given, begun)
        told(f"  all: in the code {recall_at(given, begun):.1f}, held out {sum(of_each) / len(of_each):.1f}, ")
        told(
            f"  searched on all {recall_at(given, best):.1f}: {dict(zip(counts, best.round(2).tolist(), strict=True))}"
        )
