from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.errors import ConflictError
from ltm_core.learn.commit import history, writes_for
from ltm_core.model import Fact, FactUpdate
from ltm_core.records import fact_id, fact_of, version_of
from ltm_core.scope import Scope
from ltm_core.stores.base import Put, Where
from ltm_core.stores.memory import DictStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = Scope.user("ann")


def day(number: int) -> datetime:
    return NOW + timedelta(days=number)


def fact(value: Any, version: int = 1, **fields: Any) -> Fact:
    given: dict[str, Any] = {"valid_from": day(version), "created_at": day(1), "updated_at": day(version)} | fields
    return Fact(id=fact_id(ANN, "", "k"), key="k", value=value, scope_id="ann", version=version, **given)


def update(new: Fact, old: Fact | None = None, operation: str | None = None) -> FactUpdate:
    usual = "ADD" if old is None else "DELETE" if new.deleted_at else "UPDATE"
    return FactUpdate.model_validate(
        {"operation": operation or usual, "fact": new, "reason": "said so", "previous": old}
    )


async def stored(store: DictStore) -> list[Fact]:
    current = [fact_of(record) for record in await store.scan(Where("fact", (ANN,)))]
    past = [version_of(record) for record in await store.scan(Where("version", (ANN,)))]
    return history(current[0] if current else None, past)


def closed(new: Fact, old: Fact) -> Fact:
    put = writes_for([update(new, old)], ANN, day(9))[1]
    assert isinstance(put, Put)
    return version_of(put.record)


def test_what_changes_nothing_writes_nothing() -> None:
    assert writes_for([FactUpdate(operation="NOOP", fact=fact("a"), reason="known")], ANN, NOW) == []


def test_a_new_fact_expects_that_none_is_there() -> None:
    (put,) = writes_for([update(fact("a"))], ANN, NOW)
    assert isinstance(put, Put)
    assert (put.expect, put.record.subject, fact_of(put.record)) == (0, ANN, fact("a"))


def test_a_change_expects_the_version_that_was_read_and_keeps_it() -> None:
    put, past = writes_for([update(fact("b", 2), fact("a"))], ANN, NOW)
    assert isinstance(put, Put)
    assert isinstance(past, Put)
    assert (put.expect, past.expect) == (1, 0)
    assert past.record.fields["superseded_at"] == NOW


@pytest.mark.parametrize(
    ("new", "old", "end"),
    [
        pytest.param(fact("b", 2), fact("a"), day(2), id="closed when the new one begins"),
        pytest.param(fact("b", 2, valid_from=None), fact("a"), day(9), id="closed now if that is unknown"),
        pytest.param(fact("b", 5), fact("a", valid_to=day(3)), day(3), id="what had ended keeps its end"),
        pytest.param(fact("a", 2, deleted_at=day(4)), fact("a"), day(4), id="closed when it is taken back"),
        pytest.param(fact("a", 2, deleted_at=day(4), valid_to=day(2)), fact("a"), day(2), id="or when it had ended"),
        pytest.param(fact("a", 2, deleted_at=day(4), valid_to=day(8)), fact("a"), day(4), id="never after that"),
        pytest.param(fact("b", 3), fact("a", 2, deleted_at=day(2)), None, id="what was deleted stays as it was"),
    ],
)
def test_the_old_version_is_closed(new: Fact, old: Fact, end: datetime | None) -> None:
    assert closed(new, old) == old.model_copy(update={"valid_to": end})


async def test_a_stale_change_is_refused_whole() -> None:
    store = DictStore()
    await store.apply(writes_for([update(fact("a"))], ANN, NOW))
    await store.apply(writes_for([update(fact("b", 2), fact("a"))], ANN, NOW))
    with pytest.raises(ConflictError):
        await store.apply(writes_for([update(fact("c", 2), fact("a"))], ANN, NOW))
    assert [one.value for one in await stored(store)] == ["a", "b"]


async def test_a_fact_that_was_deleted_and_told_again_has_a_history_without_gaps() -> None:
    store = DictStore()
    first, gone, again = fact("a"), fact("a", 2, deleted_at=day(2)), fact("b", 3)
    for one in (update(first), update(gone, first), update(again, gone, "ADD")):
        await store.apply(writes_for([one], ANN, NOW))
    assert [(one.version, one.value, bool(one.deleted_at)) for one in await stored(store)] == [
        (1, "a", False),
        (2, "a", True),
        (3, "b", False),
    ]


@given(st.lists(st.integers(), min_size=1, max_size=8))
async def test_the_history_replays_every_value_in_order(values: list[int]) -> None:
    store, old = DictStore(), None
    for number, value in enumerate(values, 1):
        new = fact(value, number)
        await store.apply(writes_for([update(new, old)], ANN, day(number)))
        old = new
    told = await stored(store)
    assert [(one.version, one.value) for one in told] == list(enumerate(values, 1))
    assert [one.valid_to for one in told] == [*(one.valid_from for one in told[1:]), None]


def test_the_history_of_nothing_is_empty() -> None:
    assert history(None, []) == []


def test_the_history_is_ordered_by_version_and_counts_the_present_one_once() -> None:
    assert history(fact("c", 3), [fact("b", 2), fact("a"), fact("c", 3)]) == [fact("a"), fact("b", 2), fact("c", 3)]
