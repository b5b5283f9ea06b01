"""What the docs and the examples show runs as it stands, without a key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ltm_core.testing.fakes import FakeOpenAI

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "langchain.md"
EXAMPLES = sorted((ROOT / "examples").glob("langchain_*.py"))

EXPECTED = {
    "langchain_agent": "(the model is told: User lives in Lisbon.)",
    "langchain_graph": "facts: ['User keeps this diet: vegan.']",
    "langchain_langmem": "Sarah is vegan.",
    "langchain_legacy": "(the model is told: User has a pet",
    "langchain_tools": "User keeps this diet: vegan.",
    "langchain_model": "",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_remembers_what_it_was_told(example: Path) -> None:
    if example.stem == "langchain_langmem":
        pytest.importorskip("langmem", reason="langmem is not installed. Install it with: pip install langmem")
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[example.stem] in done.stdout


@pytest.mark.parametrize("example", [one for one in EXAMPLES if EXPECTED[one.stem]], ids=lambda path: path.stem)
def test_an_example_runs_unchanged_with_a_model_of_a_provider(example: Path) -> None:
    for needed in ("langchain_openai", "langmem"):
        pytest.importorskip(needed, reason=f"{needed} is not installed. Install it with: pip install {needed}")
    with FakeOpenAI(lambda _: "Fine.") as server:
        where = {"LTM_EXAMPLE_MODEL": "openai:gpt-4.1", "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"}
        done = subprocess.run(
            [sys.executable, str(example)], capture_output=True, text=True, timeout=120, env={**os.environ, **where}
        )
        assert done.returncode == 0, done.stderr
        assert server.requests


def test_06_the_page_says_where_to_put_the_middleware() -> None:
    assert "**Put it last in the list.**" in PAGE.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::langchain_core._api.deprecation.LangChainDeprecationWarning")
def test_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_core.language_models import BaseChatModel

    from tests.adapters.langchain.models import Scripted

    model: BaseChatModel = Scripted()
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"model": model, "__name__": "page"}
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    memory = names["memory"]
    memory.flush()  # type: ignore[attr-defined]
    facts = memory.facts.get_all(scope_id="sarah@example.com")  # type: ignore[attr-defined]
    assert [fact.value for fact in facts] == ["Oslo"]
    memory.close()  # type: ignore[attr-defined]
