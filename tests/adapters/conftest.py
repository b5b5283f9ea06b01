from __future__ import annotations

from collections.abc import Iterator

import pytest

from ltm_core import Memory
from ltm_core.policies import Rendered, Rendering
from ltm_core.recall.render import render
from tests.conftest import told


class Recalls:
    """A renderer that counts: it is called once for each recall."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, given: Rendering) -> Rendered:
        self.count += 1
        return render(given)


@pytest.fixture
def recalls() -> Recalls:
    return Recalls()


@pytest.fixture
def memory(recalls: Recalls) -> Iterator[Memory]:
    """A memory that learns when it is told to, and in which Ana lives in Oslo and Ben in Rome."""
    with Memory("memory://", extract=told, render=recalls, background=False) as memory:
        memory.facts.add("location", "Oslo", scope_id="ana")
        memory.facts.add("location", "Rome", scope_id="ben")
        yield memory


def learned(memory: Memory, user_id: str) -> list[list[tuple[str, str]]]:
    """The turns of a user that were or will be learned, oldest first."""
    return [
        [(message.role, message.text) for message in memory.jobs.show(job.id).messages]
        for job in memory.jobs.list(user_id=user_id)
    ]
