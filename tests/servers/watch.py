"""Run servers for as long as their owner lives: a small process of its own, so that even `kill -9` leaves none behind.

Started by its path with `python -I`, with a plan as JSON. It prints its process id, and goes to the background. It ends
the servers and deletes their folder when the owner is gone, when a server ends, or when it is asked to with SIGTERM.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypedDict

_PR_SET_PDEATHSIG = 1
_PATIENCE = 10.0


class Plan(TypedDict):
    """What to run, on whose behalf, and how to end it."""

    owner: int
    folder: str
    prepare: list[list[str]]
    serve: list[list[str]]
    environment: dict[str, str]
    user: str | None
    stop: int


def main() -> None:
    plan: Plan = json.loads(sys.argv[1])
    daemon = os.fork()
    if daemon:
        print(daemon, flush=True)  # noqa: T201
        return
    os.setsid()
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _leave)
    # What the owner blocks would be blocked here and in the servers too, and then nothing could end them.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        _watch(plan)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        shutil.rmtree(plan["folder"], ignore_errors=True)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)


def _watch(plan: Plan) -> None:
    with _owner(plan["owner"]) as gone:
        for command in plan["prepare"]:
            with _running(plan, [command]) as steps:
                while steps[0].poll() is None and not gone(0.01):
                    pass
                if steps[0].returncode != 0:
                    return
        with _running(plan, plan["serve"]) as servers:
            while all(server.poll() is None for server in servers) and not gone(0.25):
                pass


@contextmanager
def _owner(pid: int) -> Iterator[Callable[[float], bool]]:
    """Give a function that waits for so many seconds at most, and tells whether the owner is gone."""
    if not hasattr(os, "pidfd_open"):
        yield lambda seconds: _polled(pid, seconds)
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda seconds: True
        return
    with open(handle, "rb", buffering=0):
        yield lambda seconds: bool(select.select([handle], [], [], seconds)[0])


def _polled(pid: int, seconds: float) -> bool:
    time.sleep(seconds)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@contextmanager
def _running(plan: Plan, commands: list[list[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            processes.append(_start(plan, command))  # noqa: PERF401 (those that started are ended if one does not)
        yield processes
    finally:
        _end(processes, plan["stop"])


def _start(plan: Plan, command: list[str]) -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {}
    if plan["user"]:
        options = {"user": plan["user"], "group": _group(plan["user"]), "extra_groups": []}
    return subprocess.Popen(
        command,
        cwd=plan["folder"],
        env=os.environ | plan["environment"],
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: _die_with_parent(plan["stop"]),  # noqa: PLW1509 (this process has one thread)
        **options,
    )


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _die_with_parent(stop: int) -> None:
    """For the case that this very process is killed. Linux only: elsewhere the server would stay."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop)


def _end(processes: list[subprocess.Popen[bytes]], stop: int) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for process in processes:
        if process.poll() is None:
            process.send_signal(stop)
    for process in processes:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


if __name__ == "__main__":
    main()
