"""What only MariaDB does: the rest is in the contract."""

import asyncio
import math
from dataclasses import replace
from typing import cast

import pytest

from ltm_core.errors import ConfigurationError, ConflictError, InvalidInput, SchemaError, StoreUnavailable
from ltm_core.scope import Scope
from ltm_core.stores import open_store
from ltm_core.stores.base import Compare, Order, Put, Record, Where, place
from ltm_core.stores.mysql import MysqlStore
from ltm_core.stores.schema import bring_up_to_date, schema_of

ANN, BOB = Scope.user("ann"), Scope.user("bob")


def fact(name: str, **fields: object) -> Record:
    return Record("fact", name, ANN, ANN, 1, fields)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+aiomysql", "mariadb+aiomysql"])
def test_each_scheme_is_the_same_store(scheme: str) -> None:
    store = open_store(f"{scheme}://u:pw@h/db")
    assert isinstance(store, MysqlStore)
    assert store._url.drivername == "mysql+aiomysql"


@pytest.mark.parametrize("url", ["mysql://u:pw@h", "mysql+pymysql://u:pw@h/db", "sqlite:///x.db", "u:pw@h"])
def test_an_unfit_url_is_answered_with_what_to_write(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Write mysql://") as error:
        MysqlStore(url)
    assert "pw" not in str(error.value)


async def test_many_that_begin_at_once_make_the_tables_once(mysql_url: str) -> None:
    stores = [MysqlStore(mysql_url, readers=1) for _ in range(5)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].apply([Put(fact("a"))])
    assert [await store.count(Where("fact", (ANN,))) for store in stores] == [1] * 5
    await asyncio.gather(*(store.close() for store in stores))


async def test_the_tables_can_be_made_beforehand(mysql_url: str) -> None:
    await bring_up_to_date(mysql_url)
    assert (await schema_of(mysql_url)).is_current
    async with MysqlStore(mysql_url) as store:
        assert await store.count(Where("fact", (ANN,))) == 0


async def test_of_concurrent_processes_one_wins(mysql_url: str) -> None:
    async with MysqlStore(mysql_url) as one, MysqlStore(mysql_url) as two:
        writes = [store.apply([Put(fact("a"), 0), Put(fact("b"), 0)]) for store in (one, two)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {type(None), ConflictError}
        assert await one.count(Where("fact", (ANN,))) == 2


async def test_the_same_record_can_be_put_twice_and_no_other_owner_takes_it(mysql_url: str) -> None:
    async with MysqlStore(mysql_url) as store:
        await store.apply([Put(fact("a")), Put(fact("a")), Put(fact("b"))])
        await store.apply([Put(fact("a")), Put(fact("b"))])
        with pytest.raises(ConflictError, match="another owner"):
            await store.apply([Put(fact("c")), Put(replace(fact("a"), scope=BOB, subject=BOB))])
        assert await store.scan(Where("fact", (ANN,))) == [fact("a"), fact("b")]


async def test_long_texts_that_begin_alike_sort_by_their_ends(mysql_url: str) -> None:
    async with MysqlStore(mysql_url) as store:
        long = "x" * 5000
        records = [fact("a", text=f"{long}2"), fact("b", text=f"{long}1"), fact("c")]
        await store.apply([Put(record) for record in records])
        where, order = Where("fact", (ANN,)), cast("Order", (("text", "asc"),))
        found = await store.scan(where, order=order)
        assert [record.id for record in found] == ["c", "b", "a"]
        assert await store.scan(where, order=order, limit=1, after=place(found[0], order)) == found[1:2]


async def test_a_number_without_end_is_refused_but_can_be_asked_for(mysql_url: str) -> None:
    async with MysqlStore(mysql_url) as store:
        await store.apply([Put(fact("a", importance=1.0))])
        with pytest.raises(InvalidInput, match="Shorten or clean"):
            await store.apply([Put(fact("b", importance=math.inf))])
        below = Where("fact", (ANN,), test=Compare("importance", "lt", math.inf))
        assert await store.count(below) == await store.purge(below) == 1


async def test_a_missing_database_or_server_or_table_says_what_to_do(mysql_url: str) -> None:
    for url in (f"{mysql_url}_none", "mysql://u@127.0.0.1:1/db"):
        with pytest.raises(StoreUnavailable, match=r"(check|and) the URL"):
            await MysqlStore(url).open()
    async with MysqlStore(mysql_url) as store:
        async with store._on_writer() as link:
            await link.do("DROP TABLE fact")
        with pytest.raises(SchemaError, match="ltm migrate"):
            await store.count(Where("fact", (ANN,)))
