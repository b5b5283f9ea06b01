"""Start a server that ends with its owner, and wait until it answers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from tests.servers import watch

LOCAL = "127.0.0.1"
_NOT_YET = (OSError, OperationalError, RedisError)
_SECONDS_TO_START = 60.0
_SECONDS_TO_END = 30.0
_ATTEMPTS = 3


class Unavailable(Exception):
    """This machine has no such server; the message says what to install."""


class DidNotStart(Exception):
    """The server is there but ended or stayed silent; the message ends with what it wrote."""


@dataclass(frozen=True)
class Server:
    """A running server: its URL, and the process that watches it."""

    url: str
    watcher: int
    folder: Path

    def stop(self) -> None:
        """End it, and return when it has ended and its folder is gone."""
        deadline = time.monotonic() + _SECONDS_TO_END
        if self.folder.exists():
            with suppress(ProcessLookupError):
                os.kill(self.watcher, signal.SIGTERM)
        while self.folder.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.url} did not end. End process {self.watcher} and delete {self.folder}.")
            time.sleep(0.01)


@dataclass(frozen=True)
class Launch:
    """How to run one kind of server in a folder: first `prepare`, one after the other, then all of `serve` together."""

    url: str
    serve: Sequence[Sequence[str]]
    ready: Callable[[], object]
    prepare: Sequence[Sequence[str]] = ()
    environment: dict[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM


def start(plan: Callable[[Path], Launch], owner: int, *, as_root: bool = False) -> Server:
    """Start what `plan` says for an empty folder, on behalf of the process `owner`.

    A free port can be taken between the look and the start, so it is tried again. A server that refuses to run as root
    runs as nobody there.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _start(plan, owner, user=None if as_root else unprivileged())
        except DidNotStart:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _start(plan: Callable[[Path], Launch], owner: int, user: str | None) -> Server:
    with _folder(user) as folder, tempfile.TemporaryFile() as log:
        launch = plan(folder)
        server = Server(launch.url, _watcher(launch, owner, user, folder, log), folder)
        try:
            _await(launch, folder, log)
        except BaseException:
            server.stop()
            raise
    return server


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """A new folder that `user` owns, deleted again if what follows fails.

    Not among pytest's own, which only the user who runs pytest can enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="ltm-server-"))
    try:
        if user:
            shutil.chown(folder, user)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _watcher(launch: Launch, owner: int, user: str | None, folder: Path, log: IO[bytes]) -> int:
    plan: watch.Plan = {
        "owner": owner,
        "folder": str(folder),
        "prepare": [list(command) for command in launch.prepare],
        "serve": [list(command) for command in launch.serve],
        "environment": launch.environment,
        "user": user,
        "stop": launch.stop,
    }
    command = [sys.executable, "-I", watch.__file__, json.dumps(plan)]
    started = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, check=True)
    return int(started.stdout)


def _await(launch: Launch, folder: Path, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
        try:
            launch.ready()
        except _NOT_YET as error:
            if not folder.exists() or time.monotonic() > deadline:
                raise DidNotStart(_story(launch, log)) from error
            time.sleep(0.02)
        else:
            return


def _story(launch: Launch, log: IO[bytes]) -> str:
    said = os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode(errors="replace")
    return f"{launch.serve[0][0]} did not start. Read what it wrote, and try again:\n{said[-4000:]}"


def unprivileged() -> str | None:
    """The user to run a server as that refuses to run as root; None if this process is not root."""
    return "nobody" if os.geteuid() == 0 else None


def within_reach(programs: Path, folder: Path) -> Path:
    """`programs`, or a copy of it in `folder` if nobody but root can enter it."""
    if not unprivileged() or all(path.stat().st_mode & stat.S_IXOTH for path in (programs, *programs.parents)):
        return programs
    copy = folder / programs.name
    shutil.copytree(programs, copy, symlinks=True)
    folder.chmod(0o711)
    return copy


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
