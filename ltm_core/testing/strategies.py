"""What Hypothesis draws to prove a store: values, records, conditions and orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from ..stores.base import All, AnyOf, Compare, Condition, Not, Order

texts = st.sampled_from(
    ["", "a", "b", "A", "ab", "a/b", "a/bc", "a/b/c", "a0", "é", "日本", "%", "_", "*", "'", '"', "\\", "\n", "😀", "1"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
# Eighths are exact in binary and in decimal: how well a database reads decimals is no matter of this contract.
numbers = st.sampled_from([0, 1, -1, 2, 0.5, 1.0, 2**53, -(2**53), 1e12]) | st.integers(-99, 99).map(lambda n: n / 8)
times = st.builds(
    lambda micros, zone: (datetime(1999, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).astimezone(zone),
    st.integers(0, 2) | st.integers(0, 10**15),
    st.sampled_from([UTC, timezone(timedelta(hours=5.5))]),
)
names = st.sampled_from(["a", "b", "", "é", "a.b", "x y", "a\\b", "$", "0", "[0]", "'", "a\nb"])
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=5
)
vectors = st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any).map(lambda numbers: [*map(float, numbers)])
words = st.sampled_from(["live", "oslo", "alp", "日本", "本語", "or", "near", "c++", "2024", "naïve"])

facts = st.fixed_dictionaries(
    {"value": json_values},
    optional={
        "key": st.none() | texts,
        "namespace": texts,
        "tags": st.lists(texts, max_size=3),
        "importance": st.none() | numbers,
        "created_at": st.none() | times,
        "extra": json_values,
        "rank": st.none() | st.integers(0, 3),
    },
)

_paths: st.SearchStrategy[str | tuple[str, ...]] = st.sampled_from(
    ["key", "namespace", "importance", "created_at", "value", "tags", "extra", "rank", "missing", "version"]
) | st.tuples(st.sampled_from(["value", "extra", "key", "missing"]), names)
_values = json_values | times


def _compare(operator: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Compare]:
    return st.builds(Compare, _paths, st.just(operator), values)


compares = st.one_of(
    *(_compare(operator, _values) for operator in ("eq", "ne", "gt", "gte", "lt", "lte", "contains")),
    _compare("in", st.lists(_values, max_size=4)),
    _compare("under", texts),
    _compare("exists", st.booleans()),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    compares,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: All(*parts))
        | st.lists(inner, max_size=3).map(lambda parts: AnyOf(*parts))
        | inner.map(Not)
    ),
    max_leaves=4,
)
orders: st.SearchStrategy[Order] = st.lists(
    st.tuples(
        st.sampled_from(["namespace", "key", "importance", "created_at", "rank", "version"]),
        st.sampled_from(["asc", "desc"]),
    ),
    max_size=2,
    unique_by=lambda part: part[0],
)

_contents = st.fixed_dictionaries({"fields": facts, "terms": st.lists(words, max_size=3).map(tuple)})
_writes = st.fixed_dictionaries(
    {
        "owner": st.integers(0, 2),
        "name": st.integers(0, 3),
        "version": st.integers(1, 3),
        "expect": st.none() | st.integers(0, 3),
        "content": st.none() | _contents,
    }
)
units = st.lists(_writes, min_size=1, max_size=3)
