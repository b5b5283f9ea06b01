"""Summarise: many small facts of one subject and category become one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, ClassVar

from ..knowledge.attributes import attribute, attributes
from ..knowledge.edits import upkept
from ..knowledge.lifecycle import changed, lifetime, put_aside, united
from ..knowledge.values import plain
from ..llm import Complete
from ..llm.asking import ask_json
from ..llm.reading import UnusableReply
from ..model import Fact, FactUpdate, fact_key, slug, valid_text
from ..policies import Maintaining
from ..records import fact_id

SUMMARY = "summary"
WORDS_PER_TOKEN = 0.7  # of English, with a margin


@dataclass(frozen=True, slots=True)
class Summarise:
    """Makes one fact of many small ones about one person or thing, of one category, and archives these.

    The new fact is `summary#<category>`; what is summarised later joins it. A model writes it where there is one; else
    it is their texts, one after the other. What stays as it is: pinned facts, those of the profile, instructions, what
    has one value only (a new one must find it), what ends by itself, what is long or recent.

    Attributes:
        at_least: How many small facts are many.
        max_tokens_each: How long a small one is at most.
        max_tokens: How long a model may make the new one.
        older_than: How long a fact must not have been told or used; a timedelta or seconds.
    """

    at_least: int = 8
    max_tokens_each: int = 30
    max_tokens: int = 200
    older_than: timedelta | float = timedelta(days=30)
    name: ClassVar[str] = "summarise"

    async def maintain(self, given: Maintaining) -> Sequence[FactUpdate]:
        """The new fact of each group, and an update for each fact that goes into it. Raises `ExtractionError`."""
        known = {fact.key: fact for fact in given.facts}
        groups: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
        for fact in given.facts:
            if self._is_small(fact, given):
                groups[fact.about, slug(fact.category or fact.memory_type)].append(fact)
        updates: list[FactUpdate] = []
        for (about, category), facts in groups.items():
            earlier = known.get(fact_key(SUMMARY, category, about))
            if len(facts) >= self.at_least and not (earlier and earlier.pinned):
                updates += await self._summarised(sorted(facts, key=_oldest_first), earlier, category, given)
        return updates

    def _is_small(self, fact: Fact, given: Maintaining) -> bool:
        row = attributes().get(fact.attribute)
        kept = fact.pinned or attribute(fact.attribute).profile or fact.memory_type == "instruction"
        single = row is not None and not row.many
        ends = fact.expires_at is not None or fact.valid_to is not None
        if kept or single or ends or fact.attribute == SUMMARY:
            return False
        is_old = given.used_at(fact) <= given.now - lifetime(self.older_than, "older_than")
        return is_old and given.tokens(fact) <= self.max_tokens_each

    async def _summarised(
        self, facts: Sequence[Fact], earlier: Fact | None, category: str, given: Maintaining
    ) -> list[FactUpdate]:
        statements = [*([earlier.text] if earlier else []), *(fact.text or plain(fact.value) for fact in facts)]
        text = await self._text(statements, given.complete)
        made = _fact(text, facts, earlier, category, given)
        why = f"summarise: part of {made.key}"
        return [
            FactUpdate(operation="UPDATE" if earlier else "ADD", fact=made, previous=earlier, reason=made.reason),
            *(changed(fact, put_aside(fact, given.now, why, made)) for fact in facts),
        ]

    async def _text(self, statements: Sequence[str], complete: Complete | None) -> str:
        if complete is None:
            return " ".join(dict.fromkeys(statements))
        told = "\n".join(f"{number}. {json.dumps(one, ensure_ascii=False)}" for number, one in enumerate(statements, 1))
        rules = _template().substitute(words=max(int(self.max_tokens * WORDS_PER_TOKEN), 20))
        return await ask_json(
            complete, [{"role": "system", "content": rules}, {"role": "user", "content": told}], _read
        )


def _fact(text: str, facts: Sequence[Fact], earlier: Fact | None, category: str, given: Maintaining) -> Fact:
    """The summary as a fact: as weighty as the weightiest of what it says, as sure as the least sure, as old as the
    latest."""
    first, every = facts[0], [*([earlier] if earlier else []), *facts]
    key = fact_key(SUMMARY, category, first.about)
    new = earlier or Fact(
        id=fact_id(given.owner, given.namespace, key),
        key=key,
        value=text,
        scope=given.owner.level,
        scope_id=given.owner.id,
        tenant=given.owner.tenant,
        namespace=given.namespace,
        about=first.about,
        attribute=SUMMARY,
        item=category,
        memory_type=SUMMARY,
        category=first.category,
        version=0,
        source_type="maintenance",
        created_by="model" if given.complete else "maintenance",
        created_at=given.now,
        updated_at=given.now,
    )
    return upkept(
        new,
        given.now,
        value=text,
        text=text,
        tags=united(every, "tags"),
        sources=united(every, "sources"),
        importance=max(fact.importance for fact in every),
        confidence=min(fact.confidence for fact in every),
        told_at=max(fact.told_at for fact in every),
        reason=f"summarise: {len(facts)} facts in one",
    )


def _oldest_first(fact: Fact) -> tuple[object, ...]:
    return (fact.told_at, fact.key)


@cache
def _template() -> Template:
    return Template((files("ltm_core") / "prompts" / "condense.md").read_text(encoding="utf-8"))


def _read(reply: Any) -> str:
    found = reply[0] if isinstance(reply, list) and len(reply) == 1 else reply
    text = found.get("summary") if isinstance(found, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise UnusableReply('it is not an object with a text under "summary"')
    return valid_text(text.strip())
