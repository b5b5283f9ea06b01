"""What each database does itself, and what is left to this process: the table in `docs/reference/stores.md`.

    python -m tests.stores.abilities     writes it anew

What stands here is not believed: `test_abilities.py` measures every line of `INSIDE` on every store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ltm_core.stores.base import Compare, Store, Where
from ltm_core.testing.store_contract import ANN, NOW
from ltm_core.vectors import pack

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "stores.md"
MANY = 100  # facts of one person, of which a question is about one
STORES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB", "redis": "Redis, Valkey"}


def _one(path: str | tuple[str, ...], value: Any) -> Where:
    return Where("fact", (ANN,), test=Compare(path, "eq", value))


# What is asked, by what the table calls it.
QUESTIONS: Mapping[str, Callable[[Store], Awaitable[object]]] = {
    "records by id": lambda store: store.scan(Where("fact", (ANN,), ids=(f"{ANN.token}.7",))),
    "`whose`, by an id alone": lambda store: store.whose("fact", f"{ANN.token}.7"),
    "equality with `attribute`": lambda store: store.scan(_one("attribute", "attribute 7")),
    "equality with any column": lambda store: store.scan(_one("key", "key 7")),
    "a comparison of times": lambda store: store.scan(Where("fact", (ANN,), test=Compare("created_at", "gt", NOW))),
    "a condition inside a JSON document": lambda store: store.scan(_one(("extra", "number"), 7)),
    "the first page by time": lambda store: store.scan(Where("fact", (ANN,)), order=[("updated_at", "asc")], limit=1),
    "the first page by a text": lambda store: store.scan(Where("fact", (ANN,)), order=[("text", "asc")], limit=1),
    "`search_text`": lambda store: store.search_text(Where("fact", (ANN,)), ["word7"], 1),
    "`search_vector`": lambda store: store.search_vector(Where("fact", (ANN,)), "s", pack([1.0, 7.0]), 1),
    "`count`": lambda store: store.count(Where("fact", (ANN,))),
    "`count` with a condition": lambda store: store.count(_one("key", "key 7")),
    "`due`": lambda store: store.due("fact", NOW, 1),
    "`purge` of one person": lambda store: store.purge(Where("fact", subject=ANN)),
}

# Which of these the database answers alone; for the others this process looks at records or vectors one by one.
INSIDE: Mapping[str, str] = {
    "records by id": "sqlite postgres mariadb redis",
    "`whose`, by an id alone": "sqlite postgres mariadb redis",
    "equality with `attribute`": "sqlite postgres mariadb redis",
    "equality with any column": "sqlite postgres mariadb",
    "a comparison of times": "sqlite postgres mariadb",
    "a condition inside a JSON document": "sqlite postgres",
    "the first page by time": "sqlite postgres mariadb redis",
    "the first page by a text": "sqlite postgres",
    "`search_text`": "sqlite postgres mariadb redis",
    "`search_vector`": "postgres",
    "`count`": "sqlite postgres mariadb redis",
    "`count` with a condition": "sqlite postgres mariadb",
    "`due`": "sqlite postgres mariadb redis",
    "`purge` of one person": "sqlite postgres mariadb",
}

# What the contract, and the tests of killed processes, prove alike for all, and by what each does it.
MEANS: Mapping[str, Sequence[str]] = {
    "a batch is all or nothing by": ("one transaction", "one transaction", "one transaction", "one Lua script"),
    "words are found by": ("FTS5", "`tsvector` and GIN", "a look at each row", "a sorted set a word"),
    "vectors are compared by": ("numpy or Python", "pgvector, else numpy or Python", "numpy or Python", "Python"),
    "durable on return by": ("`synchronous=FULL`", "the server's commit", "the server's commit", "`appendonly yes`"),
    "what expires is found by": ("our clock",) * 4,
}

PAGE_TEXT = """# Stores

What each database does itself. A dash says that this process looks at the records (or vectors) of one person one by
one: the answer is the same, the cost grows with what that person has. The in-memory store does all of it so.

{table}

Each mark is measured by `tests/stores/test_abilities.py`, with {many} facts of which a question is about one. The page
is written by `python -m tests.stores.abilities`.
"""


def page() -> str:
    """The page as it should be."""
    inside = [[what, *("yes" if name in INSIDE[what].split() else "–" for name in STORES)] for what in QUESTIONS]
    rows = [
        ["", *STORES.values()],
        ["---"] * (len(STORES) + 1),
        *inside,
        *([what, *how] for what, how in MEANS.items()),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return PAGE_TEXT.format(table=table, many=MANY)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
