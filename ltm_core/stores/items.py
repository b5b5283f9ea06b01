"""Key-value pairs by namespace, for frameworks that bring a store of their own idea along.

An item belongs to its tenant and is found by namespace and key alone, whoever asks. Its subject is the person that it
is about, where one is named: erasing that person erases it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from ..model import valid_json
from ..scope import Scope, digest
from .again import again
from .base import AnyOf, Compare, Condition, Delete, Not, Operator, Put, Record, Store, Where

R = TypeVar("R")

Namespace = tuple[str, ...]
Place = tuple[Namespace, str]
ValueTest = tuple[str, Operator, Any]


class Runs(Protocol):
    """What items need of a memory: its store, opened, on its loop, and its clock."""

    store: Store
    tenant: str

    def now(self) -> datetime:
        """The time."""
        ...

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Await `work` with the store open."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One pair, as it is stored. `minutes` is how long it lives after it was written or read last."""

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    minutes: float | None = None
    vectors: Sequence[Sequence[float]] = ()


@dataclass(frozen=True, slots=True)
class ItemWrite:
    """A pair to store; without a value, to remove."""

    namespace: Namespace
    key: str
    value: Mapping[str, Any] | None
    minutes: float | None = None
    vectors: Sequence[Sequence[float]] = field(default=())
    user_id: str | None = None


class Items:
    """Pairs of one tenant. What has expired is not shown, and goes with the next `sweep`."""

    entry = ItemWrite

    def __init__(self, runtime: Runs) -> None:
        self._runtime = runtime

    async def get(self, places: Iterable[Place]) -> dict[Place, Item]:
        """The items at these places, as far as they are there."""
        ids = tuple({self._id(*place) for place in places})
        found = await self._runtime.run(self._scan(self._all(ids).also(self._alive()))) if ids else []
        return {(item.namespace, item.key): item for item in map(_item, found)}

    async def under(
        self, prefix: Namespace, tests: Iterable[ValueTest] = (), limit: int | None = None, offset: int = 0
    ) -> list[Item]:
        """The items whose namespace begins with these labels, the one written last first.

        `tests` are of names in their values, as `Compare` does them: `[("kind", "eq", "note")]`.
        """
        inside = [Compare(("value", name), operator, wanted) for name, operator, wanted in tests]
        where = self._all().also(Compare("namespace", "under", path(prefix)), self._alive(), *inside)
        most = None if limit is None else offset + limit
        found = await self._runtime.run(self._scan(where, limit=most))
        return list(map(_item, found[offset:]))

    async def write(self, writes: Sequence[ItemWrite]) -> None:
        """Do all of `writes` or none; of several at one place the last counts. Raises `InvalidInput` for no JSON."""
        last = {self._id(one.namespace, one.key): one for one in writes}
        if last:
            await self._runtime.run(self._write(last))

    async def touch(self, places: Iterable[Place]) -> None:
        """Let the items at these places that expire live as long again from now."""
        ids = tuple({self._id(*place) for place in places})
        if ids:
            await self._runtime.run(self._touch(ids))

    async def sweep(self) -> int:
        """Remove what has expired for good; returns how many."""
        expired = Compare("expires_at", "lte", self._runtime.now())
        return await self._runtime.run(self._purge(self._all().also(expired)))

    def _id(self, namespace: Namespace, key: str) -> str:
        return digest("item", self._runtime.tenant, path(namespace), key)

    def _all(self, ids: tuple[str, ...] | None = None) -> Where:
        return Where("item", (Scope.everybody(self._runtime.tenant),), ids=ids)

    def _alive(self) -> Condition:
        expires = Compare("expires_at", "exists", True)
        return AnyOf(Not(expires), Compare("expires_at", "gt", self._runtime.now()))

    # Coroutines of our own: the store is open by the time that they run.
    async def _scan(self, where: Where, limit: int | None = None) -> list[Record]:
        return await self._runtime.store.scan(where, order=[("updated_at", "desc")], limit=limit)

    async def _purge(self, where: Where) -> int:
        return await self._runtime.store.purge(where)

    async def _write(self, last: Mapping[str, ItemWrite]) -> None:
        async for attempt in again():
            with attempt:
                stored = {record.id: record for record in await self._scan(self._all(tuple(last)))}
                await self._runtime.store.apply([self._change(one, stored.get(place)) for place, one in last.items()])

    def _change(self, write: ItemWrite, old: Record | None) -> Put | Delete:
        tenant, now = self._runtime.tenant, self._runtime.now()
        owner, place = Scope.everybody(tenant), self._id(write.namespace, write.key)
        if write.value is None:
            return Delete("item", place, owner)
        subject = Scope.user(write.user_id, tenant) if write.user_id else old.subject if old else owner
        fields = {
            "namespace": path(write.namespace),
            "key": write.key,
            "value": valid_json(write.value),
            "created_at": old.fields["created_at"] if old else now,
            "updated_at": now,
            "expires_at": _expiry(now, write.minutes),
            "minutes": write.minutes,
            "vectors": [list(vector) for vector in write.vectors],
        }
        version = old.version if old else 0
        return Put(Record("item", place, owner, subject, version + 1, fields), expect=version)

    async def _touch(self, ids: tuple[str, ...]) -> None:
        async for attempt in again():
            with attempt:
                now = self._runtime.now()
                found = await self._scan(self._all(ids).also(Compare("expires_at", "gt", now)))
                if found:
                    await self._runtime.store.apply([_touched(record, now) for record in found])


def path(namespace: Namespace) -> str:
    """A namespace as text in which no label can be taken for two, or for the beginning of another.

    >>> path(("users", "a/b"))
    'users/a%2Fb'
    """
    return "/".join(label.replace("%", "%25").replace("/", "%2F") for label in namespace)


def _labels(joined: str) -> Namespace:
    return tuple(label.replace("%2F", "/").replace("%25", "%") for label in joined.split("/"))


def _item(record: Record) -> Item:
    names = ("key", "value", "created_at", "updated_at", "expires_at", "minutes", "vectors")
    fields: dict[str, Any] = {name: record.fields.get(name) for name in names}
    return Item(_labels(record.fields["namespace"]), **fields)


def _expiry(now: datetime, minutes: float | None) -> datetime | None:
    try:
        return None if minutes is None else now + timedelta(minutes=minutes)
    except OverflowError:  # beyond the calendar is for ever
        return None


def _touched(record: Record, now: datetime) -> Put:
    fields = {**record.fields, "expires_at": _expiry(now, record.fields["minutes"])}
    touched = Record("item", record.id, record.scope, record.subject, record.version + 1, fields)
    return Put(touched, expect=record.version)
