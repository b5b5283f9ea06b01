"""What the demo plays on: agents that are processes, and a story that is told and checked as it goes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from . import show
from .place import Place

PATIENCE = 30.0  # seconds until a process that does not answer is given up


@dataclass
class Story:
    """What is printed, and what did not hold.

    Attributes:
        place: Where the memory is kept.
        folder: For files that nobody needs afterwards.
    """

    place: Place
    folder: Path
    console: Console = field(default_factory=show.console)
    broken: list[str] = field(default_factory=list)
    chapters: int = 0

    def chapter(self, title: str) -> None:
        """Begin something new."""
        self.chapters += 1
        self.console.print(f"\n{self.chapters}. {title}", style="bold")

    def tell(self, line: str) -> None:
        """Say what happens."""
        self.console.print(f"   {show.one_line(line)}")

    def expect(self, promise: str, *, holds: bool) -> None:
        """Say what was to be proved, and whether it held."""
        self.console.print(f"   {'[ok]' if holds else '[FAILED]'} {promise}", style="green" if holds else "bold red")
        if not holds:
            self.broken.append(promise)

    def end(self) -> int:
        """Sum up. Returns the exit code."""
        if self.broken:
            self.console.print(f"\nNot as promised: {'; '.join(self.broken)}.", style="bold red")
            return 1
        self.console.print("\nAll as promised. Next: ltm chat --user YOU", style="bold")
        return 0

    @contextmanager
    def agent(self, user: str) -> Iterator[Agent]:
        """An agent in a process and session of its own, for one user."""
        place = replace(self.place, user=user, session=f"{user}-{uuid4().hex[:8]}")
        agent = Agent(self, place)
        try:
            self.tell(f"Process {agent.pid} is started: user {place.user}, session {place.session}")
            yield agent
        finally:
            agent.end()


class Agent:
    """A process of its own, running `ltm chat`: a pipe takes what is said, another gives what is answered."""

    def __init__(self, story: Story, place: Place) -> None:
        self.session = place.session
        self._story = story
        self._name = (place.user or "").capitalize()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ltm_core.cli", "chat", *_options(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=_environment(story.folder),
        )
        self._watchdog = threading.Timer(PATIENCE, self._process.kill)
        self._watchdog.start()
        self.pid = self._process.pid

    def hear(self, said: str) -> str:
        """Say something to it and wait for the answer; empty if the process ended instead."""
        self._story.tell(f"{self._name}: {said}")
        answer = self._asked(said)
        self._story.tell(f"Agent: {answer}")
        return answer

    def _asked(self, said: str) -> str:
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answering is not None
        with suppress(BrokenPipeError):
            asking.write(f"{said}\n")
            asking.flush()
        return answering.readline().strip()

    def kill(self) -> int:
        """End it by SIGKILL, which no process can catch. Returns what the system says of its end."""
        self._process.kill()
        return self.end()

    def end(self) -> int:
        """Close the conversation and wait for the process."""
        self._process.communicate()
        self._watchdog.cancel()
        return self._process.returncode


def _options(place: Place) -> list[str]:
    given = {"db": place.db, "user": place.user, "session": place.session, "tenant": place.tenant}
    return [part for name, value in given.items() if value for part in (f"--{name}", value)]


def _environment(folder: Path) -> dict[str, str]:
    """Ours, and a place for compiled modules where Python may write none: else each process compiles them anew."""
    ours = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    if ours.pop("PYTHONDONTWRITEBYTECODE", None):
        ours.setdefault("PYTHONPYCACHEPREFIX", str(folder / "compiled"))
    return ours
