from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.model import Fact, Message
from ltm_core.policies import Fitted, Item, Ranked, Rendering
from ltm_core.recall.budget import MOST_STABLE, Prices, estimate_tokens, fit, fit_pending, stable_facts
from ltm_core.recall.render import line, pending_line, render
from ltm_core.text.fence import LATE, STABLE, fenced

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICES = Prices(
    line=lambda content: estimate_tokens(line(content)),
    pending_line=lambda message: estimate_tokens(pending_line(message)),
    stable_fence=estimate_tokens(fenced(*STABLE, [])),
    late_fence=estimate_tokens(fenced(*LATE, [])),
)
FREE = Prices(line=lambda _: 1, pending_line=lambda _: 1, stable_fence=0, late_fence=0)


def fact(
    text: str, key: str = "", *, attribute: str = "", about: str = "user", pinned: bool = False, importance: float = 0.5
) -> Fact:
    key = key or attribute or text
    return Fact(
        id=f"id of {key}",
        key=key,
        value=text,
        text=text,
        attribute=attribute,
        about=about,
        pinned=pinned,
        importance=importance,
        created_at=NOW,
        updated_at=NOW,
    )


def ranked(*contents: Fact | Message, relevance: float = 1.0) -> list[Ranked]:
    scores = range(len(contents), 0, -1)
    return [
        Ranked(Item(content, (), NOW), float(score), relevance) for content, score in zip(contents, scores, strict=True)
    ]


def chosen(fitted: Fitted) -> list[str]:
    return [each.item.content.text for each in fitted.ranked]


def reasons(fitted: Fitted) -> dict[str, str]:
    return {left.text: left.why for left in fitted.left_out}


def tokens(fitted: Fitted, pending: Sequence[Message]) -> int:
    """What the two blocks really take."""
    contents = [each.item.content for each in fitted.ranked]
    facts = [content for content in contents if isinstance(content, Fact)]
    messages = [content for content in contents if isinstance(content, Message)]
    rendered = render(Rendering(fitted.stable, facts, messages, pending, NOW))
    return estimate_tokens(rendered.stable) + estimate_tokens(rendered.late)


TEXTS = st.text(max_size=80) | st.sampled_from(["User lives in Oslo.", "User likes tea.", "音楽が好きです"])
MESSAGES = st.lists(st.builds(Message, content=TEXTS, created_at=st.none() | st.just(NOW)), max_size=4)


@given(
    st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=4), MESSAGES, MESSAGES, st.integers(0, 300), st.integers(0, 5)
)
def test_what_fits_never_exceeds_the_tokens_or_the_limit(
    texts: list[str], profile: list[str], messages: list[Message], pending: list[Message], most: int, limit: int
) -> None:
    stable = [fact(text, f"s{number}", pinned=True) for number, text in enumerate(profile)]
    facts = [fact(text, f"f{number}") for number, text in enumerate(texts)]
    candidates = ranked(*facts, *messages, *stable)
    waiting = fit_pending(pending, max_tokens=most, prices=PRICES)
    fitted = fit(candidates, stable=stable, pending=waiting, limit=limit, max_tokens=most, prices=PRICES)
    assert tokens(fitted, waiting) <= most
    assert tokens(Fitted(fitted.stable, [], []), []) <= most / 2
    assert sum(isinstance(each.item.content, Fact) for each in fitted.ranked) <= limit
    assert len(fitted.ranked) + len(fitted.left_out) == len(candidates)
    assert [each for each in candidates if each in fitted.ranked] == fitted.ranked


def test_a_smaller_one_takes_the_room_that_a_larger_one_cannot() -> None:
    candidates = ranked(fact("short one"), fact("long " * 80), fact("another"))
    fitted = fit(candidates, limit=10, max_tokens=60, prices=PRICES)
    assert chosen(fitted) == ["short one", "another"]
    assert reasons(fitted)["long " * 80].startswith("needs ")


def test_the_limit_counts_facts_and_messages_apart() -> None:
    candidates = ranked(fact("a"), Message(content="b"), fact("c"), Message(content="d"))
    fitted = fit(candidates, limit=1, max_tokens=None, prices=FREE)
    assert chosen(fitted) == ["a", "b"]
    assert reasons(fitted) == {"c": "over the limit of 1", "d": "over the limit of 1"}


def test_without_limit_and_tokens_everything_fits() -> None:
    contents = [fact(f"number {number}") for number in range(50)]
    assert len(fit(ranked(*contents), limit=None, max_tokens=None, prices=PRICES).ranked) == 50


def test_what_matters_too_little_is_left_out() -> None:
    fitted = fit(ranked(fact("a"), relevance=0.29), limit=5, max_tokens=None, min_relevance=0.3, prices=FREE)
    assert reasons(fitted) == {"a": "relevance 0.29 is below 0.30"}
    assert chosen(fit(ranked(fact("a"), relevance=0.3), limit=5, max_tokens=None, min_relevance=0.3, prices=FREE))


LONG = "User goes hiking in the mountains around the old town every single Sunday morning"


@pytest.mark.parametrize(
    ("second", "is_same"),
    [
        (f"{LONG}!", True),
        (LONG.replace("mountains", "mountain").upper(), True),
        (LONG.replace("User goes", "User never goes"), False),
        (LONG.replace("User goes", "User doesn't go"), False),
        (f"{LONG} at 7", False),
        ("User goes swimming", False),
    ],
)
def test_of_two_that_say_the_same_the_first_is_kept(second: str, is_same: bool) -> None:
    fitted = fit(ranked(fact(LONG, "a"), fact(second, "b")), limit=5, max_tokens=None, prices=FREE)
    assert len(fitted.ranked) == (1 if is_same else 2)
    assert list(reasons(fitted).values()) == ([f"same as {LONG!r}"] if is_same else [])


def test_texts_without_words_are_the_same_only_if_they_are_equal() -> None:
    fitted = fit(ranked(fact("🎉", "a"), fact("🔥", "b"), fact("🎉", "c")), limit=5, max_tokens=None, prices=FREE)
    assert chosen(fitted) == ["🎉", "🔥"]


def test_a_message_is_never_the_same_as_a_fact() -> None:
    candidates = ranked(fact(LONG), Message(content=LONG))
    assert len(fit(candidates, limit=5, max_tokens=None, prices=FREE).ranked) == 2


def test_what_stands_in_the_stable_block_takes_no_room_again() -> None:
    name = fact("User is called Sarah.", attribute="name")
    fence_and_name = PRICES.stable_fence + PRICES.line(name)
    fitted = fit(ranked(name, fact("other")), stable=[name], limit=5, max_tokens=2 * fence_and_name, prices=PRICES)
    assert fitted.stable == [name]
    assert chosen(fitted)[0] == name.text
    tight = fit(ranked(name), stable=[name], limit=5, max_tokens=2 * fence_and_name - 1, prices=PRICES)
    assert tight.stable == []


def test_when_room_is_short_the_foremost_stable_facts_stay_in_the_order_of_their_keys() -> None:
    stable = [fact("a", importance=0.1), fact("b", pinned=True, importance=0.1), fact("c", importance=0.9)]
    for given_order in (stable, stable[::-1]):
        assert [f.text for f in fit([], stable=given_order, limit=5, max_tokens=4, prices=FREE).stable] == ["b", "c"]


def test_pending_turns_keep_the_newest_without_gaps() -> None:
    old, long, new = Message(content="old"), Message(content="word " * 100), Message(content="new")
    assert fit_pending([old, long, new], max_tokens=200, prices=PRICES) == [new]
    assert fit_pending([old, long, new], max_tokens=None, prices=PRICES) == [old, long, new]
    assert fit_pending([new], max_tokens=20, prices=PRICES) == []


def test_pending_turns_leave_less_room_for_facts() -> None:
    candidates = ranked(fact("a"), fact("b"))
    assert chosen(fit(candidates, pending=[Message(content="p")], limit=5, max_tokens=2, prices=FREE)) == ["a"]


def test_stable_facts_are_the_pinned_and_the_profile_of_the_user_by_key() -> None:
    name = fact("Sarah", attribute="name")
    sisters = fact("Anna", "sister/name", attribute="name", about="sister")
    pinned = fact("zebra", pinned=True)
    assert stable_facts([pinned, fact("tea"), sisters, name]) == [name, pinned]
    terse = fact("Answer briefly").model_copy(update={"memory_type": "instruction"})
    assert stable_facts([terse, fact("tea")]) == [terse]


@given(st.data())
def test_stable_facts_are_bounded_and_the_same_in_any_order(data: st.DataObject) -> None:
    facts = [fact(str(n), pinned=n % 5 == 0, attribute="allergy", importance=n % 3 / 2) for n in range(40)]
    facts = [each.model_copy(update={"key": f"allergy#{each.text}", "id": each.text}) for each in facts]
    foremost = stable_facts(data.draw(st.permutations(facts)))
    assert foremost == stable_facts(facts)
    assert len(foremost) == MOST_STABLE
    assert {each.text for each in facts if each.pinned} <= {each.text for each in foremost}


@pytest.mark.parametrize(("text", "most"), [("", 0), ("a", 1), ("word " * 4, 5), ("音楽が好き", 5), ("Ж" * 6, 3)])
def test_tokens_are_estimated_from_bytes_and_wide_characters(text: str, most: int) -> None:
    assert estimate_tokens(text) == most


@given(st.text(), st.text())
def test_two_texts_apart_never_count_less_than_together(left: str, right: str) -> None:
    assert estimate_tokens(left + right) <= estimate_tokens(left) + estimate_tokens(right)


def test_where_room_is_short_a_small_one_goes_before_a_large_one_that_matters_little_more() -> None:
    large, small = ranked(fact("long " * 30), fact("short one"))
    small = replace(small, score=large.score - 0.1)
    assert chosen(fit([large, small], limit=5, max_tokens=45, by_size=True, prices=PRICES)) == ["short one"]
    roomy = fit([large, small], limit=5, max_tokens=4000, by_size=True, prices=PRICES)
    assert chosen(roomy) == ["long " * 30, "short one"]
