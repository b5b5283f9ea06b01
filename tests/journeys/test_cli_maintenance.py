"""`ltm maintain`, `ltm sweep`, `ltm stats`, and `ltm worker --maintain`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltm_core import Memory
from tests.journeys import crew
from tests.journeys.test_cli import Ltm, environment, ltm, memory  # noqa: F401 # fixtures


@pytest.fixture
def three_alike(memory: Memory) -> Memory:  # noqa: F811
    for number in (1, 2, 3):
        memory.facts.add(f"note#{number}", "Sarah likes strong coffee", scope_id="sarah")
    return memory


def test_maintain_shows_what_it_would_do_and_does_it(ltm: Ltm, three_alike: Memory) -> None:  # noqa: F811
    shown = ltm("maintain", "--dry-run")
    assert "note#1 says the same" in shown.out
    assert "Nothing was written." in shown.out
    assert len(three_alike.facts.get_all(scope_id="sarah")) == 3
    done = ltm("maintain", "deduplicate", "prune:max_facts=5", "--json").data
    assert [step["strategy"] for step in done["strategies"]] == ["deduplicate", "prune"]
    assert done["strategies"][0]["facts_after"] == 1
    (job,) = done["job_ids"]
    assert "UPDATE note#2" in ltm("jobs", "show", job).out
    assert "note#2" not in ltm("facts", "list").out


def test_without_a_user_everybody_is_maintained(
    ltm: Ltm,  # noqa: F811
    three_alike: Memory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    three_alike.facts.add_many(
        [{"key": f"note#{n}", "value": "Tom likes strong tea", "scope_id": "tom"} for n in (1, 2)]
    )
    monkeypatch.delenv("LTM_USER")
    assert ltm("maintain", "deduplicate", "--dry-run", "--json").data["strategies"][0]["facts_before"] == 5
    done = ltm("maintain", "deduplicate", "--json").data
    assert (len(done["job_ids"]), done["strategies"][0]["facts_after"]) == (2, 2)
    assert ltm("stats", "--json").data["people"] == 2


@pytest.mark.parametrize("strategy", ["nonsense", "prune", "prune:max_facts=x"])
def test_a_strategy_that_is_none_is_one_line_on_stderr(ltm: Ltm, strategy: str) -> None:  # noqa: F811
    told = ltm("maintain", strategy)
    assert (told.code, told.err.count("\n")) == (1, 1)


def test_sweep_says_what_it_removed(ltm: Ltm, three_alike: Memory) -> None:  # noqa: F811
    three_alike.facts.delete("note#1", scope_id="sarah")
    three_alike.recall("coffee", user_id="sarah")
    three_alike.flush()
    none = ", 0 logged accesses.\n"
    assert ltm("sweep").out == f"Removed: 0 sessions, 0 expired and 0 deleted facts{none}"
    assert ltm("sweep", "--retention", "0").out == f"Removed: 0 sessions, 0 expired and 1 deleted facts{none}"
    assert "facts, 1 logged accesses." in ltm("sweep", "--access-retention", "0").out
    assert ltm("sweep", "--json").data == {"sessions": 0, "expired": 0, "deleted": 0, "accesses": 0}


def test_stats_are_tables_or_json(ltm: Ltm, three_alike: Memory) -> None:  # noqa: F811
    tables = ltm("stats").out
    assert all(word in tables for word in ("duplicates", "junk", "tokens", "category", "facts made"))
    counted = ltm("stats", "--json").data
    assert (counted["facts"], counted["duplicates"], counted["by_source"]) == (3, 2, {"manual": 3})
    assert ltm("stats", "--quick", "--json").data["duplicates"] is None
    assert "tokens" not in ltm("stats", "--quick").out


def test_a_worker_maintains_what_it_is_told_to(three_alike: Memory, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ltm.db'}"
    once = crew.worker(url, "--once", "--maintain", "deduplicate", "--quiet")
    assert once.communicate(timeout=crew.PATIENCE)[1] == ""
    assert [fact.key for fact in three_alike.facts.get_all(scope_id="sarah")] == ["note#1"]
    three_alike.facts.add("note#4", "Sarah likes strong coffee", scope_id="sarah")
    steady = crew.worker(url, "--maintain", "prune:max_facts=0")  # its time has not come
    crew.begun(steady)
    crew.end(steady)
    assert len(three_alike.facts.get_all(scope_id="sarah")) == 2


def test_facts_are_pinned_and_put_aside_by_hand(ltm: Ltm, three_alike: Memory) -> None:  # noqa: F811
    assert ltm("facts", "archive", "note#1", "--reason", "too much coffee").out == "note#1 is archived.\n"
    assert ltm("facts", "pin", "note#2").code == 0
    assert [fact["key"] for fact in ltm("facts", "list", "--json").data] == ["note#2", "note#3"]
    (aside,) = ltm("facts", "list", "--archived", "--json").data
    assert (aside["key"], aside["reason"]) == ("note#1", "too much coffee")
    assert ltm("maintain", "prune:max_facts=0", "--json").data["strategies"][0]["facts_after"] == 1
    assert ltm("facts", "unpin", "note#2").out == "note#2 is not pinned.\n"
    assert ltm("facts", "unarchive", "note#1").out == "note#1 = Sarah likes strong coffee\n"
    assert ltm("facts", "pin", "nothing").code == 1


def test_usage_of_a_fact_is_told_with_the_log_of_it(ltm: Ltm, memory: Memory) -> None:  # noqa: F811
    fact = memory.facts.add("drink", "Strong coffee", scope_id="sarah")
    recalled = memory.recall("coffee?", user_id="sarah", session_id="breakfast")
    memory.feedback(recalled.recall_id, fact.id)
    memory.facts.touch("drink", scope_id="sarah")
    told = ltm("facts", "usage", "drink")
    assert told.out.startswith("Given 2 times, last ")
    assert "useful 1, not useful 0. Importance now: 0.40" in told.out
    assert all(word in told.out for word in ("touch", "recall", "sarah breakfast", "coffee?", "yes"))
    found = ltm("facts", "usage", "drink", "--limit", "1", "--json").data
    assert (found["access_count"], [one["how"] for one in found["accesses"]]) == (2, ["touch"])
    assert ltm("facts", "usage", "nothing").code == 1
    shown = ltm("stats").out
    assert "most used" in shown
    assert ltm("stats", "--json").data["most_used"][0]["access_count"] == 2
