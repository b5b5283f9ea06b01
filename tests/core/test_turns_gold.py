"""Whole conversations against what a careful person would do to the memory: is anything doubled, lost, retired or junk?

Both ways of extracting go through everything that a user's turn goes through. The scripted model reads the prompt as a
model does (the numbers of known facts stand nowhere else) and makes the mistakes that the gold names.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, Fact, FactUpdate
from ltm_core.errors import ExtractionError
from ltm_core.knowledge.values import same
from ltm_core.model import slug, split_key
from ltm_core.testing.fakes import Clock, ScriptedModel

FOLDER = Path(__file__).parent / "gold" / "turns"
DUPLICATES, LOST, WRONG, JUNK = 0.0, 0.0, 0.02, 0.05


def dialogues(name: str) -> list[dict[str, Any]]:
    """The dialogues of a file, each with its turns."""
    read: list[dict[str, Any]] = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["dialogue"]
    return read


@dataclass(frozen=True)
class Decision:
    """What a turn is to do: `MAY ADD key or key = value or value`."""

    operation: str
    keys: tuple[str, ...]
    values: tuple[str, ...] = ()
    optional: bool = False

    @classmethod
    def of(cls, line: str) -> Decision:
        optional = line.startswith("MAY ")
        operation, _, rest = line.removeprefix("MAY ").partition(" ")
        keys, _, values = rest.partition(" = ")
        return cls(operation, tuple(keys.split(" or ")), tuple(values.split(" or ")) if values else (), optional)

    def names(self, fact: Fact) -> bool:
        return _bare(fact.key) in map(_bare, self.keys)

    def says(self, fact: Fact) -> bool:
        return self.names(fact) and any(same(str(fact.value), value) for value in self.values)


def _bare(key: str) -> str:
    """A key without the plural of its item: `opinion#dog` is as good as `opinion#dogs`."""
    return key.casefold().replace(" ", "_").removesuffix("s")


@dataclass
class Score:
    """What happened over all dialogues, and a line for each thing that should not have."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def add(self, what: str, turn: str, detail: object) -> None:
        self.counts[what] += 1
        self.lines.append(f"{what:10} {turn}\n           {detail}")

    def rate(self, what: str, of: str) -> float:
        return self.counts[what] / (self.counts[of] or 1)


class Judge:
    """Follows one dialogue: what is true by the gold, and what the memory did."""

    def __init__(self, score: Score) -> None:
        self._score = score
        self._true: list[Decision] = []

    def judge(self, turn: dict[str, Any], updates: Iterable[FactUpdate], before: list[Fact], after: list[Fact]) -> None:
        gold = [Decision.of(line) for line in turn["gold"]]
        told = turn["user"]
        was = self._true
        self._true = [one for one in was if not any(set(one.keys) & set(new.keys) for new in gold)]
        self._true += [one for one in gold if one.operation != "DELETE"]
        for update in updates:
            self._judge_retired(update, gold, was, told)
            self._judge_written(update, gold, told)
        for decision in gold:
            self._judge_done(decision, before, after, told)
        self._score.counts["facts"] += len(after)

    def _judge_written(self, update: FactUpdate, gold: list[Decision], told: str) -> None:
        """A write says something new that is wanted, says again what is true anyway, or is junk."""
        if update.operation not in ("ADD", "UPDATE") or update.fact is None:
            return
        self._score.counts["writes"] += 1
        new = [one for one in gold if one.operation in ("ADD", "UPDATE")]
        wanted = next((one for one in new if one.says(update.fact)), None)
        if wanted is not None and wanted not in self._claimed(told):
            self._claimed(told).append(wanted)
        elif wanted is not None or any(_echoes(one, update.fact) for one in self._true):
            self._score.add("duplicate", told, (update.fact.key, update.fact.value))
        else:
            self._score.add("junk", told, (update.fact.key, update.fact.value))

    def _claimed(self, told: str) -> list[Decision]:
        if getattr(self, "_turn", None) != told:
            self._turn, self._claims = told, list[Decision]()
        return self._claims

    def _judge_retired(self, update: FactUpdate, gold: list[Decision], was: list[Decision], told: str) -> None:
        """A fact may be closed where the gold says so, or where it was not true in the first place."""
        if update.operation not in ("UPDATE", "DELETE") or update.previous is None:
            return
        self._score.counts["retired"] += 1
        old = update.previous
        meant = [one for one in gold if one.operation in ("UPDATE", "DELETE", "ADD") and one.names(old)]
        rephrased = update.operation == "UPDATE" and any(one.says(update.fact) for one in was if update.fact)
        if not meant and not rephrased and any(one.says(old) for one in was):
            self._score.add("wrong", told, f"{old.key} = {old.value!r}: {update.reason}")

    def _judge_done(self, decision: Decision, before: list[Fact], after: list[Fact], told: str) -> None:
        if decision.operation == "NOOP" or decision.optional:
            return
        known = decision.operation != "ADD" and any(decision.names(fact) for fact in before)
        self._score.counts["changes" if known else "told"] += 1
        if decision.operation == "DELETE":
            done = not any(decision.names(fact) for fact in after)
        else:
            named = [fact for fact in after if decision.names(fact)]
            done = bool(named) and all(decision.says(fact) for fact in named)
        if not done:
            self._score.add("lost" if known else "missed", told, decision)


def _echoes(one: Decision, fact: Fact) -> bool:
    """Whether a fact says what is true anyway: under one of its keys, or its value under another."""
    about = split_key(one.keys[0])[0]
    telling = not any(same(str(fact.value), word) for word in ("yes", "likes", "dislikes"))
    by_value = slug(fact.about) == about and telling and any(same(str(fact.value), value) for value in one.values)
    items = {_bare(split_key(key)[2] or "") for key in one.keys} - {""}
    by_item = slug(fact.about) == about and _bare(fact.item or "") in items
    return one.names(fact) or by_value or by_item


class Reading:
    """A model that replies to the turn that the prompt ends with; what it knows of numbers, it reads there."""

    def __init__(self) -> None:
        self.turn: dict[str, Any] = {}

    def __call__(self, conversation: list[dict[str, Any]]) -> str:
        shown = {name: number for number, name in re.findall(r'^(\d+)\. "(.+?)": ', conversation[1]["content"], re.M)}
        assert json.dumps(self.turn["user"], ensure_ascii=False) in conversation[1]["content"]
        replies = self.turn.get("model") or _told(self.turn, shown)
        reply = replies if isinstance(replies, str) else replies[len(conversation) > 2]
        return re.sub(r"\{n:(.+?)\}", lambda found: shown.get(found[1], "null"), reply)


def _told(turn: dict[str, Any], shown: dict[str, str]) -> str:
    """What a model that makes no mistake replies."""
    number = 2 if "assistant" in turn else 1
    return json.dumps({"facts": [{**fact, "from": number} for fact in _facts(turn["gold"], shown)]})


def _facts(gold: list[str], shown: dict[str, str]) -> Iterator[dict[str, Any]]:
    for decision in map(Decision.of, gold):
        if decision.optional or decision.operation == "NOOP":
            continue
        key = next((key for key in decision.keys if key in shown), decision.keys[0])
        about, attribute, item = split_key(key)
        place = {"about": about, "attribute": attribute, "item": item and item.replace("_", " ")}
        known = int(shown[key]) if key in shown else None
        retract = decision.operation == "DELETE"
        yield {**place, "value": None if retract else decision.values[0], "replaces": known, "retract": retract}


async def play(way: str, name: str) -> Score:
    """All dialogues of a file, each by a person of its own."""
    score, model, clock = Score(), Reading(), Clock()
    options: dict[str, Any] = {"complete": ScriptedModel(model)} if way == "model" else {}
    async with AsyncMemory("memory://", background=False, clock=clock, **options) as memory:
        for number, dialogue in enumerate(dialogues(name)):
            who, judge = {"user_id": f"u{number}", "session_id": f"s{number}"}, Judge(score)
            after: list[Fact] = []
            for turn in dialogue["turn"]:
                model.turn, before = turn, after
                clock.advance(days=1)
                updates = await _remember(memory, _messages(turn), who, score)
                after = await memory.facts.get_all(scope_id=f"u{number}")
                judge.judge(turn, updates, before, after)
    return score


async def _remember(memory: AsyncMemory, messages: Any, who: dict[str, Any], score: Score) -> list[FactUpdate]:
    """What a turn did; nothing where the model's replies could not be used, and then nobody tries it again."""
    try:
        return await memory.remember(messages, **who)
    except ExtractionError as error:
        score.add("unread", str(messages), error)
        for job in await memory.jobs.list():
            await memory.jobs.drop(job.id)
        return []


def _messages(turn: dict[str, Any]) -> Any:
    heard = [{"role": "assistant", "content": turn["assistant"]}] if "assistant" in turn else []
    return [*heard, {"role": "user", "content": turn["user"]}] if heard else turn["user"]


def told(way: str, name: str, score: Score) -> tuple[float, float, float, float]:
    """The four rates, printed."""
    duplicate, junk = score.rate("duplicate", "writes"), score.rate("junk", "writes")
    lost, wrong = score.rate("lost", "changes"), score.rate("wrong", "retired")
    missed = score.rate("missed", "told")
    print(  # noqa: T201
        f"\n{name}, {way}: duplicate {duplicate:.1%}, lost update {lost:.1%}, wrong supersede {wrong:.1%}, "
        f"junk {junk:.1%}; not learned {missed:.1%}  ({dict(sorted(score.counts.items()))})"
    )
    return duplicate, lost, wrong, junk


def test_the_gold_covers_what_people_complain_about() -> None:
    turns = [turn for dialogue in dialogues("complaints") for turn in dialogue["turn"]]
    topics = {dialogue["topic"].partition(":")[0] for dialogue in dialogues("complaints")}
    assert len(turns) >= 120
    assert topics >= {"duplicates", "contradictions", "transitions", "other people", "retractions"}
    assert topics >= {"numbers and dates", "same words, another meaning", "several of a kind", "junk"}
    assert sum("slip" in turn for turn in turns) >= 60


@pytest.mark.parametrize("way", ["offline", "model"])
@pytest.mark.parametrize("name", ["complaints", "fresh"])
async def test_nothing_is_doubled_lost_or_wrongly_retired(
    name: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    score = await play(way, name)
    with capsys.disabled():
        duplicate, lost, wrong, junk = told(way, name, score)
    assert (duplicate <= DUPLICATES, lost <= LOST, wrong < WRONG, junk < JUNK) == (True,) * 4, "\n".join(score.lines)
