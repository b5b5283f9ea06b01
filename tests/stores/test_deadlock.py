"""Transactions of others in the opposite order: PostgreSQL ends one of the two, and the store tries again."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from ltm_core import ConflictError
from ltm_core.scope import Scope
from ltm_core.stores import open_store
from ltm_core.stores.base import Put, Record, Store, Where

ANN = Scope.user("ann")
UPDATE = sa.text("UPDATE version SET version = version WHERE id = :id")


def record(name: str, version: int = 1) -> Record:
    return Record("version", name, ANN, ANN, version, {"fact_id": name, "number": version})


async def group(store: Store) -> list[BaseException | None]:
    """Three writes in one group, the first of which is refused, so that they are written one by one."""
    writes = [Put(record("first"), expect=0), Put(record("mine", 2), expect=1), Put(record("theirs", 2), expect=1)]
    return await asyncio.gather(*(store.apply([write]) for write in writes), return_exceptions=True)


async def until_it_waits(watching: AsyncConnection) -> None:
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while not (await watching.execute(waits)).scalar():
        pass


async def test_a_deadlock_among_writes_of_a_group_is_tried_again(one_postgres_url: str) -> None:
    engine = create_async_engine(sa.make_url(one_postgres_url).set(drivername="postgresql+asyncpg"))
    async with open_store(one_postgres_url) as store, engine.connect() as other, engine.connect() as watching:
        await store.apply([Put(record(name), expect=0) for name in ("first", "mine", "theirs")])
        await other.execute(UPDATE, {"id": "theirs"})
        ours = asyncio.create_task(group(store))
        await until_it_waits(watching)
        await other.execute(UPDATE, {"id": "mine"})
        await other.commit()
        refused, *written = await ours
        assert isinstance(refused, ConflictError)
        assert written == [None, None]
        found = await store.scan(Where("version", (ANN,)), order=[("number", "asc")])
        assert {one.id: one.version for one in found} == {"first": 1, "mine": 2, "theirs": 2}
    await engine.dispose()
