"""`ltm demo` keeps its promises, and says so when it does not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ltm_core import Memory
from ltm_core.cli import demo


def test_the_demo_keeps_its_promises_without_a_terminal_or_colours(tmp_path: Path) -> None:
    surroundings = {**os.environ, "NO_COLOR": "1", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "ltm_core.cli", "demo"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=surroundings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert re.search(r"Killed process \d+ with SIGKILL right after its answer", done.stdout)
    assert "[FAILED]" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_broken_promise_is_named_and_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(demo.QUESTIONS, "What is my job?", ("astronaut",))
    db = f"sqlite:///{tmp_path / 'demo.db'}"
    assert demo.demonstrate(db) == 1
    assert "Not as promised: It knew: astronaut." in capsys.readouterr().out
    with Memory(db, tenant=demo.TENANT, background=False) as memory:
        assert [version.value for version in memory.facts.history(demo.CHANGED, scope_id="sarah")] == ["dark", "light"]
    with Memory(db, background=False) as memory:
        assert memory.facts.get_all(scope_id="sarah") == []
