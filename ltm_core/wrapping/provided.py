"""A memory provider as the source of a turn: any of them, ours included."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast
from weakref import WeakKeyDictionary

from ..errors import ConfigurationError, ScopeError
from ..home import Home
from ..providers.base import MemoryProvider
from ..providers.own import OwnProvider
from ..recall.budget import estimate_tokens
from ..recall.render import one_line
from ..scope import Identity
from ..text.fence import LATE, fenced
from ..turn import Turn
from .faults import Faults
from .memories import Memories, Selector
from .sources import MemorySource, Source, question

STRATEGIES = ("relevant", "recent", "all")
CANDIDATES = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """Which memories of a user go into a turn."""

    strategy: str | Selector = "relevant"
    max_memories: int = 10
    min_relevance: float = 0.0
    max_tokens: int | None = None
    selector: Selector | None = None
    filters: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.strategy == "custom") != (self.selector is not None):
            raise ConfigurationError("strategy='custom' and selector= go together. Pass both or neither.")
        if not callable(self.strategy) and self.strategy not in (*STRATEGIES, "custom"):
            ways = ", ".join(STRATEGIES)
            raise ConfigurationError(f"There is no strategy {self.strategy!r}. Use {ways}, custom or a callable.")

    @property
    def choose(self) -> Selector | None:
        """What chooses among all memories, where neither relevance nor time does."""
        return self.strategy if callable(self.strategy) else self.selector


class ProviderSource(Source):
    """A provider, and which of its memories to take. Providers know users and no sessions."""

    # What providers do with a turn may take as long as a model does; nobody waits for it.
    patience = 0.0

    def __init__(self, provider: MemoryProvider, choice: Choice) -> None:
        self._provider = provider
        self._choice = choice
        self._ours = MemorySource(provider.memory, question()) if isinstance(provider, OwnProvider) else None
        self.name = self._ours.name if self._ours else f"provider {id(provider)}"
        self.home = self._ours.home if self._ours else _HOME
        self.faults = self._ours.faults if self._ours else _FAULTS.setdefault(provider, Faults())

    async def recall(self, turn: Turn) -> Memories:
        """The chosen memories. Raises `ScopeError` where there is a session and no user."""
        return await self.home.run(self._recall(turn))

    async def learn(self, turn: Turn, messages: Sequence[dict[str, Any]], *, opening: bool = False) -> None:
        """Hand the turn to the provider."""
        await self._provider.add(_user(turn), list(messages))

    def around(self) -> Identity:
        """Who is talking by `memory.scope`, where the provider is our memory."""
        return self._ours.around() if self._ours else Identity()

    def scope(self, who: Identity) -> AbstractContextManager[None]:
        """The scope of those who talk in the turn."""
        return self._ours.scope(who) if self._ours else super().scope(who)

    async def _recall(self, turn: Turn) -> Memories:
        found = await self._chosen(turn)
        best = found[: self._choice.max_memories]
        return Memories(best, _block(best, self._choice.max_tokens))

    async def _chosen(self, turn: Turn) -> list[dict[str, Any]]:
        user, choice = _user(turn), self._choice
        if choice.choose is not None:
            picked = choice.choose(turn.context, await self._provider.get_all(user, CANDIDATES))
            return list(await picked if inspect.isawaitable(picked) else picked)
        if choice.strategy == "relevant":
            found = await self._provider.search(user, turn.query, choice.max_memories, _filters(choice))
            return [one for one in found if _is_relevant(one, choice.min_relevance)]
        most = max(choice.max_memories, CANDIDATES) if choice.strategy == "recent" else choice.max_memories
        found = await self._provider.get_all(user, most)
        return sorted(found, key=_changed, reverse=True) if choice.strategy == "recent" else found


# Providers that are not ours live on one loop, whoever calls them from wherever.
_HOME = Home("ltm-providers")
_FAULTS: WeakKeyDictionary[MemoryProvider, Faults] = WeakKeyDictionary()


def provider_of(given: Any) -> MemoryProvider:
    """The provider itself, or that of a memory of ours."""
    if isinstance(given, MemoryProvider):
        return given
    if callable(getattr(given, "provider", None)):
        return cast("MemoryProvider", given.provider())
    raise ConfigurationError(f"A {type(given).__name__} is no memory provider. Pass a MemoryProvider or a Memory.")


def _user(turn: Turn) -> str:
    if turn.who.user_id is None:
        raise ScopeError("A provider needs a user. Pass user_id=.")
    return turn.who.user_id


def _filters(choice: Choice) -> dict[str, Any] | None:
    return None if choice.filters is None else dict(choice.filters)


def _is_relevant(memory: Mapping[str, Any], least: float) -> bool:
    score = memory.get("score")
    return score is None or score >= least


def _changed(memory: Mapping[str, Any]) -> str:
    """When a memory changed, for providers that tell; sorting keeps the order of those that do not."""
    return str(memory.get("updated_at") or memory.get("created_at") or "")


def _block(memories: Iterable[Mapping[str, Any]], most: int | None) -> str:
    lines = [f"- {one_line(str(memory.get('content', '')))}\n" for memory in memories]
    if most is not None:
        sizes = accumulate(map(estimate_tokens, lines), initial=estimate_tokens(fenced(*LATE, ())))
        lines = [line for line, size in zip(lines, list(sizes)[1:], strict=True) if size <= most]
    return fenced(*LATE, lines) if lines else ""
