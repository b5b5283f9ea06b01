"""`ltm worker` as an operator meets it: signals, databases that go away, and what it says."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer.core

from ltm_core import AsyncMemory, Memory
from ltm_core.cli.run import run
from ltm_core.testing.fakes import Clock
from tests.journeys.crew import begun, end, waiting, worker

Ltm = Callable[..., tuple[int, str, str]]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def ltm(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ltm:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LTM_DB", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["worker", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("one_postgres_url"))
    return f"sqlite:///{tmp_path}/memory.db"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts workers, and ends those that a test left."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str, *options: str) -> subprocess.Popen[str]:
        started.append(worker(url, *options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


# Once


def test_once_learns_what_waits_for_all_tenants_and_ends(ltm: Ltm, url: str) -> None:
    with Memory(url, background=False) as memory, Memory(url, tenant="other", background=False) as other:
        for one in (memory, other):
            one.observe("I live in Lisbon.", user_id="ana")
        assert ltm(url, "--once") == (0, "2 turns learned, 2 facts changed.\n", "")
        assert ltm(url, "--once", "--quiet") == (0, "", "")
        for one in (memory, other):
            assert [fact.value for fact in one.facts.get_all(scope_id="ana")] == ["Lisbon"]


def test_once_says_what_is_left_and_why(ltm: Ltm) -> None:
    Path("program.py").write_text(
        "from ltm_core import Memory\n"
        "def extract(given):\n    raise ValueError('no luck')\n"
        "memory = Memory('sqlite:///ltm.db', extract=extract)\n"
    )
    with Memory("sqlite:///ltm.db", background=False) as memory:
        memory.observe("I live in Lisbon.", user_id="ana")
        code, out, err = ltm("--memory", "program:memory", "--once")
        assert (code, out) == (1, "0 turns learned, 0 facts changed. 1 turn waits. See: ltm jobs\n")
        assert "no luck" in err
        assert err.count("\n") == 1
        assert memory.jobs.list()[0].attempts == 1


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ([], 2, "It is not said which database. Pass its URL, or set LTM_DB."),
        (["memory://"], 1, "seen by its own process alone"),
        (["sqlite://"], 1, "seen by its own process alone"),
        (["sqlite:///none.db"], 1, "There is no file none.db to learn from. Check the URL"),
        (["sqlite:///there.db"], 1, "there.db is not a SQLite database. Give another path"),
        (["what://x"], 1, "No store is called 'what'."),
        (["postgresql://127.0.0.1:1/x"], 1, "cannot be reached"),
        (["redis://127.0.0.1:1/0"], 1, "Check that it runs"),
        (["a.db", "--memory", "a:b"], 2, "Leave out the URL and --model."),
        (["--memory", "nowhere:memory"], 1, "There is no 'nowhere:memory' (No module named 'nowhere')."),
        (["--memory", "json:nothing"], 1, "There is no 'json:nothing'"),
        (["--memory", "json"], 1, "Write --memory module:name"),
        (["--memory", "json:dumps"], 1, "json:dumps is a function. Name a Memory or an AsyncMemory."),
        (["--memory", "json:dumps", "--calls-per-day", "5"], 2, "--memory brings its own limits."),
        (["a.db", "--concurrency", "0"], 2, "--concurrency"),
    ],
)
def test_what_it_cannot_work_with_is_one_line_and_a_remedy(ltm: Ltm, call: list[str], code: int, said: str) -> None:
    Path("there.db").write_text("This is no database, but a text of some length that only looks like one. " * 20)
    outcome = ltm(*call)
    assert outcome[:2] == (code, "")
    assert said in outcome[2]
    assert outcome[2].count("\n") == 1


def test_a_database_of_an_older_schema_is_to_be_migrated(ltm: Ltm, one_postgres_url: str) -> None:
    import sqlalchemy as sa

    with Memory(one_postgres_url, background=False) as memory:
        memory.observe("I live in Lisbon.", user_id="ana")
    engine = sa.create_engine(sa.make_url(one_postgres_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ltm_version SET version_num = '0001'")
    engine.dispose()
    code, _, err = ltm(one_postgres_url)
    assert (code, err.count("\n")) == (1, 1)
    assert "Run: ltm migrate URL" in err


def test_what_a_ceiling_holds_is_left_and_shown(ltm: Ltm, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    with Memory(url, background=False) as memory:
        memory.observe("I live in Lisbon.", user_id="ana")
        code, out, _ = ltm(url, "--once", "--user-calls-per-day", "0", "--model-timeout", "5")
        assert (code, out) == (1, "0 turns learned, 0 facts changed. 1 turn waits. See: ltm jobs\n")
        assert run(["jobs", "--db", url]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "user:ana has used 0 of 0 calls of the day. Waits until" in shown
        assert memory.flush(), "who has no such ceiling learns it"


# Signals


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_the_turn_in_hand_back_and_costs_it_no_try(start: Start, url: str, by: signal.Signals) -> None:
    with Memory(url, background=False) as memory:
        memory.observe("I live in Lisbon.", user_id="ana")
        process = start(url, "--memory", "tests.journeys.programs:stuck_memory")
        begun(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        assert end(process, by) == (
            "Giving back what is in hand. A second signal ends it at once.\n0 turns learned, 0 facts changed.\n",
            "",
        )
        (job,) = memory.jobs.list()
        assert (job.status, job.attempts) == ("waiting", 0)
        assert memory.flush(), "nobody holds the person any more"


def test_once_gives_the_turn_in_hand_back_too(start: Start, url: str) -> None:
    with Memory(url, background=False) as memory:
        memory.observe("I live in Lisbon.", user_id="ana")
        process = start(url, "--once", "--memory", "tests.journeys.programs:stuck_memory")
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        end(process)
        (job,) = memory.jobs.list()
        assert (job.status, job.attempts) == ("waiting", 0)
        assert memory.flush(), "nobody holds the person any more"


class Relay:
    """A way to a server that can be cut off, or left open while nothing passes."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._held: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.port = 0

    async def open(self) -> None:
        """Let connections in, always at the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End all connections and let none in."""
        self._server.close()
        for writer in self._held:
            writer.transport.abort()
        await self._server.wait_closed()

    def jam(self) -> None:
        """Keep the connections and let nothing through."""
        self._passes.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection(*self._place)
        self._held |= {writer, away}
        await asyncio.gather(self._pass(reader, away), self._pass(there, writer), return_exceptions=True)
        for one in (writer, away):
            one.transport.abort()
        self._held -= {writer, away}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._passes.wait()
            writer.write(data)
        writer.transport.abort()


@pytest.fixture(params=["one_postgres_url", "redis_url"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def relay(server: str) -> AsyncIterator[Relay]:
    place = urlsplit(server)
    relay = Relay(place.hostname or "", place.port or 0)
    await relay.open()
    yield relay
    await relay.cut()


@pytest.fixture
def through(server: str, relay: Relay) -> str:
    """The URL of the server on the way of the relay."""
    return server.replace(f":{urlsplit(server).port}/", f":{relay.port}/")


async def learned(memory: AsyncMemory, process: subprocess.Popen[str]) -> None:
    """Wait until nothing waits, as long as the worker lives."""
    while await asyncio.to_thread(lambda: waiting(memory)):
        assert process.poll() is None
        await asyncio.sleep(0.05)


async def test_a_database_that_goes_away_and_comes_back_does_not_end_it(
    start: Start, server: str, relay: Relay, through: str
) -> None:
    async with AsyncMemory(server, background=False) as memory:
        process = start(through)
        await asyncio.to_thread(begun, process)
        await memory.observe("I live in Lisbon.", user_id="ana")
        await learned(memory, process)
        await relay.cut()
        await memory.observe("I live in Oslo.", user_id="ana")
        assert process.stderr is not None
        while "could not look for turns to learn" not in await asyncio.to_thread(process.stderr.readline):
            assert process.poll() is None
        await relay.open()
        await learned(memory, process)
        out, _ = await asyncio.to_thread(end, process)
        assert out.endswith("2 turns learned, 2 facts changed.\n")
        assert [fact.value for fact in await memory.facts.history("location", scope_id="ana")] == ["Lisbon", "Oslo"]


async def test_a_second_signal_ends_it_at_once_even_if_the_database_does_not_answer(
    start: Start, server: str, relay: Relay, through: str
) -> None:
    async with AsyncMemory(server, background=False) as memory:
        await memory.observe("I live in Lisbon.", user_id="ana")
        process = start(through, "--memory", "tests.journeys.programs:stuck_memory")
        await asyncio.to_thread(begun, process)
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "asked\n"
        relay.jam()
        process.send_signal(signal.SIGTERM)
        assert (await asyncio.to_thread(process.stdout.readline)).startswith("Giving back")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == -signal.SIGTERM
        assert await memory.flush(), "the lease of a dead process is free"


# What else it does


def test_it_removes_sessions_that_are_over(ltm: Ltm, tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path}/memory.db", Clock()
    with Memory(url, background=False, clock=clock, session_ttl=timedelta(hours=1)) as memory:
        memory.observe("I live in Lisbon.", user_id="ana", session_id="s")
        memory.flush()
    assert ltm(url, "--once")[0] == 0
    with closing(sqlite3.connect(tmp_path / "memory.db")) as database:
        assert database.execute("SELECT count(*) FROM session").fetchone() == (0,)


def test_on_a_terminal_it_shows_what_it_does(tmp_path: Path) -> None:
    import pty

    url = f"sqlite:///{tmp_path}/memory.db"
    with Memory(url, background=False) as memory:
        memory.observe("I live in Lisbon.", user_id="ana")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ltm_core.cli", "worker", url],
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(follower)
    seen = b""
    while b"1 turn learned, 1 fact changed. 0 turns wait." not in seen:
        seen += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    with suppress(OSError):  # what reads a terminal that everybody has left gets
        while os.read(leader, 4096):
            pass
    os.close(leader)
    assert process.wait() == 0


# The page about it

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "workers.md"
COMMANDS = re.findall(r"^(?:ExecStart=.*/| +command: )?ltm (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_page_is_one(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.main import get_command

    from ltm_core.cli.commands import app

    monkeypatch.setenv("LTM_DB", "sqlite:///ltm.db")
    command, arguments = get_command(app), shlex.split(line)
    while isinstance(command, typer.core.TyperGroup):
        command = command.commands[arguments.pop(0)]
    command.make_context("ltm", arguments)
