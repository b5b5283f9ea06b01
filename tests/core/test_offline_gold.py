"""The offline extractor against sentences that a person has marked: what is told, and what only looks like it."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from ltm_core.learn.offline import extract_offline
from ltm_core.model import Candidate, Message
from ltm_core.policies import Extracting
from ltm_core.scope import Identity

NOW = datetime(2025, 11, 21, 9, tzinfo=UTC)
GOLD = Path(__file__).parent / "gold"
PRECISION = 0.9
RECALL = {"told_hard": 0.6}  # idiomatic, elliptical English: much of it needs a model
EXPECTED_RECALL = 0.8


def said(text: str) -> list[Candidate]:
    """What is learned from one message of the user."""
    message = Message(content=text, id="m1")
    return extract_offline(Extracting(messages=[message], identity=Identity(user_id="u"), now=NOW))


def _same(told: Any, accepted: list[Any]) -> bool:
    return str(told).casefold() in [str(value).casefold() for value in accepted]


def _is(candidate: Candidate, fact: dict[str, Any]) -> bool:
    about = [fact.get("about", "user"), *fact.get("accept_about", [])]
    items = [fact.get("item"), *fact.get("accept_item", [])]
    return (
        candidate.attribute == fact["attribute"]
        and candidate.retract == fact.get("retract", False)
        and _same(candidate.about, about)
        and _same(candidate.item, items)
        and _same(candidate.value, [fact["value"], *fact.get("accept", [])])
        and ("valid_from" not in fact or str(candidate.valid_from)[:10] == fact["valid_from"])
    )


def score(utterances: list[dict[str, Any]]) -> tuple[float, float, list[str]]:
    """Precision, recall, and a line for everything that is not right."""
    right = made = wanted = found = 0
    wrong: list[str] = []
    for utterance in utterances:
        candidates, facts = said(utterance["text"]), utterance["facts"]
        good = [candidate for candidate in candidates if any(_is(candidate, fact) for fact in facts)]
        missed = [fact for fact in facts if not fact.get("optional") and not any(_is(c, fact) for c in candidates)]
        right, made = right + len(good), made + len(candidates)
        wanted += sum(not fact.get("optional") for fact in facts)
        found += sum(not fact.get("optional") for fact in facts) - len(missed)
        wrong += [
            f"{utterance['text']}\n    EXTRA {c.key} = {c.value!r}{' retract' if c.retract else ''}"
            for c in candidates
            if c not in good
        ]
        wrong += [f"{utterance['text']}\n    MISSED {fact}" for fact in missed]
    return right / (made or 1), found / (wanted or 1), wrong


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLD.glob("*.toml"))])
def test_what_people_tell_is_found_and_little_else(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    utterances = tomllib.loads((GOLD / f"{name}.toml").read_text(encoding="utf-8"))["utterance"]
    said("warm up")
    start = perf_counter()
    precision, recall, wrong = score(utterances)
    each = (perf_counter() - start) * 1000 / len(utterances)
    with capsys.disabled():
        print(f"\n{name}: precision {precision:.3f}, recall {recall:.3f}, {each:.2f} ms per message")  # noqa: T201
    assert precision >= PRECISION, "\n".join(wrong)
    assert recall >= RECALL.get(name, EXPECTED_RECALL), "\n".join(wrong)
