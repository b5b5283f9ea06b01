import asyncio
import http.client
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from ltm_core.errors import UsageError
from ltm_core.testing.fakes import Clock, Fail, FakeOpenAI, Garbage, HangUp, HashEmbedder, ScriptedModel

HELLO = [{"role": "user", "content": "hello"}]


def post(server: FakeOpenAI, path: str, body: Any) -> tuple[int, str]:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", f"{address.path}{path}", raw, {"Authorization": "Bearer x"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def chat(server: FakeOpenAI, **more: Any) -> tuple[int, str]:
    return post(server, "/chat/completions", {"model": "tiny", "messages": HELLO, **more})


def test_a_scripted_model_answers_in_order_and_remembers_what_it_was_asked() -> None:
    model = ScriptedModel(["one", OSError("down")])
    assert model(HELLO) == "one"
    with pytest.raises(OSError, match="down"):
        model(HELLO)
    with pytest.raises(UsageError, match="no reply for call 3"):
        model(HELLO)
    assert model.calls == [HELLO] * 3


def test_a_scripted_model_may_be_a_function() -> None:
    assert ScriptedModel(lambda messages: str(messages[0]["content"]).upper())(HELLO) == "HELLO"


def test_texts_that_share_words_are_nearer_to_each_other() -> None:
    mountains, hike, tax = HashEmbedder(256)(["hiking in the mountains", "a mountain hike", "tax returns"])

    def near(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert near(mountains, hike) == pytest.approx(1.0)
    assert near(mountains, tax) < 0.5
    assert near(*HashEmbedder()(["", ""])) == pytest.approx(1.0)


def test_the_clock_moves_only_when_it_is_told() -> None:
    clock = Clock(datetime(2025, 3, 1, tzinfo=UTC))
    assert clock() == clock()
    clock.advance(days=1, seconds=30)
    assert clock() == datetime(2025, 3, 2, 0, 0, 30, tzinfo=UTC)


def test_the_server_answers_chats_and_records_what_was_asked() -> None:
    with FakeOpenAI(["Hello!"]) as server:
        status, body = chat(server)
    choice = json.loads(body)["choices"][0]
    assert (status, choice["message"]["content"], choice["finish_reason"]) == (200, "Hello!", "stop")
    assert server.requests[0].path == "/chat/completions"
    assert server.requests[0].body["messages"] == HELLO
    assert server.requests[0].headers["authorization"] == "Bearer x"


def test_a_streamed_answer_comes_in_pieces_and_ends_with_done() -> None:
    with FakeOpenAI(["Hello from the server"]) as server:
        _, body = chat(server, stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in body.splitlines() if line]
    chunks = [json.loads(event) for event in events[:-1]]
    pieces = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    assert events[-1] == "[DONE]"
    assert "".join(pieces) == "Hello from the server"
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_pass_through(stream: bool) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    with FakeOpenAI([{"content": None, "tool_calls": [call]}]) as server:
        _, body = chat(server, stream=stream)
    assert '"finish_reason": "tool_calls"' in body
    assert '"name": "look"' in body


def test_embeddings_are_those_of_the_embedder() -> None:
    with FakeOpenAI() as server:
        _, body = post(server, "/embeddings", {"model": "tiny", "input": ["a cat", "a dog"]})
    assert [row["embedding"] for row in json.loads(body)["data"]] == HashEmbedder()(["a cat", "a dog"])


def test_faults_happen_as_scripted() -> None:
    with FakeOpenAI([Fail(429, "slow down"), Garbage(b"<html>"), HangUp()]) as server:
        status, body = chat(server)
        assert (status, json.loads(body)["error"]["message"]) == (429, "slow down")
        assert chat(server) == (200, "<html>")
        with pytest.raises(http.client.RemoteDisconnected):
            chat(server)
        assert chat(server)[0] == 500
        assert post(server, "/elsewhere", {})[0] == 404
        assert post(server, "/embeddings", b"not json")[0] == 400


async def test_the_server_answers_many_at_once() -> None:
    with FakeOpenAI(lambda body: str(body["user"])) as server:
        asked = [asyncio.to_thread(chat, server, user=f"u{number}") for number in range(8)]
        answers = await asyncio.gather(*asked)
    assert [json.loads(body)["choices"][0]["message"]["content"] for _, body in answers] == [
        f"u{number}" for number in range(8)
    ]
