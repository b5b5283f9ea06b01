"""Every store against the one contract."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from ltm_core.stores.base import Store
from ltm_core.stores.memory import DictStore
from ltm_core.stores.mysql import MysqlStore
from ltm_core.stores.postgres import PostgresStore
from ltm_core.stores.redis import RedisStore
from ltm_core.stores.sqlite import SqliteStore
from ltm_core.testing.store_contract import StoreContract


class TestDictStore(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        async with DictStore() as store:
            yield store


class TestSqliteInMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        async with SqliteStore() as store:
            yield store


class TestSqliteFile(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with SqliteStore(tmp_path / "ltm.db") as store:
            yield store


class TestPostgres(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, postgres_url: str) -> AsyncIterator[Store]:
        async with PostgresStore(postgres_url) as store:
            yield store


class TestPostgresByPsycopg(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, one_postgres_url: str) -> AsyncIterator[Store]:
        async with PostgresStore(one_postgres_url.replace("://", "+psycopg://", 1)) as store:
            yield store


class TestRedis(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[Store]:
        async with RedisStore(redis_url) as store:
            yield store


class TestValkey(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, valkey_url: str) -> AsyncIterator[Store]:
        async with RedisStore(valkey_url) as store:
            yield store


class TestRedisCluster(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, redis_cluster_url: str) -> AsyncIterator[Store]:
        async with RedisStore(redis_cluster_url, prefix=f"test:{uuid4().hex}") as store:
            yield store


class TestMariaDB(StoreContract):
    durable = True

    @pytest.fixture
    async def store(self, mysql_url: str) -> AsyncIterator[Store]:
        async with MysqlStore(mysql_url) as store:
            yield store
