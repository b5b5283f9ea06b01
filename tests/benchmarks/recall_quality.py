"""How much of the evidence recall finds, by the public face alone, beside what others find in the same run.

    LTM_BENCH_DATA=dialogues.json:chats.json make bench ARGS="tests/benchmarks/recall_quality.py"

Each file is a list of conversations: `{id, speakers, turns: [{id, session, when, speaker, text}], questions,
facts?}`, with questions `{text, category, evidence: [turn id]}` and facts `{speaker, session, text, evidence}`.
Questions without evidence are left out, those of a category that begins with 5 (the answer is not there) measure
abstaining. Prints recall at 5, 10, 20 and 50, nDCG at 10 and recall within 500, 1,000 and 2,000 tokens in %, with
bootstrap intervals over questions, by category.
"""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ltm_core import Memory
from ltm_core.recall.budget import estimate_tokens
from ltm_core.text.words import STOP_WORDS, words

CUTS = (5, 10, 20, 50)
ROOMS = (500, 1000, 2000)
COLUMNS = (*(f"R@{cut}" for cut in CUTS), "nDCG@10", *(f"R in {room}" for room in ROOMS))
ASKING: dict[str, Any] = {"limit": 50, "pending": False}  # all else as it is by default
LEAST = (0.001, 0.1, 0.3, 0.5)
LISTS = Path(__file__).parents[1] / "core" / "gold" / "small_talk"

Search = Callable[[str], list["Hit"]]


@dataclass(frozen=True)
class Hit:
    """One memory that was found: the turns that it stands for, its size and its relevance."""

    turns: tuple[str, ...]
    tokens: int
    relevance: float = 0.0


@dataclass
class Outcome:
    """What one system did with all questions of a file."""

    rows: list[tuple[str, list[float]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def mean(self, category: str | None = None) -> list[float]:
        """The mean of each measure, in %."""
        rows = [row for name, row in self.rows if category in (None, name)]
        return [100 * statistics.fmean(column) for column in zip(*rows, strict=True)]


def files() -> list[Path]:
    return [Path(path) for path in os.environ.get("LTM_BENCH_DATA", "").split(os.pathsep) if path]


def measured(hits: Sequence[Hit], evidence: Sequence[str]) -> list[float]:
    """All measures of one answer, 0 to 1."""
    wanted = set(evidence)

    def share(some: Sequence[Hit]) -> float:
        return len({turn for hit in some for turn in hit.turns} & wanted) / len(wanted)

    seen: set[str] = set()
    gain = 0.0
    for place, hit in enumerate(hits[:10]):
        new = wanted.intersection(hit.turns) - seen
        gain += bool(new) / math.log2(place + 2)
        seen |= new
    best = sum(1 / math.log2(place + 2) for place in range(min(len(wanted), 10)))
    return [*(share(hits[:cut]) for cut in CUTS), gain / best, *(share(within(hits, room)) for room in ROOMS)]


def within(hits: Sequence[Hit], room: int) -> list[Hit]:
    """What fits, best first; what is too large is passed over."""
    kept = []
    for hit in hits:
        if hit.tokens <= room:
            kept.append(hit)
            room -= hit.tokens
    return kept


def answer(outcome: Outcome, talk: dict[str, Any], search: Search) -> None:
    """Put all questions of one conversation to a system."""
    turns = {turn["id"] for turn in talk["turns"]}
    for question in talk["questions"]:
        evidence = [one for one in dict.fromkeys(question["evidence"]) if one in turns]
        if evidence and not str(question["category"]).startswith("5"):
            began = time.perf_counter()
            hits = search(question["text"])
            outcome.seconds.append(time.perf_counter() - began)
            outcome.rows.append((str(question["category"]), measured(hits, evidence)))


# Systems


def messages(memory: Memory, talk: dict[str, Any]) -> Search:
    """Turns as messages."""
    by_session: dict[str, list[dict[str, Any]]] = {}
    for turn in talk["turns"]:
        by_session.setdefault(f"{talk['id']}-{turn['session']}", []).append(
            {
                "role": turn["speaker"] if turn["speaker"] in ("user", "assistant") else "user",
                "name": turn["speaker"],
                "content": turn["text"],
                "created_at": turn["when"],
                "metadata": {"id": turn["id"]},
            }
        )
    for session, said in by_session.items():
        for message in said:
            memory.sessions.add_message(session, message, user_id=talk["id"])

    def search(question: str) -> list[Hit]:
        found = memory.recall(question, user_id=talk["id"], include=("messages",), **ASKING)
        return [Hit((one.metadata["id"],), estimate_tokens(one.text)) for one in found.messages]

    return search


def facts(memory: Memory, talk: dict[str, Any], *, dates: bool = True) -> Search:
    """The data's facts, as an extractor might have learned them: each holds since its message, as in learning."""
    said = {turn["id"]: turn["when"] for turn in talk["turns"]}
    given = [
        {
            "key": f"{fact['speaker']}/note#{number}",
            "value": fact["text"],
            "text": fact["text"],
            "source_id": f"{talk['id']}-{fact['session']}",
            "metadata": {"turns": fact["evidence"]},
            "valid_from": min((said[turn] for turn in fact["evidence"] if turn in said), default=None),
            "scope_id": talk["id"],
        }
        for number, fact in enumerate(talk["facts"])
    ]
    memory.facts.add_many(given)

    def search(question: str) -> list[Hit]:
        found = memory.recall(question, user_id=talk["id"], dates=dates, **ASKING)
        return [Hit(tuple(one.metadata["turns"]), estimate_tokens(one.text)) for one in found.facts]

    return search


def texts(talk: dict[str, Any], what: str) -> list[tuple[tuple[str, ...], str]]:
    """The memories as others get them: the turns that each stands for, and its text."""
    if what == "facts":
        return [(tuple(fact["evidence"]), fact["text"]) for fact in talk["facts"]]
    return [((turn["id"],), turn["text"]) for turn in talk["turns"]]


def fts5(talk: dict[str, Any], what: str) -> Search:
    """SQLite's own text index: any of the words, those that questions are made of left out."""
    rows = texts(talk, what)
    database = sqlite3.connect(":memory:")
    database.execute("create virtual table turns using fts5(text, tokenize='porter unicode61')")
    database.executemany("insert into turns(rowid, text) values (?, ?)", enumerate(text for _, text in rows))

    def search(question: str) -> list[Hit]:
        wanted = " OR ".join(f'"{word}"' for word in dict.fromkeys(words(question)) if word not in STOP_WORDS)
        sql = "select rowid from turns where turns match ? order by rank limit 50"
        found = database.execute(sql, [wanted]).fetchall() if wanted else []
        return [Hit(rows[row][0], estimate_tokens(rows[row][1])) for (row,) in found]

    return search


def dense(talk: dict[str, Any], what: str) -> Search:
    """Vectors of the extra `local` alone."""
    import numpy

    from ltm_core.llm.embedding import local

    embed, rows = local(), texts(talk, what)

    def unit(some: Sequence[str]) -> Any:
        made = numpy.asarray(embed(some), dtype=float)
        return made / numpy.maximum(numpy.linalg.norm(made, axis=1, keepdims=True), 1e-9)

    stored = unit([text for _, text in rows])

    def search(question: str) -> list[Hit]:
        near = stored @ unit([question])[0]
        return [Hit(rows[row][0], estimate_tokens(rows[row][1])) for row in numpy.argsort(-near)[:50]]

    return search


def mem0(talk: dict[str, Any], what: str) -> Search:
    """mem0 with each text as one memory, nothing extracted, and the vectors of `local`: it needs no download so."""
    os.environ["MEM0_TELEMETRY"] = "False"
    from langchain_core.embeddings import Embeddings
    from mem0 import Memory as Mem0

    from ltm_core.llm.embedding import local

    embed: Any = local()

    class Local(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [list(map(float, vector)) for vector in embed(texts)]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    home = tempfile.mkdtemp()
    place = {"path": home, "embedding_model_dims": 256, "on_disk": False}
    config = {
        "embedder": {"provider": "langchain", "config": {"model": Local(), "embedding_dims": 256}},
        "vector_store": {"provider": "qdrant", "config": place},
        "llm": {"provider": "openai", "config": {"api_key": "unused"}},
        "history_db_path": f"{home}/history.db",
    }
    memory: Any = Mem0.from_config(config)
    by_text = {text: turns for turns, text in texts(talk, what)}
    for text in by_text:
        memory.add(text, user_id="u", infer=False)

    def search(question: str) -> list[Hit]:
        found = memory.search(question, filters={"user_id": "u"}, top_k=50)["results"]
        return [Hit(by_text[one["memory"]], estimate_tokens(one["memory"])) for one in found]

    return search


def systems(what: str) -> Iterator[tuple[str, Callable[[dict[str, Any]], Search], Callable[[], None]]]:
    """Each system: its name, how it takes a conversation in, and how it is put away."""
    ours: dict[str, Callable[[Memory, dict[str, Any]], Search]] = {"": {"messages": messages, "facts": facts}[what]}
    if what == "facts":
        ours[", undated"] = partial(facts, dates=False)  # the others know no dates of facts
    yield "FTS5 alone", lambda talk: fts5(talk, what), lambda: None
    with_vectors = bool(find_spec("wordllama"))
    if with_vectors:
        yield "dense alone (local)", lambda talk: dense(talk, what), lambda: None
        if find_spec("mem0") and find_spec("langchain"):
            yield "mem0, these vectors", lambda talk: mem0(talk, what), lambda: None
    for options in ({}, {"embedder": "local"}) if with_vectors else ({},):
        for note, take_in in ours.items():
            memory = Memory("sqlite://", background=False, **options)  # type: ignore[arg-type]

            def taken_in(talk: dict[str, Any], memory: Memory = memory, take_in: Any = take_in) -> Search:
                search: Search = take_in(memory, talk)
                memory.flush()
                return search

            yield f"ltm-core{', local' if options else ''}{note}", taken_in, memory.close


def interval(ours: Outcome, base: Outcome, column: int, rounds: int = 2000) -> tuple[float, float, float]:
    """The ratio of two means over the same questions, and the bounds that hold 95 % of its resamples."""
    pairs = [(one[1][column], other[1][column]) for one, other in zip(ours.rows, base.rows, strict=True)]
    chance = random.Random(7)

    def ratio(some: Sequence[tuple[float, float]]) -> float:
        return sum(one for one, _ in some) / max(sum(other for _, other in some), 1e-9)

    resampled = sorted(ratio(chance.choices(pairs, k=len(pairs))) for _ in range(rounds))
    return ratio(pairs), resampled[int(rounds * 0.025)], resampled[int(rounds * 0.975)]


def told(line: str) -> None:
    print(line)  # noqa: T201


def show(title: str, outcomes: dict[str, Outcome]) -> None:
    """The tables, in absolute numbers and as ratios."""
    base = outcomes["FTS5 alone"]
    told(f"\n{title}: {len(base.rows)} questions\n{'':22}" + "".join(f"{name:>11}" for name in COLUMNS) + "   p50 ms")
    for name, outcome in outcomes.items():
        figures = "".join(f"{figure:11.1f}" for figure in outcome.mean())
        told(f"{name:22}{figures}{statistics.median(outcome.seconds) * 1e3:9.2f}")
    for name, outcome in outcomes.items():
        if name.startswith("ltm"):
            for column in (1, 6):
                ratio, low, high = interval(outcome, base, column)
                told(f"{name}, {COLUMNS[column]} / FTS5: {ratio:.2f} (95 %: {low:.2f} to {high:.2f})")
    told("R@10 by category")
    for category in sorted({name for name, _ in base.rows}):
        count = sum(name == category for name, _ in base.rows)
        figures = "  ".join(f"{name} {outcome.mean(category)[1]:.1f}" for name, outcome in outcomes.items())
        told(f"  {category} ({count}): {figures}")


@pytest.mark.parametrize("what", ["messages", "facts"])
@pytest.mark.parametrize("path", files() or [None], ids=str)
def test_recall_of_evidence(path: Path | None, what: str) -> None:
    if path is None:
        pytest.skip("Set LTM_BENCH_DATA to the paths of data files; what they hold stands at the head of this file.")
    talks = [talk for talk in json.loads(path.read_text(encoding="utf-8")) if what == "messages" or talk.get("facts")]
    if not talks:
        pytest.skip(f"{path.name} has no facts.")
    outcomes: dict[str, Outcome] = {}
    for name, take_in, close in systems(what):
        outcomes[name] = Outcome()
        for talk in talks:
            answer(outcomes[name], talk, take_in(talk))
        close()
    show(f"{path.stem}, {what}", outcomes)


def area(likely: Sequence[float], unlikely: Sequence[float]) -> float:
    """How often something of the first is above something of the second: 0.5 by chance, 1 where they are apart."""
    pairs = [(one > other) + 0.5 * (one == other) for one in likely for other in unlikely]
    return statistics.fmean(pairs or [math.nan])


def small_talk() -> dict[str, list[str]]:
    return {path.stem: path.read_text(encoding="utf-8").splitlines() for path in sorted(LISTS.glob("*.txt"))}


@pytest.mark.parametrize("options", [{}, {"embedder": "local"}], ids=["words", "local"])
@pytest.mark.parametrize("path", files() or [None], ids=str)
def test_small_talk_recalls_nothing_and_what_is_not_there_is_less_probable(
    path: Path | None, options: dict[str, Any]
) -> None:
    if path is None:
        pytest.skip("Set LTM_BENCH_DATA to the paths of data files; what they hold stands at the head of this file.")
    if options and not find_spec("wordllama"):
        pytest.skip("Install the extra `local` to measure this.")
    silent = {name: list[bool]() for name in small_talk()}
    best: dict[str, list[float]] = {"answerable": [], "adversarial": []}
    with Memory("sqlite://", background=False, **options) as memory:
        for talk in json.loads(path.read_text(encoding="utf-8")):
            messages(memory, talk)
            memory.flush()
            how: dict[str, Any] = {"user_id": talk["id"], "include": ("facts", "messages"), "pending": False}
            for name, lines in small_talk().items():
                silent[name] += [not memory.recall(text, **how).late_text for text in lines]
            for question in talk["questions"]:
                kind = "adversarial" if str(question["category"]).startswith(("5", "abst")) else "answerable"
                found = memory.recall(question["text"], limit=1, **how).messages
                best[kind].append(found[0].relevance or 0.0 if found else 0.0)
    told(f"\n{path.stem}, {options or 'words'}: how often nothing is recalled, by list")
    for name, each in silent.items():
        told(f"  {name}: {statistics.fmean(each):.1%} of {len(each)}")
    for kind, chances in best.items():
        shares = "  ".join(
            f"{least} {sum(one < least for one in chances) / len(chances or [0.0]):.0%}" for least in LEAST
        )
        told(f"  {kind} ({len(chances)}): nothing at min_relevance of {shares}")
    told(f"  abstention: area under the curve {area(best['answerable'], best['adversarial']):.3f}")
    asked = silent.pop("short_questions") + silent.pop("typed_questions")
    assert min(statistics.fmean(each) for each in silent.values()) >= 0.95
    assert not any(asked)
