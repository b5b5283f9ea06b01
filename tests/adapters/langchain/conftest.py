from __future__ import annotations

import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from ltm_core import Memory

MISSING = "LangChain is not installed. Install it with: pip install 'ltm-core[langchain,langchain-classic]'"


class _Skipped(pytest.Module):
    def collect(self) -> NoReturn:
        pytest.skip(MISSING, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip these tests where there is no LangChain, unless LTM_REQUIRE_LANGCHAIN=1 wants to hear of it."""
    wanted = os.environ.get("LTM_REQUIRE_LANGCHAIN") == "1" or find_spec("langchain")
    return None if wanted else _Skipped.from_parent(parent, path=module_path)


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> None:
    """The tables that come with the package are read when they are first needed: before any loop is watched."""
    with Memory("memory://", background=False) as memory:
        memory.remember("I live in Oslo.", user_id="ana")
        memory.recall("Where do I live?", user_id="ana")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Nothing may block the loop of an async test."""
    if pyfuncitem.get_closest_marker("asyncio") is None:
        return (yield)
    from blockbuster import blockbuster_ctx

    with blockbuster_ctx(scanned_modules=["ltm_core", "ltm_langchain"]):
        return (yield)
