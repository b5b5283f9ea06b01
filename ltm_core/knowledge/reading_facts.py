"""From the JSON of a model's reply to candidates: nothing usable is dropped, no garbage is let in."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from ..context import Context
from ..llm.reading import UnusableReply
from ..model import Candidate, Fact, Message, in_utc, slug
from .attributes import Attribute, attribute
from .naming import Meant, attribute_meant, denies, item_meant, person_meant, snake_case, value_meant
from .values import gist, plain

ASKED_FACTS = 50  # what the prompt allows
MAX_FACTS = 500  # what is kept of a model that does not listen: nothing of use is dropped before that
MAX_CHARS = 2_000
MAX_NAME = 40
MAX_ITEM = 200

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SELF = frozenset({"", "user", "the_user", "self", "me", "i", "speaker"})
_OF_USER = re.compile(r"^((the_)?user_s|my)_")
_DATE = re.compile(r"\d{4}(-\d{2}){0,2}([T ].*)?", re.DOTALL)
_YES = frozenset({"yes", "true"})


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model saw, in the order of its numbers, which count from 1, and which operations are wanted."""

    messages: Sequence[Message]
    known: Sequence[Fact]
    allow: frozenset[str]

    def replaced(self, number: Any) -> Fact | None:
        """The known fact under `number`; None for a number that was never shown."""
        return _at(self.known, number)

    def sources(self, numbers: Any) -> list[str]:
        """Ids of the messages under `numbers` (one or a list); of all that users said where none is meant."""
        given = numbers if isinstance(numbers, list) else [numbers]
        named = [message for number in given if (message := _at(self.messages, number))]
        told = named or [message for message in self.messages if message.role == "user"]
        return list(dict.fromkeys(message.id for message in told if message.id))

    def is_told(self, numbers: Any) -> bool:
        """Whether a user said it: not where only messages of the assistant are named."""
        given = numbers if isinstance(numbers, list) else [numbers]
        named = [message for number in given if (message := _at(self.messages, number))]
        return not named or any(message.role == "user" for message in named)

    def meant(self, written: str) -> Meant:
        """The attribute that `written` stands for: of a known fact, else of the table."""
        if any(written == fact.attribute for fact in self.known):
            return Meant(written)
        return attribute_meant(written)

    def person(self, about: str) -> str:
        """Whom `about` names: a relation by its one word, also where a known fact tells the name."""
        relations = (fact for fact in self.known if fact.attribute == "relation" and fact.item)
        called = {slug(plain(fact.value)): slug(fact.item or "") for fact in relations}
        return called.get(about) or person_meant(about)

    def speaks_of(self, known: Fact, told: Candidate) -> bool:
        """Whether the words of `told` name `known`, whose item is another one, besides what they name themselves."""
        said = [message.text for message in self.messages if message.id in told.sources]
        words = set(gist(" ".join((*said, told.text)))) - set(gist(f"{told.item} {plain(told.value)}"))
        return set(gist(known.item or plain(known.value))) <= words

    def admits(self, found: Candidate) -> bool:
        """Whether the operation is wanted; whether a key is new is for reconciling to see."""
        if found.retract:
            return "DELETE" in self.allow
        return "UPDATE" in self.allow if found.replaces else bool(self.allow & {"ADD", "UPDATE"})


def _at(shown: Sequence[_T], number: Any) -> _T | None:
    if isinstance(number, str) and re.fullmatch(r"#?[0-9]{1,3}", number.strip()):
        number = int(number.strip().removeprefix("#"))
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return shown[number - 1] if is_number and 1 <= number <= len(shown) else None


def read_facts(data: Any, shown: Shown) -> list[Candidate]:
    """The candidates in `data`, in its order. Raises `UnusableReply` where an item says what cannot be kept."""
    found: list[Candidate] = []
    latest: dict[str, Candidate] = {}
    for number, given in enumerate(_items(data), 1):
        for one in _each(given, shown):
            candidate = _candidate(one, shown, f"fact {number}")
            if candidate is None or not shown.admits(candidate) or _same(latest.get(candidate.key), candidate):
                continue
            latest[candidate.key] = candidate
            found.append(candidate)
    if len(found) > MAX_FACTS:
        _log.warning("A model gave %d facts at once; the first %d are kept.", len(found), MAX_FACTS)
    return found[:MAX_FACTS]


def _each(given: Any, shown: Shown) -> Iterator[Any]:
    """One fact for each thing, where a model put several into one."""
    name = given.get("attribute") if isinstance(given, Mapping) else None
    meant = shown.meant(snake_case(name)) if isinstance(name, str) else Meant("")
    row = attribute(meant.name)
    if not row.many or "value" not in given or given.get("item") is not None or given.get("retract"):
        yield given
    else:
        yield from ({**given, **one} for one in _things(row, meant, given.get("value")))


def _things(row: Attribute, meant: Meant, value: Any) -> Iterator[dict[str, Any]]:
    """What a value without an item says, thing by thing: items with values, things that are liked, or plain things."""
    if isinstance(value, Mapping) and "{item}" in row.says:
        yield from ({"item": item, "value": inner, "text": None} for item, inner in value.items())
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        yield from ({"text": None} | thing for one in value for thing in _things(row, meant, one))
    elif meant.value is not None and isinstance(value, str):
        yield {"item": value, "value": meant.value}
    else:
        yield {"value": value}


def _items(data: Any) -> Iterator[Any]:
    if isinstance(data, Mapping):
        facts = data.get("facts", data)
        yield from facts if isinstance(facts, list) else [facts]
    elif isinstance(data, list):
        for value in data:
            yield from _items(value) if _is_group(value) else [value]
    else:
        raise UnusableReply("it is neither a JSON object nor a list")


def _is_group(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, Mapping) and "facts" in value)


def _same(before: Candidate | None, now: Candidate) -> bool:
    """Models that fall into a loop say the same thing again and again."""
    return before is not None and (before.value, before.retract) == (now.value, now.retract)


def _candidate(given: Any, shown: Shown, which: str) -> Candidate | None:
    if not given or isinstance(given, int | float):
        return None
    if not isinstance(given, Mapping) or not given.keys() & {"value", "retract"}:
        raise UnusableReply(f"{which} is not an object with about, attribute and value")
    value = _value(given.get("value"), which)
    retract = given.get("retract") in (True, "true", "True", "yes")
    if (value in (None, "", [], {}) and not retract) or not shown.is_told(given.get("from")):
        return None
    known = shown.replaced(given.get("replaces"))
    about, meant, item = _named(given, value, known, shown, which)
    row = attribute(meant.name)
    if denies(row, value):
        retract, value = True, None
    elif value is not None:
        value = _meant_value(row, meant, item, value)
    try:
        found = Candidate(
            about=about,
            attribute=meant.name,
            item=item,
            value=value,
            text=_text(given.get("text")) or _sentence(row, value, item, about),
            retract=retract,
            replaces=known.id if known else None,
            valid_from=_date(given.get("valid_from")),
            valid_to=_date(given.get("valid_to")),
            sources=shown.sources(given.get("from")),
            created_by="model",
            context=_context(given.get("context")),
        )
    except ValueError as error:
        raise UnusableReply(f"{which} cannot be stored") from error
    return found if known is None else _correcting(found, known, shown)


def _meant_value(row: Attribute, meant: Meant, item: str | None, value: Any) -> Any:
    """The value in the words of the table; a name such as `dislikes` tells it where the reply only says yes."""
    told = value_meant(row, item, value)
    return meant.value if meant.value is not None and str(value).casefold() in _YES else told


def _correcting(found: Candidate, known: Fact, shown: Shown) -> Candidate:
    """`found`, which takes the place of another item only where it is told of that: models mistake the number."""
    other = known.attribute == found.attribute and gist(known.item or "") != gist(found.item or "")
    if not other or found.retract or shown.speaks_of(known, found):
        return found
    return found.model_copy(update={"replaces": None})


def _named(
    given: Mapping[str, Any], value: Any, known: Fact | None, shown: Shown, which: str
) -> tuple[str, Meant, str | None]:
    if known and not given.get("attribute"):
        return known.about, Meant(known.attribute), known.item
    meant = shown.meant(_name(given.get("attribute"), f"{which}: attribute"))
    about = shown.person(_name(given.get("about") or "user", f"{which}: about"))
    item = _item(given.get("item") if given.get("item") is not None else meant.item, which)
    if known and item is None and known.attribute == meant.name:
        item = known.item
    row = attribute(meant.name)
    return about, meant, _fitting_item(row, item and item_meant(row, item), value, which)


def _name(given: Any, which: str) -> str:
    if not isinstance(given, str):
        raise UnusableReply(f"{which} is not a word")
    words = snake_case(given)
    name = "user" if words in _SELF and which.endswith("about") else _OF_USER.sub("", words)
    if not name.isidentifier() or len(name) > MAX_NAME:
        raise UnusableReply(f"{which} is not a word of at most {MAX_NAME} characters")
    return name


def _item(given: Any, which: str) -> str | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise UnusableReply(f"{which}: item is not a text")
    item = _text(str(given))[:MAX_ITEM]
    return item if slug(item) else None


def _fitting_item(row: Attribute, item: str | None, value: Any, which: str) -> str | None:
    """The item, made of the value where several values are possible, dropped where it only repeats the value."""
    if not row.many:
        return None if item and slug(item) in (slug(str(value)), row.name) else item
    if item is not None:
        return item
    has_own_item = "{item}" in row.says and "{value}" in row.says
    if has_own_item or not isinstance(value, str) or value.casefold() in _YES:
        raise UnusableReply(f"{which}: {row.name} needs an item")
    return _item(value, which)


def _value(given: Any, which: str) -> Any:
    value = _cleaned(given)
    if isinstance(value, str):
        return value[:MAX_CHARS]
    if len(json.dumps(value)) > MAX_CHARS:
        raise UnusableReply(f"{which}: value is longer than {MAX_CHARS} characters")
    return value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROL.sub("", value).strip()
    if isinstance(value, list):
        return [_cleaned(inner) for inner in value]
    if isinstance(value, Mapping):
        return {_cleaned(name): _cleaned(inner) for name, inner in value.items()}
    return value


def _text(given: Any) -> str:
    return str(_cleaned(given))[:MAX_CHARS] if isinstance(given, str) else ""


def _sentence(row: Attribute, value: Any, item: str | None, about: str) -> str:
    return "" if value is None else row.sentence(value, item, about)[:MAX_CHARS]


def _context(given: Any) -> Context | None:
    """The circumstances as far as they can be read; the fact stands without those that cannot."""
    told = given if isinstance(given, Mapping) else {}
    drawers = {name: inner for name, inner in told.items() if name in Context.model_fields and inner}
    read = [one for name, inner in drawers.items() if (one := _drawer(name, inner)) is not None]
    return Context(**{name: inner for one in read for name, inner in one.told().items()}) if read else None


def _drawer(name: str, inner: Any) -> Context | None:
    try:
        found = Context.model_validate({name: inner})
    except ValidationError:
        return None
    return found if found.told().get(name) else None


def _date(given: Any) -> datetime | None:
    """A date or time in ISO form, also a month or a year alone; None for anything else, the fact stands without it."""
    if not isinstance(given, str) or not (found := _DATE.fullmatch(given.strip())):
        return None
    day, _, rest = found[0].partition("T") if "T" in found[0] else found[0].partition(" ")
    try:
        return in_utc(datetime.fromisoformat(f"{day}{'-01' * (2 - day.count('-'))}{'T' if rest else ''}{rest}"))
    except (ValueError, OverflowError):
        return None
