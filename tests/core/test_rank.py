from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltm_core.index.columns import Arrays, Columns, Lists
from ltm_core.index.entries import entry_of
from ltm_core.index.memories import Memories
from ltm_core.model import Fact, Message, split_key
from ltm_core.policies import Item, Ranked, Ranking
from ltm_core.recall.rank import ALSO, STRATEGIES, WEIGHTS, rank, weights
from ltm_core.recall.signals import HALF_LIVES, Asked, Scores
from ltm_core.records import fact_record, message_record
from ltm_core.scope import Scope
from ltm_core.text.dates import days_in
from ltm_core.text.words import terms

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANNA = Scope.user("anna")


def item(
    text: str,
    *,
    key: str = "",
    days: float = 1,
    layer: int = 0,
    importance: float = 0.5,
    confidence: float = 1.0,
    memory_type: str = "fact",
) -> Item:
    at = NOW - timedelta(days=days)
    key = key or text
    fact = Fact(
        id=key,
        key=key,
        value=text,
        text=text,
        about=split_key(key)[0],
        scope_id="anna",
        importance=importance,
        confidence=confidence,
        created_at=at,
        updated_at=at,
        memory_type=memory_type,
    )
    return Item(fact, terms(text), at, layer, importance, confidence)


def said(text: str, *, days: float = 1, role: str = "user", name: str | None = None, session: str = "s") -> Item:
    at = NOW - timedelta(days=days)
    message = Message(role=role, name=name, content=text, created_at=at, id=text, session_id=session)
    return Item(message, terms(text), at)


def asking(query: str, items: Sequence[Item], *, ops: Columns | None = None, vectors: bool = False) -> Ranking:
    """The items with their signals, as recalling hands them to ranking."""
    found: list[Item] = []
    for kind, content_type in (("fact", Fact), ("message", Message)):
        mine = [one for one in items if isinstance(one.content, content_type)]
        if mine:
            found += signalled(query, kind, mine, ops)
    return Ranking(query, terms(query), found, len(items), NOW, vectors)


def signalled(query: str, kind: str, items: Sequence[Item], ops: Columns | None) -> list[Item]:
    parts = [Memories(ops) for _ in range(1 + max(one.layer for one in items))]
    places: dict[tuple[int, int], Item] = {}
    for number, one in enumerate(items):
        if isinstance(one.content, Fact):
            record = fact_record(one.content, ANNA)
            record = replace(record, terms=tuple(one.terms))
        else:
            assert isinstance(one.content, Message)
            record = message_record(one.content, Scope.session(one.content.session_id or "s"), ANNA, number)
        layer = one.layer if kind == "fact" else 0
        parts[layer].put(record.id, entry_of(record, NOW))
        places[layer, parts[layer].rows[record.id]] = one
    asked = Asked(query, parts, NOW, days_in(query, NOW), are_facts=kind == "fact")
    scores = Scores(asked, weights(kind, vectors=False), ALSO)
    return [replace(one, signals=said) for one, said in zip(places.values(), scores.signals(list(places)), strict=True)]


def texts(ranked: Sequence[Ranked]) -> list[str]:
    return [each.item.content.text for each in ranked]


WORDS = ["oslo", "lisbon", "garden", "piano", "chess", "sailing", "coffee", "the", "and"]
SHARES = st.floats(0, 1)
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
ITEMS = st.lists(
    st.builds(
        item,
        TEXTS,
        key=st.text("abc", min_size=1, max_size=2),
        days=st.floats(-10, 4000),
        layer=st.integers(0, 3),
        importance=SHARES,
        confidence=SHARES,
        memory_type=st.sampled_from([*HALF_LIVES, "own"]),
    ),
    max_size=8,
    unique_by=lambda each: each.content.id,
)


@given(ITEMS, TEXTS)
def test_the_parts_sum_to_the_score_and_relevance_is_a_share(items: list[Item], query: str) -> None:
    for strategy in STRATEGIES.values():
        for each in strategy(asking(query, items)):
            assert math.isclose(math.fsum(each.parts.values()), each.score, abs_tol=1e-9)
            assert 0.0 <= each.relevance <= 1.0


@given(st.data(), ITEMS, TEXTS)
def test_the_order_does_not_depend_on_the_order_given(data: st.DataObject, items: list[Item], query: str) -> None:
    shuffled = data.draw(st.permutations(items))
    for strategy in STRATEGIES.values():
        given_, again = (strategy(asking(query, some)) for some in (items, shuffled))
        assert [each.item.content for each in given_] == [each.item.content for each in again]
        assert [each.score for each in given_] == pytest.approx([each.score for each in again])


@given(ITEMS, TEXTS)
def test_every_strategy_gives_all_items_with_falling_scores(items: list[Item], query: str) -> None:
    for strategy in STRATEGIES.values():
        ranked = strategy(asking(query, items))
        assert len(ranked) == len(items)
        scores = [each.score for each in ranked]
        assert scores == sorted(scores, reverse=True)


@given(ITEMS, TEXTS)
def test_a_fact_that_shares_a_word_outranks_all_that_share_none(items: list[Item], query: str) -> None:
    ranked = rank(asking(query, items))
    matching = [each.item.signals["coverage"] > 0 for each in ranked]
    assert matching == sorted(matching, reverse=True)
    assert matching == [bool(set(each.item.terms) & set(terms(query))) for each in ranked]


def test_the_bonus_for_a_match_outweighs_all_that_does_not_depend_on_the_words_of_the_query() -> None:
    of_facts = WEIGHTS["fact", False]
    beside = ("about", "importance", "recency", "confidence", "layer")
    assert of_facts["match"] > sum(of_facts[name] for name in beside)


TWO_WHO_TALK = [
    said("I adopted a puppy", name="Ana"),
    said("My puppy barks a lot", name="Ana"),
    said("Food for a puppy is dear", name="Ana"),
    said("You love your puppy", name="Ben"),
    said("I paint lakes", name="Ben"),
    said("Lakes are best at dawn", name="Ben"),
]


@pytest.mark.parametrize("ops", [Lists, Arrays])
def test_what_is_asked_of_the_wrong_speaker_is_less_probable(ops: type[Lists | Arrays]) -> None:
    if ops is Arrays:
        pytest.importorskip("numpy")
    likely, unlikely = (
        max(each.relevance for each in rank(asking(f"What about the puppy of {name}?", TWO_WHO_TALK, ops=ops())))
        for name in ("Ana", "Ben")
    )
    assert likely > 2 * unlikely


@pytest.mark.parametrize("query", ["Which puppy was it?", "Did Ana show Ben the puppy?", "Puppies, says Carl", "Ben?"])
def test_whose_words_they_are_says_nothing_where_not_one_speaker_is_asked_of(query: str) -> None:
    signals = [each.item.signals for each in rank(asking(query, TWO_WHO_TALK))]
    assert not any(each.get("whose_words") for each in signals)


def test_whose_words_they_are_weighs_what_each_says_of_all() -> None:
    crowd = [*TWO_WHO_TALK, *(said(f"I paint boat {number}", name="Ben") for number in range(12))]
    (words,) = {each.item.signals["whose_words"] for each in rank(asking("Did Ben paint?", crowd))}
    (others,) = {each.item.signals["whose_words"] for each in rank(asking("Did Ana adopt a puppy?", crowd))}
    assert 0 < words < others <= 1


@given(ITEMS, TEXTS)
def test_plain_python_and_numpy_give_the_same_scores(items: list[Item], query: str) -> None:
    pytest.importorskip("numpy")
    plain, numpy = (rank(asking(query, items, ops=ops)) for ops in (Lists(), Arrays()))
    assert texts(plain) == texts(numpy)
    assert [each.score for each in plain] == pytest.approx([each.score for each in numpy])
    assert [each.relevance for each in plain] == pytest.approx([each.relevance for each in numpy])


@pytest.mark.parametrize("rest", ["", " piano chess sailing coffee garden" * 20])
def test_what_has_all_words_is_more_probably_of_use_however_long_it_is(rest: str) -> None:
    ranked = rank(asking("Where in Lisbon is Oslo?", [item(f"lisbon oslo{rest}"), item("lisbon"), item("chess")]))
    chances = [each.relevance for each in ranked]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.5 > chances[1] > chances[2] > 0.001


def test_a_fact_in_words_of_its_own_comes_before_one_in_those_of_all() -> None:
    usual = [item(f"anna enjoys the garden a lot {n % 3}", key=f"m{n}") for n in range(30)]
    plain, particular = item("anna enjoys coffee", key="a"), item("alhambra ravioli coffee", key="z")
    found = {each.item.content.text: each for each in rank(asking("coffee", [*usual, plain, particular]))}
    own, common = found["alhambra ravioli coffee"], found["anna enjoys coffee"]
    assert own.parts["specific"] > common.parts["specific"]
    assert own.score > common.score


def test_among_messages_nothing_is_gained_by_rare_words() -> None:
    assert (
        "specific"
        not in rank(asking("coffee", [said("alhambra coffee"), said("coffee"), said("coffee oslo")]))[0].parts
    )


def test_among_five_facts_rare_words_hardly_count() -> None:
    few = [item(text) for text in ("oslo", "oslo garden", "oslo piano", "oslo chess", "alhambra ravioli")]
    assert all(abs(each.parts.get("specific", 0.0)) < 0.1 for each in rank(asking("oslo", few)))


def test_among_many_each_is_less_probably_the_one() -> None:
    few, many = ([item("plays chess"), *(item(f"noise {n}") for n in range(count))] for count in (3, 300))
    assert rank(asking("piano", few))[0].relevance > rank(asking("piano", many))[0].relevance


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    items = [item(f"user drinks coffee {n}", key=str(n)) for n in range(9)] + [item("user plays chess", key="z")]
    assert rank(asking("coffee or chess?", items))[0].item.content.text == "user plays chess"


def test_a_word_matters_less_in_a_longer_text() -> None:
    short, long = item("plays chess"), item("plays chess piano sailing coffee garden oslo lisbon")
    assert texts(rank(asking("chess", [long, short])))[0] == "plays chess"


def test_a_repeated_word_counts_with_diminishing_returns() -> None:
    one, two, many = (said("chess " * times + "oslo " * (40 - times), session=str(times)) for times in (1, 2, 20))
    other = said("oslo " * 40, session="other")
    found = {
        each.item.content.text: each.parts.get("body", 0.0) for each in rank(asking("chess", [one, two, many, other]))
    }
    least, first, second, third = (found[each.content.text] for each in (other, one, two, many))
    assert least < first < second < third
    assert third - least < 20 * (first - least)


def test_without_words_the_fresh_important_and_specific_come_first() -> None:
    for better, worse in (
        (item("a", days=1), item("b", days=300)),
        (item("a", importance=0.9), item("b", importance=0.1)),
        (item("a", confidence=0.9), item("b", confidence=0.1)),
        (item("a", layer=0), item("b", layer=2)),
    ):
        assert texts(rank(asking("", [worse, better]))) == [better.content.text, worse.content.text]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("What about chess?", "chess, says the user"),
        ("What does Max say of chess?", "chess, says Max"),
        ("what does MAX MÜLLER say of chess?", "chess, says Max"),
    ],
)
def test_what_the_named_speaker_said_comes_first_or_else_what_the_user_said(query: str, first: str) -> None:
    items = [
        said("chess, says the user"),
        said("chess, says nobody", role="assistant"),
        said("chess, says Max", role="assistant", name="Max Müller"),
    ]
    assert texts(rank(asking(query, items)))[0] == first


def test_a_fact_comes_before_the_same_words_of_the_assistant() -> None:
    items = [said("plays chess", role="assistant", days=0), item("plays chess", days=0, confidence=0.5)]
    assert isinstance(rank(asking("chess", items))[0].item.content, Fact)


def recency(one: Item) -> float:
    return asking("", [one]).items[0].signals["recency"]


def test_a_plan_fades_sooner_than_a_fact() -> None:
    assert recency(item("a", days=14, memory_type="event")) == pytest.approx(0.5)
    assert recency(item("a", days=30)) > HALF_LIVES["event"] / 30
    assert recency(item("a", days=-3)) == 1.0


def test_an_answer_is_found_by_the_words_of_the_question_before_it() -> None:
    items = [said(text, name=name) for text, name in (("Do you play chess?", "Ben"), ("Every Sunday", "Ana"))]
    others = [said(f"noise {number}", name="Ana", session="other") for number in range(9)]
    assert texts(rank(asking("When does Ana play chess?", [*items, *others])))[0] == "Every Sunday"


def test_what_was_said_in_the_month_that_is_asked_for_comes_first() -> None:
    items = [said("we met again", days=2), said("we met", days=200)]
    assert texts(rank(asking("Whom did we meet in May?", items)))[0] == "we met"


def test_words_side_by_side_count_more_than_the_same_words_apart() -> None:
    items = [item("red house in a green garden"), item("green house in a red garden")]
    assert texts(rank(asking("the green house", items)))[0] == "green house in a red garden"


def test_recent_is_newest_first_whatever_is_asked() -> None:
    items = [item("chess", days=9), item("oslo", days=2, memory_type="event"), item("piano", days=5)]
    assert texts(STRATEGIES["recent"](asking("chess", items))) == ["oslo", "piano", "chess"]


def test_all_goes_by_layer_then_importance_then_key() -> None:
    items = [item("d", layer=1, importance=1), item("c"), item("b"), item("a", importance=0.1)]
    assert texts(STRATEGIES["all"](asking("d", items))) == ["b", "c", "a", "d"]


def test_nothing_ranks_to_nothing() -> None:
    assert [strategy(asking("chess", [])) for strategy in STRATEGIES.values()] == [[], [], []]
