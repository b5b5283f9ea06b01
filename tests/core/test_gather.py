from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ltm_core.assemble import policies_of
from ltm_core.errors import ScopeError
from ltm_core.index.held import Indexes
from ltm_core.journeys.recalling import Question, Recalling
from ltm_core.learn.align import align
from ltm_core.learn.turns import Turns
from ltm_core.model import Fact, Message, split_key
from ltm_core.policies import Item
from ltm_core.records import fact_id, fact_record, message_record
from ltm_core.scope import Identity, Scope
from ltm_core.stores.base import Compare, Put, Store, Where
from ltm_core.stores.memory import DictStore

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANNA, TALK, BOT = Scope.user("anna"), Scope.session("talk"), Scope.agent("bot")
WHO = Identity(user_id="anna", session_id="talk", agent_id="bot")


def fact(scope: Scope, key: str, text: str, *, namespace: str = "", hours: float = 1, **fields: Any) -> Fact:
    about, attribute, item = split_key(key)
    at = NOW - timedelta(hours=hours)
    return Fact(
        id=fact_id(scope, namespace, key),
        key=key,
        value=text,
        text=text,
        scope=scope.level,
        scope_id=scope.id,
        tenant=scope.tenant,
        namespace=namespace,
        about=about,
        attribute=attribute,
        item=item,
        created_at=at,
        updated_at=at,
        **fields,
    )


async def keep(store: Store, *facts: Fact) -> None:
    await store.apply([Put(fact_record(each, each.owner)) for each in facts])


async def say(store: Store, scope: Scope, subject: Scope, *texts: str) -> None:
    messages = [Message(content=text, created_at=NOW - timedelta(hours=9 - n)) for n, text in enumerate(texts)]
    await store.apply([Put(message_record(each, scope, subject, n)) for n, each in enumerate(messages)])


def recalling(store: Store, most_rows: int = 1000) -> Recalling:
    made = Recalling(store, policies_of(clock=lambda: NOW), Turns(store, align))
    made.indexes = Indexes(store, most_rows=most_rows)
    return made


async def facts(
    store: Store,
    query: str = "",
    *,
    who: Identity = WHO,
    most_rows: int = 1000,
    filters: Compare | None = None,
    namespace: str = "",
) -> list[Item]:
    given = await recalling(store, most_rows).candidates(who, query, namespace=namespace, filters=filters, limit=1000)
    return list(given.items)


async def messages(store: Store, query: str = "", *, who: Identity = WHO, most_rows: int = 1000) -> list[Message]:
    asked = Question(query, who, include=("messages",), limit=1000)
    return (await recalling(store, most_rows).recall(asked)).messages


def texts(items: Sequence[Item]) -> set[str]:
    return {item.content.text for item in items}


async def test_small_scopes_are_gathered_whole_with_their_layers() -> None:
    store = DictStore()
    await keep(
        store,
        fact(TALK, "mood", "calm"),
        fact(ANNA, "pet", "cat", importance=0.9, confidence=0.4),
        fact(BOT, "tone", "dry"),
        fact(Scope.GLOBAL, "law", "be kind"),
        fact(Scope.user("bob"), "pet", "dog"),
        fact(Scope.user("anna", "other"), "pet", "emu"),
    )
    found = {item.content.text: item for item in await facts(store)}
    assert {text: item.layer for text, item in found.items()} == {"calm": 0, "cat": 1, "dry": 2, "be kind": 3}
    cat = found["cat"]
    assert (cat.importance, cat.confidence, cat.at) == (0.9, 0.4, NOW - timedelta(hours=1))
    assert "cat" in cat.terms


@pytest.mark.parametrize("end", ["deleted_at", "archived_at", "expires_at", "valid_to"])
async def test_what_has_ended_is_not_gathered_and_what_will_end_is(end: str) -> None:
    store = DictStore()
    later = NOW + timedelta(seconds=1)
    ended, ending = fact(ANNA, "a", "ended"), fact(ANNA, "b", "ending")
    await keep(store, ended.model_copy(update={end: NOW}), ending.model_copy(update={end: later}))
    assert texts(await facts(store)) == {"ending"}


async def test_only_the_namespace_that_was_asked_for_is_gathered() -> None:
    store = DictStore()
    await keep(store, fact(ANNA, "a", "here", namespace="work"), fact(ANNA, "a", "there"))
    assert texts(await facts(store, namespace="work")) == {"here"}


async def test_the_most_specific_scope_wins_a_key() -> None:
    store = DictStore()
    scopes = [TALK, ANNA, BOT, Scope.GLOBAL]
    await keep(store, *(fact(scope, "tone", scope.level.value) for scope in scopes))
    for first in range(4):
        assert texts(await facts(store)) == {scopes[first].level.value}
        await keep(store, fact(scopes[first], "tone", "gone", deleted_at=NOW))


@pytest.mark.parametrize("most_rows", [2, 1000])
async def test_a_fact_is_shadowed_even_by_one_that_was_not_found(most_rows: int) -> None:
    store = DictStore()
    await keep(
        store,
        fact(TALK, "home", "Lisbon", hours=99, importance=0.0),
        *(fact(TALK, f"noise{n}", "noise") for n in range(3)),
        fact(ANNA, "home", "Oslo", importance=1.0, tags=["geo"]),
    )
    assert "Oslo" not in texts(await facts(store, "oslo", most_rows=most_rows))
    assert texts(await facts(store, filters=Compare("tags", "contains", "geo"), most_rows=most_rows)) == set()


async def test_scopes_too_large_to_be_held_give_the_matching_the_new_and_the_important(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ltm_core.journeys.recalling.LARGE", 2)
    store = DictStore()
    await keep(
        store,
        *(fact(ANNA, f"noise{n}", "noise", hours=50 + n) for n in range(20)),
        fact(ANNA, "old", "plays chess", hours=900, importance=0.1),
        fact(ANNA, "new", "fresh", hours=0, importance=0.1),
        fact(ANNA, "vital", "allergic", hours=900, importance=1.0),
        fact(Scope.GLOBAL, "law", "be kind", hours=900, importance=0.1),
    )
    found = await facts(store, "chess", most_rows=5)
    assert {"plays chess", "fresh", "allergic"} <= texts(found)
    assert len(found) <= 7
    assert len({item.content.id for item in found}) == len(found)


async def test_filters_narrow_what_is_gathered() -> None:
    store = DictStore()
    await keep(store, fact(ANNA, "a", "one", category="x"), fact(ANNA, "b", "two", category="y"))
    assert texts(await facts(store, filters=Compare("category", "eq", "y"))) == {"two"}


async def test_stable_facts_are_gathered_whatever_else_is_stored() -> None:
    store = DictStore()
    await keep(
        store,
        *(fact(ANNA, f"noise{n}", "noise", hours=0, importance=1.0) for n in range(150)),
        fact(ANNA, "name", "Anna", hours=900, importance=0.1),
        fact(ANNA, "sister/name", "Eva"),
        fact(ANNA, "own", "pinned", pinned=True, importance=0.0),
        fact(BOT, "diet", "none"),
        fact(ANNA, "diet", "vegan", valid_to=NOW),
        fact(TALK, "pronouns", "they"),
        fact(ANNA, "pronouns", "she"),
    )
    found = await recalling(store).recall(Question("anything", WHO))
    block = [line.removeprefix("- ") for line in found.stable_text.splitlines() if line.startswith("- ")]
    assert set(block) == {"Anna", "pinned", "none", "they"}


async def test_messages_are_those_of_the_subject_and_this_session_comes_first() -> None:
    store = DictStore()
    await say(store, TALK, ANNA, "hello there")
    await say(store, Scope.session("earlier"), ANNA, "I play chess")
    await say(store, Scope.session("foreign"), Scope.user("bob"), "I play chess too")
    assert {message.text for message in await messages(store)} == {"hello there", "I play chess"}


@pytest.mark.parametrize("most_rows", [2, 1000])
async def test_of_many_messages_the_matching_come_first(most_rows: int) -> None:
    store = DictStore()
    await say(store, TALK, ANNA, "I play chess", *(f"noise {n}" for n in range(7)))
    assert (await messages(store, "chess", most_rows=most_rows))[0].text == "I play chess"


async def test_deleted_and_withdrawn_messages_are_not_gathered() -> None:
    store = DictStore()
    await say(store, TALK, ANNA, "gone", "withdrawn", "kept")
    for text, field in (("gone", {"deleted_at": NOW}), ("withdrawn", {"withdrawn": True})):
        (record,) = await store.scan(Where("message", subject=ANNA, test=Compare("text", "eq", text)))
        await store.apply([Put(replace(record, fields={**record.fields, **field}))])
    assert {message.text for message in await messages(store)} == {"kept"}


async def test_messages_of_nobody_are_refused() -> None:
    with pytest.raises(ScopeError, match="user_id"):
        await messages(DictStore(), who=Identity(agent_id="bot"))
