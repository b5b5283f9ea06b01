"""Values that are pydantic models: known by name, checked when written, given back as the model when read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InvalidInput
from ..model import Fact


class Schemas:
    """The models that a program has named, by the name of their class."""

    def __init__(self) -> None:
        self._known: dict[str, type[BaseModel]] = {}

    def register(self, *models: type[BaseModel]) -> None:
        """Know these models: what is written with their name as `schema_type` must fit them."""
        self._known |= {model.__name__: model for model in models}

    def checked(self, value: Any, schema_type: str | None) -> Any:
        """`value` as it may be stored. Raises `InvalidInput` where it does not fit the model of that name."""
        model = self._known.get(schema_type or "")
        if model is None or isinstance(value, BaseModel):
            return value
        try:
            return model.model_validate(value).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, (schema_type, *first["loc"])))
            raise InvalidInput(f"{place}: {first['msg']}. Correct the value, or leave schema_type out.") from error

    def following(self, old: Fact, new: Fact) -> Fact:
        """`new` with the `schema_type` of `old`, whose value it replaces by plain data. Raises `InvalidInput`."""
        if new.schema_type is not None or old.schema_type is None:
            return new
        value = self.checked(new.value, old.schema_type)
        return new.model_copy(update={"value": value, "schema_type": old.schema_type})

    def read(self, fact: Fact, schema: type[BaseModel] | None = None) -> Fact:
        """`fact` with its value as a model: as `schema`, else as the registered one of its `schema_type`.

        Old rows are read as far as they fit: fields that the model no longer has are left out, those that are missing
        take their defaults. A value that does not fit, or whose model nobody registered, stays JSON data, and
        `validated` is False.
        """
        model = schema or self._known.get(fact.schema_type or "")
        if model is None:
            return fact if fact.schema_type is None else fact.model_copy(update={"validated": False})
        try:
            return fact.model_copy(update={"value": _read(model, fact.value), "validated": True})
        except ValidationError:
            return fact.model_copy(update={"validated": False})


def _read(model: type[BaseModel], value: Any) -> BaseModel:
    """Tried as it is, then without what the model does not know."""
    try:
        return model.model_validate(value)
    except ValidationError:
        if not isinstance(value, dict):
            raise
        names = {name for field, info in model.model_fields.items() for name in (field, info.alias)}
        return model.model_validate({name: inner for name, inner in value.items() if name in names})
