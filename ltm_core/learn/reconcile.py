"""What was said against what is known: ADD, UPDATE, DELETE or NOOP, decided by rules, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..knowledge.attributes import attribute, attributes
from ..knowledge.values import gist, merged, near, plain, same, union, without
from ..model import Candidate, Fact, FactUpdate, Operation, slug
from ..policies import Reconciling

WEAK, SURE = 0.5, 0.9
"""A candidate less certain than WEAK replaces nothing that is SURE or that a person wrote."""

_PLACE = ("id", "key", "scope", "scope_id", "tenant", "namespace", "about", "attribute", "item")


def reconcile(given: Reconciling) -> list[FactUpdate]:
    """Decide what the candidates do to the stored facts: one update per fact, in the order in which they came up.

    Later candidates see what earlier ones did. Several for one key, told in different messages, make a version each,
    told in one message the last word of it; none if all of it comes to nothing. Only a fact of the same owner, about
    the same and of the same attribute is ever retired. Nothing is stored.

    Done again on its own outcome it is all NOOP, unless the candidates are at odds with each other: one was refused
    because of a fact that a later one took back, a key was told single values before it was told a list, or the same
    is said to be over and to be so.
    """
    batch = _Batch(given)
    for candidate in given.candidates:
        batch.take(candidate)
    return list(batch.updates())


class _Batch:
    """The stored facts, the same facts after the candidates so far, and a reason for each that came up."""

    def __init__(self, given: Reconciling) -> None:
        self._given = given
        self._stored = {fact.id: fact for fact in given.current}
        self._facts = dict(self._stored)
        self._reasons: dict[str, str] = {}
        self._steps: dict[str, list[Fact]] = {}

    def take(self, candidate: Candidate) -> None:
        told = self._given.fact(candidate)
        meant = self._live(candidate.replaces or "")
        if candidate.replaces and (meant is None or not _akin(meant, told)):
            candidate, meant = _not_correcting(candidate, meant), None
        if candidate.retract:
            self._retract(candidate, told, meant)
        elif meant is None or _same_item(meant, told):
            self._tell(candidate, told, meant)
        else:
            self._correct(candidate, told, meant)

    def updates(self) -> Iterator[FactUpdate]:
        for fact_id, reason in self._reasons.items():
            before, after = self._stored.get(fact_id), self._facts.get(fact_id)
            if after is None or self._operation(before, after) == "NOOP":
                yield FactUpdate(operation="NOOP", fact=before, reason=reason)
            else:
                yield from self._versions(before, self._steps[fact_id])

    def _versions(self, before: Fact | None, steps: Sequence[Fact]) -> Iterator[FactUpdate]:
        for step in steps:
            operation = self._operation(before, step)
            yield FactUpdate(operation=operation, fact=step, reason=step.reason, previous=before)
            before = step

    def _tell(self, candidate: Candidate, told: Fact, meant: Fact | None = None) -> bool:
        """Take in what `told` says; whether it is known afterwards."""
        known = meant or self._known(told)
        if known is None:
            return self._add(candidate, told)
        value = _joined(known, told)
        over = not told.is_current(self._given.now)
        if not (same(value, known.value) or _rephrases(told, known) or _affirms(told, known)):
            why = f"{_quoted(told.value)} as {told.key} was over before it was said"
            return self._note(known.id, why) if over else self._revise(known, candidate, told, value)
        if over:
            return self._take_back(known, candidate, told)
        self._note(known.id, f"{_quoted(told.value)} is known already as {known.key}{_said(candidate)}")
        return True

    def _correct(self, candidate: Candidate, told: Fact, meant: Fact) -> None:
        """The candidate names another item than the fact that it corrects: that one goes once this one is known."""
        if _repeats(told, meant):
            self._note(meant.id, f"{_quoted(told.text)} is known already as {meant.key}{_said(candidate)}")
        elif self._tell(candidate, told):
            self._retire(meant, candidate, told, f"replaced by {_quoted(told.value)} as {told.key}{_said(candidate)}")

    def _add(self, candidate: Candidate, told: Fact) -> bool:
        alike = next((fact for fact in self._family(told) if _repeats(told, fact)), None)
        if alike is not None:
            self._note(alike.id, f"{_quoted(told.text)} is known already as {alike.key}{_said(candidate)}")
            return True
        ended = self._facts.get(told.id)
        over = None if told.is_current(self._given.now) else ended or self._other_form(told, self._facts.values())
        if over is not None:
            return self._note(over.id, f"{_quoted(told.value)} as {over.key} was over before it was said")
        created_at = ended.created_at if ended else told.created_at
        new = told.model_copy(update={"value": merged(None, told.value), "created_at": created_at})
        return self._change(new, _said(candidate))

    def _revise(self, known: Fact, candidate: Candidate, told: Fact, value: Any) -> bool:
        if protected := _protected(known, candidate):
            return self._note(known.id, f"{_quoted(known.value)} as {known.key} stays: {protected}{_said(candidate)}")
        revised = _revised(known, candidate, told, value)
        return self._change(
            revised.model_copy(update={"valid_from": candidate.valid_from or self._given.now}), _said(candidate)
        )

    def _retire(self, known: Fact, candidate: Candidate, told: Fact, why: str) -> bool:
        if protected := _protected(known, candidate):
            return self._note(known.id, f"{_quoted(known.value)} as {known.key} stays: {protected}{_said(candidate)}")
        now = self._given.now
        ended = {"deleted_at": now, "valid_to": candidate.valid_to or now, "sources": told.sources or known.sources}
        self._change(known.model_copy(update={**ended, "job_id": told.job_id}), f": {why}")
        return False

    def _retract(self, candidate: Candidate, told: Fact, meant: Fact | None) -> None:
        known = meant or self._known(told)
        if known is None:
            self._retract_named(candidate, told)
        elif (meant or candidate.item) and not self._changed_since(known):
            self._retire(known, candidate, told, f"taken back{_said(candidate)}")
        else:
            self._take_back(known, candidate, told)

    def _take_back(self, known: Fact, candidate: Candidate, told: Fact) -> bool:
        """End what `told` names of the value of `known`: all of it, a part, or nothing. Always False."""
        rest = without(known.value, told.value)
        if rest is None:
            return self._retire(known, candidate, told, f"taken back{_said(candidate)}")
        if not same(rest, known.value):
            self._revise(known, candidate, told, rest)
            return False
        taken, kept = _quoted(told.value), _quoted(known.value)
        return self._note(known.id, f"{taken} is taken back, but {known.key} is {kept}{_said(candidate)}")

    def _retract_named(self, candidate: Candidate, told: Fact) -> None:
        """No key fits: take back the one fact of the attribute that has the words, as 'dog' has pet#rex, a dog."""
        wanted = set(gist(candidate.item or plain(candidate.value or "")))
        by_words = candidate.item or attribute(told.attribute).many
        named = [fact for fact in self._family(told) if by_words and wanted <= _names(fact)]
        if len(named) == 1:
            self._retire(named[0], candidate, told, f"taken back{_said(candidate)}")
        elif named:
            keys = ", ".join(fact.key for fact in named)
            self._note(told.id, f"{told.key} is taken back, but it is open which of {keys} is meant{_said(candidate)}")
        else:
            self._note(told.id, f"{told.key} is taken back, but nothing of it is known{_said(candidate)}")

    def _changed_since(self, known: Fact) -> bool:
        """Whether an earlier candidate of this batch gave the fact another value: then only that can be taken back."""
        stored = self._stored.get(known.id)
        return stored is not None and stored.is_current(self._given.now) and not same(stored.value, known.value)

    def _live(self, fact_id: str) -> Fact | None:
        fact = self._facts.get(fact_id)
        return fact if fact is not None and fact.is_current(self._given.now) else None

    def _known(self, told: Fact) -> Fact | None:
        """The live fact under the key of `told` or, where items are natural words, under another form of its item."""
        return self._live(told.id) or self._other_form(told, self._family(told))

    def _other_form(self, told: Fact, facts: Iterable[Fact]) -> Fact | None:
        """Among `facts` the one that `told` names by another form of its item."""
        if not told.item or not attribute(told.attribute).many:
            return None
        return next((fact for fact in facts if _akin(fact, told) and _same_item(fact, told)), None)

    def _family(self, told: Fact) -> list[Fact]:
        akin = (fact for fact in self._facts.values() if _akin(fact, told))
        return [fact for fact in akin if fact.is_current(self._given.now)]

    def _note(self, fact_id: str, reason: str) -> bool:
        """Say why nothing happens, unless something does happen to that fact. Always False."""
        if self._facts.get(fact_id) is self._stored.get(fact_id):
            self._reasons[fact_id] = reason
        return False

    def _change(self, fact: Fact, why: str) -> bool:
        past = self._past(fact)
        before = past[-1] if past else self._stored.get(fact.id)
        operation = self._operation(self._stored.get(fact.id), fact)
        if operation not in {"NOOP", *self._given.allow}:
            return self._note(
                fact.id, f"{_quoted(fact.value)} as {fact.key} would be {operation}: not allowed here{why}"
            )
        reason = _sentence(self._operation(before, fact), before, fact, why)
        number = {"version": before.version + 1 if before else 1, "updated_at": self._given.now}
        self._facts[fact.id] = fact.model_copy(update={**number, "reason": reason})
        self._steps[fact.id] = [*past, self._facts[fact.id]]
        self._reasons[fact.id] = reason
        return True

    def _past(self, fact: Fact) -> list[Fact]:
        """The versions that `fact` follows: not what its own message said before, nor what came to nothing."""
        steps = self._steps.get(fact.id, [])
        past = steps[:-1] if steps and not _told_apart(steps[-1], fact) else steps
        earlier = past[-2] if len(past) > 1 else self._stored.get(fact.id)
        return past[:-1] if past and self._operation(earlier, past[-1]) == "NOOP" else past

    def _operation(self, before: Fact | None, after: Fact | None) -> Operation:
        """What turns `before` into `after`."""
        was, now_is = (fact is not None and fact.is_current(self._given.now) for fact in (before, after))
        if before is None or after is None:
            return "NOOP" if after is None or after.deleted_at else "ADD"
        if was and now_is:
            return "NOOP" if same(before.value, after.value) else "UPDATE"
        if was == now_is:
            return "NOOP"
        return "DELETE" if was else "ADD"


def _not_correcting(candidate: Candidate, meant: Fact | None) -> Candidate:
    other = f"{meant.key}, which is another matter" if meant else "a fact that is not current here"
    said = candidate.reason or candidate.text or candidate.key
    return candidate.model_copy(update={"reason": f"{said}; not taken as a correction of {other}"})


def _told_apart(one: Fact, other: Fact) -> bool:
    """Whether two messages said it; in one, the later word is a slip of the tongue mended, and never was so."""
    return bool(one.sources and other.sources) and not set(one.sources) & set(other.sources)


def _akin(one: Fact, other: Fact) -> bool:
    """Whether one may retire the other: same owner, namespace, about and attribute."""
    return bool(one.attribute) and _walls(one) == _walls(other)


def _walls(fact: Fact) -> tuple[str, ...]:
    return (fact.tenant, fact.scope, fact.scope_id, fact.namespace, slug(fact.about), slug(fact.attribute))


def _same_item(one: Fact, other: Fact) -> bool:
    return gist(one.item or "") == gist(other.item or "")


def _alike(one: Fact, other: Fact) -> bool:
    """Whether two facts say the same in nearly the same words."""
    words = gist(one.text)
    if not words:
        return False
    texts, values = (words, gist(other.text)), (gist(plain(one.value)), gist(plain(other.value)))
    return near(*texts) and near(*values)


def _repeats(told: Fact, known: Fact) -> bool:
    """Whether `told` is `known` under another item. Two cats are two, though their texts are one: no name is in it."""
    return _alike(told, known) and set(gist(told.item or "")) <= set(gist(told.text))


def _rephrases(told: Fact, known: Fact) -> bool:
    """Whether `told` says the same of the same item: where that is the thing itself, its exact form means nothing."""
    return bool(told.item) and set(gist(told.item or "")) <= set(gist(plain(told.value))) and _alike(told, known)


def _affirms(told: Fact, known: Fact) -> bool:
    """Whether `told` says only that there is such a person or animal, whose name or kind `known` tells."""
    return told.memory_type == "relationship" and same(told.value, "yes") and not same(known.value, "no")


def _names(fact: Fact) -> set[str]:
    return {*gist(fact.item or ""), *gist(plain(fact.value))}


_TRUST = {"manual": 2, "conversation": 2, "tool": 1, "tool_usage": 1, "inference": 0}
"""Who said it weighs: a person over a tool over what was only inferred."""


def _protected(known: Fact, candidate: Candidate) -> str:
    if known.pinned:
        return "it is pinned"
    said, knew = candidate.source_type or "conversation", known.source_type
    if _TRUST.get(said, 2) < _TRUST.get(knew, 2):
        return f"{knew} weighs more than {said}"
    if candidate.confidence >= WEAK:
        return ""
    if known.source_type == "manual":
        return "a person wrote it, and this is uncertain"
    return "it is sure, and this is uncertain" if known.confidence >= SURE else ""


def _revised(known: Fact, candidate: Candidate, told: Fact, value: Any) -> Fact:
    """`known` as `told` changes it. Where a part of the old value stays, so do its sources, certainty and ends."""
    whole = bool(value == told.value)
    sentence = attribute(known.attribute or known.key).sentence(value, known.item, known.about)
    return told.model_copy(
        update={
            **{name: getattr(known, name) for name in (*_PLACE, "created_at")},
            "value": value,
            "text": told.text if whole and told.text else sentence,
            "tags": union(known.tags, told.tags),
            "metadata": {**known.metadata, **told.metadata},
            "schema_type": told.schema_type or known.schema_type,
            "memory_type": candidate.memory_type or known.memory_type,
            "category": candidate.category or known.category,
            "importance": known.importance if candidate.importance is None else candidate.importance,
            "confidence": told.confidence if whole else max(known.confidence, told.confidence),
            "sources": told.sources if whole else union(known.sources, told.sources),
            "valid_to": told.valid_to if whole else known.valid_to,
            "expires_at": told.expires_at if whole else known.expires_at,
        }
    )


def _joined(known: Fact, told: Fact) -> Any:
    """What is known and told together. One thing more joins a list, unless the attribute has but one value."""
    row = attributes().get(known.attribute)
    if isinstance(known.value, list) and not isinstance(told.value, list) and (row is None or row.many):
        return union(known.value, [told.value])
    return merged(known.value, told.value)


def _sentence(operation: Operation, before: Fact | None, after: Fact, why: str) -> str:
    new = _quoted(after.value)
    if before is None:
        return f"{new} {'is new' if operation == 'ADD' else 'was said and taken back'} as {after.key}{why}"
    old = _quoted(before.value)
    return {
        "ADD": f"{new} is told again as {after.key}, where {old} had ended{why}",
        "UPDATE": f"{new} replaces {old} as {after.key}{why}",
        "DELETE": f"{old} as {after.key} is no longer so{why}",
        "NOOP": f"{old} as {after.key} stays: what was said of it undid itself{why}",
    }[operation]


def _said(candidate: Candidate) -> str:
    said = candidate.reason or candidate.text
    return f" (said: {_short(said, 200)})" if said else ""


def _quoted(value: Any) -> str:
    return f"'{_short(value, 80)}'" if isinstance(value, str) else _short(plain(value), 80)


def _short(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"
