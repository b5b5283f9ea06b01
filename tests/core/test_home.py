"""One loop of its own: any thread, any loop, twice `asyncio.run`, after fork, and an exit that nothing holds up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ltm_core import AsyncMemory, Memory, UsageError
from ltm_core.home import Home, call
from tests.conftest import told


def test_the_same_memory_works_from_two_runs_of_asyncio(url: str) -> None:
    memory = AsyncMemory(url, extract=told)
    asyncio.run(_tell(memory, "set location Oslo"))
    assert asyncio.run(_ask(memory)) == ["Oslo"]
    asyncio.run(memory.close())


def test_the_same_memory_works_from_many_threads(url: str) -> None:
    with Memory(url, extract=told) as memory, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: memory.remember(f"set location city{n}", user_id=f"u{n}"), range(24)))
        found = threads.map(lambda n: memory.recall("location", user_id=f"u{n}").facts[0].value, range(24))
        assert list(found) == [f"city{n}" for n in range(24)]


async def test_the_blocking_face_works_inside_a_running_loop(url: str) -> None:
    with Memory(url, extract=told) as memory:
        memory.remember("set location Oslo", user_id="u")
        assert memory.recall("location", user_id="u").facts[0].value == "Oslo"


async def test_a_blocking_verb_on_the_home_thread_says_so_instead_of_hanging(url: str) -> None:
    with Memory(url, extract=told) as memory:

        async def inside() -> None:
            memory.recall("location", user_id="u")

        with pytest.raises(UsageError, match="await"):
            await memory.runtime.home.run(inside())


async def test_cancelling_the_caller_cancels_the_work() -> None:
    home = Home("test")
    began, cancelled = threading.Event(), threading.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(home.run(forever()))
    await asyncio.to_thread(began.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(cancelled.wait, 5)
    home.stop()


async def test_call_awaits_coroutines_and_runs_blocking_functions_elsewhere() -> None:
    async def doubled(number: int) -> int:
        return 2 * number

    assert await call(doubled, 2) == 4
    assert await call(lambda: doubled(3)) == 6
    assert await call(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await call(lambda: 1 / 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_fork_the_child_begins_anew(tmp_path: Path) -> None:
    with Memory(f"sqlite:///{tmp_path}/memory.db", extract=told) as memory:
        memory.remember("set location Oslo", user_id="u")
        child = os.fork()
        if child == 0:
            found = memory.recall("location", user_id="u").facts[0].value == "Oslo"
            learned = memory.remember("set name Ana", user_id="u")[0].operation == "ADD"
            os._exit(0 if found and learned else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert memory.recall("name", user_id="u").facts[0].value == "Ana"


@pytest.mark.parametrize("left_open", ["", "memory.observe('set name Ana', user_id='u')"])
@pytest.mark.parametrize("where", ["memory://", "sqlite:///{}/memory.db"])
def test_a_memory_that_nobody_closed_does_not_hold_up_the_exit(tmp_path: Path, where: str, left_open: str) -> None:
    script = textwrap.dedent(f"""
        import threading
        from ltm_core import Memory
        def slow(given):
            threading.Event().wait(60)
        memory = Memory({where.format(tmp_path)!r}, extract=slow)
        memory.recall("x", user_id="u")
        {left_open}
        print("ends")
    """)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert (run.stdout, run.stderr, run.returncode) == ("ends\n", "", 0)


@pytest.mark.parametrize("closing", ["memory.close()", ""])
@pytest.mark.parametrize(
    "hang",
    [
        "def extract(given): began.set(); threading.Event().wait()",
        "async def extract(given): began.set(); await asyncio.Event().wait()",
        "async def extract(given): began.set(); threading.Event().wait()",
    ],
    ids=["a thread", "a coroutine", "the loop itself"],
)
def test_a_model_that_hangs_holds_up_neither_flush_nor_close_nor_exit(tmp_path: Path, hang: str, closing: str) -> None:
    script = textwrap.dedent(f"""
        import asyncio, threading
        from ltm_core import Memory, runtime
        runtime.GRACE = 0.5
        began = threading.Event()
        {hang}
        memory = Memory("sqlite:///{tmp_path}/memory.db", extract=extract, learn_after=0)
        memory.observe("set name Ana", user_id="u")
        began.wait()
        print(memory.flush(0.1))
        {closing}
        print("ends")
    """)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("False\nends\n", 0), run.stderr
    with Memory(f"sqlite:///{tmp_path}/memory.db", extract=told, background=False) as memory:
        assert memory.flush(20), "the lease of a dead process is free"
        assert [fact.value for fact in memory.facts.get_all(scope_id="u")] == ["Ana"]


FORKS = """
    import os, sys, threading, warnings
    from ltm_core import Memory
    from tests.conftest import told
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which is the point
    parent, began, go = os.getpid(), threading.Event(), threading.Event()

    def extract(given):
        if os.getpid() == parent:
            began.set()
            go.wait()
        print(given.messages[0].text, "learned by the", "parent" if os.getpid() == parent else "child", flush=True)
        return told(given)

    memory = Memory(f"sqlite:///{sys.argv[1]}/memory.db", extract=extract, learn_after=0)
    told_by_parent = memory.observe("set name Ana", user_id="ana")
    began.wait()
    child = os.fork()
    if child == 0:
        memory.observe("set name Ben", user_id="ben").wait(60)
        assert {job.subject: job.status for job in memory.jobs.list()} == {"user:ana": "waiting", "user:ben": "done"}
        memory.close()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert [(job.subject, job.claims) for job in memory.jobs.list("waiting")] == [("user:ana", 1)]
    go.set()
    told_by_parent.wait(60)
    names = [memory.facts.get("name", scope_id=user).version for user in ("ana", "ben")]
    print("child", code, "versions", names, flush=True)
    memory.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_learns_its_own_turns_and_leaves_what_the_parent_has_in_hand(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKS), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.splitlines() == [
        "set name Ben learned by the child",
        "set name Ana learned by the parent",
        "child 0 versions [1, 1]",
    ], run.stderr


async def _tell(memory: AsyncMemory, text: str) -> None:
    await memory.remember(text, user_id="u")


async def _ask(memory: AsyncMemory) -> list[str]:
    return [fact.value for fact in (await memory.recall("location", user_id="u")).facts]


def test_a_signal_that_another_thread_receives_is_heard_while_this_one_waits() -> None:
    script = """
        import asyncio, signal, threading
        from ltm_core.home import Home

        home, heard = Home("test"), asyncio.Event()

        async def work():
            loop = asyncio.get_running_loop()
            signals.append(lambda: loop.call_soon_threadsafe(heard.set))
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            await asyncio.wait_for(heard.wait(), 30)
            return "heard"

        signals = []
        signal.signal(signal.SIGUSR1, lambda *_: signals[0]())
        print(home.wait(work()))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "heard\n", done.stderr
