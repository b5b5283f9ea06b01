"""The contract of a store: subclass `StoreContract`, give it your store, and pytest proves it.

    class TestMyStore(StoreContract):
        durable = True

        @pytest.fixture
        async def store(self):
            async with MyStore(...) as store:  # empty
                yield store

Needs pytest, pytest-asyncio and hypothesis.
"""
# ruff: noqa: D102 (the name of a test is its docstring)

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..errors import ConflictError
from ..records import vector_record
from ..scope import MAX_ID_BYTES, Scope
from ..stores.base import (
    Compare,
    Condition,
    Delete,
    Due,
    Operator,
    Order,
    Put,
    Reached,
    Record,
    Scan,
    Store,
    Where,
    Write,
    place,
)
from ..stores.memory import DictStore
from ..vectors import pack
from . import strategies as draw

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ANN, BOB = Scope.user("ann"), Scope.user("bob")
# Ids that mean something to some database, or look like another id to it.
TRICKY_IDS = (
    *("*", "%", "_", "a", "A", "a ", " a", "a:b", "user:a", "a/b", "[a]", "{a}", "a*", "?", "\\", "'", '"', "--", "$a"),
    *(
        "' OR '1'='1",
        '" OR 1',
        "a) OR (b",
        "NULL",
        "None",
        "0",
        "1",
        "1.0",
        "a\x01",
        "a\n",
        "a\t",
        "😀",
        "é",
        "e\u0301",
    ),
    *("ａ", "а", "ß", "ss", "ı", "x" * MAX_ID_BYTES, "x" * (MAX_ID_BYTES - 1), "😀" * (MAX_ID_BYTES // 4)),
)
_JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**53, -(2**53), 0.1, -1.5e-7, 1e300, "", "null", "1"),
    *([], {}, [[]], [None, [1, {"a": [True, 1, 1.5, "1"]}]], {"": None, "a.b": {"c d": [1]}, "é": "😀"}, {'"': "\\"}),
)
_many = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)


def fact(scope: Scope, name: str, subject: Scope | None = None, *, version: int = 1, **fields: Any) -> Record:
    """A fact of `scope` whose id is made for it; `terms=` are its words."""
    terms = tuple(fields.pop("terms", ()))
    return Record("fact", f"{scope.token}.{name}", scope, subject or scope, version, fields, terms)


def link(source: Record, target: Record, type: str = "related", *, strength: float = 1.0) -> Record:  # noqa: A002
    """A link of the source's owner."""
    fields = {"source": source.id, "target": target.id, "type": type, "strength": strength, "mutual": False}
    return Record("link", f"{source.id}-{type}-{target.id}", source.scope, source.subject, 1, fields)


def of(*scopes: Scope, test: Condition | None = None) -> Where:
    """All facts of these owners."""
    return Where("fact", scopes) if test is None else Where("fact", scopes, test=test)


def names(records: Sequence[Record]) -> list[str]:
    """What `fact` was given as names, in order."""
    return [record.id.partition(".")[2] for record in records]


async def put(store: Store, *records: Record) -> None:
    """Write `records`, whatever is stored."""
    await store.apply([Put(record) for record in records])


async def stamp_of(store: Store, owner: Scope) -> Hashable | None:
    """Of the facts of one owner."""
    return (await store.stamps([owner], ["fact"])).get("fact")


@pytest.mark.asyncio
class StoreContract:
    """What every store must do. `DictStore` is what it means.

    Attributes:
        durable: Whether records outlive `close`.
    """

    durable = False

    @pytest.fixture
    async def store(self) -> Store:
        """An open store with nothing in it."""
        raise NotImplementedError("Override the fixture `store`: yield an open store with nothing in it.")

    # What is kept

    @pytest.mark.parametrize("value", _JSON_VALUES, ids=repr)
    async def test_json_comes_back_as_it_went_in(self, store: Store, value: Any) -> None:
        record = fact(ANN, "a", value=value, tags=["x"], extra=value)
        await put(store, record)
        (found,) = await store.scan(of(ANN))
        assert found == record
        assert repr(found.fields["value"]) == repr(found.fields["extra"]) == repr(value)

    @pytest.mark.parametrize(
        "text", ["", " ", "a\0b", "\0", "é e\u0301 ß İ", "日本語", "👩‍👩‍👧", "\u202e\ufeff", "a\r\n\t", "'\"\\;--"]
    )
    async def test_text_comes_back_as_it_went_in(self, store: Store, text: str) -> None:
        record = fact(ANN, "a", text=text, key=text, value=text, extra={"text": text})
        await put(store, record)
        assert await store.scan(of(ANN)) == [record]
        for path in ("text", "value", ("extra", "text")):
            assert await store.count(of(ANN, test=Compare(path, "eq", text))) == 1
            assert await store.count(of(ANN, test=Compare(path, "eq", f"{text}\0"))) == 0

    async def test_a_time_keeps_its_instant_to_the_microsecond(self, store: Store) -> None:
        elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
        whole = NOW.replace(microsecond=0)
        await put(store, fact(ANN, "a", created_at=NOW, updated_at=elsewhere, valid_from=whole))
        (found,) = await store.scan(of(ANN))
        assert (found.get("created_at"), found.get("updated_at"), found.get("valid_from")) == (NOW, NOW, whole)
        assert found.fields["created_at"].utcoffset() is not None

    async def test_none_and_absent_fields_stay_what_they_are(self, store: Store) -> None:
        record = fact(ANN, "a", key=None, importance=None, created_at=None, value=None, extra=None)
        await put(store, record, fact(ANN, "b"))
        found, bare = await store.scan(of(ANN))
        assert found.fields == record.fields
        assert bare.fields == {}

    async def test_what_was_handed_out_or_in_can_be_changed_without_harm(self, store: Store) -> None:
        tags = ["x"]
        await put(store, fact(ANN, "a", tags=tags))
        tags.append("y")
        (found,) = await store.scan(of(ANN))
        found.fields["tags"].append("z")
        assert (await store.scan(of(ANN)))[0].fields["tags"] == ["x"]

    async def test_kinds_are_kept_apart(self, store: Store) -> None:
        record = fact(ANN, "a")
        await put(store, record, replace(record, kind="lease"))
        await store.apply([Delete("lease", record.id, ANN)])
        assert await store.scan(of(ANN)) == [record]

    async def test_opening_and_closing_twice_is_harmless(self, store: Store) -> None:
        await store.open()
        await store.close()
        await store.close()
        await store.open()
        await put(store, fact(ANN, "a"))
        assert await store.count(of(ANN)) == 1

    async def test_records_outlive_close(self, store: Store) -> None:
        if not self.durable:
            pytest.skip("this store forgets when it is closed")
        record = fact(ANN, "a", value={"x": [1]}, created_at=NOW, terms=["oslo"])
        await put(store, record)
        await store.close()
        await store.open()
        assert await store.scan(of(ANN)) == await store.search_text(of(ANN), ["oslo"], 5) == [record]

    # The wall

    async def test_no_id_reaches_another_ones_records(self, store: Store) -> None:
        scopes = [Scope.user(name) for name in TRICKY_IDS]
        await put(store, *(fact(scope, "f", value=scope.id, terms=["oslo"]) for scope in scopes))
        for scope in scopes:
            for where in (of(scope), Where("fact", subject=scope)):
                assert [record.scope for record in await store.scan(where)] == [scope]
                assert [record.scope for record in await store.search_text(where, ["oslo"], 99)] == [scope]
                assert await store.count(where) == 1

    @pytest.mark.parametrize("tricky", ["*", "%", "_", "' OR '1'='1", "", "a*"])
    async def test_no_value_is_a_wildcard(self, store: Store, tricky: str) -> None:
        await put(store, fact(ANN, "a", key="abc", value="abc", tags=["abc"]))
        for path in ("key", "value"):
            assert await store.count(of(ANN, test=Compare(path, "eq", tricky))) == 0
        assert await store.count(of(ANN, test=Compare("tags", "contains", tricky))) == 0
        assert await store.scan(Where("fact", (ANN,), ids=(tricky,))) == []

    async def test_tenants_do_not_see_each_other(self, store: Store) -> None:
        here, there = Scope.user("ann", "acme"), Scope.user("ann", "acme2")
        await put(store, fact(here, "a", terms=["oslo"]), fact(there, "a", terms=["oslo"]))
        for where in (of(here), Where("fact", subject=here)):
            assert [record.scope for record in await store.scan(where)] == [here]
            assert [record.scope for record in await store.search_text(where, ["oslo"], 9)] == [here]
        assert await store.purge(Where("fact", subject=here)) == 1
        assert await store.count(of(there)) == 1

    async def test_levels_with_one_id_are_different_owners(self, store: Store) -> None:
        scopes = (Scope.user("x"), Scope.session("x"), Scope.agent("x"), Scope.GLOBAL)
        await put(store, *(fact(scope, "a") for scope in scopes))
        for scope in scopes:
            assert [record.scope for record in await store.scan(of(scope))] == [scope]
        assert await store.count(of(*scopes)) == 4

    async def test_owner_and_subject_both_bind(self, store: Store) -> None:
        talk = Scope.session("s")
        await put(store, fact(talk, "ann", ANN, terms=["oslo"]), fact(talk, "bob", BOB, terms=["oslo"]), fact(ANN, "x"))
        both = Where("fact", (talk,), ANN)
        assert names(await store.scan(both)) == names(await store.search_text(both, ["oslo"], 9)) == ["ann"]
        assert sorted(names(await store.scan(Where("fact", subject=ANN)))) == ["ann", "x"]
        assert await store.purge(both) == 1
        assert sorted(names(await store.scan(of(talk, ANN)))) == ["bob", "x"]

    async def test_an_id_of_another_owner_is_refused(self, store: Store) -> None:
        record = fact(ANN, "a", value=1, terms=["oslo"])
        await put(store, record)
        theft = replace(record, scope=BOB, subject=BOB, fields={"value": 2}, version=2)
        attempts: list[Write] = [Put(theft, expect) for expect in (None, 0, 1)]
        attempts += [Delete("fact", record.id, BOB, expect) for expect in (None, 0, 1)]
        for attempt in attempts:
            with pytest.raises(ConflictError):
                await store.apply([attempt])
        assert await store.scan(of(ANN)) == await store.search_text(of(ANN), ["oslo"], 5) == [record]
        assert await store.scan(of(BOB)) == []

    # Writing

    async def test_a_write_needs_the_version_that_it_expects(self, store: Store) -> None:
        first, second = fact(ANN, "a", value=1), fact(ANN, "a", value=2, version=2)
        await store.apply([Put(first, expect=0)])
        await store.apply([Put(second, expect=1)])
        refused: list[Write] = [Put(first, expect=0), Put(first, expect=1), Put(fact(ANN, "b"), expect=1)]
        refused += [Delete("fact", first.id, ANN, expect=1), Delete("fact", "none", ANN, expect=1)]
        for write in refused:
            with pytest.raises(ConflictError):
                await store.apply([write])
        assert await store.scan(of(ANN)) == [second]
        await store.apply([Delete("fact", first.id, ANN, expect=2)])
        assert await store.scan(of(ANN)) == []

    async def test_deleting_what_is_not_there_is_harmless(self, store: Store) -> None:
        await store.apply([Delete("fact", "none", ANN), Delete("fact", "none", ANN, expect=0)])
        await store.apply([])

    @pytest.mark.parametrize("position", [0, 1, 2])
    async def test_all_writes_are_done_or_none(self, store: Store, position: int) -> None:
        await put(store, fact(ANN, "old", value=1, terms=["oslo"]))
        writes: list[Write] = [Put(fact(ANN, "new"), expect=0), Delete("fact", fact(ANN, "old").id, ANN)]
        writes.insert(position, Put(fact(ANN, "none"), expect=7))
        with pytest.raises(ConflictError):
            await store.apply(writes)
        assert names(await store.scan(of(ANN))) == names(await store.search_text(of(ANN), ["oslo"], 5)) == ["old"]

    async def test_later_writes_of_a_batch_see_earlier_ones(self, store: Store) -> None:
        first, second = fact(ANN, "a"), fact(ANN, "a", version=2)
        await store.apply([Put(first, expect=0), Put(second, expect=1)])
        assert await store.scan(of(ANN)) == [second]
        await store.apply([Delete("fact", first.id, ANN, expect=2), Put(first, expect=0)])
        assert await store.scan(of(ANN)) == [first]
        await store.apply([Put(second), Delete("fact", first.id, ANN)])
        assert await store.scan(of(ANN)) == []

    async def test_of_concurrent_writers_one_wins(self, store: Store) -> None:
        writers = [store.apply([Put(fact(ANN, "a", value=n), expect=0)]) for n in range(20)]
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
        assert sum(outcome is None for outcome in outcomes) == 1
        assert all(outcome is None or isinstance(outcome, ConflictError) for outcome in outcomes)
        (found,) = await store.scan(of(ANN))
        assert outcomes[found.fields["value"]] is None

    async def test_a_refused_writer_fails_alone(self, store: Store) -> None:
        writers = [store.apply([Put(fact(ANN, f"{n:02}"), expect=n % 10 // 9)]) for n in range(40)]
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
        assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [9, 19, 29, 39]
        assert await store.count(of(ANN)) == 36

    async def test_a_cancelled_writer_disturbs_nobody(self, store: Store) -> None:
        tasks = [asyncio.create_task(store.apply([Put(fact(ANN, str(n)))])) for n in range(6)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        tasks[5].cancel()
        await asyncio.wait(tasks)
        await put(store, fact(ANN, "later"))
        assert {"0", "1", "3", "4", "later"} <= set(names(await store.scan(of(ANN))))

    async def test_a_cancelled_reader_disturbs_nobody(self, store: Store) -> None:
        await put(store, fact(ANN, "a"))
        for later in range(30):
            reading = store.scan(of(ANN)) if later % 2 else store.scans([Scan(of(ANN)), Scan(of(BOB))])
            task: asyncio.Task[Any] = asyncio.create_task(reading)
            for _ in range(later):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert names(await store.scan(of(ANN))) == ["a"]

    # Finding

    async def test_several_scans_at_once_are_each_what_a_scan_gives(self, store: Store) -> None:
        await put(store, *(fact(ANN, str(n), value=n) for n in range(5)), fact(BOB, "b"))
        latest = await store.scan(of(ANN), order=[("value", "desc")], limit=2)
        asked = [Scan(of(ANN), [("value", "desc")], 2), Scan(of(BOB)), Scan(of(Scope.user("nobody")))]
        assert await store.scans(asked) == [latest, await store.scan(of(BOB)), []]
        assert await store.scans([]) == []

    async def test_a_later_one_of_several_scans_sees_whatever_an_earlier_one_has_seen(self, store: Store) -> None:
        async def write() -> None:
            for n in range(20):
                await put(store, fact(ANN, "a", value=n), fact(BOB, "b", value=n))

        writing = asyncio.create_task(write())
        while not writing.done():
            first, second = await store.scans([Scan(of(ANN)), Scan(of(BOB))])
            assert [one.fields["value"] for one in first] <= [one.fields["value"] for one in second]
            await asyncio.sleep(0)
        await writing

    @_many
    @given(facts=st.lists(draw.facts, max_size=5), test=draw.conditions)
    async def test_conditions_mean_what_admits_says(
        self, store: Store, facts: list[dict[str, Any]], test: Condition
    ) -> None:
        me = _somebody()
        records = [fact(me, str(n), **fields) for n, fields in enumerate(facts)]
        await put(store, *records, fact(_somebody(), "other", **(facts[0] if facts else {})))
        where = of(me, test=test)
        wanted = [record for record in records if where.admits(record)]
        assert await store.scan(where) == wanted
        assert await store.count(where) == len(wanted)
        for by in ("category", "importance", "scope"):
            assert await store.tally(where, by) == Counter(record.get(by) for record in wanted)
        assert await store.purge(where) == len(wanted)
        assert await store.scan(of(me)) == [record for record in records if record not in wanted]

    @pytest.mark.parametrize("operator", ["eq", "ne", "gt", "gte", "lt", "lte", "contains"])
    async def test_operators_on_every_pair_of_values(self, store: Store, operator: Operator) -> None:
        values = (*_JSON_VALUES[:-1], "a", 1.0, [1], [True], ["1"], [[1]], [None], {"a": 1}, {"a": True}, {"b": None})
        times = (NOW, NOW + timedelta(microseconds=1))
        records = [fact(ANN, f"{n:03}", value=value, extra=value) for n, value in enumerate(values)]
        records += [fact(ANN, f"t{n}", created_at=time, key="a", importance=n) for n, time in enumerate(times)]
        await put(store, *records)
        paths: tuple[str | tuple[str, ...], ...]
        paths = (
            "value",
            "extra",
            ("extra", "a"),
            "created_at",
            "key",
            "importance",
            "version",
            "missing",
            ("key", "a"),
        )
        for test in (Compare(path, operator, value) for path in paths for value in (*values, *times)):
            assert names(await store.scan(of(ANN, test=test))) == names([r for r in records if test.admits(r)]), test

    async def test_under_goes_by_whole_segments(self, store: Store) -> None:
        spaces = ["", "/", "a", "a/", "a/b", "a/b/c", "a/bc", "a0", "a0/b", "a.", "A/b", "ab", "%/b", "_/b", "%", "é/b"]
        records = [fact(ANN, f"{n:02}", namespace=space, extra=space) for n, space in enumerate(spaces)]
        await put(store, *records, fact(ANN, "99", extra=["a"]))
        for test in (Compare(path, "under", space) for path in ("namespace", "extra", "rank") for space in spaces):
            assert names(await store.scan(of(ANN, test=test))) == names([r for r in records if test.admits(r)]), test

    async def test_ids_narrow_and_never_widen(self, store: Store) -> None:
        mine, other, hers = fact(ANN, "a"), fact(ANN, "b"), fact(BOB, "c")
        await put(store, mine, other, hers)
        assert await store.scan(Where("fact", (ANN,), ids=(mine.id, hers.id, "none"))) == [mine]
        assert await store.scan(Where("fact", (ANN,), ids=())) == []

    @_many
    @given(facts=st.lists(draw.facts, max_size=7), order=draw.orders, size=st.integers(1, 3))
    async def test_pages_follow_the_order_and_miss_nothing(
        self, store: Store, facts: list[dict[str, Any]], order: Order, size: int
    ) -> None:
        me, model = _somebody(), DictStore()
        records = [fact(me, str(n), version=n % 3 + 1, **fields) for n, fields in enumerate(facts)]
        await put(store, *records)
        await put(model, *records)
        whole = await model.scan(of(me), order=order)
        assert await store.scan(of(me), order=order) == whole
        assert await _pages(store, of(me), order, size) == whole

    @_many
    @given(
        texts=st.lists(st.lists(draw.words, max_size=4), max_size=6),
        wanted=st.lists(draw.words, max_size=4),
        limit=st.integers(1, 6),
    )
    async def test_words_find_what_shares_one_most_first(
        self, store: Store, texts: list[list[str]], wanted: list[str], limit: int
    ) -> None:
        me = _somebody()
        records = [fact(me, str(n), terms=terms, rank=n % 2) for n, terms in enumerate(texts)]
        await put(store, *records, fact(_somebody(), "other", terms=wanted))
        for where in (of(me), of(me, test=Compare("rank", "eq", 1))):
            found = await store.search_text(where, wanted, limit)
            best = sorted((_shared(r, wanted) for r in records if where.admits(r) and _shared(r, wanted)), reverse=True)
            assert [_shared(record, wanted) for record in found] == best[:limit]
            assert all(where.admits(record) and record in records for record in found)
            assert len({record.id for record in found}) == len(found)

    @pytest.mark.parametrize("kind", ["fact", "message"])
    async def test_words_follow_every_change(self, store: Store, kind: str) -> None:
        async def found(*terms: str) -> list[str]:
            return sorted(names(await store.search_text(Where(kind, (ANN,)), terms, 9)))

        def said(name: str, *terms: str, version: int = 1) -> Record:
            return replace(fact(ANN, name, version=version, terms=terms), kind=kind)

        await put(store, said("a", "live", "oslo"), said("b", "live", "rome"), said("c", "live", "paris"))
        assert await found("live") == ["a", "b", "c"]
        await store.apply([Put(said("a", "live", "bergen", version=2), expect=1)])
        await put(store, said("b", "rome"))
        assert (await found("oslo"), await found("bergen"), await found("live")) == ([], ["a"], ["a", "c"])
        await store.apply([Delete(kind, said("a").id, ANN)])
        assert (await found("bergen"), await found("live")) == ([], ["c"])
        assert await store.purge(Where(kind, subject=ANN)) == 2
        assert await found("live", "rome", "paris") == []
        await put(store, said("d", "paris"))
        assert await found("paris") == ["d"]

    @pytest.mark.parametrize(
        "term", ["or", "OR", "and", "near", "not", '"', "'", "*", "(", "a:b", "c++", "日本", "😀", "%", "-a"]
    )
    async def test_no_word_is_an_operator(self, store: Store, term: str) -> None:
        await put(store, fact(ANN, "it", terms=["x", f"{term}x"]), fact(ANN, "other", terms=["oslo"]))
        assert names(await store.search_text(of(ANN), [f"{term}x"], 9)) == ["it"]
        assert await store.search_text(of(ANN), [term], 9) == []
        assert await store.search_text(of(ANN), [], 9) == []

    async def test_a_search_of_a_thousand_words_is_possible(self, store: Store) -> None:
        await put(store, fact(ANN, "a", terms=["w7"]), fact(ANN, "b", terms=["none"]))
        assert names(await store.search_text(of(ANN), [f"w{n}" for n in range(1000)], 9)) == ["a"]

    @_many
    @given(
        vectors=st.lists(st.lists(draw.vectors, max_size=3), max_size=6),
        wanted=draw.vectors,
        limit=st.integers(1, 6),
    )
    async def test_vectors_find_the_nearest_first(
        self, store: Store, vectors: list[list[list[float]]], wanted: list[float], limit: int
    ) -> None:
        me, model = _somebody(), DictStore()
        records = [fact(me, str(n), rank=n % 2) for n in range(len(vectors))]
        records += [
            vector_record(record, "s", vector, number=n, at=NOW)
            for record, some in zip(records, vectors, strict=True)
            for n, vector in enumerate(some)
        ]
        other = fact(_somebody(), "other")
        await put(model, *records)
        await put(store, *records, other, vector_record(other, "s", wanted))
        for where in (of(me), Where("fact", subject=me), of(me, test=Compare("rank", "eq", 1))):
            best = [near.cosine for near in await model.search_vector(where, "s", pack(wanted), limit)]
            found = await store.search_vector(where, "s", pack(wanted), limit)
            assert [near.cosine for near in found] == pytest.approx(best, abs=1e-5)
            whole = {near.record.id: near for near in await model.search_vector(where, "s", pack(wanted), 99)}
            assert all(whole[near.record.id].record == near.record for near in found)
            assert all(near.cosine == pytest.approx(whole[near.record.id].cosine, abs=1e-5) for near in found)
            assert len({near.record.id for near in found}) == len(found)

    async def test_vectors_of_other_spaces_and_lengths_are_passed_over(self, store: Store) -> None:
        record = fact(ANN, "a")
        await put(store, record, vector_record(record, "old", [1, 0]), vector_record(record, "long", [1, 0, 0]))
        assert await store.search_vector(of(ANN), "new", pack([1, 0]), 9) == []
        assert await store.search_vector(of(ANN), "long", pack([1, 0]), 9) == []
        (near,) = await store.search_vector(of(ANN), "old", pack([1, 0]), 9)
        assert near.record == record
        assert near.cosine == pytest.approx(1)

    async def test_vectors_follow_every_change(self, store: Store) -> None:
        async def cosines() -> dict[str, float]:
            found = await store.search_vector(of(ANN), "s", pack([1, 0]), 9)
            return {name: round(near.cosine, 3) for near in found for name in names([near.record])}

        a, b = fact(ANN, "a"), fact(ANN, "b")
        await put(store, a, b, vector_record(a, "s", [1, 0]), vector_record(b, "s", [0, 1]))
        assert await cosines() == {"a": 1, "b": 0}
        await put(store, replace(vector_record(a, "s", [-1, 0]), version=2))
        assert await cosines() == {"a": -1, "b": 0}
        await store.apply([Delete("vector", vector_record(b, "s", [0, 1]).id, ANN)])
        assert await cosines() == {"a": -1}
        c = fact(ANN, "c")
        await put(store, c, vector_record(c, "s", [3, 4]))
        assert await cosines() == {"a": -1, "c": 0.6}
        await store.apply([Delete("fact", a.id, ANN)])
        assert await cosines() == {"c": 0.6}
        assert await store.purge(Where("vector", subject=ANN)) == 2
        assert await cosines() == {}

    async def test_no_vector_reaches_another_ones_records(self, store: Store) -> None:
        for scope in (Scope.user(name) for name in TRICKY_IDS):
            record = fact(scope, "f")
            await put(store, record, vector_record(record, "s", [1, 2]))
        for scope in (Scope.user(name) for name in TRICKY_IDS):
            for where in (of(scope), Where("fact", subject=scope)):
                assert [near.record.scope for near in await store.search_vector(where, "s", pack([1, 2]), 99)] == [
                    scope
                ]

    # Walking

    async def test_a_walk_goes_as_far_as_it_is_told(self, store: Store) -> None:
        chain = [fact(ANN, name) for name in "abcde"]
        await put(store, *chain, *(link(one, other) for one, other in pairwise(chain)), link(chain[4], chain[0]))
        for depth in range(7):
            reached = await store.walk(of(ANN), [chain[0].id], depth)
            assert [(step.record, step.depth) for step in reached] == [
                (record, number) for number, record in enumerate(chain[1:], 1) if number <= depth
            ]
        assert await store.walk(of(ANN), [], 3) == await store.walk(of(ANN), ["none"], 3) == []

    async def test_a_walk_goes_along_its_types_and_its_direction(self, store: Store) -> None:
        a, b, c, d = (fact(ANN, name) for name in "abcd")
        await put(store, a, b, c, d, link(a, b, "causes"), link(a, c, "part_of"), link(d, a, "causes"))

        async def found(**how: Any) -> list[str]:
            return names([step.record for step in await store.walk(of(ANN), [a.id], 1, **how)])

        assert await found() == await found(types=["causes", "part_of"]) == ["b", "c"]
        assert await found(types=["causes"]) == ["b"]
        assert await found(types=[]) == await found(types=["other"]) == []
        assert await found(direction="in") == ["d"]
        assert await found(direction="both") == ["b", "c", "d"]
        assert await found(direction="both", types=["causes"]) == ["b", "d"]

    async def test_of_several_links_the_strongest_is_told(self, store: Store) -> None:
        a, b, c = (fact(ANN, name) for name in "abc")
        weak, strong = link(a, b, "related", strength=0.2), link(a, b, "causes", strength=0.9)
        late = link(b, c, strength=1.0)
        await put(store, a, b, c, weak, strong, late, link(c, b, strength=1.0))
        assert await store.walk(of(ANN), [a.id], 3) == [Reached(b, 1, strong), Reached(c, 2, late)]

    async def test_a_walk_passes_only_what_is_admitted_and_no_wall(self, store: Store) -> None:
        a, gone, behind = fact(ANN, "a"), fact(ANN, "gone", deleted_at=NOW), fact(ANN, "behind")
        bobs = fact(BOB, "b")
        await put(store, a, gone, behind, bobs, link(a, gone), link(gone, behind), link(a, bobs))
        await put(store, replace(link(a, behind), id="of bob", scope=BOB, subject=BOB))
        alive = Compare("deleted_at", "exists", False)
        assert await store.walk(of(ANN, test=alive), [a.id], 3) == []
        assert names([step.record for step in await store.walk(of(ANN), [a.id], 3)]) == ["gone", "behind"]
        assert names([step.record for step in await store.walk(Where("fact", subject=ANN), [a.id], 1)]) == ["gone"]
        assert names([step.record for step in await store.walk(of(ANN, BOB), [a.id], 1)]) == ["b", "behind", "gone"]

    @_many
    @given(
        edges=st.lists(st.tuples(*[st.integers(0, 5)] * 2, st.sampled_from("xy"), st.sampled_from([0.1, 0.5, 1.0]))),
        start=st.sets(st.integers(0, 6), max_size=2),
        depth=st.integers(0, 4),
        types=st.sampled_from([None, ("x",), ("x", "y")]),
        direction=st.sampled_from(["out", "in", "both"]),
        hidden=st.integers(0, 9),
    )
    async def test_every_walk_is_that_of_the_dict_store(
        self, store: Store, edges: Any, start: Any, depth: int, types: Any, direction: Any, hidden: int
    ) -> None:
        me, model = _somebody(), DictStore()
        nodes = [fact(me, str(n), importance=float(n == hidden)) for n in range(6)]
        links = {
            one.id: one for a, b, name, weight in edges for one in [link(nodes[a], nodes[b], name, strength=weight)]
        }
        for each in (store, model):
            await put(each, *nodes, *links.values())
        where = of(me, test=Compare("importance", "lt", 0.5))
        asked = (where, [fact(me, str(n)).id for n in start], depth, types, direction)
        assert await store.walk(*asked) == await model.walk(*asked)

    # For workers

    async def test_due_gives_what_is_ready_earliest_first(self, store: Store) -> None:
        other = Scope.user("bob", "acme")
        when = [NOW, NOW - timedelta(seconds=1), NOW + timedelta(microseconds=1), None]
        jobs = [
            Record("job", f"j{n}", scope, scope, fields={"run_at": at, "error": "secret"})
            for n, (scope, at) in enumerate(zip((ANN, other, ANN, ANN), when, strict=True))
        ]
        await put(store, *jobs)
        assert await store.due("job", NOW, 9) == [
            Due("job", "j1", other, NOW - timedelta(seconds=1)),
            Due("job", "j0", ANN, NOW),
        ]
        assert [due.id for due in await store.due("job", NOW, 1)] == ["j1"]
        assert await store.due("version", NOW, 9) == []

    async def test_an_id_tells_whom_its_record_is_about(self, store: Store) -> None:
        others = [Scope.user(f"u{number}", tenant=tenant) for number in range(3) for tenant in ("default", "acme")]
        await put(store, *(fact(scope, "home") for scope in (ANN, *others)), fact(ANN, "work", subject=BOB))
        assert await store.whose("fact", fact(ANN, "home").id) == ANN
        assert await store.whose("fact", fact(ANN, "work").id) == BOB
        assert [await store.whose("fact", fact(one, "home").id) for one in others] == others
        assert await store.whose("fact", "nothing") is None
        assert await store.whose("job", fact(ANN, "home").id) is None
        moved = fact(ANN, "home", subject=BOB, version=2)
        await put(store, moved)
        assert await store.whose("fact", moved.id) == BOB
        await store.apply([Delete("fact", moved.id, ANN)])
        assert await store.whose("fact", moved.id) is None
        assert [await Store.whose(store, "fact", fact(one, "home").id) for one in others] == others

    # Stamps

    async def test_a_stamp_changes_with_every_write(self, store: Store) -> None:
        a = fact(ANN, "a")
        changes: list[Callable[[], Awaitable[object]]] = [
            lambda: put(store, a),
            lambda: put(store, replace(a, version=2)),
            lambda: put(store, fact(BOB, "b", ANN)),
            lambda: put(store, fact(ANN, "c", BOB)),
            lambda: store.apply([Delete("fact", a.id, ANN)]),
            lambda: put(store, a),
            lambda: store.purge(of(ANN)),
        ]
        before = await stamp_of(store, ANN)
        for change in changes:
            await change()
            after = await stamp_of(store, ANN)
            assert after is None or after != before
            before = after

    async def test_a_stamp_changes_with_what_is_written_while_it_is_taken(self, store: Store) -> None:
        before = await stamp_of(store, ANN)
        *_, stamp = await asyncio.gather(*(put(store, fact(ANN, name)) for name in "abc"), stamp_of(store, ANN))
        found = names(await store.scan(of(ANN)))
        assert found == ["a", "b", "c"]
        after = await stamp_of(store, ANN)
        assert after is None or after != before
        await put(store, fact(ANN, "d"))
        assert stamp is None or stamp != await stamp_of(store, ANN)

    async def test_subjects_are_everybody_page_by_page(self, store: Store) -> None:
        everybody = [Scope.user(str(n)) for n in range(4)] + [Scope.session("s"), Scope.user("0", "acme")]
        await put(store, *(fact(scope, name) for scope in everybody for name in ("a", "b")))
        await put(
            store, *(Record("job", f"j{scope.token}", Scope.session("s", scope.tenant), scope) for scope in everybody)
        )
        wanted = sorted(everybody, key=lambda scope: scope.token)
        assert await store.subjects() == wanted
        first = await store.subjects(limit=4)
        assert first + await store.subjects(after=first[-1], limit=4) == wanted

    # All together

    @settings(_many, max_examples=30)
    @given(walk=st.lists(draw.units | draw.conditions, max_size=8))
    async def test_any_walk_leads_where_the_specification_leads(self, store: Store, walk: list[Any]) -> None:
        model, me = DictStore(), _somebody()
        scopes = (me, Scope.session(me.id), Scope.user(me.id, "acme"))
        for step in walk:
            assert await _take(store, step, scopes) == await _take(model, step, scopes)
            assert await _seen(store, scopes) == await _seen(model, scopes)


_numbers = count()


def _somebody() -> Scope:
    """A user that no example before has used."""
    return Scope.user(f"somebody {next(_numbers)}")


def _shared(record: Record, terms: Sequence[str]) -> int:
    return len(set(terms).intersection(record.terms))


async def _pages(store: Store, where: Where, order: Order, size: int) -> list[Record]:
    found: list[Record] = []
    page = await store.scan(where, order=order, limit=size)
    while page:
        found += page
        page = await store.scan(where, order=order, limit=size, after=place(page[-1], order))
    return found


async def _take(store: Store, step: Any, scopes: Sequence[Scope]) -> object:
    """Take one step of a walk: apply a unit of writes, or purge by a condition; and say what came of it."""
    if not isinstance(step, list):
        return await store.purge(of(*scopes[:2], test=step))
    try:
        await store.apply([_write(scopes, **write) for write in step])
    except ConflictError:
        return "conflict"
    return "done"


def _write(
    scopes: Sequence[Scope], owner: int, name: int, version: int, expect: int | None, content: dict[str, Any] | None
) -> Write:
    record_id = f"{scopes[0].token}.{name}"  # the same for all owners: some walks meet another one's record
    if content is None:
        return Delete("fact", record_id, scopes[owner], expect)
    subject = scopes[0] if owner < 2 else scopes[owner]
    return Put(Record("fact", record_id, scopes[owner], subject, version, content["fields"], content["terms"]), expect)


async def _seen(store: Store, scopes: Sequence[Scope]) -> list[object]:
    walls = [of(scopes[0]), Where("fact", subject=scopes[0]), of(*scopes)]
    found: list[object] = [await store.scan(where) for where in walls]
    found += [{record.id for record in await store.search_text(where, ["live", "oslo"], 99)} for where in walls]
    return found
