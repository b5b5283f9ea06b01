"""The same memory without await: each verb is made from its async one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

from pydantic import BaseModel

from .assemble import Options, Storage
from .checkpoints import Checkpoints
from .facts import PersistentFacts
from .home import Home
from .jobs import Jobs
from .maintain.strategies import EVERY
from .memory import AsyncMemory
from .model import Fact
from .policies import MaintenanceStrategy
from .providers.base import MemoryProvider
from .runtime import Runtime
from .scope import DEFAULT_TENANT
from .sessions import Sessions
from .turn import Turn, TurnOptions
from .wrapping.decorators import Decorator, WithMemory, with_memory

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")
Inner = TypeVar("Inner")


class _Face(Protocol[Inner]):
    """Something whose verbs block, over something whose verbs are awaited."""

    _inner: Inner
    _home: Home


def blocking(
    verb: Callable[Concatenate[Inner, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[_Face[Inner], P], R]:
    """The verb for callers without a loop: the same signature, the same documentation, the result itself."""

    @wraps(verb)
    def wait(self: _Face[Inner], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._home.wait(verb(self._inner, *args, **kwargs))

    return cast("Callable[Concatenate[_Face[Inner], P], R]", wait)


class Facts:
    """`PersistentFacts` without await."""

    def __init__(self, inner: PersistentFacts, home: Home) -> None:
        self._inner = inner
        self._home = home

    def register(self, *models: type[BaseModel]) -> None:
        """Know pydantic models by name, as `PersistentFacts.register` does."""
        self._inner.register(*models)

    def typed(self, fact: Fact, schema: type[BaseModel] | None = None) -> Fact:
        """A fact with its value as a model, as `PersistentFacts.typed` gives it."""
        return self._inner.typed(fact, schema)

    add = blocking(PersistentFacts.add)
    add_many = blocking(PersistentFacts.add_many)
    get = blocking(PersistentFacts.get)
    update = blocking(PersistentFacts.update)
    delete = blocking(PersistentFacts.delete)
    search = blocking(PersistentFacts.search)
    get_all = blocking(PersistentFacts.get_all)
    filter = blocking(PersistentFacts.filter)
    archived = blocking(PersistentFacts.archived)
    history = blocking(PersistentFacts.history)
    sources = blocking(PersistentFacts.sources)
    confidence = blocking(PersistentFacts.confidence)
    rollback = blocking(PersistentFacts.rollback)
    diff = blocking(PersistentFacts.diff)
    archive = blocking(PersistentFacts.archive)
    unarchive = blocking(PersistentFacts.unarchive)
    pin = blocking(PersistentFacts.pin)
    unpin = blocking(PersistentFacts.unpin)
    link = blocking(PersistentFacts.link)
    unlink = blocking(PersistentFacts.unlink)
    links = blocking(PersistentFacts.links)
    related = blocking(PersistentFacts.related)
    graph = blocking(PersistentFacts.graph)
    extract_from_messages = blocking(PersistentFacts.extract_from_messages)
    extract = blocking(PersistentFacts.extract)
    update_intelligent = blocking(PersistentFacts.update_intelligent)
    usage = blocking(PersistentFacts.usage)
    accesses = blocking(PersistentFacts.accesses)
    touch = blocking(PersistentFacts.touch)


class SessionsFace:
    """`Sessions` without await."""

    def __init__(self, inner: Sessions, home: Home) -> None:
        self._inner = inner
        self._home = home

    add_message = blocking(Sessions.add_message)
    add_messages = blocking(Sessions.add_messages)
    get_messages = blocking(Sessions.get_messages)
    facts = blocking(Sessions.facts)
    edit_message = blocking(Sessions.edit_message)
    archive_messages = blocking(Sessions.archive_messages)
    delete_messages = blocking(Sessions.delete_messages)
    clear = blocking(Sessions.clear)
    delete = blocking(Sessions.delete)
    list = blocking(Sessions.list)
    search = blocking(Sessions.search)
    rename = blocking(Sessions.rename)
    fork = blocking(Sessions.fork)
    state = blocking(Sessions.state)
    set_state = blocking(Sessions.set_state)
    patch_state = blocking(Sessions.patch_state)
    state_versions = blocking(Sessions.state_versions)
    summarize = blocking(Sessions.summarize)
    summary = blocking(Sessions.summary)
    summaries = blocking(Sessions.summaries)
    sweep = blocking(Sessions.sweep)


class JobsFace:
    """`Jobs` without await."""

    def __init__(self, inner: Jobs, home: Home) -> None:
        self._inner = inner
        self._home = home

    list = blocking(Jobs.list)
    show = blocking(Jobs.show)
    retry = blocking(Jobs.retry)
    drop = blocking(Jobs.drop)
    undo = blocking(Jobs.undo)


class CheckpointsFace:
    """`Checkpoints` without await."""

    def __init__(self, inner: Checkpoints, home: Home) -> None:
        self._inner = inner
        self._home = home

    save = blocking(Checkpoints.save)
    latest = blocking(Checkpoints.latest)
    list = blocking(Checkpoints.list)
    delete = blocking(Checkpoints.delete)
    delete_user = blocking(Checkpoints.delete_user)


class Memory:
    """A long-term memory whose verbs block; everything else is as in `AsyncMemory`.

    >>> with Memory("memory://") as memory:
    ...     updates = memory.remember("I moved to Berlin.", user_id="ana")
    ...     print(updates[0].operation, memory.recall("Where do I live?", user_id="ana").facts[0].value)
    ADD Berlin
    """

    def __init__(
        self,
        url: Storage | None = None,
        *,
        store: Storage | None = None,
        tenant: str = DEFAULT_TENANT,
        background: bool = True,
        session_ttl: timedelta | float | None = None,
        session_max_messages: int | None = None,
        cache: str | None = None,
        summary_after_tokens: int | None = 1_000,
        summary_after_messages: int | None = 40,
        retention: timedelta | float | None = None,
        maintain: Sequence[str | MaintenanceStrategy] = (),
        maintain_every: timedelta | float = EVERY,
        **options: Unpack[Options],
    ) -> None:
        self._inner = AsyncMemory(
            url,
            store=store,
            tenant=tenant,
            background=background,
            session_ttl=session_ttl,
            session_max_messages=session_max_messages,
            cache=cache,
            summary_after_tokens=summary_after_tokens,
            summary_after_messages=summary_after_messages,
            retention=retention,
            maintain=maintain,
            maintain_every=maintain_every,
            **options,
        )
        self._home = self._inner.runtime.home
        self.facts = Facts(self._inner.facts, self._home)
        self.sessions = SessionsFace(self._inner.sessions, self._home)
        self.jobs = JobsFace(self._inner.jobs, self._home)
        self.checkpoints = CheckpointsFace(self._inner.checkpoints, self._home)

    observe = blocking(AsyncMemory.observe)
    remember = blocking(AsyncMemory.remember)
    recall = blocking(AsyncMemory.recall)
    context = blocking(AsyncMemory.context)
    forget = blocking(AsyncMemory.forget)
    feedback = blocking(AsyncMemory.feedback)
    maintain = blocking(AsyncMemory.maintain)
    sweep = blocking(AsyncMemory.sweep)
    stats = blocking(AsyncMemory.stats)
    flush = blocking(AsyncMemory.flush)

    @property
    def runtime(self) -> Runtime:
        """What the faces of this memory share; for adapters."""
        return self._inner.runtime

    def close(self) -> None:
        """Stop learning and give back the database. What waits is learned at the next start. Twice is harmless."""
        self.runtime.close_now()

    def scope(
        self, *, user_id: str | None = None, session_id: str | None = None, agent_id: str | None = None
    ) -> AbstractContextManager[None]:
        """Name the ids once for all calls inside a `with` block, across threads, tasks and loops."""
        return self._inner.scope(user_id=user_id, session_id=session_id, agent_id=agent_id)

    def as_async(self) -> AsyncMemory:
        """The same memory with async verbs, for callers inside a loop."""
        return self._inner

    def __enter__(self) -> Self:
        self._home.wait(self.runtime.open())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def turn(self, said: Any, **options: Unpack[TurnOptions]) -> Turn:
        """The same as `AsyncMemory.turn`, for a `with` block."""
        return self._inner.turn(said, **options)

    @overload
    def wrap(self, function: F, /, **options: Unpack[WithMemory]) -> F: ...
    @overload
    def wrap(self, /, **options: Unpack[WithMemory]) -> Decorator: ...
    def wrap(self, function: Any = None, /, **options: Unpack[WithMemory]) -> Any:
        """Give a callable this memory: `wrap(agent.invoke)`, `@memory.wrap` or `@memory.wrap(…)`; see `with_memory`."""
        decorator = with_memory(self, **options)
        return decorator if function is None else decorator(function)

    def provider(self) -> MemoryProvider:
        """This memory as a `MemoryProvider`, whose methods are async."""
        return self._inner.provider()
