"""Runs LangGraph's own tests of stores, from its released sources, against ours, and prints how many passed.

python tests/adapters/langchain/upstream.py [FOLDER]   # FOLDER keeps what is downloaded
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Suite:
    """Some test files of one released package. Those deselected ask for what only the original can have."""

    package: str
    files: tuple[str, ...]
    least: int
    deselected: tuple[str, ...] = ()
    only: str = ""


SUITES = (
    Suite("langgraph-checkpoint", ("test_store.py",), 117),
    Suite(
        "langgraph-checkpoint-sqlite",
        ("test_store.py", "test_async_store.py", "test_ttl.py"),
        149,
        (
            "test_store.py::test_vector_store_initialization",  # reads its tables
            "test_async_store.py::test_no_running_loop",  # wants an error where ours works
            "test_ttl.py::test_ttl_override_default",  # wants reads not to count as use, unlike the base class
        ),
    ),
    Suite("langgraph", ("test_pregel.py", "test_pregel_async.py", "test_runtime.py"), 9, only="store or injectable"),
)


def fetched(suite: Suite, folder: Path) -> Path:
    """The unpacked tests of the version that is installed."""
    wanted = f"{suite.package}=={version(suite.package)}"
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-q", "-d", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
    (archive,) = folder.glob(f"{suite.package.replace('-', '_')}-{version(suite.package)}.tar.gz")
    place = Path(tempfile.mkdtemp(prefix="upstream-"))
    with tarfile.open(archive) as opened:
        opened.extractall(place, filter="data")
    # Only the tests: the package beside them would hide the one that is installed.
    root = place / "root"
    shutil.copytree(next(place.glob("*/tests")), root / "tests")
    return root


def passed(suite: Suite, folder: Path) -> int:
    """How many tests pass; says how many do not."""
    root = fetched(suite, folder)
    options = [f"--deselect=tests/{name}" for name in suite.deselected]
    options += ["-k", suite.only] if suite.only else []
    flags = ["-q", "-p", "swap", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", *options]
    paths = [str(HERE), str(root), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, *(f"tests/{name}" for name in suite.files)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_DOCKER": "true"},
        capture_output=True,
        text=True,
    )
    counted = re.search(r"(\d+) passed", done.stdout)
    print("\n".join(done.stdout.splitlines()[-15:]))  # noqa: T201
    return int(counted[1]) if counted else 0


def main() -> int:
    """Run them all; 0 if all pass that should."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    counts = {suite.package: (passed(suite, folder), suite.least) for suite in SUITES}
    for package, (count, least) in counts.items():
        print(f"{package}: {count} of {least} passed")  # noqa: T201
    return 0 if all(count >= least for count, least in counts.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
