"""Fixtures that give a test the URL of a real server with an empty place in it.

A server is started by the first test of a run that asks for it, and all workers of the run share it. It ends with the
run. One that runs already is taken where its variable is set, such as `LTM_TEST_POSTGRES_URL`; tests empty it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from tests.servers.kinds import Kind


class Servers:
    """The servers of this run, by kind."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder = folder
        self.worker = worker

    def url(self, name: str) -> str:
        """The URL of a running server. Skips the test where there can be none; on Debian that is a failure in CI."""
        # Here and not above: tests of adapters run also where no driver of a server is installed.
        from tests.servers.kinds import KINDS
        from tests.servers.process import locked

        kind = KINDS[name]
        given = os.environ.get(kind.variable)
        if given:
            return given
        with locked(self._folder / "servers.lock"):
            known = self._known()
            if name not in known:
                known[name] = _started(kind)
                self._file.write_text(json.dumps(known))
        return known[name]

    @property
    def number(self) -> int:
        """Which worker this is, from 0."""
        return int(self.worker.removeprefix("gw") or 0) if self.worker.startswith("gw") else 0

    @property
    def _file(self) -> Path:
        return self._folder / "servers.json"

    def _known(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text())) if self._file.exists() else {}


def _started(kind: Kind) -> str:
    from tests.servers.debian import is_debian
    from tests.servers.process import Unavailable

    # Under xdist the parent lives as long as the run, and a worker no longer than its last test.
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    try:
        return kind.start(owner).url
    except Unavailable as missing:
        if is_debian() and "CI" in os.environ and not kind.optional:
            pytest.fail(f"{kind.name}: {missing}")
        pytest.skip(f"{kind.name}: {missing}")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    folder = tmp_path_factory.getbasetemp()
    return Servers(folder.parent if worker else folder, worker or "main")


@pytest.fixture(params=["postgres16", "postgres18"])
def postgres_url(request: pytest.FixtureRequest, servers: Servers) -> str:
    """An empty PostgreSQL database, of each version."""
    return empty_database(servers.url(request.param), f"test_{servers.worker}")


@pytest.fixture
def one_postgres_url(servers: Servers) -> str:
    """An empty PostgreSQL database, of the newest version."""
    return empty_database(servers.url("postgres18"), f"test_{servers.worker}")


@pytest.fixture
def mysql_url(servers: Servers) -> str:
    """An empty MariaDB database."""
    return empty_database(servers.url("mariadb"), f"test_{servers.worker}")


@pytest.fixture
def redis_url(servers: Servers) -> Iterator[str]:
    """An empty Redis database."""
    yield from _emptied(servers, "redis")


@pytest.fixture
def valkey_url(servers: Servers) -> Iterator[str]:
    """An empty Valkey database."""
    yield from _emptied(servers, "valkey")


@pytest.fixture
def redis_cluster_url(servers: Servers) -> str:
    """A Redis Cluster of three nodes, shared by all workers: use a prefix of your own."""
    return servers.url("redis-cluster")


def flush_cluster(url: str) -> None:
    """Empty every node."""
    from redis.cluster import RedisCluster

    with closing(RedisCluster.from_url(url.replace("redis+cluster:", "redis:"))) as cluster:
        cluster.flushall(target_nodes=RedisCluster.PRIMARIES)


def _emptied(servers: Servers, name: str) -> Iterator[str]:
    from redis import Redis

    given = urlsplit(servers.url(name))
    url = given._replace(path=f"/{int(given.path.strip('/') or 0) + servers.number}").geturl()
    with closing(Redis.from_url(url)) as client:
        client.flushdb()
        yield url


_SYNC = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}


# Much faster than a new database, for which some 300 files are copied. Roles, and settings of the database, stay.
_EMPTY_POSTGRES = """
DO $$ DECLARE name text; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' LOOP
        EXECUTE 'DROP SCHEMA ' || quote_ident(name) || ' CASCADE';
    END LOOP;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$
"""


def empty_database(server: str, name: str) -> str:
    """A database of that name with nothing in it; on PostgreSQL whoever is connected to it is cut off."""
    url = sa.make_url(server)
    if url.get_backend_name() == "postgresql":
        _empty_postgres(url, name)
    else:
        _run(url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    return url.set(database=name).render_as_string(hide_password=False)


def _empty_postgres(url: sa.URL, name: str) -> None:
    if not _run(url, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"):
        _run(url, f"CREATE DATABASE {name}")
    _run(url.set(database=name), _EMPTY_POSTGRES)


def _run(url: sa.URL, *statements: str) -> object:
    """Run each, and give the first value of the last."""
    sync = url.set(drivername=_SYNC[url.get_backend_name()])
    engine = sa.create_engine(sync, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        *_, last = [connection.exec_driver_sql(statement) for statement in statements]
        return last.scalar() if last.returns_rows else None
