from typing import Any

import pytest

from ltm_core.knowledge.attributes import attribute, attributes
from ltm_core.knowledge.naming import Meant, attribute_meant, denies, item_meant, person_meant, snake_case, value_meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("city", Meant("location")),
        ("current_city", Meant("location")),
        ("new_employer", Meant("employer")),
        ("allergies", Meant("allergy")),
        ("hobbies", Meant("opinion", value="likes")),
        ("dislikes", Meant("opinion", value="dislikes")),
        ("favourite_band", Meant("favorite", item="band")),
        ("preferred_editor", Meant("preference", item="editor")),
        ("shoe_size", Meant("shoe_size")),
        ("new", Meant("new")),
        ("location", Meant("location")),
    ],
)
def test_an_attribute_has_one_name_however_a_model_calls_it(written: str, meant: Meant) -> None:
    assert attribute_meant(written) == meant


def test_no_name_of_the_table_means_another_row() -> None:
    assert [attribute_meant(name).name for name in attributes()] == list(attributes())


def test_no_two_rows_lay_claim_to_a_name() -> None:
    names = [name for row in attributes().values() for name in (row.name, *row.also)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("written", "name"), [("timeZone", "time_zone"), ("Time zone", "time_zone"), ("time-zone", "time_zone")]
)
def test_a_name_has_one_form(written: str, name: str) -> None:
    assert snake_case(written) == name


@pytest.mark.parametrize(
    ("name", "item", "written", "meant"),
    [
        ("opinion", "jazz", "loves", "likes"),
        ("opinion", "jazz", "HATES", "dislikes"),
        ("opinion", "jazz", "indifferent", "indifferent"),
        ("age", None, "34 years old", "34"),
        ("age", None, "34 years", "34"),
        ("age", None, 34, 34),
        ("profession", None, "works as a nurse", "nurse"),
        ("location", None, "lives in Old York", "Old York"),
        ("allergy", "nuts", "nuts", "yes"),
        ("allergy", "nuts", True, "yes"),
        ("allergy", "nuts", "severe", "severe"),
        ("language", "Dutch", "yes", "Dutch"),
        ("pet", "rex", "yes", "yes"),
        ("preference", "sound", "no", "no"),
        ("timezone", None, "", ""),
    ],
)
def test_a_value_has_one_word_and_nothing_of_the_sentence_around_it(
    name: str, item: str | None, written: Any, meant: Any
) -> None:
    assert value_meant(attribute(name), item, written) == meant


def test_no_says_that_there_is_none_except_where_no_is_a_value() -> None:
    assert denies(attribute("allergy"), "no")
    assert denies(attribute("language"), False)
    assert denies(attribute("pet"), "none")
    assert not denies(attribute("preference"), "no")
    assert not denies(attribute("opinion"), "no")
    assert not denies(attribute("smoker"), "no")


def test_people_and_items_have_one_word() -> None:
    assert (person_meant("mum"), person_meant("best_friend")) == ("mother", "best_friend")
    assert (item_meant(attribute("favorite"), "Colour"), item_meant(attribute("favorite"), "band")) == ("color", "band")
