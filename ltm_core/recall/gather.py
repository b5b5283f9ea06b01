"""Gather: everything that may matter for a query, from all scopes that the identity may see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from ..attributes import attributes
from ..model import Fact
from ..policies import Item
from ..records import fact_id, fact_of, message_of
from ..scope import Identity, Scope
from ..stores.base import All, AnyOf, Compare, Condition, Order, Record, Store, Where

_ENDS = ("deleted_at", "archived_at", "expires_at", "valid_to")
_UPDATED: Order = (("updated_at", "desc"),)
_IMPORTANT: Order = (("importance", "desc"),)
_SAID: Order = (("created_at", "desc"),)
_MOST_STABLE = 100


class Viewer(Protocol):
    """Who may see these scopes, the most specific first: an `Identity`, or a part of one."""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that may be seen."""
        ...


async def gather_facts(
    store: Store,
    identity: Viewer,
    terms: Sequence[str],
    *,
    namespace: str,
    now: datetime,
    filters: Condition | None = None,
    limit: int,
) -> list[Item]:
    """Current facts that `identity` may see, as candidates for ranking: one per key, that of the most specific scope.

    All of them where there are fewer than `limit`. Else the `limit` newest, the `limit` that share most words with
    `terms`, and some of the most important.
    """
    visible = _visible(identity, namespace, now)
    wanted = visible.also(filters) if filters else visible
    found = await store.scan(wanted, order=_UPDATED, limit=limit)
    if len(found) == limit:
        by_words = await store.search_text(wanted, terms, limit) if terms else []
        by_weight = await store.scan(wanted, order=_IMPORTANT, limit=max(limit // 4, 1))
        found = _once([*by_words, *found, *by_weight])
    layers = {scope: layer for layer, scope in enumerate(identity.scopes)}
    return [_fact_item(record, layers[record.scope]) for record in await _unshadowed(store, visible, found)]


async def gather_stable(store: Store, identity: Viewer, *, namespace: str, now: datetime) -> list[Fact]:
    """Current facts that may belong into the stable block, whatever is asked: pinned ones and the user's profile."""
    names = tuple(name for name, row in attributes().items() if row.profile)
    profile = All(Compare("attribute", "in", names), Compare("about", "eq", "user"))
    visible = _visible(identity, namespace, now)
    wanted = visible.also(AnyOf(Compare("pinned", "eq", True), profile))
    found = await store.scan(wanted, order=_IMPORTANT, limit=_MOST_STABLE)
    return [fact_of(record) for record in await _unshadowed(store, visible, found)]


async def gather_messages(
    store: Store,
    identity: Identity,
    terms: Sequence[str],
    *,
    now: datetime,
    filters: Condition | None = None,
    limit: int,
) -> list[Item]:
    """Messages of the identity's subject, as candidates for ranking; those of the present session are layer 0.

    All of them where there are fewer than `limit`, else up to `limit` each of those that share most words with
    `terms` and of the latest. Raises `ScopeError` where the identity names neither a user nor a session.
    """
    where = Where("message", subject=identity.subject, test=_open_at("deleted_at", now))
    where = where.also(filters) if filters else where
    found = await store.scan(where, order=_SAID, limit=limit)
    if len(found) == limit and terms:
        found = _once([*await store.search_text(where, terms, limit), *found])
    return [_message_item(record, identity, now) for record in found]


async def total(store: Store, identity: Identity, kind: str) -> int:
    """How many records of `kind` the candidates were chosen from: what makes a word rare."""
    whose = {"subject": identity.subject} if kind == "message" else {"scopes": identity.scopes}
    return await store.count(Where(kind, **whose))


def current_at(now: datetime) -> list[Condition]:
    """What a fact must meet to hold at `now`: `Fact.is_current` as a query."""
    return [_open_at(end, now) for end in _ENDS]


def _visible(identity: Viewer, namespace: str, now: datetime) -> Where:
    test = All(Compare("namespace", "eq", namespace), *current_at(now))
    return Where("fact", scopes=identity.scopes, test=test)


def _open_at(end: str, now: datetime) -> Condition:
    return AnyOf(Compare(end, "exists", False), Compare(end, "gt", now))


def _once(records: Iterable[Record]) -> list[Record]:
    return list({record.id: record for record in records}.values())


async def _unshadowed(store: Store, visible: Where, found: Sequence[Record]) -> list[Record]:
    """Those of `found` whose key no more specific scope holds, be that fact found or not."""
    above = {record.id: _ids_above(record, visible.scopes) for record in found}
    ids = {over for overs in above.values() for over in overs}
    if not ids:
        return list(found)
    held = {record.id for record in await store.scan(replace(visible, ids=tuple(sorted(ids))))}
    return [record for record in found if held.isdisjoint(above[record.id])]


def _ids_above(record: Record, scopes: Sequence[Scope]) -> list[str]:
    """The ids that the key of `record` would have in the scopes before its own."""
    closer = scopes[: scopes.index(record.scope)]
    return [fact_id(scope, record.fields["namespace"], record.fields["key"]) for scope in closer]


def _fact_item(record: Record, layer: int) -> Item:
    fact = fact_of(record)
    return Item(fact, record.terms, fact.updated_at, layer, fact.importance, fact.confidence)


def _message_item(record: Record, identity: Identity, now: datetime) -> Item:
    message = message_of(record)
    here = identity.session_id is not None and record.scope == Scope.session(identity.session_id, identity.tenant)
    return Item(message, record.terms, message.created_at or now, layer=0 if here else 1)
