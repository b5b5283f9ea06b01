"""What the docs and the examples show runs as it stands, without a key."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.llamaindex.fakes import FakeLLM

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "llamaindex.md"
EXAMPLES = sorted((ROOT / "examples").glob("llamaindex_*.py"))

EXPECTED = {
    "llamaindex_agent": "(the model is reminded: User lives in Lisbon.)",
    "llamaindex_chat": "(the model is reminded: User likes hiking.)",
    "llamaindex_model": "",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_remembers_what_it_was_told(example: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[example.stem] in done.stdout


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
def test_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    llm = FakeLLM("Noted.")
    names: dict[str, Any] = {"llm": llm, "__name__": "page"}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    names["memory"].block.recall_timeout = None  # a busy machine is no bug
    assert asyncio.run(names["ask"]("Where do I live?")) == "Noted."
    assert "Lisbon" in llm.texts[-1]
    names["by_model"].close()
    names["core"].close()
