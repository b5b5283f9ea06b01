import json
from typing import Any

import pytest
from pydantic import BaseModel

from ltm_core import PersistentFacts
from ltm_core.errors import ExtractionError, InvalidInput
from ltm_core.learn.forms import form_of
from ltm_core.testing.fakes import ScriptedModel

TEMPLATE = """
    Extract user information in this format:

    User Profile:
    - Name: {name}
    - Location: {location}
    - Preferences:
      - UI Theme: {ui_theme}
      - Language: {language}
    - Interests: {interests}
    - Goals: {goals}
    """
SAID = "My name is John, I live in Oslo, I prefer dark mode. I love chess and hiking. My goal is to run a marathon."


class UserProfile(BaseModel):
    """A user."""

    name: str
    location: str | None = None
    interests: list[str] = []


def test_the_places_of_a_template_are_found_in_nested_lists_too() -> None:
    form = form_of(TEMPLATE)
    assert form is not None
    assert form.names == ("name", "location", "ui_theme", "language", "interests", "goals")
    assert form_of("Look for food.") is None
    assert form_of(None) is None


async def test_a_template_is_filled_in_without_a_model() -> None:
    facts = PersistentFacts("memory://", extraction_template=TEMPLATE)
    found = {fact.key: fact.value for fact in await facts.extract_from_messages(SAID, scope_id="j")}
    assert found == {
        "name": "John",
        "location": "Oslo",
        "ui_theme": "dark",
        "interests": ["chess", "hiking"],
        "goals": ["run a marathon"],
    }


async def test_a_template_is_filled_in_by_a_model_which_sees_it() -> None:
    model = ScriptedModel([json.dumps({"name": "John", "interests": ["chess"], "goals": [], "language": None})])
    facts = PersistentFacts("memory://", extraction_model=model, extraction_template=TEMPLATE)
    found = await facts.extract_from_messages(SAID, scope_id="j")
    assert [(fact.key, fact.value) for fact in found] == [("name", "John"), ("interests", ["chess"])]
    assert "UI Theme: {ui_theme}" in model.calls[0][0]["content"]
    assert json.dumps(SAID) in model.calls[0][1]["content"]


async def test_what_a_template_finds_is_merged_by_key() -> None:
    replies = [json.dumps({"interests": ["chess"], "location": "Oslo"}), json.dumps({"interests": ["go"]})]
    model = ScriptedModel([*replies, json.dumps({"location": "Rome"})])
    facts = PersistentFacts("memory://", extraction_model=model, extraction_template=TEMPLATE)
    for _ in range(3):
        await facts.update_intelligent(await facts.extract_from_messages("…", scope_id="j"), scope_id="j")
    stored = {fact.key: fact.value for fact in await facts.get_all(scope_id="j")}
    assert stored == {"interests": ["chess", "go"], "location": "Rome"}


async def test_a_reply_that_is_no_object_is_asked_for_again_and_then_refused() -> None:
    facts = PersistentFacts("memory://", extraction_model=ScriptedModel(["[1]", "[2]"]), extraction_template="{name}")
    with pytest.raises(ExtractionError, match="one JSON object"):
        await facts.extract_from_messages(SAID, scope_id="j")


async def test_a_conversation_becomes_a_model_without_a_language_model() -> None:
    profile = await PersistentFacts("memory://").extract(SAID, UserProfile, scope_id="j")
    assert profile == UserProfile(name="John", location="Oslo", interests=["chess", "hiking"])


async def test_a_conversation_becomes_a_model_by_a_language_model_that_sees_the_schema() -> None:
    model = ScriptedModel(['{"location": "Oslo"}', '{"name": "John", "location": null}'])
    facts = PersistentFacts("memory://", extraction_model=model)
    assert await facts.extract(SAID, into=UserProfile, scope_id="j") == UserProfile(name="John")
    assert '"interests"' in model.calls[0][0]["content"]
    assert "name: Field required" in model.calls[1][-1]["content"]
    assert await facts.get_all(scope_id="j") == []


async def test_what_nobody_told_is_no_model() -> None:
    with pytest.raises(ExtractionError, match="name: Field required"):
        await PersistentFacts("memory://").extract("I like tea.", UserProfile, scope_id="j")


# Models as values.


class Settings(BaseModel):
    theme: str = "light"
    language: str = "en"


async def test_a_model_is_stored_by_its_name_and_given_back() -> None:
    facts = PersistentFacts("memory://")
    stored = await facts.add("settings", Settings(theme="dark"), scope_id="j")
    assert (stored.schema_type, stored.value) == ("Settings", {"theme": "dark", "language": "en"})
    got = await facts.get("settings", scope_id="j", schema=Settings)
    assert got is not None
    assert (got.value, got.validated) == (Settings(theme="dark"), True)


async def test_a_registered_model_checks_what_is_written_and_is_read_without_naming_it() -> None:
    facts = PersistentFacts("memory://")
    facts.register(Settings)
    with pytest.raises(InvalidInput, match=r"Settings\.theme"):
        await facts.add("settings", {"theme": 3}, scope_id="j", schema_type="Settings")
    await facts.add("settings", {"theme": "dark"}, scope_id="j", schema_type="Settings")
    with pytest.raises(InvalidInput, match=r"Settings\.language"):
        await facts.update("settings", {"language": []}, scope_id="j", schema_type="Settings")
    with pytest.raises(InvalidInput, match=r"Settings\.theme"):
        await facts.update("settings", {"theme": 1}, scope_id="j")
    assert (await facts.update("settings", {"theme": "dark"}, scope_id="j")).schema_type == "Settings"
    got = await facts.get("settings", scope_id="j")
    assert got is not None
    assert got.value == Settings(theme="dark")
    found = await facts.filter(scope_id="j", schema_type="Settings")
    assert [facts.typed(fact).value for fact in found] == [Settings(theme="dark")]


class Strict(BaseModel, extra="forbid"):
    theme: str
    size: int = 12


@pytest.mark.parametrize(
    ("row", "value", "validated"),
    [
        ({"theme": "dark"}, Strict(theme="dark"), True),
        ({"theme": "dark", "colour": "red"}, Strict(theme="dark"), True),
        ({"size": 3}, {"size": 3}, False),
        ("dark", "dark", False),
    ],
)
async def test_old_rows_are_read_as_far_as_they_fit(row: Any, value: Any, validated: bool) -> None:
    facts = PersistentFacts("memory://")
    await facts.add("look", row, scope_id="j", schema_type="Strict")
    got = await facts.get("look", scope_id="j", schema=Strict)
    assert got is not None
    assert (got.value, got.validated) == (value, validated)


async def test_a_model_that_nobody_registered_leaves_data_marked_so() -> None:
    facts = PersistentFacts("memory://")
    await facts.add("settings", Settings(), scope_id="j")
    got = await facts.get("settings", scope_id="j")
    assert got is not None
    assert (got.value, got.validated) == ({"theme": "light", "language": "en"}, False)


async def test_a_dry_run_says_what_would_be_done_and_does_nothing() -> None:
    facts = PersistentFacts("memory://")
    told = await facts.extract_from_messages("I live in Oslo.", scope_id="j")
    assert [one.operation for one in await facts.update_intelligent(told, scope_id="j", dry_run=True)] == ["ADD"]
    assert await facts.get_all(scope_id="j") == []
