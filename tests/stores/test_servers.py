"""The servers that the tests bring: each answers, each test gets an empty place, and none outlives its owner."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.servers.fixtures import Servers, empty_database

ROOT = Path(__file__).parents[2]
# Redis has nothing to prepare, PostgreSQL and MariaDB have: their ways to end differ.
LASTING = ("redis", "postgres18", "mariadb")


def _engine(url: str, driver: str) -> AsyncEngine:
    return create_async_engine(sa.make_url(url).set(drivername=driver), poolclass=sa.NullPool)


async def _asked(url: str, driver: str, query: str) -> object:
    async with _engine(url, driver).connect() as connection:
        return (await connection.exec_driver_sql(query)).scalar()


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_postgres_answers_both_drivers_and_has_pgvector(postgres_url: str, driver: str) -> None:
    version = await _asked(postgres_url, driver, "SHOW server_version")
    vector = await _asked(postgres_url, driver, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
    assert (int(str(version).partition(".")[0]) >= 16, vector) == (True, 1)


async def test_mariadb_answers(mysql_url: str) -> None:
    assert "MariaDB" in str(await _asked(mysql_url, "mysql+aiomysql", "SELECT version()"))


async def test_redis_answers_and_is_7_or_newer(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert int((await client.info())["redis_version"].partition(".")[0]) >= 7


async def test_valkey_answers(valkey_url: str) -> None:
    async with Redis.from_url(valkey_url) as client:
        assert (await client.info())["server_name"] == "valkey"


async def test_redis_cluster_has_three_nodes_that_agree(redis_cluster_url: str) -> None:
    async with RedisCluster.from_url(redis_cluster_url.replace("redis+cluster:", "redis:")) as cluster:
        assert len(cluster.get_primaries()) == 3
        assert (await cluster.cluster_info())["cluster_state"] == "ok"


def test_a_postgres_database_is_empty_again_though_somebody_left_a_transaction_open(servers: Servers) -> None:
    url = _own_database(servers, "postgres18")
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    left = engine.connect()
    for statement in ("CREATE EXTENSION vector", "CREATE SCHEMA other", "CREATE TABLE other.things (id int)"):
        left.exec_driver_sql(statement)
    left.commit()
    left.exec_driver_sql("SELECT * FROM other.things")

    assert _own_database(servers, "postgres18") == url
    left.invalidate()
    with engine.connect() as connection:
        schemas = connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1")
        assert list(schemas.scalars()) == ["information_schema", "public"]
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_extension WHERE extname = 'vector'").scalar() == 0


def test_another_role_may_use_the_public_schema_of_an_emptied_database(servers: Servers) -> None:
    url = _own_database(servers, "postgres18")
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT has_schema_privilege('pg_monitor', 'public', 'USAGE')").scalar()


def test_a_mariadb_database_is_empty_again(servers: Servers) -> None:
    url = _own_database(servers, "mariadb")
    engine = sa.create_engine(sa.make_url(url).set(drivername="mysql+pymysql"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (id int)")
    _own_database(servers, "mariadb")
    assert sa.inspect(engine).get_table_names() == []


def _own_database(servers: Servers, name: str) -> str:
    return empty_database(servers.url(name), f"test_empty_{servers.worker}")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda ending: ending.name)
def test_servers_end_with_the_process_that_started_them(servers: Servers, ending: signal.Signals) -> None:
    for name in LASTING:
        servers.url(name)  # skips where there is none
    with _started_by_hand() as (owner, connections):
        owner.send_signal(ending)
        for connection in connections:
            assert _read_to_the_end(connection)
        owner.wait(30)


@contextmanager
def _started_by_hand() -> Iterator[tuple[subprocess.Popen[str], list[socket.socket]]]:
    command = [sys.executable, "-m", "tests.servers", *LASTING]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        try:
            connections = [_connected(owner.stdout.readline()) for _ in LASTING]
            yield owner, connections
        finally:
            owner.kill()
    for connection in connections:
        connection.close()


def _connected(line: str) -> socket.socket:
    found = re.search(r"@?([\d.]+):(\d+)/", line)
    assert found, f"no URL in {line!r}"
    return socket.create_connection((found[1], int(found[2])), timeout=30)


def _read_to_the_end(connection: socket.socket) -> bool:
    """Whether the server hung up; a server that lives on lets this run into its time limit."""
    with closing(connection):
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
    return True
