"""From a URL to a store. A database's module is imported only when its URL is given."""

from __future__ import annotations

import os
from difflib import get_close_matches

from ..errors import ConfigurationError
from .base import Store

_FILES = (".db", ".sqlite", ".sqlite3")
_LEFT_OUT = ("mongodb",)  # see docs/decisions/0021-no-mongodb.md


def open_store(url: str | os.PathLike[str]) -> Store:
    """The store that `url` names, not yet connected: `sqlite:///ltm.db`, `sqlite://`, `memory://`, or a path.

    >>> type(open_store("memory://")).__name__
    'DictStore'
    """
    if isinstance(url, os.PathLike) or (url.endswith(_FILES) and ":/" not in url):
        return _sqlite(url)
    scheme, separator, _ = url.partition("://")
    match scheme.partition("+")[0].lower() if separator else "":
        case "sqlite":
            return _sqlite(url)
        case "memory":
            from .memory import DictStore

            return DictStore()
        case "postgresql" | "postgres":
            from .postgres import PostgresStore

            return PostgresStore(os.fspath(url).replace("postgres://", "postgresql://", 1))
        case "mysql" | "mariadb":
            from .mysql import MysqlStore

            return MysqlStore(os.fspath(url))
        case "redis" | "rediss" | "valkey" | "valkeys" | "unix":
            from .redis import RedisStore

            return RedisStore(os.fspath(url))
    raise ConfigurationError(_advice(scheme, separator))


def _sqlite(url: str | os.PathLike[str]) -> Store:
    from .sqlite import SqliteStore

    return SqliteStore(url)


def _advice(scheme: str, separator: str) -> str:
    name = scheme.partition("+")[0].lower()
    if separator and name in _LEFT_OUT:
        return f"There is no store for {name}. Use sqlite:///ltm.db, or pass store= one that ltm_core.testing proves."
    if not separator:
        return "A store is named by a URL or a path. Write sqlite:///ltm.db, or a path that ends in .db."
    near = get_close_matches(
        name, ["sqlite", "memory", "postgresql", "mysql", "mariadb", "redis", "valkey", *_LEFT_OUT], n=1
    )
    hint = f"Did you mean {near[0]}://? " if near else ""
    return f"No store is called {name!r}. {hint}Write sqlite:///ltm.db, sqlite:// (in memory) or memory://."
