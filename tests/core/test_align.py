import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.learn.align import align
from ltm_core.model import Message

_ROLES = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}


def talk(script: str) -> list[Message]:
    """Messages from words that begin with their role: `u:hi a:hello`; `a!x` is a call of a tool."""
    return [_message(word) for word in script.split()]


def _message(word: str) -> Message:
    if word[1] == "!":
        return Message(role=_ROLES[word[0]], tool_calls=[{"id": word[2:]}])
    call = word[2:] if word[0] == "t" else None
    return Message(role=_ROLES[word[0]], content=word[2:], tool_call_id=call)


def said(messages: list[Message]) -> str:
    marks = {role: letter for letter, role in _ROLES.items()}
    return " ".join(
        f"{marks[message.role]}{'!' if message.tool_calls else ':'}{message.text or message.tool_calls[0]['id']}"
        for message in messages
    )


@pytest.mark.parametrize(
    ("stored", "sent", "new"),
    [
        pytest.param("", "u:hi a:hello", "u:hi a:hello", id="the first turn is new"),
        pytest.param("u:hi a:hello", "u:how a:fine", "u:how a:fine", id="a turn by itself is new"),
        pytest.param("u:hi a:hello", "u:hi a:hello u:how a:fine", "u:how a:fine", id="all that was said, and more"),
        pytest.param(
            "u:1 a:1 u:2 a:2 u:3 a:3", "u:3 a:3 u:4 a:4", "u:4 a:4", id="a window of the last turns, and more"
        ),
        pytest.param("u:2 a:2", "u:1 a:1 u:2 a:2 u:3", "u:3", id="what is older than all that is stored is not new"),
        pytest.param("u:hi a:hello", "u:hi a:hello", "", id="the last turn again is a retry"),
        pytest.param("u:1 a:1 u:2 a:2", "u:1 a:1 u:2 a:2", "", id="all again is a retry"),
        pytest.param("u:hi", "u:hi", "", id="a question not yet answered, again, is a retry"),
        pytest.param("u:1 a:1 u:2 a:2", "u:1 a:1 u:2", "", id="the request of the last turn, again, is a retry"),
        pytest.param("u:hi a:hello u:how a:fine", "u:hi a:hello", "u:hi a:hello", id="the same words later are new"),
        pytest.param("u:ok a:fine", "u:ok", "u:ok", id="the same question after its answer is new"),
        pytest.param("u:hi", "u:hi a:hello", "a:hello", id="the answer to a stored question"),
        pytest.param("u:hi", "a:hello", "a:hello", id="the answer alone"),
        pytest.param("u:ok a:fine u:ok a:fine", "u:ok a:fine u:ok a:fine u:ok", "u:ok", id="a chat that repeats"),
        pytest.param("u:1 a:1 u:2 a:2", "u:1 a:1 u:x a:y", "u:x a:y", id="an edited question and its new answer"),
        pytest.param("u:1 a:1 u:2 a:2 u:3 a:3", "u:1 a:1 u:x", "u:x", id="a question edited further back"),
    ],
)
def test_only_what_follows_the_stored_part_is_new(stored: str, sent: str, new: str) -> None:
    aligned = align(talk(sent), talk(stored))
    assert (said(aligned.new), aligned.replaces) == (new, None)


@pytest.mark.parametrize(
    ("stored", "sent", "new"),
    [
        pytest.param("u:hi a:hello", "u:hi a:hey", "a:hey", id="a turn by itself"),
        pytest.param("u:1 a:1 u:2 a:2", "u:1 a:1 u:2 a:x", "a:x", id="all that was said"),
        pytest.param("u:1 a:1 u:2 a:2", "u:1 a:1 u:2 a:x u:3 a:3", "a:x u:3 a:3", id="and what was said on it"),
        pytest.param("u:2 a:2", "u:1 a:1 u:2 a:x", "u:1 a:1 u:2 a:x", id="not where a single question fits by chance"),
        pytest.param("u:hi a!c1 t:c1 a:hello", "u:hi a!c2 t:c2 a:hey", "a!c2 t:c2 a:hey", id="with other tool calls"),
        pytest.param("u:ok a:1 u:ok a:2", "u:ok a:1 u:ok a:3", "a:3", id="in a chat that repeats"),
    ],
)
def test_a_regenerated_answer_replaces_the_stored_one(stored: str, sent: str, new: str) -> None:
    tail = talk(stored)
    aligned = align(talk(sent), tail)
    assert said(aligned.new) == new
    assert aligned.replaces is (None if new == sent else tail[-1])


@pytest.mark.parametrize(
    ("stored", "sent", "new"),
    [
        pytest.param("u:hi a:hello", "s:be-kind u:hi a:hello u:how", "u:how", id="system messages are never new"),
        pytest.param("", "s:be-kind u:hi s:more", "u:hi", id="not at first either"),
        pytest.param("u:hi a!c t:c a:hello", "u:hi a:hello u:how", "u:how", id="a client that drops tool calls"),
        pytest.param("u:hi a:hello", "u:hi a!c t:c a:hello u:how", "u:how", id="a client that kept them"),
        pytest.param("u:hi a!c", "u:hi a!c t:c a:hello", "t:c a:hello", id="a turn written piece by piece"),
        pytest.param("u:hi a!c t:c", "u:hi a!c t:c a:hello", "a:hello", id="its results are not stored twice"),
        pytest.param("u:hi a!c t:c", "u:hi a!c t:c", "", id="nor on a retry"),
    ],
)
def test_system_and_tool_messages_are_not_compared(stored: str, sent: str, new: str) -> None:
    assert said(align(talk(sent), talk(stored)).new) == new


@pytest.mark.parametrize("kind", ["tool_use", "tool_result"])
def test_tools_in_the_parts_of_a_message_are_not_compared(kind: str) -> None:
    part = Message(role="user", content=[{"type": kind, "tool_use_id": "c", "content": "4"}])
    question, answer = talk("u:hi a:hello")
    assert align([question, part, answer], [question, answer]).new == []


def test_a_part_with_words_beside_a_tool_result_is_compared() -> None:
    answered = Message(content=[{"type": "tool_result", "content": "4"}, {"type": "text", "text": "and?"}])
    assert align([*talk("u:hi a:hello"), answered], talk("u:hi a:hello")).new == [answered]


def test_an_image_is_compared() -> None:
    first, second = (Message(content=[{"type": "image", "url": url}]) for url in "xy")
    assert align([second], [first]).new == [second]


def test_another_speaker_says_another_thing() -> None:
    ann, bob = Message(content="hi", name="ann"), Message(content="hi", name="bob")
    assert align([bob], [ann]).new == [bob]


numbers = st.integers(0, 2)
turns = st.lists(st.tuples(numbers, numbers), max_size=6)


def conversation(pairs: list[tuple[int, int]]) -> list[Message]:
    return talk(" ".join(f"u:{question} a:{answer}" for question, answer in pairs))


@given(turns)
def test_sending_all_again_stores_nothing(pairs: list[tuple[int, int]]) -> None:
    assert align(conversation(pairs), conversation(pairs)).new == []


@given(turns, st.integers(0, 3))
def test_sending_everything_with_each_turn_stores_everything_once(pairs: list[tuple[int, int]], lost: int) -> None:
    stored: list[Message] = []
    for number in range(1, len(pairs) + 1):
        sent = conversation(pairs[:number])
        stored += align(sent, stored[-len(sent) - 2 :]).new
    assert stored == conversation(pairs)


@given(turns, turns)
def test_what_is_new_is_the_end_of_what_was_sent(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    sent = conversation(after)
    new = align(sent, conversation(before)).new
    assert new == sent[len(sent) - len(new) :]


@given(turns, turns)
def test_words_never_said_before_are_never_lost(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    fresh = talk("u:never a:heard")
    assert align([*conversation(after), *fresh], conversation(before)).new[-2:] == fresh


@given(st.lists(st.sampled_from("ua"), max_size=12), st.sampled_from(["u", "ua"]), st.integers(1, 6), st.data())
def test_what_is_certain_of_the_last_messages_holds_for_all(
    roles: list[str], turn: str, near: int, data: st.DataObject
) -> None:
    words = st.sampled_from(["x", "y"])
    stored = [Message(role=_ROLES[role], content=data.draw(words)) for role in roles]
    sent = [Message(role=_ROLES[role], content=data.draw(words)) for role in turn]
    of_last, of_all = align(sent, stored[-near:]), align(sent, stored)
    if of_last.is_certain:
        assert of_last == of_all


def test_a_long_conversation_is_compared_in_one_pass() -> None:
    stored = talk("u:same a:same " * 1000)
    assert said(align([*stored, *talk("u:next")], stored).new) == "u:next"
