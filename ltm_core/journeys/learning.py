"""The learning journey, step by step: strip what we injected, extract, reconcile, and the writes that make it so.

Redaction happens earlier, before anything is stored; the commit is the worker's, together with the job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from ..ambient import LEARNING
from ..assemble import asked_by, with_extraction
from ..errors import ExtractionError, LTMError
from ..home import Home, call
from ..knowledge.attributes import attribute
from ..learn.commit import writes_for
from ..learn.forms import from_candidates, into_model
from ..learn.worker import Batch
from ..llm import Complete
from ..llm.metering import given_up_after
from ..model import Candidate, Fact, FactUpdate, Message
from ..policies import Extracting, Policies, Reconciling
from ..records import fact_id, fact_of, message_of
from ..scope import Identity, MemoryScope, Scope
from ..stores.base import AnyOf, Compare, Record, Store, Where, Write
from ..text import words
from ..text.echoes import possible_echoes, unfenced, without_echoes

M = TypeVar("M", bound=BaseModel)

EARLIER = 4
KNOWN = 20
AT_ONCE = 400  # texts that one query looks for


@dataclass(frozen=True, slots=True)
class Destination:
    """Where learned facts go: the owner, the person they are about, and a namespace."""

    scope: Scope
    subject: Scope
    namespace: str = ""
    job_id: str | None = None


class Learning:
    """Turns messages into decisions. `extract` may take as long as a model does; `decide` reads and is quick."""

    def __init__(self, store: Store, policies: Policies, home: Home) -> None:
        self._store = store
        self._policies = policies
        self._home = home

    def extracting(self, model: str | Complete | None, template: str | None) -> Learning:
        """The same journey with another model, or looking for what a template names."""
        if model is None and template is None:
            return self
        return Learning(self._store, with_extraction(self._policies, model, template), self._home)

    async def extract(self, batch: Batch) -> Sequence[Candidate]:
        """Candidates from waiting turns. Runs on the learning loop."""
        earlier = await self._home.run(self._earlier(batch))
        return await self.candidates(batch.messages, _who(batch), _destination(batch), earlier)

    async def decide(self, batch: Batch, found: Sequence[Candidate]) -> tuple[Sequence[FactUpdate], Sequence[Write]]:
        """What to do with them, given the facts as they are now. Runs on the home loop."""
        now, into = self._policies.clock(), _destination(batch)
        said = {message.id: message.created_at for message in batch.messages if message.id}
        updates = await self.updates([_since_said(one, said, now) for one in found], into, now)
        return updates, writes_for(updates, into.subject, now)

    async def candidates(
        self, messages: Sequence[Message], who: Identity, into: Destination, earlier: Sequence[Message] = ()
    ) -> Sequence[Candidate]:
        """What the extractor finds in `messages`. Raises `ExtractionError` if it could not read them."""
        told = await self._told(messages, who, into)
        before = await self._told(earlier, who, into)
        known = await self._home.run(self._known(told, into))
        policies = self._policies
        given = Extracting(told, who, policies.clock(), before, known, policies.allow, policies.instructions)
        token = LEARNING.set(True)
        try:
            async with given_up_after(policies.model_timeout):
                found = await call(policies.extract, given)
            return [Candidate.model_validate(one) for one in found]
        except LTMError:
            raise
        except Exception as error:
            raise ExtractionError(f"The extractor failed with {error!r}. Correct it; the turn is kept.") from error
        finally:
            LEARNING.reset(token)

    async def into(self, model: type[M], messages: Sequence[Message], who: Identity, place: Destination) -> M:
        """What `messages` tell, as `model`: filled in by the language model where there is one, else by what is found.

        Raises `ExtractionError` where that does not fit the model.
        """
        complete = asked_by(self._policies.extract)
        if complete is not None:
            return await into_model(model, complete, await self._told(messages, who, place))
        return from_candidates(model, await self.candidates(messages, who, place))

    async def updates(
        self, candidates: Sequence[Candidate], into: Destination, now: datetime, allow: frozenset[str] | None = None
    ) -> list[FactUpdate]:
        """Reconcile candidates with what is stored; nothing is written."""
        if not candidates:
            return []
        current = await self._current(candidates, into)
        return list(
            self._policies.reconcile(
                Reconciling(
                    candidates,
                    current,
                    lambda candidate: new_fact(candidate, into, now),
                    now,
                    self._policies.allow if allow is None else allow,
                )
            )
        )

    def fact(self, candidate: Candidate, into: Destination) -> Fact:
        """What `candidate` would be stored as if nothing were known; marked deleted where it is a retraction."""
        now = self._policies.clock()
        fact = new_fact(candidate, into, now)
        return fact.model_copy(update={"deleted_at": now}) if candidate.retract else fact

    async def updates_of(self, job: Record) -> list[FactUpdate]:
        """What a job did, as far as its facts are still there."""
        told = job.fields.get("updates") or []
        ids = tuple({one["fact_id"] for one in told if one["fact_id"] is not None})
        facts = {
            record.id: fact_of(record) for record in await self._store.scan(Where("fact", subject=job.subject, ids=ids))
        }
        return [
            FactUpdate(operation=one["operation"], fact=facts.get(one["fact_id"]), reason=one["reason"]) for one in told
        ]

    async def _current(self, candidates: Sequence[Candidate], into: Destination) -> list[Fact]:
        """The stored facts, deleted ones included, that any candidate could be about."""
        ids = {fact_id(into.scope, into.namespace, one.key) for one in candidates}
        ids |= {one.replaces for one in candidates if one.replaces is not None}
        same = AnyOf(
            Compare("id", "in", sorted(ids)), Compare("attribute", "in", sorted({one.attribute for one in candidates}))
        )
        where = Where("fact", (into.scope,), test=Compare("namespace", "eq", into.namespace)).also(same)
        return [fact_of(record) for record in await self._store.scan(where, order=[("key", "asc")])]

    async def _known(self, messages: Sequence[Message], into: Destination) -> list[Fact]:
        """Stored facts that the messages may be about, for an extractor that decides by itself."""
        terms = words.terms(" ".join(message.text for message in messages))
        alive = [Compare("namespace", "eq", into.namespace), Compare("deleted_at", "exists", False)]
        where = Where("fact", (into.scope,)).also(*alive)
        return [fact_of(record) for record in await self._store.search_text(where, terms, KNOWN)] if terms else []

    async def _told(self, messages: Sequence[Message], who: Identity, into: Destination) -> list[Message]:
        """What people and others said, without what they only repeat of what is remembered."""
        told = list(map(unfenced, messages))
        texts = sorted(possible_echoes(told))
        stored = await self._home.run(self._stored(texts, {*who.scopes, into.scope})) if texts else frozenset()
        return [without_echoes(message, stored) for message in told]

    async def _stored(self, texts: Sequence[str], scopes: Iterable[Scope]) -> frozenset[str]:
        """Which of `texts` is or was the text of a fact of these scopes, be it deleted since."""
        walls, found = tuple(sorted(scopes, key=lambda scope: scope.token)), set[str]()
        for start in range(0, len(texts), AT_ONCE):
            some = texts[start : start + AT_ONCE]
            facts = Where("fact", walls, test=Compare("text", "in", some))
            versions = Where("version", walls, test=Compare(("fact", "text"), "in", some))
            found |= {record.fields["text"] for record in await self._store.scan(facts)}
            found |= {record.fields["fact"]["text"] for record in await self._store.scan(versions)}
        return frozenset(found)

    async def _earlier(self, batch: Batch) -> list[Message]:
        first = batch.jobs[0].fields["number"]
        before = Compare("number", "lt", first)
        where = Where("message", (batch.jobs[0].scope,), test=Compare("deleted_at", "exists", False)).also(before)
        found = await self._store.scan(where, order=[("number", "desc")], limit=EARLIER)
        return [message_of(record) for record in reversed(found)]


def new_fact(candidate: Candidate, into: Destination, now: datetime) -> Fact:
    """A first version of what `candidate` says, with the table's defaults for its attribute."""
    row = attribute(candidate.attribute)
    scope = into.scope
    return Fact(
        id=fact_id(scope, into.namespace, candidate.key),
        key=candidate.key,
        value=candidate.value,
        text=candidate.text or row.sentence(candidate.value, candidate.item, candidate.about),
        scope=scope.level,
        scope_id=scope.id,
        tenant=scope.tenant,
        namespace=into.namespace,
        about=candidate.about,
        attribute=candidate.attribute,
        item=candidate.item,
        tags=candidate.tags,
        metadata=candidate.metadata,
        schema_type=candidate.schema_type,
        memory_type=candidate.memory_type or row.type,
        category=candidate.category or row.category,
        importance=row.importance if candidate.importance is None else candidate.importance,
        confidence=candidate.confidence,
        source_type=candidate.source_type or "conversation",
        context=candidate.context,
        source_id=into.job_id,
        sources=candidate.sources,
        created_by=candidate.created_by,
        job_id=into.job_id,
        created_at=now,
        updated_at=now,
        valid_from=candidate.valid_from or (None if candidate.valid_to and candidate.valid_to <= now else now),
        valid_to=candidate.valid_to,
        expires_at=candidate.expires_at,
    )


def _since_said(one: Candidate, said: Mapping[str, datetime | None], now: datetime) -> Candidate:
    """What holds from no named day on holds since its message: learning may have waited for long."""
    first = min((at for source in one.sources if (at := said.get(source))), default=now)
    return one if one.valid_from or one.valid_to or first >= now else one.model_copy(update={"valid_from": first})


def _destination(batch: Batch) -> Destination:
    job = batch.jobs[0]
    return Destination(job.subject, job.subject, job.fields.get("namespace") or "", job.id)


def _who(batch: Batch) -> Identity:
    job, subject = batch.jobs[0], batch.subject
    user = subject.id if subject.level is MemoryScope.USER else None
    return Identity(user, job.fields.get("session_id"), job.fields.get("agent_id"), subject.tenant)
