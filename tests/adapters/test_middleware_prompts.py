"""Check 29 and the rules of input, injection and output: what is found, where memories go, what is learned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from ltm_core import ConfigurationError, Memory, Message
from ltm_middleware import with_memory
from tests.adapters.conftest import learned

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Where am I?"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
PARTS = [{"type": "text", "text": "Where am I?"}, PICTURE]


@dataclass
class Spoken:
    """A message object of some framework."""

    role: str
    content: Any


def _given(memory: Memory, value: Any, **options: Any) -> Any:
    """What the agent is given in the place of `value`."""
    seen: list[Any] = []
    with_memory(memory, user_id="ana", **options)(seen.append)(value)
    return seen[0]


def _block(text: str) -> str:
    assert text.count("<long_term_memory") == 1
    assert "User lives in Oslo." in text
    return text


CONVERSATIONS: dict[str, list[Any]] = {
    "dicts": [USER],
    "dicts with a system message": [SYSTEM, USER],
    "a history": [SYSTEM, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, USER],
    "a developer message": [{"role": "developer", "content": "Be brief."}, USER],
    "parts": [SYSTEM, {"role": "user", "content": PARTS}],
    "a system message of parts": [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, USER],
    "objects": [Spoken("system", "Be brief."), Spoken("user", "Where am I?")],
    "objects without a system message": [Spoken("user", "Where am I?")],
    "objects with parts": [Spoken("user", PARTS)],
    "messages of ours": [Message(role="system", content="Be brief."), Message(content="Where am I?")],
    "pairs": [("system", "Be brief."), ("user", "Where am I?")],
    "types as roles": [SimpleNamespace(type="human", content="Where am I?")],
}


@pytest.mark.parametrize("inject", ["system", "prepend"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_29_the_callers_messages_stay_as_they_are(name: str, inject: str, memory: Memory) -> None:
    conversation = CONVERSATIONS[name]
    before = copy.deepcopy(conversation)
    given = _given(memory, conversation, inject=inject)
    assert conversation == before
    assert given != before
    assert "User lives in Oslo." in repr(given)
    assert learned(memory, "ana")[0][-1] == ("user", "Where am I?")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_29_only_one_message_differs_or_is_new(name: str, memory: Memory) -> None:
    conversation = CONVERSATIONS[name]
    given = _given(memory, conversation)
    assert [message for message in conversation if message not in given][1:] == []
    assert len(given) - len(conversation) in (0, 1)


def test_29_a_system_message_is_extended_at_its_end(memory: Memory) -> None:
    system, user = _given(memory, [SYSTEM, USER])
    assert system["content"].startswith("Be brief.\n\n<long_term_memory")
    assert user is USER


def test_29_a_system_message_of_parts_gets_one_more(memory: Memory) -> None:
    parts = [{"type": "text", "text": "Be brief."}]
    system, _ = _given(memory, [{"role": "system", "content": parts}, USER])
    assert system["content"][0] == parts[0]
    _block(system["content"][1]["text"])
    assert len(parts) == 1


def test_29_a_system_message_is_put_first_where_there_is_none(memory: Memory) -> None:
    system, user = _given(memory, [USER])
    assert system["role"] == "system"
    _block(system["content"])
    assert user is USER


def test_29_prepended_memories_stand_before_the_last_words_of_the_user(memory: Memory) -> None:
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": PARTS},
    ]
    given = _given(memory, history, inject="prepend")
    assert given[:2] == history[:2]
    _block(given[2]["content"][0]["text"])
    assert given[2]["content"][1:] == PARTS


def test_29_a_text_gets_the_block_and_a_blank_line_in_front(memory: Memory) -> None:
    given = _given(memory, "Where am I?")
    assert _block(given).endswith("</long_term_memory>\n\nWhere am I?")


def test_29_a_dict_that_holds_the_prompt_is_copied(memory: Memory) -> None:
    state = {"messages": [USER], "step": 3}
    given = _given(memory, state)
    assert state == {"messages": [USER], "step": 3}
    assert [message["role"] for message in given["messages"]] == ["system", "user"]
    assert given["step"] == 3


def test_29_memories_go_into_a_system_argument_that_the_function_has(memory: Memory) -> None:
    @with_memory(memory, user_id="ana")
    def agent(messages: list[dict[str, str]], system: str = "Be brief.") -> None:
        assert messages == [USER]
        assert system.startswith("Be brief.\n\n<long_term_memory")

    agent([USER])
    agent([USER], system="Be brief.")
    agent([USER], "Be brief.")


def test_29_memories_come_as_an_argument_of_dicts_that_is_also_text(memory: Memory) -> None:
    @with_memory(memory, user_id="ana", inject="kwarg:memories")
    def agent(text: str, memories: list[dict[str, Any]]) -> Any:
        assert "Oslo" not in text
        return memories

    (found,) = memories = agent("Where am I?")  # type: ignore[call-arg]
    assert found["content"] == "User lives in Oslo."
    assert set(found) == {"id", "content", "score", "metadata"}
    _block(f"{memories}")
    assert agent("Where am I?", memories=[]) == []


def test_29_an_argument_for_memories_is_empty_where_nobody_is_known(memory: Memory) -> None:
    @with_memory(memory, inject="kwarg:memories")
    def agent(text: str, memories: list[dict[str, Any]]) -> Any:
        return memories

    assert agent("Where am I?") == []  # type: ignore[call-arg]


def test_29_nothing_is_injected_where_none_is_wanted_and_the_turn_is_learned(memory: Memory) -> None:
    assert _given(memory, "Where am I?", inject="none") == "Where am I?"
    assert learned(memory, "ana") == [[("user", "Where am I?")]]


@pytest.mark.parametrize("options", [{"inject": "sideways"}, {"on_partial": "maybe"}, {"recall_budget_ms": 0}])
def test_29_options_that_mean_nothing_are_refused_at_once(options: dict[str, Any], memory: Memory) -> None:
    with pytest.raises(ConfigurationError):
        with_memory(memory, **options)


@pytest.mark.parametrize("options", [{"inject": "kwarg:memories"}, {"input": "question"}])
def test_29_arguments_that_the_function_lacks_are_refused_at_once(options: dict[str, Any], memory: Memory) -> None:
    with pytest.raises(ConfigurationError, match="takes no"):
        with_memory(memory, **options)(lambda text: text)


def _function(names: str) -> Callable[..., Any]:
    """A function of these parameters that tells what it was given, in a shape that is no answer."""
    return eval(f"lambda {names}: SimpleNamespace(given=locals())")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("names", "args", "kwargs", "holder"),
    [
        ("user_id, text", ("ana", "Where am I?"), {}, "text"),
        ("style, question", ("formal", "Where am I?"), {}, "question"),
        ("style, question", (), {"style": "formal", "question": "Where am I?"}, "question"),
        ("model, messages", ("tiny", [USER]), {}, "messages"),
        ("number, utterance", (3, "Where am I?"), {}, "utterance"),
        ("user_id, utterance", ("ana", "Where am I?"), {}, "utterance"),
        ("n, *, prompt", (3,), {"prompt": "Where am I?"}, "prompt"),
        ("n, *rest", (3, "Where am I?"), {}, "rest"),
        ("**given", (), {"input": "Where am I?"}, "given"),
        ("message", (USER,), {}, "message"),
    ],
)
def test_29_the_prompt_is_found_by_name_and_else_by_kind(
    names: str, args: Any, kwargs: Any, holder: str, memory: Memory
) -> None:
    given = with_memory(memory, user_id="ana")(_function(names))(*args, **kwargs).given
    assert [name for name, value in given.items() if "Oslo" in repr(value)] == [holder]
    assert learned(memory, "ana") == [[("user", "Where am I?")]]


def test_29_a_named_input_wins(memory: Memory) -> None:
    given = with_memory(memory, user_id="ana", input="note")(_function("text, note"))("first", "Where am I?").given
    assert given["text"] == "first"
    assert "Oslo" in given["note"]


def test_29_an_input_callable_is_given_the_arguments_that_it_names(memory: Memory) -> None:
    asks = with_memory(memory, user_id="ana", input=lambda job: job.question)(_function("job, text"))
    given = asks(SimpleNamespace(question="Where am I?"), "the prompt").given
    assert "Oslo" in given["text"]
    assert learned(memory, "ana") == [[("user", "Where am I?")]]


def test_29_a_call_without_a_prompt_passes_untouched(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    assert with_memory(memory, user_id="ana")(_function("a, b"))(1, [2, 3]).given == {"a": 1, "b": [2, 3]}
    assert learned(memory, "ana") == []


def test_29_what_an_earlier_turn_said_is_not_learned_again(memory: Memory) -> None:
    _given(memory, CONVERSATIONS["a history"])
    assert learned(memory, "ana") == [[("user", "Where am I?")]]


def test_29_all_that_the_user_said_since_the_last_answer_is_learned(memory: Memory) -> None:
    _given(memory, [SYSTEM, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Hi"}, USER])
    assert learned(memory, "ana") == [[("user", "Hi"), ("user", "Where am I?")]]


def test_29_a_loop_with_tools_is_learned_as_one_turn(memory: Memory) -> None:
    replies = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "content": "Oslo."},
    ]
    agent: Any = with_memory(memory, user_id="ana")(lambda messages: replies.pop(0))
    first = agent([USER])
    agent([USER, first, {"role": "tool", "content": "59.9 N", "tool_call_id": "1"}])
    told = [message for turn in learned(memory, "ana") for message in turn]
    assert told == [("user", "Where am I?"), ("assistant", "Oslo.")]


CHOICE = SimpleNamespace(message=SimpleNamespace(role="assistant", content="You are here.", tool_calls=None))
REPLIES: dict[str, Any] = {
    "a text": "You are here.",
    "a message": {"role": "assistant", "content": "You are here."},
    "an object": SimpleNamespace(content="You are here."),
    "parts": SimpleNamespace(content=[SimpleNamespace(type="text", text="You are here.")]),
    "a chat completion": SimpleNamespace(choices=[CHOICE]),
    "a chat completion as a dict": {"choices": [{"message": {"content": "You are here."}}]},
    "a response": SimpleNamespace(output=[SimpleNamespace()], output_text="You are here."),
    "a final output": SimpleNamespace(final_output="You are here."),
    "a state": {"messages": [USER, {"role": "assistant", "content": "You are here."}], "step": 3},
    "a list of messages": [USER, {"role": "assistant", "content": "You are here."}],
    "an answer in a dict": {"answer": "You are here.", "sources": []},
    "a nested result": {"result": {"response": SimpleNamespace(text="You are here.")}},
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
def test_29_the_answer_is_found_in_replies_of_every_make(name: str, memory: Memory) -> None:
    reply = REPLIES[name]
    assert with_memory(memory, user_id="ana")(lambda text: reply)("Where am I?") is reply
    assert learned(memory, "ana") == [[("user", "Where am I?"), ("assistant", "You are here.")]]


@pytest.mark.parametrize("reply", [None, 3, object(), {"tokens": 3}, SimpleNamespace(content=None), [], b"bytes"])
def test_29_where_no_answer_is_found_the_words_of_the_user_are_learned(reply: Any, memory: Memory) -> None:
    assert with_memory(memory, user_id="ana")(lambda text: reply)("Where am I?") is reply
    assert learned(memory, "ana") == [[("user", "Where am I?")]]


@pytest.mark.parametrize("output", ["said", lambda reply: reply["said"]])
def test_29_a_named_output_wins(output: Any, memory: Memory) -> None:
    reply = {"content": "thinking", "said": "You are here."}
    with_memory(memory, user_id="ana", output=output)(lambda text: reply)("Where am I?")
    assert learned(memory, "ana") == [[("user", "Where am I?"), ("assistant", "You are here.")]]


def _choice(delta: Any) -> Any:
    return SimpleNamespace(choices=[SimpleNamespace(delta=delta)])


CHUNKS: dict[str, list[Any]] = {
    "texts": ["You are ", "here."],
    "chat completions": [
        _choice(SimpleNamespace(role="assistant", content=None)),
        _choice(SimpleNamespace(content="You are ")),
        _choice(SimpleNamespace(content="here.")),
        SimpleNamespace(choices=[], usage={"total_tokens": 3}),
    ],
    "chat completions as dicts": [{"choices": [{"delta": {"content": text}}]} for text in ("You are ", "here.")],
    "events": [
        SimpleNamespace(type="response.output_text.delta", delta="You are "),
        SimpleNamespace(type="response.output_text.delta", delta="here."),
        SimpleNamespace(type="response.output_text.done", text="You are here."),
    ],
    "nested deltas": [
        SimpleNamespace(type="content_block_delta", delta=SimpleNamespace(text=text)) for text in ("You are ", "here.")
    ],
    "messages": [SimpleNamespace(content="You are "), SimpleNamespace(content="here.")],
}


@pytest.mark.parametrize("name", CHUNKS)
def test_29_the_answer_is_put_together_from_chunks_of_every_make(name: str, memory: Memory) -> None:
    chunks = CHUNKS[name]
    assert list(with_memory(memory, user_id="ana")(lambda text: iter(chunks))("Where am I?")) == chunks
    assert learned(memory, "ana") == [[("user", "Where am I?"), ("assistant", "You are here.")]]


def test_29_hooks_may_change_what_is_injected_and_what_is_learned(memory: Memory) -> None:
    def pre(turn: Any) -> None:
        turn.memories.text = turn.text.replace("Oslo", "a city")

    def post(turn: Any) -> None:
        turn.reply = turn.reply.upper()

    agent: Any = with_memory(memory, user_id="ana", pre=pre, post=post)(lambda text: text.splitlines()[2])
    assert agent("Where am I?") == "- User lives in a city."
    assert learned(memory, "ana") == [[("user", "Where am I?"), ("assistant", "- USER LIVES IN A CITY.")]]


def test_29_a_hook_may_skip_learning(memory: Memory) -> None:
    with_memory(memory, user_id="ana", post=lambda turn: turn.skip())(lambda text: "ok")("Where am I?")
    assert learned(memory, "ana") == []


async def test_29_hooks_of_async_functions_are_awaited(memory: Memory) -> None:
    async def post(turn: Any) -> None:
        turn.reply = "awaited"

    async def agent(text: str) -> str:
        return "ok"

    await with_memory(memory, user_id="ana", post=post)(agent)("Where am I?")
    assert learned(memory, "ana") == [[("user", "Where am I?"), ("assistant", "awaited")]]
    with pytest.raises(ConfigurationError, match="async hook"):
        with_memory(memory, post=post)(len)


def _memories(memory: Memory, text: str, **options: Any) -> list[dict[str, Any]]:
    """What a function with an argument for memories is given."""
    seen: list[Any] = []

    def agent(text: str, memories: list[dict[str, Any]]) -> None:
        seen.append(memories)

    wrapped: Any = with_memory(memory, user_id="ana", inject="kwarg:memories", **options)(agent)
    wrapped(text)
    return seen[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("strategy", ["relevant", "recent", "all"])
def test_29_each_strategy_recalls_within_its_bounds(strategy: str, memory: Memory) -> None:
    for number in range(20):
        memory.facts.add(f"note#{number}", f"number {number}", scope_id="ana", text=f"Number {number} is odd or even.")
    found = _memories(memory, "Is number 7 odd?", strategy=strategy, max_memories=5)
    assert len(found) == 5
    assert strategy != "relevant" or found[0]["content"] == "Number 7 is odd or even."


def test_29_a_selector_chooses_among_all_facts(memory: Memory) -> None:
    memory.facts.add("hobby", "chess", scope_id="ana", metadata={"kind": "important"})

    def important(ctx: Any, memories: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert ctx.query == "Where am I?"
        return [one for one in memories if one["metadata"].get("kind") == "important"]

    found = _memories(memory, "Where am I?", strategy="custom", selector=important)
    assert [one["content"] for one in found] == ["User, hobby: chess."]


def test_29_a_selector_and_custom_go_together(memory: Memory) -> None:
    for options in ({"strategy": "custom"}, {"selector": lambda ctx, memories: memories}):
        with pytest.raises(ConfigurationError, match="together"):
            with_memory(memory, **options)
