import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.errors import ExtractionError
from ltm_core.llm.reading import MAX_CHARS, UnusableReply, read_json

FACTS = {"facts": [{"attribute": "location", "value": "Oslo"}]}
PLAIN = json.dumps(FACTS)


@pytest.mark.parametrize(
    "reply",
    [
        PLAIN,
        f"```json\n{PLAIN}\n```",
        f"```\n{PLAIN}",
        f"Sure, as said in [1], here it is:\n{PLAIN}\nAnything [else]?",
        f"<think>The user {{maybe}} lives in [Oslo</think>\n{PLAIN}",
        f"<Thinking>{{'facts': []}}</Thinking>{PLAIN}",
        f"So the user lives in {{Oslo\n</think>{PLAIN}",
        "\ufeff" + PLAIN,
        '{"facts": [{"attribute": "location", "value": "Oslo",},],}',
        "{'facts': [{'attribute': 'location', 'value': 'Oslo'}]}",
        '{facts: [{attribute: "location", value: "Oslo"}]} // done',
        '{"facts": [{"attribute": "location" "value": "Oslo"}]}',
    ],
)
def test_what_models_wrap_around_json_is_taken_off(reply: str) -> None:
    assert read_json(reply) == FACTS


def test_strings_may_hold_brackets_fences_and_tags() -> None:
    data = {"facts": [{"value": 'a "b" {c] ``` </think> <think>'}]}
    assert read_json(json.dumps(data)) == data


def test_several_objects_are_all_read() -> None:
    assert read_json('{"a": 1}\n{"b": 2}') == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "I found nothing to remember.",
        "<think>let me see",
        '{"facts": [{"value": "Oslo"}, {"value": "Ber',
        '{"facts": [{"value": "Oslo"}, {"value": "a smile :}]}',
        '{"facts": [{"value": "Oslo"}',
        'As in [1]: {"facts": [',
        '{"facts": [{"value": "x", {"value": "y"}]}',
        '{"facts": [{"value": "a"}], "facts": [{"value": "b"}, {"value": "c"}]}',
        "[" * 100_000,
        '{"a":' * 5_000,
        "x" * (MAX_CHARS + 1),
    ],
)
def test_what_is_cut_off_or_would_lose_something_is_refused(reply: str) -> None:
    with pytest.raises(UnusableReply, match=r"The turn stays queued"):
        read_json(reply)


def test_something_that_is_not_text_is_refused() -> None:
    nothing: Any = None
    with pytest.raises(ExtractionError, match="it is a NoneType, not text"):
        read_json(nothing)


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_data, max_size=4) | st.lists(json_data, max_size=4))
def test_every_json_document_is_read_as_it_is(data: Any) -> None:
    assert read_json(json.dumps(data)) == data


@given(st.lists(st.dictionaries(st.text(), st.text(), min_size=1), min_size=1, max_size=4), st.data())
def test_no_part_of_a_document_is_taken_for_the_whole(facts: list[dict[str, str]], data: st.DataObject) -> None:
    document = json.dumps({"facts": facts})
    cut = data.draw(st.integers(1, len(document) - 1))
    with pytest.raises(UnusableReply):
        read_json(document[:cut])


@given(st.text() | st.text(alphabet="{}[]\"',:\\ab1<>/think` \n"))
def test_any_text_is_read_or_refused(reply: str) -> None:
    try:
        value = read_json(reply)
    except UnusableReply:
        return
    assert isinstance(value, dict | list)
