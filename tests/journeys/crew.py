"""Workers as they run in production: processes of `ltm worker`, which a test kills and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from ltm_core import AsyncMemory, Memory
from ltm_core.learn.worker import ALWAYS

PATIENCE = 60.0
ROOT = Path(__file__).parents[2]


def worker(url: str, *options: str, slowest: float = 0.5) -> subprocess.Popen[str]:
    """A process of `ltm worker` for the database `url`, whose extractor, if it is a slow one, takes up to `slowest`."""
    return subprocess.Popen(
        [sys.executable, "-m", "ltm_core.cli", "worker", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LTM_DB": url, "LTM_TEST_SLOWEST": str(slowest)},
    )


def begun(process: subprocess.Popen[str]) -> None:
    """Wait until a worker is at work."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("Learning what waits"), f"{said}{process.stderr and process.stderr.read()}"


def end(process: subprocess.Popen[str], by: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
    """End a worker by a signal that it obeys, and give what it wrote."""
    process.send_signal(by)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out, err


class Crew:
    """Some workers at once, replaced one by one. All of them must still run when this ends, and obey SIGTERM.

    On a busy machine, where a start takes long, they are replaced less often: a turn whose workers die five times in a
    row is a dead letter, as it should be.
    """

    def __init__(self, url: str, size: int, *options: str) -> None:
        self._url = url
        self._options = options
        self._size = size
        self._at_work: set[int] = set()
        self.replaced = 0

    def __enter__(self) -> Self:
        self._running = [self._started() for _ in range(self._size)]
        for process in self._running:
            self._await(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for process in self._running:
                self._end(process)
        for process in self._running:
            process.kill()
            process.communicate()

    def replace_one(self, after: float, by: signal.Signals) -> None:
        """End the worker that runs longest, after some seconds and when all are at work, and start another."""
        with pytest.raises(subprocess.TimeoutExpired):
            self._running[0].wait(after)
        for process in self._running:
            self._await(process)
        oldest = self._running.pop(0)
        if by is signal.SIGKILL:
            oldest.kill()
            oldest.communicate()
        else:
            self._end(oldest)
        self._running.append(self._started())
        self.replaced += 1

    def _end(self, process: subprocess.Popen[str]) -> None:
        self._await(process)
        end(process)

    def _await(self, process: subprocess.Popen[str]) -> None:
        if process.pid not in self._at_work:
            begun(process)
            self._at_work.add(process.pid)

    def _started(self) -> subprocess.Popen[str]:
        return worker(self._url, *self._options)


def waiting(memory: Memory | AsyncMemory) -> int:
    """How many turns wait to be learned."""
    runtime = memory.runtime
    return len(runtime.home.wait(runtime.store.due("job", ALWAYS, 10_000)))
