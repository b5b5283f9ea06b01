"""The examples run offline; the server keeps its users apart and remembers them after it was killed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]


def _needs(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def _run(name: str) -> str:
    path = ROOT / "examples" / name
    done = subprocess.run([sys.executable, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_plain_function_knows_one_user_and_not_the_other() -> None:
    said = _run("plain_function.py")
    assert "sarah: User lives in which city?\nagent: User lives in Lisbon." in said
    assert "tom: User lives in which city?\nagent: I do not know." in said


def test_the_client_of_the_openai_api_remembers_streamed_and_not() -> None:
    _needs("openai")
    assert _run("openai_client.py").splitlines()[-1].startswith("model: User lives in Lisbon.")


@contextmanager
def _server(port: int, database: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "uvicorn", "--app-dir", "examples", "fastapi_app:app", "--port", str(port)]
    environment = {**os.environ, "LTM_URL": f"sqlite:///{database}"}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield server
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/openapi.json"):
                return
        except URLError:
            continue
    raise AssertionError("the server did not start")


def _ask(port: int, path: str, user: str, message: str | None = None) -> str:
    body = None if message is None else json.dumps({"message": message}).encode()
    headers = {"x-user": user, "content-type": "application/json"}
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", body, headers)) as response:
        return str(response.read().decode())


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_the_server_remembers_two_users_after_it_was_killed(port: int, tmp_path: Path) -> None:
    _needs("fastapi", "uvicorn")
    said = {"sarah": "My name is Sarah and I live in Lisbon.", "tom": "I am Tom and I love chess."}
    with _server(port, tmp_path / "app.db") as server, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda user: _ask(port, "/chat", user, said[user]), said))
        server.send_signal(signal.SIGKILL)
    with _server(port, tmp_path / "app.db") as server, ThreadPoolExecutor(2) as pool:
        sarah, tom = pool.map(lambda user: _ask(port, "/chat", user, "What do you know of me?"), said)
        assert "Lisbon" in sarah
        assert "chess" not in sarah
        assert "chess" in tom
        assert "Lisbon" not in tom
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    with _server(port, tmp_path / "app.db"):
        assert json.loads(_ask(port, "/facts", "tom")) == ["User is called Tom.", "User likes chess."]
