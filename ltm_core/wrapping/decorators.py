"""`with_memory` and `inject_memory`: a memory around any callable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, cast

from ..errors import ConfigurationError
from ..policies import Strategy
from ..providers.base import MemoryProvider
from ..turn import memory_of
from .durable import Durable
from .memories import Selector
from .output import Output
from .people import People, Who
from .provided import Choice, ProviderSource, provider_of
from .sources import MemorySource, question
from .wiring import Hook, Input, Wiring
from .wrap import wrap

if TYPE_CHECKING:
    from ..memory import AsyncMemory
    from ..sync import Memory

IDS = ("user_id", "session_id", "agent_id")

F = TypeVar("F")


class Decorator:
    """Gives a callable a memory; its type stays as it is."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def __call__(self, function: F, /) -> F:
        """The same callable, remembering."""
        return cast("F", wrap(function, self._wiring))


class Around(TypedDict, total=False):
    """What any memory around a callable can be told."""

    user_id: Who
    session_id: Who
    agent_id: Who
    input: Input | None
    output: Output | None
    inject: str | None
    learn: bool
    recall_budget_ms: float | None
    on_partial: Literal["skip", "learn"]
    strict: bool
    pre: Hook | None
    post: Hook | None


class WithMemory(Around, total=False):
    """The options of `with_memory`."""

    strategy: str | Strategy
    selector: Selector | None
    max_memories: int | None
    max_tokens: int | None
    min_relevance: float
    include: Sequence[str]
    filters: Mapping[str, Any] | None
    namespace: str
    durable: bool
    run_id: Who


def with_memory(memory: Memory | AsyncMemory, **options: Unpack[WithMemory]) -> Decorator:
    """Give a callable a memory: before it runs, what matters is put into its prompt; afterwards, the turn is learned.

    Fits functions, async functions, generators, methods, partials, callable objects and what returns a stream. The
    user comes from the call's own `user_id` (sessions from `thread_id` or `session_id`), or from the options below.
    Where nobody is named, and where the memory fails, the callable runs as if it had none.

    Args:
        user_id, session_id, agent_id: A fixed id, used where neither the call nor `memory.scope` names one; or a
            callable that finds it, given those arguments of the call that it names.
        input: Name of the argument that holds the prompt, or a callable that finds it; otherwise it is looked for.
        output: Key or attribute that holds the answer, or a callable that takes the reply or chunk.
        inject: `system`, into the system message (before a prompt that is a text); `prepend`, before what the user
            said; `kwarg:memories`, as that argument, a list of dicts whose `str()` is the text; `none`.
        learn: Whether to learn from the turn.
        strategy, max_memories, max_tokens, min_relevance, include, filters, namespace: As in `memory.recall`.
        selector: With `strategy="custom"`: takes the turn and all facts, best first, and gives those to use.
        recall_budget_ms: Milliseconds after which the callable runs without memories; None waits for ever.
        on_partial: Whether to `learn` from a stream that was left before its end, or `skip` it.
        strict: Raise what goes wrong with the memory, instead of logging and counting it.
        pre, post: Called with the `Turn` before the callable runs, and before the turn is learned.
        durable: Whether each call is a run that can be taken up again: the callable does its work in the steps of
            `Run.current()`, `AsyncRun.current()` or an argument `run`, and called again with the same `run_id` it gets
            the results of those that were finished. What goes wrong with the run raises, unlike what goes wrong with
            the memory.
        run_id: Which run it is where the call has no `run_id`: fixed, or a callable like `user_id`; a new one without.
    """
    return Decorator(wiring_of(memory_of(memory), **options))


def wiring_of(memory: AsyncMemory, **options: Unpack[WithMemory]) -> Wiring:
    """The wiring for a memory of ours. Raises `ConfigurationError` or `InvalidInput` for options that cannot work."""
    rest: Any = dict(options)
    selector = rest.pop("selector", None)
    people = {name: rest.pop(name) for name in IDS if name in rest}
    around = {name: rest.pop(name) for name in Around.__optional_keys__ if name in rest}
    durable = _durable(memory, durable=rest.pop("durable", False), run_id=rest.pop("run_id", None))
    return Wiring(_source(memory, selector, rest), People(**people), **around, durable=durable)


def _durable(memory: AsyncMemory, *, durable: bool, run_id: Who) -> Durable | None:
    if run_id is not None and not durable:
        raise ConfigurationError("run_id= names durable runs. Pass durable=True with it.")
    return Durable(memory.checkpoints, memory.runtime.home, run_id) if durable else None


def _source(memory: AsyncMemory, selector: Selector | None, recalling: dict[str, Any]) -> MemorySource:
    if (recalling.get("strategy") == "custom") != (selector is not None):
        raise ConfigurationError("strategy='custom' and selector= go together. Pass both or neither.")
    if selector is not None:
        del recalling["strategy"]
    if "max_memories" in recalling:
        recalling["limit"] = recalling.pop("max_memories")
    return MemorySource(memory, question(**recalling), selector)


class InjectMemory(Around, total=False):
    """The options of `inject_memory`."""

    strategy: str | Selector
    max_memories: int
    min_relevance: float
    max_tokens: int | None
    selector: Selector | None
    filters: Mapping[str, Any] | None


def inject_memory(provider: MemoryProvider | Memory | AsyncMemory, **options: Unpack[InjectMemory]) -> Decorator:
    """Give a callable the memories that any `MemoryProvider` keeps of the user; nothing is learned unless asked.

    They come where the callable takes them: in `ctx.memories`, as the argument `memories` (both lists of dicts with
    id, content, score and metadata), or else in its prompt.

    Args:
        strategy: `relevant` to what is asked, `recent`, `all`, `custom` with a `selector`, or the selector itself.
        selector: Takes the call's `ctx` (without one, the `Turn`) and all memories, and gives those to use.
        max_memories: Most memories, 10 unless you say otherwise.
        min_relevance: Least score, from 0 to 1, for `relevant`.
        max_tokens: Most tokens of the block that is put into a prompt.
        learn: Whether to `add` each turn to the provider, in the background.

    The other options are those of `with_memory`. The user may also come from `ctx.user_id` or `ctx.user.id`.
    """
    rest: Any = {"inject": None, "learn": False, **options}
    choice = Choice(**{name: rest.pop(name) for name in Choice.__dataclass_fields__ if name in rest})
    people = {name: rest.pop(name) for name in IDS if name in rest}
    return Decorator(Wiring(ProviderSource(provider_of(provider), choice), People(**people), **rest))
