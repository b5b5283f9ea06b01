"""A connection to PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Delete, Executable, Update, text

from ..sql.link import Link, Values


class PostgresLink(Link):
    """Counts the rows that were written, and makes settings of a transaction."""

    async def run(self, statement: Executable, rows: Sequence[Values]) -> int:
        """Run a statement for each of `rows`; returns how many rows of the database it touched."""
        if not isinstance(statement, Update | Delete):
            return len((await self.connection.execute(statement, list(rows))).all())
        return sum([(await self.connection.execute(statement, row)).rowcount for row in rows])

    async def settle(self, settings: Mapping[str, str]) -> None:
        """Make settings that end with the transaction, by name."""
        calls = [f"set_config(:name{n}, :value{n}, true)" for n in range(len(settings))]
        values = {f"name{n}": name for n, name in enumerate(settings)}
        values |= {f"value{n}": value for n, value in enumerate(settings.values())}
        await self.fetch(text(f"SELECT {', '.join(calls)}"), values)
