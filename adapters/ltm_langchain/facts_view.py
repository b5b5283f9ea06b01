"""The facts of a memory, shown as items of a store: namespaces `("ltm", scope, label)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from langgraph.store.base import GetOp, Item, PutOp, SearchItem, SearchOp

from ltm_core import AsyncMemory, Fact, MemoryScope

from .filters import checked, passes

ROOT = "ltm"


def is_facts(namespace: tuple[str, ...]) -> bool:
    """Whether a namespace shows facts."""
    return namespace[:1] == (ROOT,)


class FactsView:
    """Reads and writes the facts that a namespace names."""

    def __init__(self, memory: AsyncMemory) -> None:
        self._facts = memory.facts

    async def get(self, op: GetOp) -> Item | None:
        """The current fact under a key."""
        fact = await self._facts.get(op.key, *_owner(op.namespace))
        return Item(**_shown(fact, op.namespace)) if fact else None

    async def put(self, op: PutOp) -> None:
        """Store a fact, or its next version; without a value, forget it."""
        if op.value is None:
            await self._facts.delete(op.key, *_owner(op.namespace))
            return
        said = op.value.get("content")
        text: dict[str, Any] = {"text": said} if isinstance(said, str) else {}
        value = op.value.get("value", op.value if said is None else said)
        await self._facts.add(op.key, value, *_owner(op.namespace), **text)

    async def search(self, op: SearchOp) -> list[SearchItem]:
        """Facts by relevance where something is asked, else by key."""
        most, owner = op.offset + op.limit, _owner(op.namespace_prefix)
        if op.query:
            found = await self._facts.search(op.query, *owner, limit=1000 if op.filter else most)
        else:
            found = await self._facts.get_all(*owner)
        items = [SearchItem(**_shown(fact, op.namespace_prefix), score=fact.score) for fact in found]
        wanted = checked(op.filter)
        return [item for item in items if passes(item.value, wanted)][op.offset : most]


def _owner(namespace: tuple[str, ...]) -> tuple[MemoryScope, str | None]:
    levels = [level.value for level in MemoryScope]
    if len(namespace) != 3 - (namespace[1:] == ("global",)) or namespace[1] not in levels:
        ways = f"('{ROOT}', 'user', store.label(user_id))"
        raise ValueError(f"{namespace} shows no facts. Use {ways}; the scopes are {', '.join(levels)}.")
    return MemoryScope(namespace[1]), unquote(namespace[2]) if len(namespace) == 3 else None


def _shown(fact: Fact, namespace: tuple[str, ...]) -> Mapping[str, Any]:
    value = {"content": fact.text or str(fact.value), "value": fact.value, "tags": fact.tags}
    times = {"created_at": fact.created_at, "updated_at": fact.updated_at}
    return {"namespace": namespace, "key": fact.key, "value": value, **times}
