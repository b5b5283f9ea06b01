"""Check 28: type checkers see the wrapped callable as it was, and report calls that it would refuse."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHAPES = ROOT / "tests" / "typing" / "middleware.py"

WRONG = """
from ltm_core import Memory
from ltm_middleware import with_memory

memory = Memory("memory://")


@with_memory(memory)
def answer(text: str) -> int:
    return len(text)


@memory.wrap
async def aanswer(text: str) -> int:
    return len(text)


answer(3)
answer()
answer("hi").upper()
aanswer("hi", other=1)
with_memory(memory, injet="system")
"""
WRONG_LINES = [18, 19, 20, 21, 22]


def _mypy(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, files)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def _pyright(*files: Path) -> list[dict[str, object]]:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        pytest.skip("pyright cannot run here")
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [one for one in found if one["severity"] == "error"]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    return path


def test_28_mypy_sees_the_types_as_they_were() -> None:
    done = _mypy(SHAPES)
    assert done.returncode == 0, done.stdout


def test_28_mypy_reports_wrong_calls(wrong: Path) -> None:
    lines = {int(line.split(":")[1]) for line in _mypy(wrong).stdout.splitlines() if ": error:" in line}
    assert sorted(lines) == WRONG_LINES


def test_28_pyright_sees_the_types_as_they_were() -> None:
    assert _pyright(SHAPES) == []


def test_28_pyright_reports_wrong_calls(wrong: Path) -> None:
    lines = {one["range"]["start"]["line"] + 1 for one in _pyright(wrong)}  # type: ignore[index]
    assert sorted(lines) == WRONG_LINES
