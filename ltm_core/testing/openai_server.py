"""A small server that speaks the OpenAI protocol on this machine: real HTTP, scripted replies, no key, no network."""

from __future__ import annotations

import base64
import json
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from .hash_embedder import HashEmbedder

CHUNK_CHARS = 8


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with an HTTP error."""

    status: int = 500
    message: str = "scripted failure"


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer 200 with something that is not what the protocol promises."""

    body: bytes = b"<html>it works</html>"


Reply = str | dict[str, Any] | Fail | HangUp | Garbage
"""A text, a whole assistant message (`{"content": None, "tool_calls": [...]}`), or a fault."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was asked: the path below its address, the body, and the headers in lower case."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]


class FakeOpenAI:
    """Serves `{url}/chat/completions` (streamed on demand) and `{url}/embeddings` until the `with` block ends.

    `replies` are given out in order, or made by a function of the request's body; a used-up script is an HTTP 500.
    Embeddings come from `embed`. What was asked is in `requests`, oldest first.

        with FakeOpenAI(["Hello!"]) as server:
            client = openai.OpenAI(base_url=server.url, api_key="none")
    """

    def __init__(
        self,
        replies: Sequence[Reply] | Callable[[dict[str, Any]], Reply] = (),
        embed: Callable[[Sequence[str]], Sequence[Sequence[float]]] | None = None,
    ) -> None:
        self._answer = replies if callable(replies) else None
        self._left = deque(() if callable(replies) else replies)
        self._embed = embed or HashEmbedder()
        self.requests: list[Request] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """The base address for clients, `/v1` included."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FakeOpenAI:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply_to(self, request: Request) -> Reply:
        """The next reply of the script, or what a function makes of the request's body."""
        if self._answer:
            return self._answer(request.body)
        return self._left.popleft() if self._left else Fail(500, "The script is used up: give FakeOpenAI more replies.")

    def embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request for embeddings."""
        given = [body["input"]] if isinstance(body["input"], str) else body["input"]
        # Some clients send lists of tokens.
        texts = [text if isinstance(text, str) else json.dumps(text) for text in given]
        packed = body.get("encoding_format") == "base64"
        rows = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else list(vector)}
            for index, vector in enumerate(self._embed(texts))
        ]
        usage = {"prompt_tokens": sum(map(_tokens, texts)), "total_tokens": sum(map(_tokens, texts))}
        return {"object": "list", "model": body.get("model"), "data": rows, "usage": usage}


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _message(reply: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", **(reply if isinstance(reply, dict) else {"content": reply})}


def _finish(message: dict[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _usage(body: dict[str, Any], message: dict[str, Any]) -> dict[str, int]:
    asked, answered = _tokens(json.dumps(body.get("messages", []))), _tokens(message.get("content") or "")
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _completion(body: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": _finish(message), "logprobs": None}
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": _usage(body, message)}


def _chunks(body: dict[str, Any], message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content") or ""
    calls = [{"index": index, **call} for index, call in enumerate(message.get("tool_calls") or ())]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": content[at : at + CHUNK_CHARS]} for at in range(0, len(content), CHUNK_CHARS)]
    deltas += [{"tool_calls": calls}] if calls else []
    head = _head(body, "chat.completion.chunk")
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(message)}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(body, message)}


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": 0, "model": body.get("model", "fake")}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeOpenAI

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong here; that a client goes away early is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self._fail(Fail(400, "The body is not JSON."))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path.removeprefix("/v1"), body, headers)
        self.server.fake.requests.append(request)
        if request.path == "/embeddings":
            return self._send(200, json.dumps(self.server.fake.embeddings(body)).encode())
        if request.path == "/chat/completions":
            return self._complete(body, self.server.fake.reply_to(request))
        return self._fail(Fail(404, f"There is no {request.path} here."))

    def _complete(self, body: dict[str, Any], reply: Reply) -> None:
        match reply:
            case Fail():
                self._fail(reply)
            case Garbage(body=garbage):
                self._send(200, garbage)
            case HangUp():
                self.close_connection = True
            case str() | dict() if body.get("stream"):
                self._stream(_chunks(body, _message(reply)))
            case str() | dict():
                self._send(200, json.dumps(_completion(body, _message(reply))).encode())

    def _fail(self, fail: Fail) -> None:
        error = {"message": fail.message, "type": "scripted", "param": None, "code": None}
        self._send(fail.status, json.dumps({"error": error}).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, chunks: Iterator[dict[str, Any]]) -> None:
        # No length: as HTTP/1.0 has it, the answer ends where the connection does.
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the standard library's)
        """Tests are quiet."""
