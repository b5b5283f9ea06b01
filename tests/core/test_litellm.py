"""Through the real LiteLLM to a real HTTP server on this machine."""

import asyncio
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ltm_core.errors import ConfigurationError, ExtractionError, MissingExtra
from ltm_core.home import call
from ltm_core.learn.by_model import ModelExtractor
from ltm_core.llm.litellm_model import _litellm, completion, embedding
from ltm_core.llm.metering import Meter, model_call
from ltm_core.model import Message
from ltm_core.policies import Extracting
from ltm_core.scope import Identity
from ltm_core.testing.fakes import Fail, FakeOpenAI, HangUp, HashEmbedder

needs_litellm = pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
# LiteLLM and its dependencies warn of their own matters.
pytestmark = pytest.mark.filterwarnings("ignore")

HELLO = [{"role": "user", "content": "hello"}]


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str | None) -> None:
    if version:
        info = folder / f"litellm-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(folder)])


def test_without_litellm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_on_path(monkeypatch, tmp_path, None)
    for make in (completion, embedding):
        with pytest.raises(MissingExtra, match=r"pip install 'ltm-core\[litellm\]'"):
            make("openai/any")


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8"])
def test_compromised_releases_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    put_on_path(monkeypatch, tmp_path, version)
    with pytest.raises(ConfigurationError, match=f"litellm {version} is a compromised release"):
        completion("openai/any")


@needs_litellm
def test_making_a_model_does_not_import_litellm() -> None:
    code = (
        "import sys; from ltm_core.llm.litellm_model import completion, embedding;"
        "completion('openai/a'); embedding('openai/b'); sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@needs_litellm
async def test_a_model_by_name_answers_and_options_reach_the_server() -> None:
    with FakeOpenAI(["Hello!"]) as server:
        complete = completion("openai/tiny", api_base=server.url, api_key="none", temperature=0.5)
        assert await asyncio.to_thread(complete, HELLO) == "Hello!"
        body = server.requests[0].body
    assert (body["model"], body["messages"], body["temperature"]) == ("tiny", HELLO, 0.5)
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


@needs_litellm
async def test_embeddings_come_back_in_the_order_of_the_texts() -> None:
    texts = ["I love hiking", "the weather"]
    with FakeOpenAI() as server:
        embed = embedding("openai/tiny-embedding", api_base=server.url, api_key="none")
        vectors = await asyncio.to_thread(embed, texts)
        assert not embed([])
    expected = HashEmbedder()(texts)
    assert isinstance(vectors, list)
    assert vectors == [pytest.approx(vector, abs=1e-6) for vector in expected]


def given(text: str) -> Extracting:
    message = Message(role="user", content=text, id="m1")
    return Extracting(messages=[message], identity=Identity(user_id="u"), now=datetime(2025, 1, 1, tzinfo=UTC))


@needs_litellm
async def test_extraction_through_litellm_works_in_one_event_loop_after_another() -> None:
    reply = '{"facts": [{"attribute": "location", "value": "Oslo"}]}'
    with FakeOpenAI([reply, reply]) as server:
        extract = ModelExtractor(completion("openai/tiny", api_base=server.url, api_key="none"))
        found = [await asyncio.to_thread(asyncio.run, extract(given("I live in Oslo"))) for _ in range(2)]
    assert [[candidate.value for candidate in batch] for batch in found] == [["Oslo"], ["Oslo"]]


@needs_litellm
@pytest.mark.parametrize("fault", [Fail(500), Fail(401, "wrong key"), Fail(429), HangUp()])
async def test_a_failing_server_is_an_extraction_error_after_one_request(fault: Fail | HangUp) -> None:
    with FakeOpenAI([fault] * 5) as server:
        extract = ModelExtractor(completion("openai/tiny", api_base=server.url, api_key="none"))
        with pytest.raises(ExtractionError, match="The turn stays queued; check the model's settings"):
            await extract(given("I live in Oslo"))
        assert len(server.requests) == 1


@needs_litellm
async def test_callbacks_do_not_see_what_the_memory_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    litellm = _litellm()
    from litellm.integrations.custom_logger import CustomLogger

    seen: list[str] = []
    heard = threading.Event()

    class Spy(CustomLogger):
        def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            seen.append(kwargs["model"])
            heard.set()

    monkeypatch.setattr(litellm, "callbacks", [Spy()])
    with FakeOpenAI(["a", "b"]) as server:
        where = {"api_base": server.url, "api_key": "none"}
        await asyncio.to_thread(completion("openai/secret", **where), HELLO)
        await asyncio.to_thread(litellm.completion, "openai/loud", messages=HELLO, **where)
        assert await asyncio.to_thread(heard.wait, 10)
    assert seen == ["loud"]


@needs_litellm
def test_the_tokens_that_a_model_reports_are_what_a_call_is_said_to_take() -> None:
    with FakeOpenAI(["hello"]) as server:
        complete = completion("openai/gpt-test", api_base=server.url, api_key="none")
        answer: dict[str, int] = {}

        async def ask() -> Meter:
            meter = Meter(lambda _: 1_000_000)
            with meter.running(), model_call(HELLO) as asked:
                asked.reply = await call(complete, HELLO)
                answer["tokens"] = asked.tokens or 0
            return meter

        meter = asyncio.run(ask())
    assert (meter.calls, meter.tokens) == (1, answer["tokens"])
    assert 0 < meter.tokens < 1_000_000
