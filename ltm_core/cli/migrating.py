"""`ltm migrate`: which schema a database has, and bringing it up to date."""

from __future__ import annotations

import asyncio
import sys

from ..stores.schema import Extras, Schema, bring_up_to_date, schema_of


def migrate(url: str, *, check: bool, extras: Extras) -> int:
    """Show the schema and, unless it is only to be checked, bring it up to date. Returns the exit code."""
    before = asyncio.run(schema_of(url))
    sys.stdout.write(f"Schema {before.stored or 'none yet'}; this version of ltm-core needs {before.needed}.\n")
    if before.is_current and (check or extras == Extras()):
        sys.stdout.write("It is up to date.\n")
    elif check:
        sys.stdout.write(f"It is not up to date. Run: {_command(url)}\n")
        return 1
    else:
        sys.stdout.write(f"Migrated to {asyncio.run(_migrated(url, extras)).stored}.\n")
    return 0


async def _migrated(url: str, extras: Extras) -> Schema:
    await bring_up_to_date(url, extras)
    return await schema_of(url)


def _command(url: str) -> str:
    # A password is not for the screen.
    return "ltm migrate URL" if "@" in url else f"ltm migrate {url}"
