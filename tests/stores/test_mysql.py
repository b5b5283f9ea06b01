"""What only MariaDB does: the rest is in the contract."""

import asyncio
import math
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from ltm_core.errors import ConfigurationError, ConflictError, InvalidInput, SchemaError, StoreUnavailable
from ltm_core.scope import Scope
from ltm_core.stores import open_store
from ltm_core.stores.base import Compare, Order, Put, Record, Where, place
from ltm_core.stores.migrations import migrate
from ltm_core.stores.mysql import MysqlStore
from ltm_core.stores.schema import bring_up_to_date, schema_of
from ltm_core.stores.sql.statements import Step
from ltm_core.stores.sql.tables import LAYOUTS, TABLES
from ltm_core.testing.store_contract import NOW
from tests.servers.fixtures import Servers, empty_database

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


async def test_a_deadlock_with_another_connection_is_tried_again(mysql_url: str) -> None:
    rival = create_async_engine(mysql_url.replace("mysql:", "mysql+aiomysql:"), isolation_level="READ COMMITTED")
    begun: list[int] = []
    async with MysqlStore(mysql_url) as store, rival.connect() as connection:
        await store.apply([Put(fact("a")), Put(fact("b"))])
        await store.apply([Put(Record("fact", f"{n}", BOB, BOB)) for n in range(50)])
        write = store._write

        async def counted(units: Sequence[Sequence[Step]]) -> Sequence[Exception | None]:
            begun.append(len(units))
            return await write(units)

        store._write = counted  # type: ignore[method-assign]
        # Whoever has changed more goes on, so the store is the one that must give way.
        await connection.exec_driver_sql("UPDATE fact SET importance = 1 WHERE scope_id = 'bob'")
        await connection.exec_driver_sql("UPDATE fact SET importance = 1 WHERE id = 'b'")
        writing = asyncio.create_task(store.apply([Put(fact("a", key="x")), Put(fact("b", key="x"))]))
        await _somebody_waits(store)
        await connection.exec_driver_sql("UPDATE fact SET importance = 1 WHERE id = 'a'")
        await connection.commit()
        await writing
        assert len(begun) > 1
        assert await store.scan(Where("fact", (ANN,))) == [fact("a", key="x"), fact("b", key="x")]
    await rival.dispose()


async def _somebody_waits(store: MysqlStore) -> None:
    # Not by the table of transactions, which stays as it is while it is asked all the time.
    waits = sa.text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
    async with store._reading() as link:
        while [waiting for _, waiting in await link.fetch(waits, {})] == ["0"]:
            pass


# Makes or migrates tables, and is killed before a given command.
MAKER = textwrap.dedent("""
    import asyncio, os, signal, sys
    import sqlalchemy as sa
    from ltm_core.stores import open_store
    from ltm_core.stores.schema import bring_up_to_date

    left = int(sys.argv[3])

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def count(connection, cursor, statement, *_):
        global left
        left -= statement.lstrip().startswith(("CREATE", "INSERT", "UPDATE"))
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main(how, url):
        if how == "open":
            async with open_store(url):
                return
        await bring_up_to_date(url)

    asyncio.run(main(*sys.argv[1:3]))
""")


def _killed(how: str, url: str, before: int) -> None:
    assert subprocess.run([sys.executable, "-c", MAKER, how, url, str(before)]).returncode == -signal.SIGKILL


def _shape(url: str) -> object:
    """Everything that tables and indexes are made of."""
    engine = sa.create_engine(url.replace("mysql:", "mysql+pymysql:"), poolclass=sa.NullPool)
    columns = "SELECT table_name, column_name, column_type, collation_name, is_nullable FROM information_schema.columns"
    indexes = "SELECT table_name, index_name, seq_in_index, column_name, sub_part FROM information_schema.statistics"
    with engine.connect() as connection:
        queries = [f"{query} WHERE table_schema = database() ORDER BY 1, 2, 3" for query in (columns, indexes)]
        return [connection.exec_driver_sql(query).all() for query in queries]


@pytest.mark.parametrize("how", ["open", "migrate"])
async def test_making_the_tables_goes_on_where_a_killed_process_stopped(
    mysql_url: str, servers: Servers, how: str
) -> None:
    for before in (1, 2, 9, 40, 60):  # the last of them beyond the first schema
        _killed(how, mysql_url, before)
    async with MysqlStore(mysql_url) as store:
        await store.apply([Put(fact("a"), 0)])
    whole = empty_database(servers.url("mariadb"), f"whole_{servers.worker}")
    await bring_up_to_date(whole)
    assert _shape(mysql_url) == _shape(whole)


async def test_a_table_of_another_program_is_still_refused(mysql_url: str) -> None:
    await _run(mysql_url, "CREATE TABLE message (id int)")
    with pytest.raises(SchemaError, match="Another program has a table 'message'"):
        await MysqlStore(mysql_url).open()


async def _run(url: str, statement: str) -> None:
    engine = create_async_engine(url.replace("mysql:", "mysql+aiomysql:"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(statement)
    await engine.dispose()


LATER = (
    Record("summary", "s1", ANN, ANN, fields={"number": 1, "text": "Ann moved.", "created_at": NOW}, terms=("ann",)),
    Record("checkpoint", "c1", ANN, ANN, fields={"namespace": "n", "key": "k", "step": 1, "state": {"a": [1, None]}}),
    Record("spend", "m1", ANN, ANN, fields={"day": "2026-01-01", "calls": 2, "tokens": 900, "seconds": 1.5}),
    Record("link", "l1", ANN, ANN, fields={"source": "f", "target": "g", "type": "causes", "mutual": False}),
    Record("access", "a1", ANN, ANN, fields={"fact_id": "f", "at": NOW, "useful": True, "query": "theme?"}),
    Record("usage", "u1", ANN, ANN, fields={"fact_id": "f", "access_count": 3, "last_accessed_at": NOW}),
)


async def test_the_first_schema_with_data_becomes_the_second_though_a_process_was_killed(
    mysql_url: str, servers: Servers
) -> None:
    kept = fact("a", value={"x": [1, None]}, created_at=NOW, text="Ann lives in Oslo.", tags=["ui"], key="home")
    engine = create_async_engine(mysql_url.replace("mysql:", "mysql+aiomysql:"))
    async with engine.begin() as connection:
        await connection.run_sync(migrate, "0001")
        await connection.execute(sa.insert(TABLES["fact"]), LAYOUTS["fact"].row(kept))
    await engine.dispose()
    with pytest.raises(SchemaError, match="ltm migrate"):
        await MysqlStore(mysql_url).open()
    for before in (0, 1, 4, 30):
        _killed("migrate", mysql_url, before)
    await bring_up_to_date(mysql_url)
    async with MysqlStore(mysql_url) as store:
        assert await store.scan(Where("fact", (ANN,))) == [kept]
        await store.apply([Put(record, 0) for record in LATER])
        for record in LATER:
            assert await store.scan(Where(record.kind, (ANN,))) == [record]
        assert await store.search_text(Where("summary", (ANN,)), ["ann"], 5) == [LATER[0]]
        (tag,) = await store.scan(Where("tag", (ANN,), test=Compare("tag", "eq", "ui")))
        assert (tag.fields["fact_id"], tag.fields["key"], tag.fields["created_at"]) == (kept.id, "home", NOW)
    whole = empty_database(servers.url("mariadb"), f"whole_{servers.worker}")
    await bring_up_to_date(whole)
    assert _shape(mysql_url) == _shape(whole)
