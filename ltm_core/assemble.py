"""Putting a memory together: a store from a URL, policies from what was passed and the defaults for the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from os import PathLike
from typing import Any, TypedDict, Unpack
from uuid import uuid4

from .errors import ConfigurationError
from .learn.by_model import ModelExtractor
from .learn.forms import FormExtractor, form_of
from .learn.offline import extract_offline
from .learn.reconcile import reconcile as reconcile_in_code
from .learn.room import MOST, USER_MOST, Bounds
from .learn.spend import Ceilings
from .learn.summarise import summarise_by_words
from .learn.summary_by_model import ModelSummariser
from .learn.turns import SessionLimits, SummaryTrigger
from .learn.worker import HELD
from .llm import Complete, Embed
from .llm.embedding import embedder_of
from .policies import (
    ALL_OPERATIONS,
    Clock,
    CountTokens,
    Extract,
    Policies,
    Rank,
    Reconcile,
    Redact,
    Render,
    Rerank,
    Summarise,
)
from .recall.budget import estimate_tokens
from .recall.rank import rank as rank_by_words
from .recall.render import render as render_fenced
from .stores import open_store
from .stores.base import Store

Storage = Store | str | PathLike[str]

LEARN_AFTER = 1.0  # seconds
ACCESS_RETENTION = timedelta(days=30)


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def store_of(storage: Storage) -> Store:
    """The store itself, or the one that a URL or path names."""
    if isinstance(storage, Store):
        return storage
    if isinstance(storage, str | PathLike):
        return open_store(storage)
    raise ConfigurationError(
        f"A {type(storage).__name__} is no storage. Pass a URL such as 'sqlite:///memory.db', or a Store."
    )


def cached_store_of(storage: Storage, cache: str | None, clock: Clock) -> Store:
    """The same as `store_of`, with a Redis as a cache in front where `cache` names one."""
    store = store_of(storage)
    if cache is None:
        return store
    from .stores.wrappers import Cached

    return Cached(store, cache, name=_database(storage, store), clock=clock)


def _database(storage: Storage, store: Store) -> str:
    """What all processes with this database call it: its URL without the driver and the user."""
    if isinstance(storage, Store):
        raise ConfigurationError(
            "cache= must know which database this is. Pass its URL, or wrap the store yourself: "
            "Cached(store, 'redis://localhost:6379/0', name='production') from ltm_core.stores.wrappers."
        )
    scheme, separator, place = os.fspath(storage).partition("://")
    if not separator:
        return os.path.abspath(scheme)
    family = {"postgres": "postgresql", "mariadb": "mysql"}.get(scheme.partition("+")[0], scheme.partition("+")[0])
    if family == "memory" or getattr(store, "in_memory", False):
        return uuid4().hex  # nobody else can see it
    if family == "sqlite":
        return os.path.abspath(place.removeprefix("/").partition("?")[0])
    return f"{family}://{place.rpartition('@')[2]}"


def limits_of(session_ttl: timedelta | float | None, session_max_messages: int | None) -> SessionLimits:
    """How long sessions live and how many messages they keep."""
    ttl = timedelta(seconds=session_ttl) if isinstance(session_ttl, int | float) else session_ttl
    if ttl is not None and ttl <= timedelta(0):
        raise ConfigurationError(f"session_ttl={session_ttl!r} lets nothing live. Pass seconds, such as 3600, or None.")
    if session_max_messages is not None and session_max_messages < 1:
        raise ConfigurationError(f"session_max_messages={session_max_messages} keeps nothing. Pass 1 or more, or None.")
    return SessionLimits(ttl, session_max_messages)


def retention_of(given: timedelta | float | None, name: str = "retention") -> timedelta | None:
    """How long something is kept, deleted facts by default; None for ever."""
    time = timedelta(seconds=given) if isinstance(given, int | float) else given
    if time is not None and time < timedelta(0):
        raise ConfigurationError(f"{name}={given!r} cannot be. Pass seconds, such as 86400, 0 or None.")
    return time


def trigger_of(tokens: int | None, messages: int | None, count: CountTokens) -> SummaryTrigger | None:
    """After how much new talk sessions are summarised; None where that is only done when asked for."""
    for name, given in (("summary_after_tokens", tokens), ("summary_after_messages", messages)):
        if given is not None and given < 1:
            raise ConfigurationError(f"{name}={given} would summarise nothing. Pass 1 or more, or None.")
    if tokens is None and messages is None:
        return None
    return SummaryTrigger(tokens or sys.maxsize, messages or sys.maxsize, count)


def complete_of(model: str | Complete) -> Complete:
    """A model, named as litellm names it or given as a callable."""
    if isinstance(model, str):
        from .llm.litellm_model import completion

        return completion(model)
    if callable(model):
        return model
    raise ConfigurationError(f"A {type(model).__name__} is no model. Pass a name such as 'openai/gpt-4o-mini'.")


@dataclass(frozen=True, slots=True)
class Queueing:
    """When what waits is learned, what that may cost, and how much may wait."""

    learn_after: float = LEARN_AFTER
    ceilings: Ceilings = field(default_factory=Ceilings)
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class AccessLogging:
    """Whether it is logged which facts were given, and how long each entry is kept; None for ever."""

    is_on: bool = True
    retention: timedelta | None = ACCESS_RETENTION


class AccessOptions(TypedDict, total=False):
    """How accesses are logged; `AsyncMemory` explains each."""

    log_access: bool
    access_retention: timedelta | float | None


class QueueOptions(TypedDict, total=False):
    """How the queue of turns is kept; `AsyncMemory` explains each."""

    learn_after: float
    user_calls_per_day: int | None
    user_tokens_per_day: int | None
    calls_per_day: int | None
    tokens_per_day: int | None
    user_max_waiting: int | None
    max_waiting: int | None
    wait_when_full: float


class Options(QueueOptions, AccessOptions, total=False):
    """Everything that may be replaced in a memory; `AsyncMemory` explains each."""

    model: str | None
    complete: Complete | None
    extract: Extract | None
    reconcile: Reconcile | None
    rank: Rank | None
    rerank: Rerank | None
    embedder: str | Embed | None
    embed: Embed | None
    render: Render | None
    redact: Redact | None
    summarise: Summarise | None
    count_tokens: CountTokens | None
    clock: Clock | None
    instructions: str
    allow: Iterable[str]
    model_timeout: float | None


def queueing_of(**options: Unpack[Options]) -> Queueing:
    """How the queue is kept, by what was passed. Raises `ConfigurationError` for what cannot be."""
    for name in QueueOptions.__optional_keys__:
        given = options.get(name)
        if given is not None and (not isinstance(given, int | float) or given < 0):
            raise ConfigurationError(f"{name}={given!r} cannot be. Pass a number that is not negative.")
    after = options.get("learn_after", LEARN_AFTER)
    if after > HELD.total_seconds():
        raise ConfigurationError(f"learn_after={after} is too long. Pass at most {HELD.total_seconds():g} seconds.")
    return Queueing(
        after,
        Ceilings(
            options.get("user_calls_per_day"),
            options.get("user_tokens_per_day"),
            options.get("calls_per_day"),
            options.get("tokens_per_day"),
        ),
        Bounds(
            options.get("user_max_waiting", USER_MOST),
            options.get("max_waiting", MOST),
            options.get("wait_when_full", 0.0),
        ),
    )


def access_logging_of(**options: Unpack[Options]) -> AccessLogging:
    """How accesses are logged, by what was passed. Raises `ConfigurationError` for what cannot be."""
    retention = retention_of(options.get("access_retention", ACCESS_RETENTION), "access_retention")
    return AccessLogging(options.get("log_access", True), retention)


_NAMED = {
    "model",
    "complete",
    "embedder",
    "embed",
    *QueueOptions.__optional_keys__,
    *AccessOptions.__optional_keys__,
}


def policies_of(**options: Unpack[Options]) -> Policies:
    """What was passed, completed by the defaults."""
    ways = [options.get("model"), options.get("complete"), options.get("extract")]
    if sum(way is not None for way in ways) > 1:
        raise ConfigurationError("model=, complete= and extract= all say how to extract. Pass one of them.")
    given = {name: value for name, value in options.items() if value is not None and name not in _NAMED}
    model = options.get("model") if options.get("complete") is None else options.get("complete")
    if model is not None:
        complete = complete_of(model)
        asking = {"extract": ModelExtractor(complete), "summarise": ModelSummariser(complete), "complete": complete}
        given = {**asking, **given}
    embedder = options.get("embedder") if options.get("embed") is None else options.get("embed")
    if embedder is not None:
        given["embedder"] = embedder_of(embedder)
    defaults: dict[str, Any] = {
        "clock": utc_now,
        "extract": extract_offline,
        "reconcile": reconcile_in_code,
        "rank": rank_by_words,
        "render": render_fenced,
        "summarise": summarise_by_words,
        "count_tokens": estimate_tokens,
    }
    if "model_timeout" in options:
        given["model_timeout"] = _timeout(options["model_timeout"])
    return Policies(**{**defaults, **given, "allow": _operations(options.get("allow", ALL_OPERATIONS))})


def with_extraction(policies: Policies, model: str | Complete | None, template: str | None) -> Policies:
    """The same policies, extracting by another model or looking for what a template names."""
    extract = policies.extract if model is None else ModelExtractor(complete_of(model))
    form = form_of(template)
    if form is not None:
        return replace(policies, extract=FormExtractor(form, asked_by(extract), extract))
    return replace(policies, extract=extract, instructions=template or policies.instructions)


def asked_by(extract: Extract) -> Complete | None:
    """The model that an extractor of ours asks; None where none is asked, or it is an extractor of one's own."""
    return extract.complete if isinstance(extract, ModelExtractor) else None


def _timeout(seconds: float | None) -> float | None:
    if seconds is not None and seconds <= 0:
        raise ConfigurationError(f"model_timeout={seconds} gives no model time. Pass seconds, such as 60, or None.")
    return seconds


def _operations(allow: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(allow)
    if isinstance(allow, str) or not wanted <= ALL_OPERATIONS:
        raise ConfigurationError(f"allow={allow!r} is not a set of ADD, UPDATE and DELETE. Pass {{'ADD', 'UPDATE'}}.")
    return wanted
