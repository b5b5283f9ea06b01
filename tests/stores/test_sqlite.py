"""What SQLite adds to the contract: its file, its pragmas, its text index, other processes, and the medium."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from ltm_core.errors import ConfigurationError, InvalidInput, SchemaError, StoreError, StoreUnavailable, UsageError
from ltm_core.scope import Scope, digest
from ltm_core.stores import migrations
from ltm_core.stores.base import Compare, Delete, Record, Where
from ltm_core.stores.sql.tables import LAYOUTS, METADATA, TABLES
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.testing.store_contract import ANN, BOB, fact, names, of, put

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PRELUDE = """
import asyncio, gc, os, sys
from ltm_core.scope import Scope
from ltm_core.stores.base import Compare, Put, Record, Where
from ltm_core.stores.sqlite import SqliteStore
path, me = sys.argv[1], Scope.user("ann")
def fact(name, **fields):
    return Put(Record("fact", f"{me.token}.{name}", me, me, 1, fields, ("oslo",)), expect=0)
def in_processes(number, main):
    import alembic.command
    children = []
    for n in range(number):
        if not (child := os.fork()):
            asyncio.run(main(n))
            sys.exit()
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * number
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ltm.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path) as store:
        yield store


def python(script: str, path: Path) -> "subprocess.Popen[str]":
    """Run `script` in another process."""
    command = [sys.executable, "-W", "error", "-c", PRELUDE + script, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(process: "subprocess.Popen[str]") -> str:
    """What it printed, once it has ended without a complaint."""
    said, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, "")
    return said


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The same file, seen by somebody else."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        yield connection


# The file


async def test_every_connection_is_durable_and_leaves_no_trace(store: SqliteStore) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 5000}
    for borrowed in (store._on_writer, store._reading):
        async with borrowed() as link:
            found = {name: (await link.connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in pragmas}
            assert found == pragmas


async def test_the_database_can_be_read_by_people(store: SqliteStore, raw: sqlite3.Connection) -> None:
    await put(store, fact(ANN, "a", value={"città": "Zürich"}, created_at=NOW, mood="très bien"))
    row = raw.execute("SELECT subject_name, scope, scope_id, value, created_at, body FROM fact").fetchone()
    times = "2026-01-02T03:04:05.678901+00:00"
    assert row == ("user:ann", "user", "ann", '{"città":"Zürich"}', times, '{"mood":"très bien"}')


async def test_closing_empties_the_log(path: Path) -> None:
    async with SqliteStore(path) as store:
        await put(store, fact(ANN, "a"))
    assert [file.name for file in path.parent.iterdir()] == ["ltm.db"]


async def test_nothing_of_what_was_purged_stays_on_the_medium(store: SqliteStore, path: Path) -> None:
    secret = fact(ANN, "a", text="xylophonist", value={"job": "xylophonist"}, terms=["xylophonist"])
    await put(store, secret, *(fact(BOB, str(n), text="tinker", terms=["tinker"]) for n in range(50)))
    assert any(b"xylophonist" in file.read_bytes() for file in path.parent.iterdir())
    await store.purge(Where("fact", subject=ANN))
    assert not any(b"xylophonist" in file.read_bytes() for file in path.parent.iterdir())
    assert len(await store.search_text(of(BOB), ["tinker"], 99)) == 50


@pytest.fixture
def scribble(path: Path) -> None:
    path.write_text("not a database at all" * 99)


@pytest.mark.usefixtures("scribble")
async def test_a_file_that_is_no_database_is_refused_with_advice(path: Path) -> None:
    with pytest.raises(StoreError, match=r"ltm\.db is not a SQLite database\. Give another path"):
        await SqliteStore(path).open()


async def test_a_directory_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot be opened\. Check"):
        await SqliteStore(tmp_path).open()


async def test_a_damaged_database_is_refused_with_advice(path: Path) -> None:
    async with SqliteStore(path) as store:
        await put(store, *(fact(ANN, str(n), text="x" * 1000) for n in range(100)))
    with open(path, "r+b") as file:  # noqa: ASYNC230
        file.seek(4096)
        file.write(b"\xff" * 200_000)
    with pytest.raises(StoreError, match=r"damaged\. Restore a backup"):
        async with SqliteStore(path) as store:
            await store.scan(of(ANN))


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere/ltm.db cannot be opened. Check that its directory exists"):
        await SqliteStore(tmp_path / "nowhere" / "ltm.db").open()


async def test_a_read_only_database_can_be_read_and_says_why_it_cannot_be_written(path: Path) -> None:
    async with SqliteStore(path) as store:
        await put(store, fact(ANN, "a"))
    async with SqliteStore(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        assert names(await store.scan(of(ANN))) == ["a"]
        with pytest.raises(StoreError, match=r"read-only\. Make file and directory writable"):
            await put(store, fact(ANN, "b"))


async def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    for attempt in (store.scan(of(ANN)), store.purge(of(ANN)), put(store, fact(ANN, "a")), store.count(of(ANN))):
        with pytest.raises(UsageError, match=r"closed\. Call open"):
            await attempt


async def test_a_relative_path_is_not_moved_by_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("sqlite:///ltm.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with store:
        await put(store, fact(ANN, "a"))
    assert (tmp_path / "ltm.db").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("url", ["sqlite://ltm.db", "sqlite+pysqlite:///ltm.db", "postgresql://x/y", "://"])
def test_urls_that_are_not_ours_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite:///ltm\.db"):
        SqliteStore(url)


@pytest.mark.parametrize("value", [{1}, b"x", float("nan"), float("inf"), NOW])
async def test_what_json_cannot_hold_is_refused_and_harms_nobody(store: SqliteStore, value: Any) -> None:
    with pytest.raises(InvalidInput, match="not JSON data"):
        await put(store, fact(ANN, "a", extra=value))


@pytest.mark.parametrize("bad", [{"text": "\ud800"}, {"extra": "\ud800"}])
async def test_half_a_character_fails_alone(store: SqliteStore, bad: dict[str, Any]) -> None:
    good, refused = await asyncio.gather(
        put(store, fact(ANN, "a")), put(store, fact(ANN, "b", **bad)), return_exceptions=True
    )
    assert good is None
    assert isinstance(refused, InvalidInput)
    assert names(await store.scan(of(ANN))) == ["a"]


async def test_a_path_that_sqlite_cannot_write_is_refused_not_misread(store: SqliteStore) -> None:
    with pytest.raises(InvalidInput, match="quotation mark"):
        await store.scan(of(ANN, test=Compare(("value", 'a"b'), "eq", 1)))


@pytest.mark.parametrize("number", [2**63, -(2**70), 1.5e300])
async def test_numbers_beyond_sql_integers_can_be_asked_for(store: SqliteStore, number: float) -> None:
    await put(store, fact(ANN, "a", value=number, importance=1), fact(ANN, "b", value=1))
    assert names(await store.scan(of(ANN, test=Compare("value", "eq", number)))) == ["a"]
    assert await store.count(of(ANN, test=Compare("importance", "eq", number))) == 0


# The schema


async def test_migrating_from_nothing_gives_the_tables_of_the_metadata(store: SqliteStore, path: Path) -> None:
    def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
        return kind != "table" or name in TABLES

    options = {"include_object": ours, "version_table": migrations.VERSION_TABLE, "compare_server_default": True}
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_head_is_the_last_revision() -> None:
    assert ScriptDirectory(Path(migrations.__file__).parent).get_heads() == [migrations.HEAD]


async def test_every_earlier_schema_is_brought_up_to_date(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrations.migrate(connection, to="0001")
    engine.dispose()
    summary = Record("summary", "s", ANN, ANN, fields={"number": 1}, terms=("moved",))
    async with SqliteStore(path) as store:
        await put(store, fact(ANN, "kept"), summary)
        assert await store.search_text(Where("summary", (ANN,)), ["moved"], 1) == [summary]


async def test_facts_that_are_there_get_their_tags(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    facts = [
        fact(ANN, "a", key="theme", tags=["ui", "ui", "x" * 99], created_at=NOW, memory_type="preference"),
        fact(BOB, "a", key="theme", tags=["ui", "\x1a0"], namespace="n"),
        fact(ANN, "plain", tags=[]),
        fact(ANN, "bare"),
    ]
    with engine.begin() as connection:
        migrations.migrate(connection, to="0002")
        connection.execute(TABLES["fact"].insert(), [LAYOUTS["fact"].row(one) for one in facts])
    engine.dispose()
    async with SqliteStore(path) as store:
        (anns, others) = await store.scan(Where("tag", (ANN,)), order=[("tag", "desc")])
        assert anns.fields == {
            "fact_id": facts[0].id,
            "tag": "ui",
            "key": "theme",
            "memory_type": "preference",
            "created_at": NOW,
        }
        assert (anns.id, anns.version) == (digest("tag", facts[0].id, "ui"), 1)
        assert others.fields["tag"] == digest("x" * 99)
        bobs = await store.scan(Where("tag", (BOB,)), order=[("tag", "asc")])
        assert [record.fields["tag"] for record in bobs] == ["\x1a0", "ui"]
        assert bobs[0].fields["namespace"] == "n"


async def test_every_wall_has_an_index(store: SqliteStore, raw: sqlite3.Connection) -> None:
    for name in (table.name for table in TABLES.values()):
        for side in ("owner", "subject", "id"):
            plan = raw.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {name} WHERE {side} = ?", ("x",)).fetchall()
            assert all("USING INDEX" in step[3] for step in plan), (name, side)


async def test_a_schema_of_the_future_is_refused(path: Path, raw: sqlite3.Connection) -> None:
    async with SqliteStore(path):
        raw.execute("UPDATE ltm_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"'9999', which this version does not know\. Upgrade ltm-core"):
        await SqliteStore(path).open()


async def test_tables_of_another_program_are_left_alone(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("CREATE TABLE message (mine)")
    with pytest.raises(SchemaError, match="a file, of its own"):
        await SqliteStore(path).open()
    assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("message",)]


@needs_fork
def test_processes_may_open_a_new_file_at_once(path: Path) -> None:
    script = """
async def main(n):
    async with SqliteStore(path) as store:
        await store.apply([fact(n)])
        assert await store.count(Where("fact", (me,))) >= 1
in_processes(6, main)
"""
    output(python(script, path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM fact").fetchone() == (6,)
        assert connection.execute("SELECT version_num FROM ltm_version").fetchall() == [(migrations.HEAD,)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# Locks and other processes


async def test_a_lock_that_does_not_end_is_reported(path: Path, raw: sqlite3.Connection) -> None:
    async with SqliteStore(path, patience=0.05) as store:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"stayed locked by another connection\. Retry"):
            await put(store, fact(ANN, "a"))
        assert await store.scan(of(ANN)) == []
        raw.execute("ROLLBACK")
        await put(store, fact(ANN, "a"))
        assert names(await store.scan(of(ANN))) == ["a"]


async def test_a_lock_that_ends_is_waited_for(path: Path, raw: sqlite3.Connection) -> None:
    async with SqliteStore(path, patience=30) as store:
        raw.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(put(store, fact(ANN, "a")))
        assert await store.count(of(ANN)) == 0  # readers do not wait
        assert not writing.done()
        raw.execute("ROLLBACK")
        await writing
        assert await store.count(of(ANN)) == 1


async def test_readers_see_whole_batches_while_writers_write(store: SqliteStore) -> None:
    async def write() -> None:
        for n in range(30):
            await put(store, *(fact(ANN, f"{n}.{part}") for part in range(5)))

    writing = asyncio.create_task(write())
    while not writing.done():
        assert await store.count(of(ANN)) % 5 == 0
    await writing
    assert await store.count(of(ANN)) == 150


@needs_fork
def test_eight_processes_lose_no_write(path: Path) -> None:
    script = """
async def main(process):
    async with SqliteStore(path) as store:
        await asyncio.gather(*(store.apply([fact(f"{process}.{n}")]) for n in range(25)))
        for n in range(25, 30):
            await store.apply([fact(f"{process}.{n}")])
in_processes(8, main)
"""
    output(python(script, path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM fact").fetchone() == (8 * 30,)
        connection.execute("INSERT INTO fact_words (fact_words, rank) VALUES ('integrity-check', 1)")


def test_a_killed_process_loses_nothing_that_was_acknowledged(path: Path) -> None:
    script = """
async def write(store, lane):
    n = 0
    while True:
        await store.apply([fact(f"{lane}.{n}")])
        print(f"{lane}.{n}", flush=True)
        n += 1
async def main():
    async with SqliteStore(path) as store:
        await asyncio.gather(*(write(store, lane) for lane in range(8)))
asyncio.run(main())
"""
    process = python(script, path)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(100)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    acknowledged = {line.strip() for line in [*told, *rest.splitlines(keepends=True)] if line.endswith("\n")}
    with closing(sqlite3.connect(path)) as connection:
        stored = {row[0].partition(".")[2] for row in connection.execute("SELECT id FROM fact")}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(acknowledged) >= 100
    assert acknowledged <= stored


@pytest.mark.parametrize("keep", ["global store; store = the_store", "the_store.ring = the_store"])
def test_a_store_that_is_never_closed_lets_the_interpreter_go_in_silence(path: Path, keep: str) -> None:
    script = f"""
async def main():
    the_store = SqliteStore(path)
    {keep}
    await the_store.open()
    await the_store.apply([fact("a")])
    print(await the_store.count(Where("fact", (me,))))
asyncio.run(main())
"""
    assert output(python(script, path)) == "1\n"


@needs_fork
def test_a_forked_child_starts_anew_and_leaves_the_parent_alone(path: Path) -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which is the point
async def main():
    store = SqliteStore(path)
    await store.open()
    await store.apply([fact("before")])
    return store
loop = asyncio.new_event_loop()
store = loop.run_until_complete(main())
async def child():
    await store.open()
    await store.apply([fact("child")])
    await store.close()
async def parent():
    await store.apply([fact("parent")])
    print(await store.count(Where("fact", (me,))))
    await store.close()
pid = os.fork()
if pid == 0:
    store.forget_connections()
    gc.collect()
    asyncio.run(child())
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
loop.run_until_complete(parent())
loop.close()
"""
    assert output(python(script, path)) == "3\n"


# The text index


async def test_a_search_costs_by_the_scope_and_not_by_the_database(tmp_path: Path) -> None:
    async def steps(crowd: int) -> int:
        """How many steps of SQLite's machine a search in one scope takes, beside a crowd of others."""
        async with SqliteStore(tmp_path / f"{crowd}.db") as store:
            await put(store, *(fact(Scope.user(f"u{n}"), str(n), terms=["oslo", "live"]) for n in range(crowd)))
            await put(store, *(fact(ANN, str(n), terms=["oslo", f"w{n}"]) for n in range(20)))
            assert len(await store.search_text(of(ANN), ["oslo", "live"], 99)) == 20
            return await _counted_steps(store, of(ANN), ["oslo", "live"])

    assert await steps(crowd=2000) <= 2 * await steps(crowd=0)


async def _counted_steps(store: SqliteStore, where: Where, terms: list[str]) -> int:
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    async with store._reading() as link:
        driver = (await link.connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_progress_handler(step, 1)
    await store.search_text(where, terms, 99)
    return taken


async def test_rows_keep_their_place_in_the_index(store: SqliteStore, raw: sqlite3.Connection) -> None:
    await put(store, *(fact(ANN, str(n), terms=["oslo"]) for n in range(9)))
    await store.apply([Delete("fact", fact(ANN, "3").id, ANN)])
    await put(store, fact(ANN, "5", version=2, terms=["rome"]), fact(ANN, "7", BOB, version=2, terms=["oslo"]))
    raw.execute("VACUUM")
    raw.execute("INSERT INTO fact_words (fact_words, rank) VALUES ('integrity-check', 1)")
    assert sorted(names(await store.search_text(of(ANN), ["oslo"], 99))) == ["0", "1", "2", "4", "6", "7", "8"]
    assert names(await store.search_text(Where("fact", (ANN,), BOB), ["oslo"], 99)) == ["7"]


async def test_no_word_of_a_user_can_pose_as_a_scope(store: SqliteStore) -> None:
    await put(store, fact(ANN, "a", terms=["oslo"]), fact(BOB, "b", terms=[ANN.token, "oslo", "owner:" + ANN.token]))
    for term in ("oslo", ANN.token, f'oslo") OR owner : ("{BOB.token}'):
        assert {record.scope for record in await store.search_text(of(ANN), [term], 9)} <= {ANN}


async def test_words_differ_by_case(store: SqliteStore) -> None:
    await put(store, fact(ANN, "a", terms=["Oslo"]), fact(ANN, "b", terms=["oslo"]))
    assert names(await store.search_text(of(ANN), ["oslo"], 9)) == ["b"]


async def test_words_of_a_kind_without_an_index_are_refused(store: SqliteStore) -> None:
    with pytest.raises(InvalidInput, match="no text index"):
        await put(store, Record("lease", "l", ANN, ANN, terms=("oslo",)))
