"""The nouns: messages, facts, what reconciling did, and what recall found. Frozen pydantic models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .context import Context
from .errors import InvalidInput
from .scope import DEFAULT_TENANT, MemoryScope, Scope, digest, scope_of

Operation = Literal["ADD", "UPDATE", "DELETE", "NOOP"]


Messages: TypeAlias = "str | Message | Mapping[str, Any] | Iterable[Message | Mapping[str, Any] | str]"


def valid_text(text: str) -> str:
    """`text` with halves of surrogate pairs joined or replaced, so that every database can hold it."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def valid_json(value: Any) -> Any:
    """A deep copy of `value` as JSON data, or `InvalidInput` where JSON cannot hold it without change."""
    if isinstance(value, str):
        return valid_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"JSON has no {value}. Store None or a text instead.")
        return value
    if isinstance(value, list | tuple):
        return [valid_json(item) for item in value]
    if isinstance(value, Mapping):
        return {_valid_key(key): valid_json(item) for key, item in value.items()}
    if isinstance(value, BaseModel):
        return valid_json(value.model_dump(mode="json"))
    raise InvalidInput(f"A {type(value).__name__} is not JSON data. Convert it first, for example to a str or a dict.")


def _valid_key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidInput(f"JSON objects have text keys, not {type(key).__name__}. Convert the key with str().")
    return valid_text(key)


def messages_of(given: Messages) -> list[Message]:
    """A list of messages from one or several, in any form that `Message.of` knows."""
    if isinstance(given, str | Message | Mapping):
        return [Message.of(given)]
    return [Message.of(message) for message in given]


def in_utc(time: datetime) -> datetime:
    """The same instant in UTC; a naive time is taken for UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


Text = Annotated[str, AfterValidator(valid_text)]
Json = Annotated[Any, BeforeValidator(valid_json)]
Time = Annotated[datetime, AfterValidator(in_utc)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Model(BaseModel):
    """Base of all nouns: frozen, and strict about names that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scored(Model):
    """Something that recall can rank.

    Attributes:
        score: How well it fits the query, higher is better; None outside of a recall. Comparable within one recall.
        relevance: How probable it is that it is of use for the query, 0 to 1; None outside of a recall.
        parts: What each signal added to the score.
        signals: What each signal said, before it was weighed.
    """

    score: float | None = Field(default=None, exclude=True, repr=False)
    relevance: float | None = Field(default=None, exclude=True, repr=False)
    parts: dict[str, float] = Field(default_factory=dict, exclude=True, repr=False)
    signals: dict[str, float] = Field(default_factory=dict, exclude=True, repr=False)

    _changeable: ClassVar[tuple[str, ...]] = ()  # fields whose values can be changed from outside

    def ranked(self, **how: Any) -> Self:
        """The same with what ranking found, and with nothing that whoever changes it would change for others."""
        own = {name: _own(self.__dict__[name]) for name in self._changeable}
        return self.model_copy(update={**own, **how})


def _own(value: Any) -> Any:
    if isinstance(value, list):
        return [_own(one) for one in value]
    if isinstance(value, dict):
        return {name: _own(one) for name, one in value.items()}
    return value.model_copy(deep=True) if isinstance(value, BaseModel) else value


class Message(Scored):
    """One message of a conversation.

    Attributes:
        content: Text, or a list of parts as chat APIs know them (`{"type": "text", "text": …}`, images, …).
        name: Who spoke, where a role holds several people.
        archived_at: Since when it no longer counts among the current messages of its conversation.
    """

    _changeable = ("content", "metadata", "tool_calls")

    role: Text = "user"
    content: Text | list[Json] | None = None
    name: Text | None = None
    created_at: Time | None = None
    metadata: Annotated[dict[str, Any], BeforeValidator(valid_json)] = Field(default_factory=dict)
    tool_calls: list[Json] = Field(default_factory=list)
    tool_call_id: str | None = None
    id: Text | None = None
    session_id: str | None = None
    turn_id: str | None = None
    archived_at: Time | None = None

    @classmethod
    def of(cls, given: Message | Mapping[str, Any] | str) -> Message:
        """A message from what callers have: a text is what a user said, unknown keys of a dict go into `metadata`.

        >>> Message.of({"role": "user", "content": "hi", "channel": "web"}).metadata
        {'channel': 'web'}
        """
        if isinstance(given, Message):
            return given
        if isinstance(given, str):
            return cls(content=given)
        if not isinstance(given, Mapping):
            raise InvalidInput(
                f"A {type(given).__name__} is no message. Pass a Message, a str, or {{'role': …, 'content': …}}."
            )
        known = {name: value for name, value in given.items() if name in cls.model_fields and value is not None}
        other = {name: value for name, value in given.items() if name not in cls.model_fields}
        try:
            return cls.model_validate({**known, "metadata": {**(known.get("metadata") or {}), **other}})
        except ValidationError as error:
            raise InvalidInput(
                f"This message cannot be stored: {_first(error)}. Correct it and send it again."
            ) from error

    @property
    def text(self) -> str:
        """The words of the message: the content, or its text parts joined by new lines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(filter(None, map(_part_text, self.content or ())))

    @property
    def digest(self) -> str:
        """What makes two messages the same words of the same speaker."""
        calls = json.dumps(self.tool_calls, sort_keys=True) if self.tool_calls else ""
        body = self.content if isinstance(self.content, str) else json.dumps(self.content, sort_keys=True)
        return digest(self.role, self.name or "", body, calls, self.tool_call_id or "")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


class Upkeep(Model):
    """What a fact was before maintenance, a pin or an archive touched it: none of these tells it anew.

    It holds for one version of the fact; whoever writes the next one ends it.

    Attributes:
        version: That version.
        told_at: When it was told or changed last.
        confidence: How sure one was then.
    """

    version: int
    told_at: Time
    confidence: Share


class Fact(Scored):
    """One thing that is remembered.

    Attributes:
        key: `[about/]attribute[#item]`, unique within scope and namespace; or any name you choose.
        value: JSON data.
        text: The fact as a readable sentence.
        about: Whom or what the fact is about; `user` is the person who owns the memory.
        importance: 0 to 1, weighs in recall.
        confidence: 0 to 1, how sure we are.
        sources: Ids of the messages that it came from.
        version: Counts the changes, from 1.
        valid_from, valid_to: When it was true in the world; `created_at` and `updated_at` say when it was stored.
        memory_type: `preference`, `fact`, `insight`, `pattern`, `event`, `goal`, `instruction`, `relationship`, `note`,
            or a word of your own.
        source_type: Who said it: `manual`, `conversation`, `tool`, `inference`, or a word of your own.
        context: The circumstances that it holds in, or was said in.
        validated: Whether `value` was read as the model that `schema_type` names; None where nobody asked.
        expires_at: When it ends, and is to be removed for good.
        replaced_by: Id of the fact that says it now, where maintenance archived this one.
    """

    _changeable = ("value", "tags", "metadata", "sources", "context")

    id: str
    key: Text
    value: Json
    text: Text = ""
    scope: MemoryScope = MemoryScope.USER
    scope_id: str = ""
    tenant: str = DEFAULT_TENANT
    namespace: str = ""
    about: Text = "user"
    attribute: Text = ""
    item: Text | None = None
    tags: list[Text] = Field(default_factory=list)
    metadata: Annotated[dict[str, Any], BeforeValidator(valid_json)] = Field(default_factory=dict)
    schema_type: str | None = None
    memory_type: str = "fact"
    category: str | None = None
    importance: Share = 0.5
    confidence: Share = 1.0
    pinned: bool = False
    source_type: str = "manual"
    source_id: str | None = None
    sources: list[str] = Field(default_factory=list)
    created_by: str = "user"
    reason: Text = ""
    job_id: str | None = None
    version: int = 1
    created_at: Time
    updated_at: Time
    valid_from: Time | None = None
    valid_to: Time | None = None
    expires_at: Time | None = None
    deleted_at: Time | None = None
    archived_at: Time | None = None
    context: Context | None = None
    validated: bool | None = Field(default=None, exclude=True, repr=False)
    replaced_by: str | None = None
    upkeep: Upkeep | None = None

    @property
    def told_at(self) -> datetime:
        """When it was told or changed last: `updated_at`, unless that was maintenance."""
        return self._upheld.told_at if self._upheld else self.updated_at

    @property
    def told_confidence(self) -> float:
        """How sure one was when it was told last."""
        return self._upheld.confidence if self._upheld else self.confidence

    @property
    def _upheld(self) -> Upkeep | None:
        return self.upkeep if self.upkeep and self.upkeep.version == self.version else None

    @property
    def owner(self) -> Scope:
        """The scope that the fact lives in."""
        return scope_of(self.scope, self.scope_id, self.tenant)

    def is_current(self, now: datetime) -> bool:
        """Whether the fact is neither deleted, archived, expired nor closed at `now`."""
        ends = (self.deleted_at, self.archived_at, self.expires_at, self.valid_to)
        return all(end is None or end > now for end in ends)


class Link(Model):
    """A relation of one fact to another, in the same scope.

    Attributes:
        source, target: Ids of the facts; `source_key` and `target_key` are their keys.
        type: `similar`, `related`, `opposite`, `causes`, `part_of`, `supersedes`, `parent` (from child to parent), or
            any word of your own.
        strength: 0 to 1; on a way of several links they multiply.
        mutual: Whether it leads both ways.
    """

    id: str
    source: str
    target: str
    source_key: Text
    target_key: Text
    type: Text = "related"
    strength: Share = 1.0
    mutual: bool = False
    metadata: Annotated[dict[str, Any], BeforeValidator(valid_json)] = Field(default_factory=dict)
    created_by: str = "user"
    created_at: Time


class RelatedFact(Fact):
    """A fact that links lead to.

    Attributes:
        distance: How many links it is away.
        path: These links, from where the walk began.
        strength: The product of their strengths.
    """

    distance: int = Field(exclude=True)
    path: list[Link] = Field(exclude=True, repr=False)
    strength: float = Field(exclude=True)


class Candidate(Model):
    """What an extractor found in a conversation: a fact that is not yet reconciled with what is known.

    Attributes:
        attribute: What is said, one of the words in `attributes.toml` where one fits.
        item: Which one, for attributes that a person has several of (`pet#rex`, `opinion#hiking`).
        key: Made of the three above unless you name your own.
        retract: The speaker takes the fact back: nothing replaces it.
        replaces: Id of a stored fact that this one corrects, where the extractor was shown it.
        sources: Ids of the messages that say so.
    """

    about: Text = "user"
    attribute: Text
    item: Text | None = None
    key: Text = ""
    value: Json
    text: Text = ""
    metadata: Annotated[dict[str, Any], BeforeValidator(valid_json)] = Field(default_factory=dict)
    schema_type: str | None = None
    retract: bool = False
    replaces: str | None = None
    reason: Text = ""
    memory_type: str | None = None
    category: str | None = None
    tags: list[Text] = Field(default_factory=list)
    importance: Share | None = None
    confidence: Share = 0.8
    valid_from: Time | None = None
    valid_to: Time | None = None
    expires_at: Time | None = None
    sources: list[str] = Field(default_factory=list)
    source_type: str | None = None
    created_by: str = "extractor"
    context: Context | None = None

    @model_validator(mode="after")
    def _name(self) -> Candidate:
        if not self.key:
            object.__setattr__(self, "key", fact_key(self.attribute, self.item, self.about))
        return self


def fact_key(attribute: str, item: str | None = None, about: str = "user") -> str:
    """`[about/]attribute[#item]`, in one normal form.

    >>> fact_key("home", about="sister"), fact_key("pet", "Rex"), fact_key("skill", "C#")
    ('sister/home', 'pet#rex', 'skill#c#')
    """
    head = "" if about == "user" else f"{slug(about)}/"
    tail = f"#{_joined(item)}" if item else ""
    return f"{head}{slug(attribute)}{tail}"


def slug(text: str) -> str:
    """`text` in the normal form of a key: lower case, words joined by `_`, nothing that separates parts of a key."""
    return _joined("".join(" " if char in "/#" else char for char in text))


def _joined(text: str) -> str:
    return "_".join(text.casefold().split())


def split_key(key: str) -> tuple[str, str, str | None]:
    """About, attribute and item of a key. A key of your own choosing is an attribute as it stands."""
    head, _, item = key.partition("#")
    about, slash, attribute = head.rpartition("/")
    return (about if slash and about else "user", attribute, item or None)


class FactUpdate(Model):
    """What reconciling did with one fact.

    Attributes:
        fact: The fact as it is now (after a DELETE: as it was closed); None where nothing was stored.
        previous: The fact as it was before, if there was one.
        reason: Why, in a sentence; never empty.
    """

    operation: Operation
    fact: Fact | None
    reason: str = Field(min_length=1)
    previous: Fact | None = None


class LeftOut(Model):
    """Something that was found but not handed over, and why."""

    text: str
    why: str
    score: float | None = None


class Summary(Scored):
    """What a conversation was about, up to one of its messages.

    Attributes:
        text: The summary, a few sentences or lines.
        topics: What was talked about, the foremost first.
        open_questions: What was asked and not answered yet.
        version: Counts the summaries of the session, from 1.
        first, last: The numbers of the messages that it covers; the first message of a session has number 1.
    """

    _changeable = ("topics", "open_questions")

    id: str
    session_id: str
    text: Text
    topics: list[Text] = Field(default_factory=list)
    open_questions: list[Text] = Field(default_factory=list)
    version: int
    first: int
    last: int
    created_at: Time


Remembered: TypeAlias = Fact | Message | Summary
"""What can be recalled."""


class Recalled(Model):
    """The answer of recall: what matters for a query, ranked, and ready to paste.

    Attributes:
        facts: Ranked facts, best first, each with `score` and `parts`.
        messages: Ranked messages, where they were asked for; with `neighbours`, the groups around the best first.
        summaries: Ranked summaries of sessions, where they were asked for; of each session the present one.
        pending: What was told but is not learned yet, newest last.
        stable_text: What does not depend on the query (profile and pinned facts); the same bytes until they change.
        late_text: What was ranked for this query.
        tokens: Size of `text`, estimated unless a tokenizer was given.
        left_out: What was found and did not fit, with the reason.
    """

    id: str
    query: str = ""
    facts: list[Fact] = Field(default_factory=list)
    messages: list[Message] = Field(default_factory=list)
    summaries: list[Summary] = Field(default_factory=list)
    pending: list[Message] = Field(default_factory=list)
    stable_text: str = ""
    late_text: str = ""
    tokens: int = 0
    left_out: list[LeftOut] = Field(default_factory=list)

    @property
    def recall_id(self) -> str:
        """What this recall is called in the log of accesses, for `memory.feedback`: the same as `id`."""
        return self.id

    @property
    def text(self) -> str:
        """All that belongs into a prompt, the stable part first; empty where nothing is known."""
        return self.stable_text + self.late_text

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return bool(self.facts or self.messages or self.summaries or self.pending)

    def explain(self) -> str:
        """A table: each item with each signal, its weight and what it added; then what was left out and why."""
        items: list[tuple[Scored, str]] = [(fact, fact.text or fact.key) for fact in self.facts]
        items += [(message, message.text) for message in self.messages]
        items += [(summary, summary.text) for summary in self.summaries]
        lines = [line for place, (item, text) in enumerate(items, 1) for line in _explain(place, item, text)]
        lines += [f"  left out ({left.why}): {left.text}" for left in self.left_out]
        return "\n".join(lines) or "Nothing was found."


def _explain(place: int, item: Scored, text: str) -> Iterator[str]:
    """The lines of one item: the signals that added most come first."""
    useful = "" if item.relevance is None else f", {item.relevance:.0%} likely of use"
    yield f"{place}. {text}  (score {item.score or 0.0:.3f}{useful})"
    for name, added in sorted(item.parts.items(), key=lambda part: -abs(part[1])):
        said = item.signals.get(name)
        how = f"{said:8.2f} × {added / said:5.2f} = " if said else " " * 19
        yield f"   {name:14}{how}{added:+.3f}"


How: TypeAlias = Literal["recall", "search", "get", "link", "touch"]


class Access(Model):
    """One time that a fact was given to somebody.

    Attributes:
        recall_id: What all facts share that were given at once; for those of a recall `Recalled.recall_id`.
        how: By `recall`, `search` or `get`, along a `link`, or counted by hand (`touch`).
        query: What was asked for, redacted; its beginning, where it was long.
        user_id, session_id, agent_id: Who asked.
        useful: Whether it was of use, where somebody said so.
    """

    fact_id: str
    recall_id: str
    how: How
    at: Time
    query: Text = ""
    user_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    useful: bool | None = None


class Usage(Model):
    """How a fact was used.

    Attributes:
        access_count: How often it was given.
        useful, not_useful: How often that was said to have helped, or not.
        importance: How much the fact matters now, 0 to 1, by docs/explanation/maintenance.md; None where it was not
            asked for.
    """

    access_count: int = 0
    last_accessed_at: Time | None = None
    useful: int = 0
    not_useful: int = 0
    importance: Share | None = None


class Session(Model):
    """One conversation, without its messages.

    Attributes:
        message_count: How many messages it has had, those that are gone included.
    """

    id: str
    user_id: str | None = None
    title: Text | None = None
    message_count: int = 0
    created_at: Time
    updated_at: Time


class SessionState(Model):
    """The state of a session, as it is or was.

    Attributes:
        state: A JSON object.
        version: Counts the changes, from 1; 0 where none was ever set.
    """

    session_id: str
    state: Annotated[dict[str, Any], BeforeValidator(valid_json)] = Field(default_factory=dict)
    version: int = 0
    updated_at: Time | None = None


class JobInfo(Model):
    """One turn that was, is or will be learned, one summary that was, is or will be made, or maintenance that was done.

    Attributes:
        task: `summary` for a summary of the session, `maintenance`, None for a turn.
        attempts: How often it failed.
        claims: How often it was taken up without any end: it is being learned, or a process died over it.
        run_at: When it is tried next; None where nothing waits.
        held: Why it waits until then, where a ceiling is reached.
        undone: When `jobs.undo` took back what it had written.
        calls, tokens, seconds: What it took of a model, failed calls included. Of turns that were learned together, the
            first one carries it all.
    """

    id: str
    task: str | None = None
    subject: str
    session_id: str | None = None
    status: Literal["waiting", "done", "dead"]
    attempts: int = 0
    claims: int = 0
    messages: list[Message] = Field(default_factory=list)
    created_at: Time
    run_at: Time | None = None
    held: str | None = None
    error: str | None = None
    undone: Time | None = None
    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    updates: list[dict[str, Any]] = Field(default_factory=list)


class Checkpoint(Model):
    """What a run had reached after one of its steps.

    Attributes:
        state: JSON data, as it was saved.
        user_id: Whom the run is about; None where nobody was named.
    """

    run_id: str
    step: int
    state: Json
    user_id: str | None = None
    created_at: Time
