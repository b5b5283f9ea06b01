"""Runs LlamaIndex's own tests twice, with its classes and with ours in their place, and prints what passes.

python tests/adapters/llamaindex/upstream.py FOLDER

FOLDER is `llama-index-core` of a checkout of LlamaIndex: its releases hold no tests. What fails with its own classes
does not count, as where the tests are older or newer than the version that is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
MEMORIES = ("tests/memory",)
STORES = ("tests/storage/chat_store",)
CONSUMERS = ("tests/chat_engine", "tests/agent")


@dataclass(frozen=True)
class Comparison:
    """One swap, what it is compared with, and the tests that ask for what only the original can have."""

    swap: str
    stock: str
    folders: tuple[str, ...]
    excepted: tuple[str, ...] = ()


COMPARISONS = (
    Comparison("memory", "stock", MEMORIES + CONSUMERS),
    Comparison("memory for the buffer", "stock for the buffer", CONSUMERS),
    Comparison("memory and history", "stock for the buffer", CONSUMERS),
    Comparison("learning store", "stock", MEMORIES + STORES + CONSUMERS),
    Comparison(
        "own store",
        "stock",
        MEMORIES + STORES + CONSUMERS,
        (
            "test_sql::test_delete_message",  # reads its table for the number of a row
            "test_sql::test_dump_load_store",  # a dump of ours names a database and holds no messages
            "test_sql_schema",  # the schema of its table
            "test_memory_schema",  # the same
        ),
    ),
)


def main(folder: str) -> int:
    """Run and compare them all; 0 if no test is lost."""
    print(f"llama-index-core {version('llama-index-core')}, tests of {folder}")  # noqa: T201
    root = _copied(Path(folder))
    lost = [_compared(each, root) for each in COMPARISONS]
    return 1 if any(lost) else 0


def _copied(folder: Path) -> Path:
    """Only the tests: the package beside them would hide the one that is installed."""
    root = Path(tempfile.mkdtemp(prefix="upstream-"))
    shutil.copytree(folder / "tests", root / "tests")
    return root


def _compared(given: Comparison, root: Path) -> list[str]:
    """The tests that pass with theirs and not with ours."""
    stock, ours = (_passed(swap, given.folders, root) for swap in (given.stock, given.swap))
    lost = sorted(stock - ours)
    excepted = [name for name in lost if any(one in name for one in given.excepted)]
    print(  # noqa: T201
        f"{given.swap}: {len(stock)} pass with {given.stock}, {len(stock & ours)} of them with ours; "
        f"{len(excepted)} ask for its tables, {len(lost) - len(excepted)} are lost"
    )
    for name in sorted({*lost} - {*excepted}):
        print(f"  lost: {name}")  # noqa: T201
    return [name for name in lost if name not in excepted]


@cache
def _passed(swap: str, folders: tuple[str, ...], root: Path) -> frozenset[str]:
    report = root / "report.xml"
    paths = [str(HERE), *map(str, (HERE.parents[2], HERE.parents[2] / "adapters")), os.environ.get("PYTHONPATH", "")]
    flags = ["-q", "-p", "swap", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-W", "ignore"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, f"--junitxml={report}", *folders],
        cwd=root,
        env={**os.environ, "LTM_SWAP": swap, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{done.stdout}\n{done.stderr}")
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return frozenset(f"{case.get('classname')}::{case.get('name')}" for case in cases if len(case) == 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
