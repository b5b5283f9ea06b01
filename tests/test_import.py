"""What `import ltm_core` costs, in a fresh interpreter, and what the base install brings along."""

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HEAVY = {"sqlalchemy", "litellm", "langchain", "llama_index", "typer", "rich", "alembic", "numpy"}
MOST_PACKAGES = 16

# Notes what is asked for, whether or not it is installed here.
ASKED_FOR = """
import json, sys

asked = set()

class Listener:
    def find_spec(self, name, path=None, target=None):
        asked.add(name.partition(".")[0])

sys.meta_path.insert(0, Listener())
import ltm_core
print(json.dumps(sorted(asked)))
"""


def _asked_for() -> set[str]:
    done = subprocess.run([sys.executable, "-c", ASKED_FOR], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_importing_the_library_asks_for_no_framework_and_no_database() -> None:
    asked = _asked_for()
    assert "ltm_core" in asked
    assert asked & HEAVY == set()


def _needed(requirement: Requirement) -> list[Requirement]:
    """What the installed package asks for, with the extras that `requirement` names."""
    inner = [Requirement(line) for line in metadata.requires(requirement.name) or ()]
    extras = requirement.extras or {""}
    return [need for need in inner if _applies(need, extras)]


def _applies(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)


def _closure(waiting: list[Requirement]) -> set[str]:
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        place = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if place not in seen:
            seen.add(place)
            waiting.extend(_needed(requirement))
    return {name for name, _ in seen}


def test_the_base_install_stays_small() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = _closure([Requirement(line) for line in project["dependencies"]])
    assert {"pydantic", "pydantic-core", "greenlet"} <= packages
    assert len(packages) <= MOST_PACKAGES, sorted(packages)
