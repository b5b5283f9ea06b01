"""From a URL to a store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltm_core.errors import ConfigurationError
from ltm_core.stores import open_store
from ltm_core.stores.memory import DictStore
from ltm_core.stores.sqlite import SqliteStore


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_three_slashes_are_relative_and_four_are_absolute(scheme: str, tmp_path: Path) -> None:
    for url, file in ((f"{scheme}:///x.db", os.path.abspath("x.db")), (f"{scheme}:////abs/x.db", "/abs/x.db")):
        store = open_store(url)
        assert isinstance(store, SqliteStore)
        assert store._url.database == file


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite://"])
def test_sqlite_without_a_file_is_in_memory(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.in_memory


@pytest.mark.parametrize("name", ["x.db", "a dir/x.sqlite", "100%?#.sqlite3", "x:y@z.db"])
async def test_a_path_is_a_sqlite_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    for path in (file, str(file)):
        async with open_store(path):
            assert file.exists()


def test_memory_is_the_dict_store() -> None:
    assert isinstance(open_store("memory://"), DictStore)


@pytest.mark.parametrize("url", ["mongodb://u:pw@h/db", "mongodb+srv://u:pw@h"])
def test_what_was_left_out_says_what_to_use(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no store for mongodb\. Use sqlite:///ltm\.db, or pass store="
    ) as error:
        open_store(url)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("sqllite:///x.db", r"Did you mean sqlite://\?"),
        ("postgressql://u:pw@h", r"Did you mean postgresql://\?"),
        ("sqlite://x.db", r"three slashes: sqlite:///x\.db"),
        ("sqlite:/x.db", "Write sqlite:///ltm.db"),
        ("u:pw@h", "Write sqlite:///ltm.db"),
        ("", "Write sqlite:///ltm.db"),
        ("ltm", r"a path that ends in \.db"),
        ("what://x", "No store is called 'what'"),
        ("sqlite+libsql:///x.db", "Write sqlite:///ltm.db"),
    ],
)
def test_a_typo_is_answered_with_what_to_write(url: str, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice) as error:
        open_store(url)
    assert "pw" not in str(error.value)


def test_no_database_library_is_imported_before_a_url_asks_for_it() -> None:
    script = (
        "import sys, ltm_core.stores as s; s.open_store('memory://'); print({'sqlalchemy', 'alembic'} & {*sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
