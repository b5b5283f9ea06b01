"""Pages of facts are read along an index, and no further than they need: the plans of the databases say so."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ltm_core import AsyncMemory, PersistentFacts
from ltm_core.stores.sql.link import Raws
from ltm_core.stores.sqlite import SqliteStore

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
Ran = list[tuple[str, Sequence[Any]]]


def watched(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Every query from now on, with its values."""
    ran: Ran = []
    fetch = SqliteStore._fetch

    async def noted(self: SqliteStore, query: Any) -> Any:
        assert self._reader is not None
        raw = Raws().of(query.statement, self._reader.dialect)
        ran.append((raw.text, raw.arguments(query.parameters)))
        return await fetch(self, query)

    monkeypatch.setattr(SqliteStore, "_fetch", noted)
    return ran


def explained(file: Path, ran: Ran) -> list[list[str]]:
    """How the database goes about each of these queries."""
    with sqlite3.connect(file) as raw:
        return [[row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", values)] for text, values in ran]


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "SEARCH fact USING INDEX ix_fact_owner_namespace_key (owner=? AND namespace=? AND key>?)"),
        (
            {"memory_type": "goal"},
            "SEARCH fact USING INDEX ix_fact_owner_namespace_memory_type_key"
            " (owner=? AND namespace=? AND memory_type=? AND key>?)",
        ),
        (
            {"created_after": BEGUN, "order": "created_at"},
            "SEARCH fact USING INDEX ix_fact_owner_created_at (owner=? AND created_at>?)",
        ),
        (
            {"tags": ["ui"]},
            "SEARCH tag USING INDEX ix_tag_owner_namespace_tag_key (owner=? AND namespace=? AND tag=? AND key>?)",
        ),
        (
            {"tags": ["ui"], "memory_type": "goal", "created_after": BEGUN, "order": "created_at"},
            "SEARCH tag USING INDEX ix_tag_owner_namespace_tag_created_at"
            " (owner=? AND namespace=? AND tag=? AND created_at>?)",
        ),
    ],
)
async def test_a_page_begins_where_the_last_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], index: str
) -> None:
    facts = PersistentFacts(SqliteStore(tmp_path / "plans.db"))
    given = {"tags": ["ui"], "memory_type": "goal", "scope_id": "ann"}
    await facts.add_many({"key": f"k{n}", "value": n, **given} for n in range(5))
    page = await facts.filter(scope_id="ann", limit=2, **asked)
    ran = watched(monkeypatch)
    await facts.filter(scope_id="ann", limit=2, after=page.next, **asked)
    await facts.close()
    plans = explained(tmp_path / "plans.db", ran)
    assert plans[0][0] == index
    assert all("USE TEMP B-TREE FOR ORDER BY" not in step for step in plans[0])


async def test_a_job_is_found_by_its_id_alone_however_many_people_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncMemory(tmp_path / "plans.db", background=False) as memory:
        tickets = [await memory.observe("I live in Oslo.", user_id=f"u{number}") for number in range(30)]
        ran = watched(monkeypatch)
        assert (await memory.jobs.show(str(tickets[17].id))).subject == "user:u17"
    plans = explained(tmp_path / "plans.db", ran)
    assert plans[0] == ["SEARCH job USING INDEX ix_job_id (id=?)"]  # whose it is
    assert plans[1] == ["SEARCH job USING INDEX ix_job_id (id=?)"]  # the job, behind the wall
    assert len(plans) == 3  # and its messages
