"""Every store against the one contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltm_core.stores.base import Store
from ltm_core.stores.memory import DictStore
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
