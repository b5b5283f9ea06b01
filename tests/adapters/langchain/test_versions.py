"""42. The same tests run on the oldest LangChain that we promise, and on the newest."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import version
from pathlib import Path

PINS = Path(__file__).with_name("floors.txt")
PROJECT = Path(__file__).parents[3] / "pyproject.toml"
FAMILY = ("langchain", "langchain-core", "langgraph")


def _floors() -> dict[str, str]:
    """What `pyproject.toml` promises."""
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return dict(requirement.split(">=") for requirement in extras["langchain"])


def test_42_the_pins_of_the_floors_are_what_the_package_promises() -> None:
    pins = dict(line.split("==") for line in PINS.read_text(encoding="utf-8").splitlines() if "==" in line)
    assert {name: pins[name] for name in FAMILY} == {name: f"{floor}.0" for name, floor in _floors().items()}


def test_42_what_is_installed_is_the_floors_where_they_are_asked_for_and_newer_elsewhere() -> None:
    installed = {name: version(name) for name in FAMILY}
    floors = {name: f"{floor}.0" for name, floor in _floors().items()}
    at_floors = [name for name in FAMILY if installed[name] == floors[name]]
    assert at_floors == (list(FAMILY) if os.environ.get("LTM_FLOORS") == "1" else [])
