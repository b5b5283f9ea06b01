from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ltm_core.knowledge.attributes import attribute
from ltm_core.learn.reconcile import reconcile
from ltm_core.model import Candidate, Fact, FactUpdate
from ltm_core.policies import ALL_OPERATIONS, Reconciling
from ltm_core.records import fact_id
from ltm_core.scope import Scope

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(days=30), NOW + timedelta(days=30)
ANN = Scope.user("ann")


def say(name: str, value: Any = None, item: str | None = None, **fields: Any) -> Candidate:
    return Candidate(attribute=name, value=value, item=item, **fields)


def new_fact(candidate: Candidate, at: datetime = NOW, owner: Scope = ANN) -> Fact:
    row = attribute(candidate.attribute)
    return Fact(
        id=fact_id(owner, "", candidate.key),
        key=candidate.key,
        value=candidate.value,
        text=candidate.text or row.sentence(candidate.value, candidate.item, candidate.about),
        scope=owner.level,
        scope_id=owner.id,
        about=candidate.about,
        attribute=candidate.attribute,
        item=candidate.item,
        tags=candidate.tags,
        metadata=candidate.metadata,
        memory_type=candidate.memory_type or row.type,
        category=candidate.category or row.category,
        importance=row.importance if candidate.importance is None else candidate.importance,
        confidence=candidate.confidence,
        source_type="conversation",
        sources=candidate.sources,
        job_id="job",
        created_at=at,
        updated_at=at,
        valid_from=candidate.valid_from or at,
        valid_to=candidate.valid_to,
        expires_at=candidate.expires_at,
    )


def known(name: str, value: Any, item: str | None = None, about: str = "user", **fields: Any) -> Fact:
    return new_fact(say(name, value, item, about=about), BEFORE).model_copy(update={"job_id": None, **fields})


def decide(
    current: Iterable[Fact], *candidates: Candidate, allow: frozenset[str] = ALL_OPERATIONS, now: datetime = NOW
) -> list[FactUpdate]:
    return reconcile(Reconciling(candidates, list(current), lambda one: new_fact(one, now), now, allow))


def one(current: Iterable[Fact], *candidates: Candidate, **given: Any) -> FactUpdate:
    (update,) = decide(current, *candidates, **given)
    return update


def outcome(updates: Iterable[FactUpdate]) -> list[tuple[str, str, Any]]:
    return [(one.operation, one.fact.key, one.fact.value) for one in updates if one.fact is not None]


def after(current: Iterable[Fact], updates: Iterable[FactUpdate]) -> list[Fact]:
    facts = {fact.id: fact for fact in current}
    facts |= {one.fact.id: one.fact for one in updates if one.fact is not None}
    return list(facts.values())


# What is new, what is known, what changed.


def test_what_was_never_said_is_added() -> None:
    update = one([], say("location", "Lisbon", text="User lives in Lisbon."))
    assert outcome([update]) == [("ADD", "location", "Lisbon")]
    assert update.fact is not None
    assert (update.fact.version, update.previous) == (1, None)
    assert update.reason == update.fact.reason == "'Lisbon' is new as location (said: User lives in Lisbon.)"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("Lisbon", "lisbon"),
        ("software engineer", "  a Software\tEngineer. "),
        ("the Azores", "Azores!"),
        (34, "34"),
        (34, 34.0),
        (True, True),
        (None, None),
        (["a", "B"], ["b"]),
        ({"editor": {"theme": "dark"}}, {"editor": {"theme": "Dark"}}),
        ({"a": 1}, {"b": None}),
        ("...", "..."),
    ],
)
def test_what_is_known_in_another_spelling_is_a_noop(stored: Any, told: Any) -> None:
    update = one([known("location", stored)], say("location", told))
    assert (update.operation, update.fact) == ("NOOP", known("location", stored))


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("C++", "C#"),
        ("1.0", "10"),
        (True, 1),
        (False, None),
        ("a", "b"),
        ("?", "!"),
        (1234567, 1234568),
        ("A", "An A+"),
    ],
)
def test_what_only_looks_alike_is_a_change(stored: Any, told: Any) -> None:
    assert one([known("location", stored)], say("location", told)).operation == "UPDATE"


def test_repetition_by_somebody_more_certain_is_still_a_noop() -> None:
    update = one([known("location", "Oslo", confidence=0.6)], say("location", "Oslo", confidence=1.0))
    assert (update.operation, update.reason) == ("NOOP", "'Oslo' is known already as location")


def test_a_new_value_of_a_single_valued_attribute_replaces_the_old_one() -> None:
    old = known("preference", "dark", "theme", pinned=False, tags=["ui"], metadata={"a": 1}, importance=1.0)
    told = say("preference", "light", "theme", reason="I switched to light", tags=["look"], sources=["m1"])
    update = one([old], told)
    fact = update.fact
    assert fact is not None
    assert (update.operation, update.previous) == ("UPDATE", old)
    assert update.reason == "'light' replaces 'dark' as preference#theme (said: I switched to light)"
    assert (fact.id, fact.version, fact.value, fact.text) == (old.id, 2, "light", "User prefers light (theme).")
    assert (fact.created_at, fact.updated_at, fact.valid_from) == (BEFORE, NOW, NOW)
    assert (fact.tags, fact.metadata, fact.importance, fact.sources) == (["ui", "look"], {"a": 1}, 1.0, ["m1"])
    assert (fact.job_id, fact.source_type, fact.reason) == ("job", "conversation", update.reason)


def test_a_new_value_holds_from_when_it_is_said_to() -> None:
    update = one([known("location", "Oslo")], say("location", "Rome", valid_from=NOW - timedelta(days=3)))
    assert update.fact is not None
    assert update.fact.valid_from == NOW - timedelta(days=3)


def test_a_long_value_is_cut_in_the_reason() -> None:
    assert len(one([known("location", "x" * 9999)], say("location", "y" * 9999)).reason) < 400


@pytest.mark.parametrize(
    "other",
    [
        known("employer", "Acme"),
        known("location", "Oslo", about="sister"),
        known("location", "Oslo", scope_id="bob", id=fact_id(Scope.user("bob"), "", "location")),
        known("location", "Oslo", namespace="trips", id=fact_id(ANN, "trips", "location")),
    ],
)
def test_a_fact_of_another_matter_person_owner_or_namespace_is_left_alone(other: Fact) -> None:
    assert outcome(decide([other], say("location", "Rome"))) == [("ADD", "location", "Rome")]


def test_profession_and_employer_are_independent() -> None:
    current = [known("profession", "baker"), known("employer", "Acme")]
    assert outcome(decide(current, say("employer", "Beta"))) == [("UPDATE", "employer", "Beta")]


# Several of a kind.


def test_another_item_is_another_fact() -> None:
    assert one([known("pet", "dog", "Rex")], say("pet", "cat", "Tom")).operation == "ADD"


def test_the_same_item_with_another_value_is_a_change_of_mind() -> None:
    update = one([known("opinion", "likes", "hiking")], say("opinion", "dislikes", "hiking"))
    assert outcome([update]) == [("UPDATE", "opinion#hiking", "dislikes")]


def test_another_form_of_an_item_is_the_same_item() -> None:
    updates = decide([known("opinion", "likes", "dogs")], say("opinion", "dislikes", "dog"))
    assert outcome(updates) == [("UPDATE", "opinion#dogs", "dislikes")]


def test_items_that_differ_by_a_sign_are_two() -> None:
    assert one([known("skill", "C++", "C++")], say("skill", "F#", "F#")).operation == "ADD"


def test_names_of_your_own_are_not_read_as_words() -> None:
    assert one([known("setting", 1, "runs")], say("setting", 2, "run")).operation == "ADD"


def test_nearly_the_same_text_under_another_item_is_a_noop() -> None:
    stored = known("skill", "run marathons", "running marathons")
    update = one([stored], say("skill", "Run a Marathon.", "run marathon", text="user can run the marathon"))
    assert (update.operation, update.fact) == ("NOOP", stored)
    stored = known("goal", "buy a house", "house", text="User wants to buy a house.")
    told = say("goal", "buy the house", "buying a house", text="user wants to buy a house")
    assert (one([stored], told).operation, one([stored], told).fact) == ("NOOP", stored)


def test_two_of_a_kind_are_two_though_their_texts_are_one() -> None:
    assert outcome(decide([known("pet", "cat", "Miso")], say("pet", "cat", "Tofu"))) == [("ADD", "pet#tofu", "cat")]


def test_what_has_no_name_is_not_another_one() -> None:
    assert one([known("pet", "cat", "Miso")], say("pet", "cats", None)).operation == "NOOP"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (known("name", "Robert"), say("name", "Roberts")),
        (known("relation", "Robert", "brother"), say("relation", "Roberts", "brother")),
    ],
)
def test_the_spelling_of_a_name_can_be_corrected(stored: Fact, told: Candidate) -> None:
    assert one([stored], told).operation == "UPDATE"


@pytest.mark.parametrize(
    ("value", "text"),
    [("C#", "User can write C#."), ("write c++ for money", "User can write C++.")],
)
def test_a_text_with_another_sign_or_value_is_not_the_same(value: str, text: str) -> None:
    stored = known("skill", "C++", "c++ ", text="User can write C++.")
    assert one([stored], say("skill", value, "write", text=text)).operation == "ADD"


# Values with parts.


@pytest.mark.parametrize(
    ("old", "told", "new"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": 1}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
        ("dark", {"theme": "dark"}, {"theme": "dark"}),
        ({"theme": "dark"}, "light", "light"),
        (["chess"], ["Chess", "go", "Go."], ["chess", "go"]),
        (["chess"], "go", ["chess", "go"]),
        ([{"a": 1}], {"a": 2}, [{"a": 1}, {"a": 2}]),
        ("chess", ["go"], ["go"]),
    ],
)
def test_objects_merge_by_path_and_lists_are_united(old: Any, told: Any, new: Any) -> None:
    assert outcome(decide([known("settings", old)], say("settings", told))) == [("UPDATE", "settings", new)]


def test_a_single_valued_attribute_that_held_a_list_holds_what_is_told() -> None:
    assert outcome(decide([known("location", ["Oslo", "Rome"])], say("location", "Bern"))) == [
        ("UPDATE", "location", "Bern")
    ]


def test_a_merged_fact_says_and_cites_both_halves() -> None:
    stored = known("settings", {"theme": "dark"}, sources=["m1"], confidence=0.95)
    told = say("settings", {"font": "big"}, sources=["m2"], text="User likes a big font.", expires_at=AFTER)
    update = one([stored], told)
    assert update.fact is not None
    assert (update.fact.text, update.fact.sources) == ("User, settings: theme dark, font big.", ["m1", "m2"])
    assert (update.fact.confidence, update.fact.expires_at) == (0.95, None)


def test_paths_that_are_null_are_not_stored() -> None:
    assert outcome(decide([], say("settings", {"a": 1, "b": {"c": None}}))) == [("ADD", "settings", {"a": 1, "b": {}})]


def test_stored_values_are_never_changed_in_place() -> None:
    stored = known("settings", {"a": {"b": [1]}})
    decide([stored], say("settings", {"a": {"b": [2]}}), say("settings", {"a": None}))
    assert stored.value == {"a": {"b": [1]}}


# Nearly the same words, and who said them.


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("learn to organise all my old photos", "learn to organize all my old photos"),
        ("plant tomatoes behind the garden house", "plant tomatos behind the garden house"),
    ],
)
def test_a_slip_of_spelling_in_a_long_thing_is_no_other_thing(stored: str, told: str) -> None:
    assert one([known("goal", stored, stored)], say("goal", told, told)).operation == "NOOP"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("learn to play the electric guitar", "learn to play the electric piano"),
        ("run 5 km in the park every day", "run 6 km in the park every day"),
        ("visit my sister in the spring", "visit my sister in the string"),
        ("meet Martin", "meet Martina"),
    ],
)
def test_another_word_or_number_is_another_thing(stored: str, told: str) -> None:
    assert one([known("goal", stored, stored)], say("goal", told, told)).operation == "ADD"


@pytest.mark.parametrize(
    ("knew", "said", "operation"),
    [
        ("manual", None, "UPDATE"),
        ("conversation", "tool", "NOOP"),
        ("manual", "inference", "NOOP"),
        ("tool", "inference", "NOOP"),
        ("tool", "conversation", "UPDATE"),
        ("inference", "tool", "UPDATE"),
        ("tool", "tool", "UPDATE"),
        ("calendar", "tool", "NOOP"),
    ],
)
def test_a_person_weighs_more_than_a_tool_and_that_more_than_inference(
    knew: str, said: str | None, operation: str
) -> None:
    update = one([known("location", "Oslo", source_type=knew)], say("location", "Rome", source_type=said))
    assert update.operation == operation
    assert operation == "UPDATE" or f"{knew} weighs more than {said}" in update.reason


# Several values in one batch.


def test_values_told_in_different_messages_are_a_version_each() -> None:
    told = [say("location", city, sources=[message]) for city, message in [("Rome", "m1"), ("Oslo", "m2")]]
    updates = decide([known("location", "Lisbon")], *told)
    assert outcome(updates) == [("UPDATE", "location", "Rome"), ("UPDATE", "location", "Oslo")]
    assert [(one.previous.value, one.fact.version) for one in updates if one.previous and one.fact] == [
        ("Lisbon", 2),
        ("Rome", 3),
    ]


def test_what_is_corrected_in_the_same_message_never_was_so() -> None:
    told = [say("location", city, sources=["m1"]) for city in ("Hamburg", "Bremen")]
    assert outcome(decide([], *told)) == [("ADD", "location", "Bremen")]


def test_a_batch_that_comes_to_nothing_makes_no_version() -> None:
    told = [say("location", city, sources=[message]) for city, message in [("Rome", "m1"), ("Oslo", "m2")]]
    assert outcome(decide([known("location", "Oslo")], *told)) == [("NOOP", "location", "Oslo")]


@pytest.mark.parametrize("stored", [[], ["Lisbon"]])
def test_what_a_message_takes_back_itself_is_no_version_that_another_could_follow(stored: list[str]) -> None:
    first = [say("location", "Rome", sources=["m1"]), say("location", "Rome", retract=True, sources=["m1"])]
    first += [say("location", city, sources=["m1"]) for city in stored]
    current = [known("location", city) for city in stored]
    (update,) = decide(current, *first, say("location", "Oslo", sources=["m2"]))
    assert update.fact is not None
    assert (update.fact.value, update.fact.version) == ("Oslo", len(stored) + 1)
    assert update.previous == (current[0] if current else None)


# Taking back.


@pytest.mark.parametrize("value", ["Google", "google.", "Google Inc", None, ""])
def test_what_is_taken_back_is_deleted_softly(value: str | None) -> None:
    stored = known("employer", "Google")
    update = one([stored], say("employer", value, retract=True, text="I left Google", sources=["m7"]))
    assert update.fact is not None
    assert (update.operation, update.previous) == ("DELETE", stored)
    assert (update.fact.version, update.fact.deleted_at, update.fact.valid_to) == (2, NOW, NOW)
    assert (update.fact.value, update.fact.sources, update.fact.job_id) == ("Google", ["m7"], "job")
    assert update.reason == "'Google' as employer is no longer so: taken back (said: I left Google)"


def test_what_ended_earlier_ended_then() -> None:
    update = one([known("diet", "vegan")], say("diet", "vegan", retract=True, valid_to=NOW - timedelta(days=9)))
    assert update.fact is not None
    assert update.fact.valid_to == NOW - timedelta(days=9)


def test_taking_back_another_value_changes_nothing() -> None:
    update = one([known("location", "Oslo")], say("location", "Rome", retract=True))
    assert (update.operation, update.reason) == ("NOOP", "'Rome' is taken back, but location is 'Oslo'")


def test_taking_back_what_is_not_known_is_a_noop() -> None:
    update = one([known("location", "Oslo")], say("diet", "vegan", retract=True))
    assert (update.operation, update.fact) == ("NOOP", None)
    assert update.reason == "diet is taken back, but nothing of it is known"


@pytest.mark.parametrize(
    ("told", "gone"),
    [
        (say("pet", "dog", "rex", retract=True), "pet#rex"),
        (say("pet", "dog", "dog", retract=True), "pet#rex"),
        (say("pet", "dogs", retract=True), "pet#rex"),
        (say("pet", None, "Tom", retract=True), "pet#tom"),
        (say("pet", "cat", "Toms", retract=True), "pet#tom"),
    ],
)
def test_one_of_several_is_taken_back_by_its_item_or_its_words(told: Candidate, gone: str) -> None:
    updates = decide([known("pet", "dog", "Rex"), known("pet", "cat", "Tom")], told)
    assert [(one.operation, one.fact and one.fact.key) for one in updates] == [("DELETE", gone)]


@pytest.mark.parametrize("told", [say("pet", "dog", "dog", retract=True), say("pet", retract=True)])
def test_where_several_fit_none_is_taken_back(told: Candidate) -> None:
    update = one([known("pet", "dog", "Rex"), known("pet", "dog", "Max")], told)
    assert (update.operation, update.fact) == ("NOOP", None)
    assert "which of pet#rex, pet#max" in update.reason


def test_the_last_one_of_several_needs_no_name() -> None:
    assert one([known("allergy", "nuts", "nuts")], say("allergy", retract=True)).operation == "DELETE"


def test_words_take_back_nothing_of_another_person_or_matter() -> None:
    current = [known("pet", "dog", "Rex", about="sister"), known("opinion", "likes", "dog")]
    assert one(current, say("pet", "dog", "dog", retract=True)).operation == "NOOP"


@pytest.mark.parametrize(
    ("old", "taken", "left"),
    [
        (["chess", "go"], "Chess", ["go"]),
        (["chess", "go", "poker"], ["go", "chess"], ["poker"]),
        ({"theme": "dark", "font": "big"}, {"theme": "dark"}, {"font": "big"}),
        ({"editor": {"theme": "dark", "font": "big"}}, {"editor": {"theme": None}}, {"editor": {"font": "big"}}),
    ],
)
def test_a_part_that_is_taken_back_leaves_the_rest(old: Any, taken: Any, left: Any) -> None:
    assert outcome(decide([known("settings", old)], say("settings", taken, retract=True))) == [
        ("UPDATE", "settings", left)
    ]


@pytest.mark.parametrize(
    ("old", "taken"), [(["chess"], "chess"), ({"a": {"b": 1}}, {"a": {"b": 1}}), ({"a": 1, "b": 2}, None)]
)
def test_taking_back_every_part_deletes_the_fact(old: Any, taken: Any) -> None:
    assert one([known("settings", old)], say("settings", taken, retract=True)).operation == "DELETE"


@pytest.mark.parametrize(("old", "taken"), [({"a": 1}, {"a": 2}), ({"a": "dark"}, "dark"), (["chess"], "go")])
def test_taking_back_a_part_that_is_not_there_changes_nothing(old: Any, taken: Any) -> None:
    assert one([known("settings", old)], say("settings", taken, retract=True)).operation == "NOOP"


# What has ended.


@pytest.mark.parametrize("end", ["deleted_at", "archived_at", "expires_at", "valid_to"])
@pytest.mark.parametrize("value", ["Oslo", "Rome"])
def test_a_fact_that_had_ended_is_revived_with_the_next_version(end: str, value: str) -> None:
    stored = known("location", "Oslo", version=4).model_copy(update={end: BEFORE})
    update = one([stored], say("location", value))
    assert update.fact is not None
    assert (update.operation, update.previous) == ("ADD", stored)
    assert (update.fact.version, update.fact.value, update.fact.created_at) == (5, value, BEFORE)
    assert update.fact.is_current(NOW)
    assert update.reason == f"'{value}' is told again as location, where 'Oslo' had ended"


def test_what_is_over_is_told_again_in_another_form_of_its_word() -> None:
    stored = known("pet", "cat", item="tom")
    over = say("pet", "cat", item="toms", valid_to=BEFORE)
    ended = one([stored], over)
    assert (ended.operation, ended.fact.key if ended.fact else "") == ("DELETE", stored.key)
    assert one(after([stored], [ended]), over).operation == "NOOP"


def test_what_was_over_before_it_was_said_replaces_nothing() -> None:
    past = say("location", "Rome", valid_to=BEFORE)
    update = one([known("location", "Oslo")], past)
    assert (update.operation, update.reason) == ("NOOP", "'Rome' as location was over before it was said")
    assert one([known("location", "Rome", valid_to=BEFORE)], past).operation == "NOOP"
    assert one([], past).operation == "ADD"


def test_what_is_said_to_be_over_ends() -> None:
    update = one([known("location", "Oslo")], say("location", "Oslo", valid_to=BEFORE))
    assert update.fact is not None
    assert (update.operation, update.fact.valid_to) == ("DELETE", BEFORE)


def test_a_part_that_is_said_to_be_over_leaves_the_rest() -> None:
    updates = decide([known("hobbies", ["chess", "go"])], say("hobbies", ["Chess"], valid_to=BEFORE))
    assert outcome(updates) == [("UPDATE", "hobbies", ["go"])]


def test_what_ends_later_holds_now() -> None:
    assert one([], say("plan", "Rome", "Rome", expires_at=AFTER)).operation == "ADD"


# Corrections of a fact that the extractor was shown.


def test_a_correction_changes_the_fact_that_it_names() -> None:
    stored = known("location", "Lissbon", key="town", id=fact_id(ANN, "", "town"))
    updates = decide([stored], say("location", "Lisbon", replaces=stored.id))
    assert outcome(updates) == [("UPDATE", "town", "Lisbon")]


def test_a_correction_of_the_item_deletes_one_fact_and_adds_the_other() -> None:
    stored = known("pet", "dog", "Rex")
    updates = decide([stored], say("pet", "dog", "Max", replaces=stored.id, text="The dog is called Max"))
    assert [(one.operation, one.fact and one.fact.key) for one in updates] == [
        ("ADD", "pet#max"),
        ("DELETE", "pet#rex"),
    ]
    assert "replaced by 'dog' as pet#max" in updates[1].reason


def test_a_correction_towards_what_is_known_only_deletes() -> None:
    stored = known("pet", "dog", "Rex")
    updates = decide([stored, known("pet", "dog", "Max")], say("pet", "dog", "Max", replaces=stored.id))
    assert [(one.operation, one.fact and one.fact.key) for one in updates] == [
        ("NOOP", "pet#max"),
        ("DELETE", "pet#rex"),
    ]


def test_a_correction_that_says_the_same_changes_nothing() -> None:
    stored = known("note", "milk", "milk", text="Buy milk.")
    updates = decide([stored], say("note", "milk", "buy", replaces=stored.id, text="buy milk"))
    assert [one.operation for one in updates] == ["NOOP"]


def test_a_correction_that_may_not_be_stored_deletes_nothing() -> None:
    stored = known("pet", "dog", "Rex")
    told = say("pet", "dog", "Max", replaces=stored.id)
    assert [one.operation for one in decide([stored], told, allow=frozenset({"DELETE"}))] == ["NOOP"]


@pytest.mark.parametrize(
    "other", [known("employer", "Acme"), known("location", "Oslo", about="sister"), known("location", "Oslo", "old")]
)
def test_a_correction_of_another_matter_is_an_ordinary_statement(other: Fact) -> None:
    old = other.model_copy(update={"deleted_at": BEFORE}) if other.item else other
    update = one([old], say("location", "Rome", replaces=old.id))
    assert (update.operation, update.fact and update.fact.key) == ("ADD", "location")
    assert "not taken as a correction of" in update.reason


def test_a_correction_of_a_fact_that_nobody_knows_is_an_ordinary_statement() -> None:
    assert "a fact that is not current" in one([], say("location", "Rome", replaces="7")).reason


def test_the_fact_that_is_named_is_taken_back_whatever_it_says() -> None:
    stored = known("pet", "dog", "Rex")
    update = one([stored], say("pet", "hound", "it", retract=True, replaces=stored.id))
    assert outcome([update]) == [("DELETE", "pet#rex", "dog")]


# Who said it, and what is allowed.


@pytest.mark.parametrize("fields", [{"source_type": "manual", "confidence": 0.5}, {"confidence": 0.9}])
@pytest.mark.parametrize("retract", [False, True])
def test_what_is_sure_or_written_by_a_person_yields_only_to_what_is_likely(
    fields: dict[str, Any], retract: bool
) -> None:
    stored = known("location", "Oslo", **fields)
    value = "Oslo" if retract else "Rome"
    weak = say("location", value, retract=retract, confidence=0.49)
    assert (one([stored], weak).operation, one([stored], weak).fact) == ("NOOP", stored)
    assert "uncertain" in one([stored], weak).reason
    assert one([stored], weak.model_copy(update={"confidence": 0.5})).operation != "NOOP"


def test_an_uncertain_statement_replaces_an_uncertain_fact() -> None:
    assert (
        one([known("location", "Oslo", confidence=0.89)], say("location", "Rome", confidence=0.1)).operation == "UPDATE"
    )


@pytest.mark.parametrize("retract", [False, True])
def test_a_pinned_fact_stays(retract: bool) -> None:
    update = one([known("location", "Oslo", pinned=True)], say("location", retract=retract, confidence=1.0))
    assert (update.operation, update.reason) == ("NOOP", "'Oslo' as location stays: it is pinned")


@pytest.mark.parametrize(
    ("forbidden", "current", "told"),
    [
        ("ADD", [], say("location", "Rome")),
        ("ADD", [known("location", "Rome", deleted_at=BEFORE)], say("location", "Rome")),
        ("UPDATE", [known("location", "Oslo")], say("location", "Rome")),
        ("DELETE", [known("location", "Oslo")], say("location", "Oslo", retract=True)),
    ],
)
def test_an_operation_that_is_not_allowed_is_a_noop(forbidden: str, current: list[Fact], told: Candidate) -> None:
    assert one(current, told).operation == forbidden
    update = one(current, told, allow=ALL_OPERATIONS - {forbidden})
    assert (update.operation, update.fact) == ("NOOP", current[0] if current else None)
    assert f"would be {forbidden}: not allowed" in update.reason


# Several statements at once.


def test_the_last_word_of_a_batch_wins_as_one_change() -> None:
    current = [known("location", "Oslo")]
    updates = decide(current, say("location", "Rome"), say("location", "Bern"))
    assert outcome(updates) == [("UPDATE", "location", "Bern")]
    assert updates[0].fact is not None
    assert (updates[0].fact.version, updates[0].previous) == (2, current[0])
    assert updates[0].reason == "'Bern' replaces 'Oslo' as location"


def test_the_last_word_of_a_batch_wins_as_one_new_fact() -> None:
    update = one([], say("location", "Rome"), say("location", "Bern"), say("location", "bern"))
    assert outcome([update]) == [("ADD", "location", "Bern")]
    assert (update.fact and update.fact.version, update.reason) == (1, "'Bern' is new as location")


def test_parts_that_are_said_one_after_the_other_add_up() -> None:
    assert outcome(decide([], say("settings", {"a": 1}), say("settings", {"b": 2}))) == [
        ("ADD", "settings", {"a": 1, "b": 2})
    ]


@pytest.mark.parametrize(
    ("current", "told", "operation"),
    [
        ([known("location", "Oslo")], [say("location", "Rome"), say("location", "Oslo")], "NOOP"),
        ([known("location", "Oslo")], [say("location", retract=True), say("location", "Oslo")], "NOOP"),
        ([known("location", "Oslo")], [say("location", retract=True), say("location", "Rome")], "UPDATE"),
        ([known("location", "Oslo")], [say("location", "Rome"), say("location", retract=True)], "DELETE"),
        ([], [say("location", "Rome"), say("location", retract=True)], "NOOP"),
        ([], [say("location", retract=True), say("location", "Rome")], "ADD"),
    ],
)
def test_a_batch_comes_to_what_it_comes_to(current: list[Fact], told: list[Candidate], operation: str) -> None:
    update = one(current, *told)
    assert update.operation == operation
    assert update.previous == (current[0] if current and operation != "NOOP" else None)


def test_a_later_statement_sees_what_an_earlier_one_added() -> None:
    first = say("note", "milk", "milk", text="Buy milk.")
    assert outcome(decide([], first, say("note", "milk", "buy", text="buy milk"))) == [("ADD", "note#milk", "milk")]


# Whatever is said.

scalars = st.sampled_from(["x", "X.", "y", "z z", 1, 2, True, None])
lists = st.lists(st.sampled_from(["x", "X.", "y", 1]), max_size=2)
objects = st.dictionaries(st.sampled_from("ab"), scalars | lists | st.dictionaries(st.sampled_from("cd"), scalars))
singles = (
    st.builds(say, st.sampled_from(["location", "employer"]), scalars | lists | objects)
    | st.builds(say, st.just("settings"), objects)
    | st.builds(say, st.just("hobbies"), lists)
)
items = st.sampled_from(["rex", "tom", "toms", "max"])
several = st.builds(say, st.sampled_from(["pet", "opinion"]), st.sampled_from(["dog", "cat", "dogs"]), items)


@st.composite
def statements(draw: st.DrawFn, retracting: bool = True) -> Candidate:
    told = draw(singles | several)
    changed: dict[str, Any] = {
        "about": draw(st.sampled_from(["user", "user", "sister"])),
        "confidence": draw(st.sampled_from([0.6, 0.8, 0.95] if retracting else [0.3, 0.6, 0.8, 0.95])),
        "retract": retracting and draw(st.integers(0, 3)) == 0,
        "valid_to": draw(st.sampled_from([None, None, None, BEFORE, AFTER])) if not retracting else None,
    }
    return Candidate(**{**told.model_dump(exclude={"key"}), **changed})


@st.composite
def stored_facts(draw: st.DrawFn) -> list[Fact]:
    told = draw(st.lists(statements(retracting=False), max_size=4, unique_by=lambda one: one.key))
    return [
        new_fact(one, BEFORE).model_copy(
            update={
                "version": draw(st.integers(1, 3)),
                "pinned": draw(st.integers(0, 5)) == 0,
                "deleted_at": BEFORE if draw(st.integers(0, 3)) == 0 else None,
                "source_type": draw(st.sampled_from(["manual", "conversation"])),
            }
        )
        for one in told
    ]


anything = st.lists(statements() | statements(retracting=False), max_size=6)


@given(stored_facts(), st.lists(statements(retracting=False), max_size=6))
def test_telling_the_same_again_is_all_noop(current: list[Fact], told: list[Candidate]) -> None:
    over = {one.key for one in told if one.valid_to == BEFORE}
    assume(not over & {one.key for one in told if one.valid_to != BEFORE})  # it is over, and it is so: at odds
    first = decide(current, *told)
    again = decide(after(current, first), *told)
    assert {one.operation for one in again} <= {"NOOP"}


@given(stored_facts(), st.lists(singles, max_size=3))
def test_taking_back_the_same_again_is_all_noop(current: list[Fact], told: list[Candidate]) -> None:
    taken = [one.model_copy(update={"retract": True}) for one in told]
    again = decide(after(current, decide(current, *taken)), *taken)
    assert {one.operation for one in again} <= {"NOOP"}


@given(stored_facts(), anything)
def test_there_is_one_update_per_fact_and_one_fact_per_key(current: list[Fact], told: list[Candidate]) -> None:
    updates = decide(current, *told)
    touched = [one.fact.id for one in updates if one.fact is not None]
    assert len(touched) == len(set(touched))
    alive = [fact.key for fact in after(current, updates) if fact.is_current(NOW)]
    assert len(alive) == len(set(alive))


@given(stored_facts(), anything)
def test_every_change_is_the_next_version_of_what_was_read(current: list[Fact], told: list[Candidate]) -> None:
    before = {fact.id: fact for fact in current}
    for update in decide(current, *told):
        assert update.reason.strip()
        if update.operation != "NOOP":
            assert update.fact is not None
            assert update.previous == before.get(update.fact.id)
            assert update.fact.version == (update.previous.version if update.previous else 0) + 1
            assert (update.fact.updated_at, update.fact.reason) == (NOW, update.reason)


@given(stored_facts(), anything)
def test_each_operation_does_what_it_says(current: list[Fact], told: list[Candidate]) -> None:
    for update in decide(current, *told):
        was = update.previous is not None and update.previous.is_current(NOW)
        stays = update.fact is not None and update.fact.is_current(NOW)
        if update.operation == "UPDATE":
            assert was
            assert stays
        elif update.operation == "DELETE":
            assert was
            assert not stays
        elif update.operation == "ADD":
            assert not was


@given(stored_facts(), anything)
def test_only_facts_that_are_spoken_of_are_touched(current: list[Fact], told: list[Candidate]) -> None:
    spoken = {(one.about, one.attribute) for one in told}
    for update in decide(current, *told):
        assert update.fact is None or (update.fact.about, update.fact.attribute) in spoken


@given(stored_facts(), anything)
def test_pinned_facts_never_change(current: list[Fact], told: list[Candidate]) -> None:
    later = {fact.id: fact for fact in after(current, decide(current, *told))}
    assert all(later[fact.id] == fact for fact in current if fact.pinned and fact.is_current(NOW))


@given(stored_facts(), anything, st.frozensets(st.sampled_from(sorted(ALL_OPERATIONS))))
def test_only_allowed_operations_come_out(current: list[Fact], told: list[Candidate], allow: frozenset[str]) -> None:
    assert {one.operation for one in decide(current, *told, allow=allow)} <= allow | {"NOOP"}
