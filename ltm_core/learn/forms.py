"""Forms that a conversation fills in: a text with `{name}` placeholders, or a pydantic model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..home import call
from ..knowledge.attributes import attribute
from ..knowledge.naming import attribute_meant, item_meant, snake_case
from ..llm import Complete
from ..llm.asking import ask_json
from ..llm.reading import UnusableReply
from ..model import Candidate, Message
from ..policies import Extract, Extracting

M = TypeVar("M", bound=BaseModel)

_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")
_LISTS = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for: the places of a text, in order; `schema` says the same as JSON schema."""

    text: str
    names: tuple[str, ...]
    schema: Mapping[str, Any]


def form_of(template: str | None) -> Form | None:
    """The form that a text with `{name}` placeholders is; None for a text without any, which only instructs.

    >>> form_of("Profile:\\n- Name: {name}\\n- Preferences:\\n  - UI Theme: {ui_theme}").names
    ('name', 'ui_theme')
    """
    names = tuple(dict.fromkeys(_PLACE.findall(template or "")))
    if not template or not names:
        return None
    one = {"type": ["string", "number", "boolean", "array", "null"]}
    return Form(template, names, {"type": "object", "properties": dict.fromkeys(names, one)})


class FormExtractor:
    """Extracts what the places of a form ask for: a fact for each, whose key is the name of the place.

    With `complete` a model fills in the form; without, what `base` finds is put where its attribute fits.
    """

    def __init__(self, form: Form, complete: Complete | None, base: Extract) -> None:
        self._form = form
        self._complete = complete
        self._base = base

    async def __call__(self, given: Extracting) -> list[Candidate]:
        """A candidate for each place that was told, in the order of the form."""
        if not any(message.role == "user" for message in given.messages):
            return []
        data = await self._filled(given)
        sources = [message.id for message in given.messages if message.role == "user" and message.id]
        told = {name: data[name] for name in self._form.names if data.get(name) not in (None, "", [], {})}
        return [
            Candidate(attribute=name, key=name, value=value, sources=sources, created_by="template")
            for name, value in told.items()
        ]

    async def _filled(self, given: Extracting) -> Mapping[str, Any]:
        if self._complete is not None:
            return await ask_json(self._complete, _prompt(self._form, given.messages), _object)
        return filled(dict.fromkeys(self._form.names, True), await call(self._base, given))


async def into_model(model: type[M], complete: Complete, messages: Sequence[Message]) -> M:
    """What a model of language fills into `model`. Raises `ExtractionError` where its replies do not fit."""
    form = Form(model.__doc__ or model.__name__, tuple(model.model_fields), model.model_json_schema())
    return await ask_json(complete, _prompt(form, messages), lambda data: _validated(model, data))


def from_candidates(model: type[M], found: Sequence[Candidate]) -> M:
    """`model` filled with what was found otherwise. Raises `UnusableReply` where that is too little."""
    lists = {name: _is_list(field.annotation) for name, field in model.model_fields.items()}
    return _validated(model, filled(lists, found))


def filled(places: Mapping[str, bool], found: Sequence[Candidate]) -> dict[str, Any]:
    """The values of what was found, by the place that asks for it; `places` says which may hold a list."""
    told = {name: _values(name, found) for name in places}
    return {
        name: (values if places[name] and _is_many(name) else values[-1]) for name, values in told.items() if values
    }


def _values(place: str, found: Sequence[Candidate]) -> list[Any]:
    mine = [one for one in found if one.about == "user" and not one.retract]
    meant = attribute_meant(snake_case(place))
    by_name = [one for one in mine if one.attribute == meant.name and meant.value in (None, one.value)]
    if meant.item is not None:
        by_name = [one for one in by_name if one.item == meant.item]
    if by_name:
        return [one.item if meant.value is not None or _is_yes(one) else one.value for one in by_name]
    return [one.value for one in mine if one.item and _item(one) == snake_case(place)]


def _item(one: Candidate) -> str:
    return snake_case(item_meant(attribute(one.attribute), one.item or ""))


def _is_yes(one: Candidate) -> bool:
    return one.value == "yes" and one.item is not None


def _is_many(place: str) -> bool:
    meant = attribute_meant(snake_case(place))
    return attribute(meant.name).many and meant.item is None and place.endswith("s")


def _is_list(annotation: Any) -> bool:
    inner = [get_origin(one) or one for one in (annotation, *get_args(annotation))]
    return any(one in _LISTS for one in inner)


def _validated(model: type[M], data: Any) -> M:
    given = {name: value for name, value in _object(data).items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or model.__name__
        raise UnusableReply(f"{place}: {first['msg']}") from error


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise UnusableReply("it is not one JSON object")
    return data


def _prompt(form: Form, messages: Sequence[Message]) -> list[dict[str, Any]]:
    system = _template().substitute(form=form.text.strip(), schema=json.dumps(form.schema, ensure_ascii=False))
    said = [
        f"{message.role}: {json.dumps(message.text, ensure_ascii=False)}"
        for message in messages
        if message.role in ("user", "assistant") and message.text.strip()
    ]
    return [{"role": "system", "content": system}, {"role": "user", "content": "\n".join(said)}]


@cache
def _template() -> Template:
    return Template((files("ltm_core") / "prompts" / "form.md").read_text(encoding="utf-8"))
