"""Processes that are really killed, and many at once: what was acknowledged is there, and under the right user."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ltm_core import AsyncMemory, Memory
from tests.conftest import told


@pytest.fixture(params=["sqlite", "postgres", "mariadb", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that several processes can use."""
    match request.param:
        case "postgres":
            return str(request.getfixturevalue("one_postgres_url"))
        case "mariadb":
            return str(request.getfixturevalue("mysql_url"))
        case "redis":
            return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/memory.db"


WRITER = textwrap.dedent("""
    import asyncio, sys
    from ltm_core import PersistentFacts

    async def main(url, first):
        facts = PersistentFacts(url)
        for number in range(first, first + 200):
            await facts.add(f"fact_{number}", number, scope_id="u")
            await facts.add("counter", number, scope_id="u")
            print(number, flush=True)
        print("finished", flush=True)
        sys.stdin.read()

    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
""")

CROWD = textwrap.dedent("""
    import asyncio, sys
    from ltm_core import AsyncMemory

    async def main(url, process):
        async with AsyncMemory(url, background=False) as memory:
            users = ["ana", "ben"]
            adds = (memory.facts.add(f"p{process}_{n}", users[n % 2], scope_id=users[n % 2]) for n in range(500))
            await asyncio.gather(*adds)

    asyncio.run(main(sys.argv[1], sys.argv[2]))
""")

CHANGER = textwrap.dedent("""
    import asyncio, sys
    from ltm_core import PersistentFacts

    async def main(url, process):
        facts = PersistentFacts(url)
        for number in range(25):
            await facts.update("counter", f"{process} {number}", scope_id="u")
        await facts.close()

    asyncio.run(main(sys.argv[1], sys.argv[2]))
""")

TELLER = textwrap.dedent("""
    import sys
    from ltm_core import Memory
    from tests.conftest import told

    memory = Memory(sys.argv[1], extract=lambda given: sys.stdin.read())
    memory.observe("set location Oslo", user_id="u", session_id="one")
    print("told", flush=True)
    sys.stdin.read()
""")


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def acknowledged_before_the_kill(url: str, first: int, after: int) -> list[int]:
    """Let a writer go until it has acknowledged `after` pairs, kill it, and say what it acknowledged in all."""
    with start(WRITER, url, first) as writer:
        assert writer.stdout is not None
        heard: list[str] = []
        while len(heard) < after:
            line = writer.stdout.readline()
            assert line, writer.stderr and writer.stderr.read()
            heard.append(line.strip())
        writer.kill()
        heard += [line.strip() for line in writer.stdout if line.endswith("\n")]
    return [int(line) for line in heard if line.isdigit()]


def test_twenty_times_killed_in_a_loop_of_200_writes_loses_no_acknowledged_fact(shared: str) -> None:
    url, chance = shared, random.Random(7)
    acknowledged: list[int] = []
    for round_ in range(20):
        acknowledged += acknowledged_before_the_kill(url, 1000 * round_, chance.randrange(1, 100))
    with Memory(url) as memory:
        stored = {fact.key: fact.value for fact in memory.facts.get_all(scope_id="u")}
        assert [number for number in acknowledged if stored.get(f"fact_{number}") != number] == []
        history = memory.facts.history("counter", scope_id="u")
        assert [fact.version for fact in history] == list(range(1, len(history) + 1))
        assert set(acknowledged) <= {fact.value for fact in history}


def test_what_eight_processes_change_at_once_is_one_history(shared: str) -> None:
    with Memory(shared) as memory:
        memory.facts.add("counter", "begun", scope_id="u")
    crowd = [start(CHANGER, shared, process) for process in range(8)]
    for process in crowd:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    with Memory(shared) as memory:
        history = memory.facts.history("counter", scope_id="u")
        assert [fact.version for fact in history] == list(range(1, 8 * 25 + 2))
        assert {fact.value for fact in history[1:]} == {f"{p} {n}" for p in range(8) for n in range(25)}


def test_two_users_eight_processes_500_concurrent_writes_each_are_all_there(shared: str) -> None:
    url = shared
    crowd = [start(CROWD, url, process) for process in range(8)]
    for process in crowd:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    with Memory(url) as memory:
        for user in ("ana", "ben"):
            facts = memory.facts.get_all(scope_id=user)
            assert len(facts) == 8 * 250
            assert {fact.value for fact in facts} == {user}


async def test_a_turn_told_to_a_process_that_is_killed_is_learned_by_the_next(shared: str) -> None:
    url = shared
    with start(TELLER, url) as teller:
        assert teller.stdout is not None
        assert await asyncio.to_thread(teller.stdout.readline) == "told\n", teller.stderr and teller.stderr.read()
        teller.kill()
    async with AsyncMemory(url, extract=told) as memory:
        assert await memory.flush(20)
        assert [fact.value for fact in (await memory.recall("location", user_id="u")).facts] == ["Oslo"]
