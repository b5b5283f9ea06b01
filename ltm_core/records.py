"""Models as records and back; ids by construction.

A field that is a column of its kind keeps its Python type, every other field is stored as JSON. Reading is tolerant:
fields that a newer version wrote are ignored, fields that an older one did not know take their defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

from .knowledge.attributes import attribute
from .model import Access, Fact, Message, Summary, Usage
from .scope import MemoryScope, Scope, digest
from .stores.base import Record
from .stores.kinds import FIXED, KINDS, Type
from .text.words import terms
from .vectors import pack

_STORED_END = "stored_valid_to"  # which entries of before lack: nearly all facts had none

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def fact_id(scope: Scope, namespace: str, key: str) -> str:
    """The id of the one fact that `key` can name in `namespace` of `scope`."""
    return digest(scope.tenant, scope.level.value, scope.id, namespace, key)


def message_id(scope: Scope, number: int) -> str:
    """The id of the message at place `number` of a conversation."""
    return digest("message", scope.token, str(number))


def fact_record(fact: Fact, subject: Scope) -> Record:
    """`fact` as it is stored. What is deleted or archived has no terms: no search finds it."""
    return Record(
        kind="fact",
        id=fact.id,
        scope=fact.owner,
        subject=subject,
        version=fact.version,
        fields=record_fields(fact, "fact"),
        terms=() if fact.deleted_at or fact.archived_at else fact_terms(fact),
    )


def fact_of(record: Record) -> Fact:
    """Read back what `fact_record` gave."""
    place = {
        "id": record.id,
        "scope": record.scope.level,
        "scope_id": record.scope.id,
        "tenant": record.scope.tenant,
        "version": record.version,
    }
    return Fact.model_validate({"value": None, **_known(record.fields, Fact), **place})


def fact_terms(fact: Fact) -> tuple[str, ...]:
    """The words under which `fact` is found, each once: its own, and those that people ask for its attribute with."""
    own = terms(" ".join((fact.text, *_texts(fact.value), fact.key, *fact.tags)))
    return tuple(dict.fromkeys((*own, *_attribute_terms(fact.attribute))))


@lru_cache(maxsize=1024)
def _attribute_terms(name: str) -> tuple[str, ...]:
    return tuple(terms(" ".join(attribute(name).words)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def version_record(fact: Fact, subject: Scope, superseded_at: datetime, closed_at: datetime | None = None) -> Record:
    """`fact`, which is about to be replaced, as an entry of its history: true until `closed_at`, if that is given."""
    closed = fact.model_copy(update={"valid_to": closed_at or fact.valid_to})
    return Record(
        kind="version",
        id=digest("version", fact.id, str(fact.version)),
        scope=fact.owner,
        subject=subject,
        fields={
            "fact_id": fact.id,
            "number": fact.version,
            "recorded_at": fact.updated_at,
            "superseded_at": superseded_at,
            "fact": closed.model_dump(mode="json"),
            _STORED_END: fact.valid_to and fact.valid_to.isoformat(),
        },
    )


def version_of(record: Record) -> Fact:
    """The fact as it was, closed when the next one took its place, read back from an entry of its history."""
    return Fact.model_validate({"value": None, **_known(record.fields["fact"], Fact)})


def stored_version_of(record: Record) -> Fact:
    """The fact as it was stored, before any other followed it."""
    told = {**record.fields["fact"], "valid_to": record.fields.get(_STORED_END)}
    return Fact.model_validate({"value": None, **_known(told, Fact)})


def vector_record(
    target: Record, space: str, vector: Sequence[float], *, number: int = 0, at: datetime | None = None
) -> Record:
    """A vector of `target`, made in `space` (by that embedding model); `number` tells several of one record apart.

    It lies beside its target, with the same owner and subject. Only vectors of one space are compared.
    """
    made = digest("vector", target.kind, target.id, space, str(number))
    fields = {"target": target.id, "space": space, "number": number, "embedding": pack(vector), "created_at": at}
    return Record("vector", made, target.scope, target.subject, fields=fields)


def message_record(message: Message, scope: Scope, subject: Scope, number: int) -> Record:
    """`message` at place `number` of the conversation of `scope`. An id of its own is kept beside the record's."""
    own_id = {"message_id": message.id} if message.id else {}
    return Record(
        kind="message",
        id=message_id(scope, number),
        scope=scope,
        subject=subject,
        fields={**record_fields(message, "message"), "number": number, "text": message.text, **own_id},
        terms=tuple(terms(f"{message.name or ''} {message.text}")),
    )


def message_of(record: Record) -> Message:
    """Read back what `message_record` gave; a message that came without an id has that of its record."""
    known = _known(record.fields, Message)
    if record.scope.level is MemoryScope.SESSION:
        known.setdefault("session_id", record.scope.id)
    return Message.model_validate({**known, "id": record.fields.get("message_id") or record.id})


def summary_record(summary: Summary, thread: Scope, subject: Scope) -> Record:
    """`summary` of the conversation of `thread`. Its id and its place follow from the conversation and its number."""
    body = {"topics": summary.topics, "open_questions": summary.open_questions}
    fields = {"number": summary.version, "first": summary.first, "last": summary.last, "text": summary.text}
    return Record(
        kind="summary",
        id=digest("summary", thread.token, str(summary.version)),
        scope=thread,
        subject=subject,
        fields={**fields, **body, "created_at": summary.created_at},
        terms=tuple(dict.fromkeys(terms(" ".join((summary.text, *summary.topics, *summary.open_questions))))),
    )


def summary_of(record: Record) -> Summary:
    """Read back what `summary_record` gave."""
    known = {**_known(record.fields, Summary), "id": record.id, "session_id": record.scope.id}
    return Summary.model_validate({**known, "version": record.fields["number"]})


def access_id(recall_id: str, fact_id: str) -> str:
    """The id of the one access by which a recall gave a fact."""
    return digest("access", recall_id, fact_id)


def access_record(access: Access, owner: Scope, subject: Scope) -> Record:
    """`access` to a fact of `owner` as it is stored; `subject` is whose question it was."""
    one = access_id(access.recall_id, access.fact_id)
    return Record("access", one, owner, subject, fields=record_fields(access, "access"))


def access_of(record: Record) -> Access:
    """Read back what `access_record` gave."""
    return Access.model_validate(_known(record.fields, Access))


def usage_id(fact_id: str) -> str:
    """The id of what is counted of a fact."""
    return digest("usage", fact_id)


def usage_record(usage: Usage, fact: Record) -> Record:
    """`usage` of the fact in that record, as it is stored first."""
    fields = {"fact_id": fact.id, **record_fields(usage, "usage")}
    return Record("usage", usage_id(fact.id), fact.scope, fact.subject, fields=fields)


def usage_of(record: Record) -> Usage:
    """Read back what `usage_record` gave."""
    return Usage.model_validate(_known(record.fields, Usage))


def record_fields(model: BaseModel, kind: str) -> dict[str, Any]:
    """The fields of a record of `kind` that `model` fills: typed columns as they are, all others as JSON."""
    plain, apart = _plain_fields(type(model), kind)
    fields = model.model_dump(mode="json", exclude_none=True, exclude=apart)
    return fields | {name: value for name in plain if (value := getattr(model, name)) is not None}


@lru_cache
def _plain_fields(model: type[BaseModel], kind: str) -> tuple[tuple[str, ...], set[str]]:
    """The fields of `model` that are typed columns of `kind`, and all that have no place in JSON."""
    plain = [name for name, type_ in KINDS[kind].columns.items() if type_ is not Type.JSON]
    return tuple(name for name in plain if name in _names(model)), {*FIXED, *plain}


def model_of(record: Record, model: type[AnyModel]) -> AnyModel:
    """Read a `model` from the fields and the id of a record."""
    return model.model_validate({**_known(record.fields, model), "id": record.id})


def _known(fields: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    names = _names(model)
    return {name: value for name, value in fields.items() if value is not None and name in names}


@lru_cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(model.model_fields)
