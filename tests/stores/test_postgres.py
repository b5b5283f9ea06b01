"""PostgreSQL alone: vector indexes, policies, partitions, schemas, and bringing all of them up to date."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from ltm_core import AsyncMemory, Scope
from ltm_core.errors import ConfigurationError, MissingExtra, SchemaError, StoreError, StoreUnavailable
from ltm_core.records import vector_record
from ltm_core.scope import digest
from ltm_core.stores import migrations
from ltm_core.stores.base import Compare, Record, Store, Where
from ltm_core.stores.memory import DictStore
from ltm_core.stores.moving import copy
from ltm_core.stores.postgres import PostgresStore, address
from ltm_core.stores.schema import Extras, bring_up_to_date, schema_of
from ltm_core.stores.sql.tables import TABLES
from ltm_core.testing.store_contract import ANN, BOB, NOW, StoreContract, fact, names, of, put
from ltm_core.vectors import pack
from tests.conftest import told

ROLE = "ltm_app"  # no superuser, and owns nothing
ODD_ROLE = 'ltm "app":x%'
DRIVERS = ("asyncpg", "psycopg")


class Database:
    """A database as its owner sees it, without any of our code."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)

    def ask(self, *statements: str, **settings: str) -> list[Any]:
        """Run statements in one transaction with `ltm.…` settings; the rows of the last."""
        with self._engine.begin() as connection:
            for name, value in settings.items():
                connection.execute(sa.select(sa.func.set_config(f"ltm.{name}", value, True)))
            *_, last = [connection.execute(sa.text(statement)) for statement in statements]
            return list(last) if last.returns_rows else []

    def migrate(self, to: str) -> None:
        """As `ltm migrate` of an older version would."""
        with self._engine.begin() as connection:
            migrations.migrate(connection, to)

    def plan(self, statement: str) -> str:
        return "\n".join(line for (line,) in self.ask(f"EXPLAIN {statement}"))


@pytest.fixture
def database(one_postgres_url: str) -> Database:
    return Database(one_postgres_url)


def as_role(url: str, role: str = ROLE, **query: str) -> str:
    """The same database, for another role."""
    return sa.make_url(url).set(username=role).update_query_dict(query).render_as_string(hide_password=False)


def make_role(database: Database, name: str = ROLE) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))


# Row-level security


@pytest.fixture
async def walled(database: Database) -> Database:
    """The database behind policies, as the role sees it."""
    make_role(database)
    await bring_up_to_date(database.url, Extras(row_security=ROLE))
    return Database(as_role(database.url, row_security="on"))


class TestBehindPolicies(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, walled: Database) -> AsyncIterator[Store]:
        async with PostgresStore(walled.url) as store:
            yield store


def bare(walled: Database) -> Database:
    """Without the option, which only the store knows."""
    return Database(walled.url.partition("?")[0])


async def test_a_forgotten_condition_shows_and_changes_nothing(walled: Database) -> None:
    async with PostgresStore(walled.url) as store:
        await put(store, fact(ANN, "a", terms=["oslo"]), vector_record(fact(ANN, "a"), "s", [1, 0]))
        by_hand = bare(walled)
        for name in ("fact", "embedding"):
            assert by_hand.ask(f"SELECT * FROM {name}") == []
            assert by_hand.ask(f"UPDATE {name} SET version = 7 RETURNING id") == []
            assert by_hand.ask(f"DELETE FROM {name} RETURNING id") == []
        assert await store.count(of(ANN)) == 1


async def test_a_transaction_sees_those_alone_whom_it_names(walled: Database) -> None:
    async with PostgresStore(walled.url) as store:
        await put(store, fact(ANN, "a"), fact(BOB, "b"), fact(Scope.session("s"), "of ann", ANN))
        await store.close()
    by_hand = bare(walled)
    found = {
        name: {row.id.partition(".")[2] for row in by_hand.ask("SELECT id FROM fact", **settings)}
        for name, settings in {
            "owner": {"owners": ANN.token},
            "owners": {"owners": f"{ANN.token},{BOB.token}"},
            "subject": {"subject": ANN.token},
            "nobody": {"owners": "", "subject": ""},
            "stranger": {"owners": "*", "subject": "%"},
        }.items()
    }
    assert found == {
        "owner": {"a"},
        "owners": {"a", "b"},
        "subject": {"a", "of ann"},
        "nobody": set(),
        "stranger": set(),
    }


async def test_nobody_writes_for_another_owner(walled: Database) -> None:
    async with PostgresStore(walled.url) as store:
        await put(store, fact(ANN, "a"))
    columns = "owner, subject, subject_name, tenant, scope, scope_id, version, terms, body"
    theft = f"INSERT INTO fact (id, {columns}) SELECT 'stolen', '{BOB.token}', {columns.partition(', ')[2]} FROM fact"
    for settings in ({"owners": ANN.token}, {"owners": ANN.token, "subject": BOB.token}):
        with pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
            bare(walled).ask(theft, **settings)
        with pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
            bare(walled).ask(f"UPDATE fact SET owner = '{BOB.token}'", **settings)


async def test_a_memory_learns_and_recalls_behind_policies(walled: Database) -> None:
    async with AsyncMemory(walled.url, extract=told, background=False) as memory:
        await memory.observe([{"role": "user", "content": "set location Lisbon"}], user_id="u", session_id="s")
        await memory.flush()
        assert [fact.value for fact in (await memory.recall("location", user_id="u")).facts] == ["Lisbon"]
        assert not (await memory.recall("location", user_id="v")).facts
        assert [job.status for job in await memory.jobs.list()] == ["done"]


async def test_what_a_transaction_named_is_forgotten_with_it(walled: Database) -> None:
    async with PostgresStore(walled.url, readers=1) as store:
        await put(store, fact(ANN, "a"))
        assert names(await store.scan(of(ANN))) == ["a"]
        for engine in (store._reader, store._writer):
            assert engine is not None
            async with engine.connect() as connection:
                assert (await connection.exec_driver_sql("SELECT count(*) FROM fact")).scalar() == 0


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("role", [ROLE, "postgres"])
async def test_connections_that_the_server_ended_are_replaced(database: Database, driver: str, role: str) -> None:
    if role == ROLE:
        make_role(database)
        await bring_up_to_date(database.url, Extras(row_security=ROLE))
    async with PostgresStore(as_role(database.url, role).replace("://", f"+{driver}://", 1)) as store:
        await put(store, fact(ANN, "a"))
        assert names(await store.scan(of(ANN))) == ["a"]
        database.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert names(await store.scan(of(ANN))) == ["a"]
        await put(store, fact(ANN, "b"))
        assert await store.count(of(ANN)) == 2


async def test_functions_give_ids_of_everybody_and_no_content(walled: Database) -> None:
    async with PostgresStore(walled.url) as store:
        job = Record("job", "j", ANN, ANN, fields={"run_at": NOW, "error": "secret"})
        await put(store, fact(ANN, "a", text="secret"), job)
    calls = (
        "ltm_subjects('', 9)",
        "ltm_due_job(now() + interval '9 years', 9)",
        f"ltm_stored_fact(ARRAY['{fact(ANN, 'a').id}'])",
    )
    given = [bare(walled).ask(f"SELECT * FROM {call}") for call in calls]
    assert [len(rows) for rows in given] == [1, 1, 1]
    assert "secret" not in str(given)


async def test_the_owner_of_the_tables_is_bound_too(database: Database) -> None:
    """One role for everything: the tables and policies are made by the first opening."""
    make_role(database, "ltm_owner")
    database.ask("GRANT ALL ON SCHEMA public TO ltm_owner")
    url = as_role(database.url, "ltm_owner", row_security="on")
    async with PostgresStore(url) as store:
        await put(store, fact(ANN, "a"))
        assert names(await store.scan(of(ANN))) == ["a"]
        assert await store.subjects() == [ANN]
    assert Database(url.partition("?")[0]).ask("SELECT * FROM fact") == []


async def test_rows_that_are_open_to_all_are_refused_where_policies_are_asked_for(database: Database) -> None:
    make_role(database)
    async with PostgresStore(database.url):
        pass
    database.ask(f"GRANT SELECT ON ltm_version TO {ROLE}")
    with pytest.raises(SchemaError, match="--row-security"):
        await PostgresStore(as_role(database.url, row_security="on")).open()


async def test_a_superuser_is_refused_where_policies_are_asked_for(walled: Database, database: Database) -> None:
    with pytest.raises(ConfigurationError, match="does not bind"):
        await PostgresStore(f"{database.url}?row_security=on").open()


async def test_policies_are_found_without_being_asked_for(walled: Database) -> None:
    async with PostgresStore(walled.url.partition("?")[0]) as store:
        await put(store, fact(ANN, "a"))
        assert names(await store.scan(of(ANN))) == ["a"]


async def test_a_database_that_is_not_there_is_named() -> None:
    for query in ("", "?schema=agent_memory"):
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await schema_of(f"postgresql://somebody@127.0.0.1:1/none{query}")


async def test_a_role_of_any_name_can_be_bound(database: Database) -> None:
    make_role(database, ODD_ROLE)
    await bring_up_to_date(database.url, Extras(row_security=ODD_ROLE))
    async with PostgresStore(as_role(database.url, ODD_ROLE, row_security="on")) as store:
        await put(store, fact(ANN, "a"))
        assert names(await store.scan(of(ANN))) == ["a"]


async def test_a_role_that_is_not_there_is_named(database: Database) -> None:
    with pytest.raises(StoreError, match="nobody_at_all"):
        await bring_up_to_date(database.url, Extras(row_security="nobody_at_all"))


# Partitions


@pytest.fixture
async def partitioned(database: Database) -> Database:
    await bring_up_to_date(database.url, Extras(partitions=4))
    return database


class TestPartitioned(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, partitioned: Database) -> AsyncIterator[Store]:
        async with PostgresStore(partitioned.url) as store:
            yield store


class TestPartitionedBehindPoliciesByPsycopg(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, partitioned: Database) -> AsyncIterator[Store]:
        make_role(partitioned)
        await bring_up_to_date(partitioned.url, Extras(row_security=ROLE))
        url = as_role(partitioned.url, row_security="on").replace("://", "+psycopg://", 1)
        async with PostgresStore(url) as store:
            yield store


async def test_everything_can_be_copied_into_partitions_behind_policies(partitioned: Database) -> None:
    make_role(partitioned)
    await bring_up_to_date(partitioned.url, Extras(row_security=ROLE))
    people = [Scope.user(str(n)) for n in range(30)] + [Scope.user("0", "acme"), Scope.session("s")]
    records = [fact(scope, name, terms=["oslo"]) for scope in people for name in ("a", "b")]
    async with DictStore() as source, PostgresStore(as_role(partitioned.url)) as target:
        await put(source, *records, *(vector_record(record, "s", [1, 2]) for record in records))
        report = await copy(source, target)
        assert (report.copied, report.subjects) == (4 * len(people), len(people))
        assert await target.subjects() == await source.subjects()


def test_every_table_is_split_and_its_owner_is_in_every_unique_key(partitioned: Database) -> None:
    parts = partitioned.ask(
        "SELECT CAST(CAST(inhparent AS regclass) AS text), count(*) FROM pg_inherits JOIN pg_class ON oid = inhrelid"
        " WHERE relkind = 'r' GROUP BY 1"
    )
    assert dict(tuple(row) for row in parts) == {table.name: 4 for table in TABLES.values()}
    unique = partitioned.ask(
        "SELECT relname FROM pg_index JOIN pg_class ON oid = indrelid WHERE indisunique AND relname = ANY"
        f" (ARRAY{[table.name for table in TABLES.values()]}) AND NOT EXISTS (SELECT 1 FROM pg_attribute"
        " WHERE attrelid = indrelid AND attname = 'owner' AND attnum = ANY (indkey))"
    )
    assert unique == []


async def test_a_question_about_one_owner_reads_one_partition(partitioned: Database) -> None:
    for owner in (ANN, BOB):
        plan = partitioned.plan(f"SELECT * FROM fact WHERE owner = '{owner.token}' AND namespace = 'x'")
        assert len({f"fact_{n}" for n in range(4) if f"on fact_{n}" in plan}) == 1


async def test_a_direct_look_at_a_partition_shows_nothing_behind_policies(partitioned: Database) -> None:
    make_role(partitioned, "ltm_owner")
    partitioned.ask("GRANT ALL ON SCHEMA public TO ltm_owner")
    await bring_up_to_date(partitioned.url, Extras(row_security="ltm_owner"))
    async with PostgresStore(as_role(partitioned.url, "ltm_owner")) as store:
        await put(store, *(fact(Scope.user(str(n)), "a") for n in range(20)))
    partitioned.ask(*(f"GRANT SELECT ON fact_{n} TO ltm_owner" for n in range(4)))
    by_hand = Database(as_role(partitioned.url, "ltm_owner"))
    assert [by_hand.ask(f"SELECT * FROM fact_{n}") for n in range(4)] == [[], [], [], []]


async def test_tables_with_something_in_them_are_not_split(database: Database) -> None:
    async with PostgresStore(database.url) as store:
        await put(store, fact(ANN, "a"))
    with pytest.raises(SchemaError, match="empty database"):
        await bring_up_to_date(database.url, Extras(partitions=4))


async def test_later_tables_are_split_as_the_earlier_ones(database: Database) -> None:
    with database._engine.begin() as connection:
        migrations.migrate(connection, "0001", partitions=3)
    await bring_up_to_date(database.url)
    assert database.ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'summary'::regclass") == [(3,)]


# Bringing up to date


@pytest.mark.parametrize("extras", [Extras(), Extras(partitions=4), Extras(row_security=ROLE)], ids=str)
async def test_facts_that_are_there_get_their_tags(database: Database, extras: Extras) -> None:
    make_role(database)
    told = fact(ANN, "a", key="theme", namespace="", tags=["ui", "a\0b"], created_at=NOW, memory_type="preference")
    await bring_up_to_date(database.url, extras)
    async with PostgresStore(database.url) as store:
        await put(store, told)
    database.ask(
        "DROP TABLE tag, link, access, usage", "DROP INDEX ix_fact_owner_namespace_key",
        "DROP INDEX ix_fact_owner_namespace_memory_type_key",
        "CREATE INDEX ix_fact_owner_memory_type ON fact (owner, memory_type)",
        "UPDATE ltm_version SET version_num = '0002'",
    )  # fmt: skip
    await bring_up_to_date(database.url)
    async with PostgresStore(database.url) as store:
        found = await store.scan(Where("tag", (ANN,)), order=[("tag", "asc")])
        assert [record.fields["tag"] for record in found] == ["a\0b", "ui"]
        assert found[1].id == digest("tag", told.id, "ui")
        assert found[1].fields["created_at"] == NOW


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_earlier_schema_with_data_is_brought_up_to_date(database: Database, driver: str) -> None:
    database.migrate("0001")
    url = database.url.replace("://", f"+{driver}://", 1)
    columns = "owner, subject, subject_name, tenant, scope, scope_id"
    values = f"'{ANN.token}', '{ANN.token}', '{ANN.name}', '{ANN.tenant}', 'user', 'ann'"
    database.ask(f"INSERT INTO fact (id, {columns}, version, terms, body) VALUES ('old', {values}, 1, '[]', '{{}}')")
    with pytest.raises(SchemaError, match="ltm migrate"):
        await PostgresStore(url).open()
    assert (await schema_of(url)).stored == "0001"
    await bring_up_to_date(url)
    assert (await schema_of(url)).is_current
    async with PostgresStore(url) as store:
        assert [record.id for record in await store.scan(of(ANN))] == ["old"]
        await _keep_each_new_kind(store)


async def _keep_each_new_kind(store: Store) -> None:
    summary = Record("summary", "s", ANN, ANN, fields={"number": 1, "text": "Moved."}, terms=("moved",))
    checkpoint = Record(
        "checkpoint", "c", ANN, ANN, fields={"namespace": "run", "key": "k", "step": 3, "state": {"a": [1]}}
    )
    spend = Record("spend", "d", ANN, ANN, fields={"day": "2026-01-02", "calls": 2, "tokens": 900, "seconds": 1.5})
    await put(store, summary, checkpoint, spend)
    for record in (summary, checkpoint, spend):
        assert await store.scan(Where(record.kind, (ANN,))) == [record]
    assert await store.search_text(Where("summary", (ANN,)), ["moved", "oslo"], 9) == [summary]
    assert await store.search_text(Where("summary", (BOB,)), ["moved"], 9) == []
    assert await store.scan(Where("spend", (ANN,), test=Compare("day", "eq", "2026-01-02"))) == [spend]


async def test_new_tables_come_behind_the_same_policies(database: Database) -> None:
    make_role(database)
    await bring_up_to_date(database.url, Extras(row_security=ROLE))
    database.ask("DROP POLICY ltm_wall ON spend", f"REVOKE ALL ON spend FROM {ROLE}")
    await bring_up_to_date(database.url)
    async with PostgresStore(as_role(database.url, row_security="on")) as store:
        await _keep_each_new_kind(store)


@pytest.mark.parametrize("installed", DRIVERS)
def test_the_driver_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    monkeypatch.setattr(address, "find_spec", lambda name: name == installed or None)
    assert address.address_of("postgresql://host/db").url.drivername == f"postgresql+{installed}"
    other = next(name for name in DRIVERS if name != installed)
    with pytest.raises(MissingExtra, match=other):
        address.address_of(f"postgresql+{other}://host/db")


@pytest.mark.parametrize("url", ["sqlite:///new.db", "mysql://root@127.0.0.1/x"])
async def test_other_databases_have_no_extras(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        await bring_up_to_date(url, Extras(partitions=4))


# Schemas


@pytest.mark.parametrize("driver", DRIVERS)
async def test_memories_in_two_schemas_do_not_see_each_other(database: Database, driver: str) -> None:
    url = database.url.replace("://", f"+{driver}://", 1)
    async with PostgresStore(url) as public, PostgresStore(f"{url}?schema=agent_memory") as own:
        await put(public, fact(ANN, "a"))
        assert await own.scan(of(ANN)) == []
        await put(own, fact(ANN, "b"), vector_record(fact(ANN, "b"), "s", [1, 0]))
        assert names(await public.scan(of(ANN))) == ["a"]
        assert len(await own.search_vector(of(ANN), "s", pack([1, 0]), 9)) == 1
    assert database.ask("SELECT count(*) FROM agent_memory.fact") == [(1,)]
    assert (await schema_of(f"{url}?schema=agent_memory")).is_current


async def test_a_schema_has_a_version_of_its_own(database: Database) -> None:
    await bring_up_to_date(database.url)
    url = f"{database.url}?schema=agent_memory"
    assert (await schema_of(url)).stored is None
    await bring_up_to_date(url, Extras(partitions=2))
    assert database.ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.fact'::regclass") == [(0,)]
    assert database.ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'agent_memory.fact'::regclass") == [(2,)]


@pytest.mark.parametrize("query", ["schema=a b", "schema=a;b", "schema=Upper", "row_security=yes"])
def test_an_option_that_says_nothing_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError):
        PostgresStore(f"postgresql://localhost/db?{query}")


# Vector indexes

DIMENSIONS = 16
SPACE = 'model\'s "space" 100%'


def _vectors(count: int) -> list[list[float]]:
    draw = random.Random(1)
    return [[draw.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(count)]


async def _with_vectors(store: Store, scope: Scope, vectors: Sequence[Sequence[float]]) -> None:
    records = [fact(scope, f"{n:04}", even=n % 2 == 0) for n in range(len(vectors))]
    made = [vector_record(record, SPACE, vector) for record, vector in zip(records, vectors, strict=True)]
    await put(store, *records, *made)


@pytest.fixture
async def indexed(database: Database) -> Database:
    await bring_up_to_date(database.url, Extras(vector_index=(SPACE, DIMENSIONS)))
    return database


class TestWithVectorIndex:
    """What the contract says of vectors, with an index for each length that it uses, asked whenever it can be."""

    test_nearest = StoreContract.test_vectors_find_the_nearest_first
    test_others = StoreContract.test_vectors_of_other_spaces_and_lengths_are_passed_over
    test_changes = StoreContract.test_vectors_follow_every_change
    test_wall = StoreContract.test_no_vector_reaches_another_ones_records

    @pytest.fixture
    async def store(self, database: Database) -> AsyncIterator[Store]:
        for dimensions in (2, 3, 4):
            await bring_up_to_date(database.url, Extras(vector_index=("s", dimensions)))
        async with PostgresStore(database.url, index_threshold=1) as store:
            yield store


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_index_finds_nearly_all_of_the_nearest(indexed: Database, driver: str) -> None:
    vectors, model = _vectors(620), DictStore()
    async with PostgresStore(indexed.url.replace("://", f"+{driver}://", 1), index_threshold=500) as store:
        for each in (store, model):
            await _with_vectors(each, ANN, vectors[:600])
            await _with_vectors(each, BOB, vectors[:300])
        hits = 0
        for wanted in vectors[600:]:
            where = of(ANN, test=Compare("even", "eq", True))
            found = await store.search_vector(where, SPACE, pack(wanted), 10)
            exact = await model.search_vector(where, SPACE, pack(wanted), 10)
            assert len(found) == 10
            assert all(where.admits(near.record) for near in found)
            hits += len({near.record.id for near in found} & {near.record.id for near in exact})
    assert hits / 200 >= 0.95


async def test_the_index_is_asked_for_large_scopes_alone(indexed: Database) -> None:
    vectors = _vectors(120)
    async with PostgresStore(indexed.url, readers=1, index_threshold=100) as store:
        await _with_vectors(store, ANN, vectors)
        await _with_vectors(store, BOB, vectors[:99])
        used = [await _scans(store)]
        for scope in (BOB, ANN):
            await store.search_vector(of(scope), SPACE, pack(vectors[0]), 5)
            used.append(await _scans(store))
    assert [after - before for before, after in pairwise(used)] == [0, 1]


async def _scans(store: PostgresStore) -> int:
    """How often indexes over vectors were read, by a store that has one connection to read on."""
    async with store._reading() as link:
        await link.do("SELECT pg_stat_force_next_flush()")
        await link.do("SELECT pg_stat_clear_snapshot()")
        [(scans,)] = await link.fetch(
            sa.text(
                "SELECT coalesce(sum(pg_stat_get_numscans(pg_class.oid)), 0) FROM pg_class"
                " JOIN pg_am ON pg_am.oid = relam WHERE amname = 'hnsw' AND relkind = 'i'"
            ),
            {},
        )
    return int(scans)


async def test_without_a_threshold_a_small_scope_is_compared_exactly(indexed: Database) -> None:
    async with PostgresStore(indexed.url) as store:
        await _with_vectors(store, ANN, _vectors(50))
        assert not await store._is_indexed(of(ANN), SPACE, pack(_vectors(1)[0]))


async def test_an_index_that_finds_too_few_is_no_answer(indexed: Database) -> None:
    """Only the farthest pass the test: an index gives the nearest, and then all must be compared."""
    vectors = [[1.0, n / 500, *([0.0] * (DIMENSIONS - 2))] for n in range(300)]
    async with PostgresStore(indexed.url, index_threshold=1) as store:
        records = [fact(ANN, f"{n:04}", far=n >= 290) for n in range(300)]
        await put(store, *records, *(vector_record(r, SPACE, v) for r, v in zip(records, vectors, strict=True)))
        found = await store.search_vector(of(ANN, test=Compare("far", "eq", True)), SPACE, pack(vectors[0]), 5)
    assert names([near.record for near in found]) == ["0290", "0291", "0292", "0293", "0294"]


async def test_an_index_behind_policies_on_partitions_is_asked_too(database: Database) -> None:
    make_role(database)
    await bring_up_to_date(database.url, Extras(4, ROLE, (SPACE, DIMENSIONS)))
    vectors = _vectors(200)
    async with PostgresStore(as_role(database.url, row_security="on"), readers=1, index_threshold=100) as store:
        await _with_vectors(store, ANN, vectors)
        await _with_vectors(store, BOB, vectors[:50])
        before = await _scans(store)
        found = await store.search_vector(of(ANN), SPACE, pack(vectors[7]), 5)
        assert names([found[0].record]) == ["0007"]
        assert await _scans(store) == before + 1
    async with PostgresStore(as_role(database.url, row_security="on")) as weighing:
        assert not await weighing._is_indexed(of(ANN), SPACE, pack(vectors[0]))


@pytest.mark.parametrize("dimensions", [0, -1, 2001])
async def test_an_index_of_impossible_dimensions_is_refused(database: Database, dimensions: int) -> None:
    with pytest.raises(ConfigurationError, match="dimensions"):
        await bring_up_to_date(database.url, Extras(vector_index=("s", dimensions)))
