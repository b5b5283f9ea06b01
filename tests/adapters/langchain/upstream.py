"""Runs the tests that LangChain and LangGraph release with their sources against our classes, and prints the counts.

    python tests/adapters/langchain/upstream.py [SUITE …]

The sources are those of the versions that are installed. They are kept in the environment, and are no part of ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT = Path(sys.prefix) / "upstream"


@dataclass(frozen=True)
class Suite:
    """Some test files of one released package, and how many of their tests pass.

    Attributes:
        left_out: What cannot pass, each with the reason.
        only: As pytest's `-k`.
    """

    package: str
    files: tuple[str, ...]
    passing: int
    left_out: Mapping[str, str] | None = None
    only: str = ""


SUITES = {
    "store": Suite("langgraph-checkpoint", ("test_store.py",), 117),
    "sqlite": Suite(
        "langgraph-checkpoint-sqlite",
        ("test_store.py", "test_async_store.py"),
        139,
        {
            "test_store.py::test_vector_store_initialization": "reads the tables of SqliteStore",
            "test_async_store.py::test_no_running_loop": "wants an error where ours works, twice",
        },
    ),
    "ttl": Suite(
        "langgraph-checkpoint-sqlite",
        ("test_ttl.py",),
        10,
        {"test_ttl.py::test_ttl_override_default": "wants a read not to count as use, unlike the base class"},
    ),
    "graph": Suite(
        "langgraph", ("test_pregel.py", "test_pregel_async.py", "test_runtime.py"), 9, only="store or injectable"
    ),
    "threads": Suite(
        "langgraph",
        (
            "test_pregel.py",
            "test_pregel_async.py",
            "test_time_travel.py",
            "test_time_travel_async.py",
            "test_delta_channel_parallel_order.py",
        ),
        355,
        {
            "test_pregel.py::test_stream_subgraphs_during_execution": "measures time",
            "test_pregel_async.py::test_stream_subgraphs_during_execution": "measures time",
        },
        only="sqlite and not sqlite_aes",
    ),
    "history": Suite(
        "langchain-core",
        ("unit_tests/runnables/test_history.py", "unit_tests/chat_history/test_chat_history.py"),
        27,
        {"unit_tests/chat_history/test_chat_history.py::test_chat_history_deprecated": "reads a docstring, twice"},
    ),
}


class Unreachable(Exception):
    """There is no package index that has the sources."""


@dataclass(frozen=True)
class Outcome:
    """What pytest said."""

    passed: int
    code: int
    output: str


def run(suite: Suite) -> Outcome:
    """Run a suite against ours. Raises `Unreachable` where its sources cannot be had."""
    with tempfile.TemporaryDirectory(prefix="upstream-") as name:
        place = Path(name)
        _unpack(_source(suite.package), place)
        _uv("install", "--quiet", "--no-deps", "--target", f"{place}/needs", "-r", f"{HERE}/upstream.txt")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *_flags(suite), *(f"tests/{name}" for name in suite.files)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": _path(place), "NO_DOCKER": "true", "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
        )
    counted = re.search(r"(\d+) passed", done.stdout)
    return Outcome(int(counted[1]) if counted else 0, done.returncode, done.stdout[-8000:] + done.stderr[-2000:])


def _flags(suite: Suite) -> list[str]:
    settings = ["asyncio_mode=auto", "asyncio_default_fixture_loop_scope=function"]
    flags = ["-q", "-p", "swap", "-p", "no:cacheprovider", *(part for one in settings for part in ("-o", one))]
    flags += [f"--deselect=tests/{name}" for name in suite.left_out or ()]
    return [*flags, "-k", suite.only] if suite.only else flags


def _path(place: Path) -> str:
    """Ours before theirs; what the tests need comes last, so that nothing that is installed is hidden."""
    return os.pathsep.join(map(str, (HERE, HERE.parents[2], HERE.parents[2] / "adapters", place, place / "needs")))


def _unpack(archive: Path, place: Path) -> None:
    """Only the tests: the package beside them would hide the one that is installed."""
    with tarfile.open(archive) as opened:
        opened.extractall(place / "source", filter="data")
    shutil.move(next(place.glob("source/*/tests")), place / "tests")


def _source(package: str) -> Path:
    """The released source of the version that is installed, fetched once and checked against the index's hash."""
    wanted = f"{package}=={version(package)}"
    kept = KEPT / f"{wanted}.tar.gz"
    if not kept.exists():
        content = _fetched(_locked(wanted)["sdist"])
        KEPT.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=KEPT, delete=False) as file:
            file.write(content)
        Path(file.name).replace(kept)
    return kept


def _locked(wanted: str) -> dict[str, Any]:
    """Where the index keeps a release, as a lock file tells it."""
    lock = _uv("compile", "--quiet", "--no-deps", "--no-binary", ":all:", "--format", "pylock.toml", "-", given=wanted)
    (package,) = tomllib.loads(lock)["packages"]
    return dict(package)


def _fetched(sdist: dict[str, Any]) -> bytes:
    try:
        with urllib.request.urlopen(sdist["url"], timeout=60) as answer:
            content = bytes(answer.read())
    except OSError as error:
        raise Unreachable(str(error)) from error
    if hashlib.sha256(content).hexdigest() != sdist["hashes"]["sha256"]:
        raise ValueError(f"{sdist['url']} is not what the index says it is. Try again, or look at your index.")
    return content


def _uv(command: str, *arguments: str, given: str | None = None) -> str:
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    uv = shutil.which("uv", path=beside)
    if uv is None:
        raise Unreachable("uv is not installed. Install it with: pip install uv")
    python = ["--python", sys.executable] if command == "install" else []
    done = subprocess.run([uv, "pip", command, *python, *arguments], input=given, capture_output=True, text=True)
    if done.returncode:
        raise Unreachable(done.stderr.strip())
    return done.stdout


def main(names: list[str]) -> int:
    """Run suites by name, or all; 0 if all passes that should."""
    failed = False
    for name in names or SUITES:
        suite = SUITES[name]
        outcome = run(suite)
        good = outcome.code == 0 and outcome.passed >= suite.passing
        failed = failed or not good
        print("" if good else outcome.output)  # noqa: T201
        print(f"{name}: {outcome.passed} passed, {suite.passing} should ({suite.package} {version(suite.package)})")  # noqa: T201
        for test, why in (suite.left_out or {}).items():
            print(f"  left out: {test}: {why}")  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
