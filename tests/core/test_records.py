from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.model import Fact, JobInfo, Message
from ltm_core.records import (
    fact_id,
    fact_of,
    fact_record,
    message_id,
    message_of,
    message_record,
    model_of,
    record_fields,
    version_of,
    version_record,
)
from ltm_core.scope import MemoryScope, Scope
from ltm_core.stores.base import Record
from ltm_core.stores.kinds import FIXED

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, CHAT = Scope.user("ann"), Scope.session("s1")

texts = st.text(max_size=12)
times = st.datetimes(timezones=st.just(UTC))
maybe_times = st.none() | times
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
scopes = st.sampled_from([ANN, CHAT, Scope.agent("a:b", "other"), Scope.GLOBAL])


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    scope, namespace, key = draw(scopes), draw(texts), draw(texts)
    fields: dict[str, Any] = {
        name: draw(maybe_times) for name in ("valid_from", "valid_to", "expires_at", "deleted_at", "archived_at")
    }
    return Fact(
        id=fact_id(scope, namespace, key),
        key=key,
        value=draw(json_values),
        text=draw(texts),
        scope=scope.level,
        scope_id=scope.id,
        tenant=scope.tenant,
        namespace=namespace,
        item=draw(st.none() | texts),
        tags=draw(st.lists(texts, max_size=3)),
        metadata=draw(st.dictionaries(texts, json_values, max_size=2)),
        importance=draw(st.floats(0, 1)),
        pinned=draw(st.booleans()),
        sources=draw(st.lists(texts, max_size=2)),
        version=draw(st.integers(1, 99)),
        created_at=draw(times),
        updated_at=draw(times),
        **fields,
    )


def fact(value: Any = "Lisbon", key: str = "location", **fields: Any) -> Fact:
    given: dict[str, Any] = {"scope_id": "ann", "attribute": key, "created_at": NOW, "updated_at": NOW} | fields
    return Fact(id=fact_id(ANN, "", key), key=key, value=value, **given)


def with_fields(record: Record, **fields: Any) -> Record:
    return Record(record.kind, record.id, record.scope, record.subject, record.version, {**record.fields, **fields})


@given(facts())
def test_a_fact_comes_back_as_it_was(fact: Fact) -> None:
    assert fact_of(fact_record(fact, ANN)) == fact


@given(facts())
def test_a_fact_comes_back_from_its_history_as_it_was(fact: Fact) -> None:
    assert version_of(version_record(fact, ANN, NOW)) == fact


def test_fields_that_the_wall_holds_are_not_stored_twice() -> None:
    assert FIXED.keys().isdisjoint(fact_record(fact(), ANN).fields)


def test_columns_keep_their_types_and_the_rest_is_json() -> None:
    fields = fact_record(fact(metadata={"a": [1]}, pinned=True), ANN).fields
    assert (fields["created_at"], fields["metadata"], fields["pinned"]) == (NOW, {"a": [1]}, True)


def test_two_scopes_never_share_the_id_of_a_fact() -> None:
    owners = [ANN, Scope.session("ann"), Scope.user("ann", "other"), Scope.GLOBAL]
    places = [(owner, namespace, key) for owner in owners for namespace in ("", "n") for key in ("k", "nk")]
    assert len({fact_id(*place) for place in places}) == len(places)


def test_a_field_of_a_newer_version_is_ignored() -> None:
    assert fact_of(with_fields(fact_record(fact(), ANN), invented_later={"x": 1})) == fact()


def test_a_field_that_an_older_version_did_not_write_takes_its_default() -> None:
    record = fact_record(fact(), ANN)
    bare = {name: record.fields[name] for name in ("key", "value", "attribute", "created_at", "updated_at")}
    assert fact_of(Record("fact", record.id, ANN, ANN, 1, bare)) == fact()


def test_a_column_that_the_database_left_empty_takes_its_default() -> None:
    assert fact_of(with_fields(fact_record(fact(), ANN), memory_type=None, tags=None)).memory_type == "fact"


def test_an_entry_of_the_history_tolerates_fields_of_a_newer_version() -> None:
    record = version_record(fact(), ANN, NOW)
    assert version_of(with_fields(record, fact={**record.fields["fact"], "invented_later": 1})) == fact()


def test_an_entry_of_the_history_says_which_version_it_was_and_until_when() -> None:
    record = version_record(fact(version=3), CHAT, NOW + timedelta(days=1))
    assert (record.scope, record.subject) == (ANN, CHAT)
    assert record.fields["fact_id"] == fact().id
    assert (record.fields["number"], record.fields["recorded_at"]) == (3, NOW)
    assert record.fields["superseded_at"] == NOW + timedelta(days=1)


def test_each_version_has_an_entry_of_its_own() -> None:
    assert len({version_record(fact(version=number), ANN, NOW).id for number in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (fact(), "lisbon"),
        (fact(text="User lives in Lisbon."), "live"),
        (fact(key="favourite_colours", value="red"), "colour"),
        (fact(tags=["travelling"]), "travel"),
        (fact(), "citi"),
        (fact(value={"editor": {"theme": ["dark", 42]}}), "dark"),
        (fact(value={"editor": {"theme": ["dark", 42]}}), "theme"),
        (fact(value={"editor": {"theme": ["dark", 42]}}), "42"),
    ],
)
def test_a_fact_is_found_by_its_text_value_key_tags_and_what_people_call_it(stored: Fact, asked: str) -> None:
    assert asked in fact_record(stored, ANN).terms


def test_a_fact_has_each_term_once() -> None:
    terms = fact_record(fact(text="Lisbon, Lisbon, Lisbon"), ANN).terms
    assert terms.count("lisbon") == 1


@pytest.mark.parametrize("end", ["deleted_at", "archived_at"])
def test_what_is_deleted_or_archived_is_found_by_no_word(end: str) -> None:
    assert fact_record(fact().model_copy(update={end: NOW}), ANN).terms == ()


def test_a_message_comes_back_as_it_was() -> None:
    sent = Message(
        role="assistant",
        content=[{"type": "text", "text": "Hi"}, {"type": "image", "url": "x"}],
        name="bot",
        created_at=NOW.astimezone(timezone(timedelta(hours=2))),
        metadata={"a": {"b": None}},
        tool_calls=[{"id": "1", "args": {}}],
        id="mine",
        session_id="s1",
        turn_id="t",
    )
    assert message_of(message_record(sent, CHAT, ANN, 7)) == sent


def test_a_message_without_an_id_gets_that_of_its_place() -> None:
    read = message_of(message_record(Message(content="hi"), CHAT, ANN, 7))
    assert (read.id, read.session_id) == (message_id(CHAT, 7), "s1")


def test_a_message_outside_of_any_session_names_none() -> None:
    assert message_of(message_record(Message(content="hi"), ANN, ANN, 1)).session_id is None


def test_a_message_of_a_newer_version_can_be_read() -> None:
    record = with_fields(message_record(Message(content="hi"), CHAT, ANN, 1), invented_later=1)
    assert message_of(record).content == "hi"


def test_a_message_is_found_by_its_words_and_its_speaker() -> None:
    record = message_record(Message(content=[{"type": "text", "text": "We hiked"}], name="Bob"), CHAT, ANN, 1)
    assert record.terms == ("bob", "hike")
    assert (record.fields["number"], record.fields["text"]) == (1, "We hiked")


def test_any_model_becomes_the_fields_of_a_record_and_comes_back() -> None:
    job = JobInfo(id="j", subject="user:ann", status="dead", messages=[Message(content="hi")], created_at=NOW)
    fields = record_fields(job, "job")
    assert fields["created_at"] == NOW
    assert fields["messages"][0]["content"] == "hi"
    record = Record("job", "j", ANN, ANN, 1, {**fields, "subject": job.subject, "invented_later": 1})
    assert model_of(record, JobInfo) == job


def test_a_fact_of_another_scope_keeps_it() -> None:
    scoped = fact(scope=MemoryScope.SESSION, scope_id="s1", tenant="acme")
    assert fact_record(scoped, ANN).scope == Scope.session("s1", "acme")
