"""MariaDB, from PATH or out of Debian's package."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from tests.servers.debian import Program, program
from tests.servers.process import LOCAL, Launch, Server, free_port, start

_USER = "ltm"
# The server reads one statement a line from this file.
_INIT = f"CREATE USER {_USER}@'%';\nGRANT ALL PRIVILEGES ON *.* TO {_USER}@'%' WITH GRANT OPTION;\n"
_FAST = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync")


def start_mariadb(owner: int, *, durable: bool = False) -> Server:
    """MariaDB on a port of its own, with a user who may do all; with `durable` a commit waits for the disk."""
    return start(partial(_plan, program("mariadbd", "mariadb-server-core"), durable), owner)


def _plan(installed: Program, durable: bool, folder: Path) -> Launch:
    mariadbd = installed.within_reach(folder)
    url = f"mysql://{_USER}@{LOCAL}:{free_port()}/mysql"
    command = [str(mariadbd.path), *_common(mariadbd.prefix, folder)]
    (folder / "system.sql").write_text(_system_tables(mariadbd.prefix), encoding="utf-8")
    (folder / "init.sql").write_text(_INIT)
    return Launch(
        url=url,
        prepare=[["sh", "-c", f"mkdir data && exec {shlex.join(command)} --bootstrap < system.sql"]],
        serve=[[*command, *_serving(url, folder), *(() if durable else _FAST)]],
        ready=partial(_ping, url),
        environment=mariadbd.environment,
    )


def _common(prefix: Path, folder: Path) -> list[str]:
    return [
        "--no-defaults",
        f"--basedir={prefix}",
        f"--lc-messages-dir={_messages(prefix)}",
        f"--datadir={folder / 'data'}",
        f"--tmpdir={folder}",
        "--skip-log-bin",
        "--innodb-log-file-size=16M",
        "--innodb-buffer-pool-size=64M",
        "--character-set-server=utf8mb4",
    ]


def _serving(url: str, folder: Path) -> list[str]:
    return [
        f"--bind-address={LOCAL}",
        f"--port={sa.make_url(url).port}",
        f"--socket={folder / 'sock'}",
        f"--pid-file={folder / 'pid'}",
        f"--init-file={folder / 'init.sql'}",
        "--skip-name-resolve",
        "--max-connections=300",
        "--performance-schema=OFF",
    ]


def _messages(prefix: Path) -> Path:
    return next(prefix.glob("share/*/english/errmsg.sys")).parents[1]


def _system_tables(prefix: Path) -> str:
    """What `mariadb-install-db` feeds to a new server, without the parts that only people use."""
    scripts = _messages(prefix)
    tables, rows = (
        (scripts / name).read_text(encoding="utf-8")
        for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
    )
    return f"SET @auth_root_socket = NULL;\nCREATE DATABASE mysql;\nUSE mysql;\n{tables}\n{rows}"


def _ping(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="mysql+pymysql"), poolclass=sa.NullPool)
    with engine.connect():
        pass
