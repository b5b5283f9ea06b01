"""What the table of stores says is measured, and the page in the docs says the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ltm_core.records import vector_record
from ltm_core.stores import base, open_store, portable
from ltm_core.stores.base import Store
from ltm_core.stores.sql import nearest, tables
from ltm_core.testing.store_contract import ANN, NOW, fact, put
from tests.stores.abilities import INSIDE, MANY, MEANS, PAGE, QUESTIONS, STORES, page

# Where a record is made from what a database gave, or vectors are compared, and how many at once.
LOOKING = ((tables, "Record", 1), (portable, "Record", 1), (base, "cosine", 1), (nearest, "_cosines", MANY))


@pytest.fixture(params=list(STORES))
async def named(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, Store]]:
    """A store in which one person has many facts, and its name."""
    urls = {"postgres": "one_postgres_url", "mariadb": "mysql_url", "redis": "redis_url"}
    fixture = urls.get(request.param)
    async with open_store(request.getfixturevalue(fixture) if fixture else tmp_path / "ltm.db") as store:
        for number in range(MANY):
            at = NOW - timedelta(days=MANY - number)
            fields: dict[str, Any] = {
                "key": f"key {number}",
                "attribute": f"attribute {number}",
                "text": f"Text {number}.",
                "extra": {"number": number},
            }
            one = fact(ANN, f"{number}", terms=[f"word{number}"], created_at=at, updated_at=at, expires_at=at, **fields)
            await put(store, one, vector_record(one, "s", [1.0, number]))
        yield request.param, store


async def test_what_is_said_to_be_done_inside_the_database_is(
    named: tuple[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, store = named
    looked_at = 0

    def counted(call: Any, size: int) -> Any:
        def counting(*given: Any) -> Any:
            nonlocal looked_at
            looked_at += size
            return call(*given)

        return counting

    for module, call, size in LOOKING:
        monkeypatch.setattr(module, call, counted(getattr(module, call), size))
    inside: set[str] = set()
    for question, ask in QUESTIONS.items():
        looked_at = 0
        assert await ask(store) is not None
        if looked_at < MANY / 2:
            inside.add(question)
    assert inside == {question for question in QUESTIONS if name in INSIDE[question].split()}


def test_the_page_of_stores_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.stores.abilities"


def test_the_page_tells_of_every_question_and_store() -> None:
    assert INSIDE.keys() == QUESTIONS.keys()
    assert {len(means) for means in MEANS.values()} == {len(STORES)}
