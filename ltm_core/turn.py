"""The before and after of one turn, which every adapter calls: recall, let somebody answer, learn."""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack
from weakref import WeakKeyDictionary

from .ambient import LEARNING, identity, scoped
from .errors import ConfigurationError, InvalidInput, LTMError, ScopeError, StoreUnavailable
from .filters import condition
from .home import Home
from .model import Fact, Message, Recalled
from .policies import Ranked, Ranking, Strategy
from .recalling import Question
from .runtime import Runtime
from .scope import Identity
from .ticket import Ticket
from .wrapping.input import Prompt
from .wrapping.output import reply_text
from .wrapping.people import as_id

if TYPE_CHECKING:
    from .memory import AsyncMemory
    from .sync import Memory

log = logging.getLogger("ltm_core")

RECALL_BUDGET_MS = 500.0
# Seconds that an answer is held at most for the write of its turn, which then goes on by itself.
PATIENCE = 2.0
# Seconds that a first turn waits for the database to open, on top of its budget.
OPENING = 5.0

Selector = Callable[[Any, Any], Any]
"""Takes the context of the call and memories as dicts, best first; gives those to use."""


class Memories(list[dict[str, Any]]):
    """What was recalled: dicts of id, content, score and metadata; as text, the block for a prompt."""

    def __init__(self, items: Iterable[dict[str, Any]] = (), text: str = "", recalled: Recalled | None = None) -> None:
        super().__init__(items)
        self.text = text
        self.recalled = recalled

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, recalled: Recalled) -> Memories:
        """The same as dicts: facts, then messages, then what is not learned yet."""
        told = [*recalled.messages, *recalled.pending]
        return cls([*map(fact_dict, recalled.facts), *map(message_dict, told)], recalled.text, recalled)


def fact_dict(fact: Fact, score: float | None = None) -> dict[str, Any]:
    """A fact as memory providers give it."""
    score = fact.score if score is None else score
    return {"id": fact.id, "content": fact.text, "score": score, "metadata": fact.metadata}


def message_dict(message: Message) -> dict[str, Any]:
    """A message as memory providers give it."""
    return {"id": message.id, "content": message.text, "score": message.score, "metadata": message.metadata}


def _ranked_dict(ranked: Ranked) -> dict[str, Any]:
    content = ranked.item.content
    found = fact_dict(content) if isinstance(content, Fact) else message_dict(content)
    return {**found, "score": ranked.score}


class Faults:
    """What went wrong with a memory while agents answered: each kind is logged once and counted always."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, kind: str, remedy: str) -> None:
        """Count a fault, and log the first of its kind."""
        with self._lock:
            self.counts[kind] += 1
            first = self.counts[kind] == 1
        if first:
            log.warning("An agent ran without memory (%s). %s This is logged once.", kind, remedy)


class Source(ABC):
    """Where a turn recalls from and learns into."""

    name: str
    home: Home
    faults: Faults
    patience: float | None = PATIENCE
    is_new = True

    @abstractmethod
    async def recall(self, turn: Turn) -> Memories:
        """What matters for the turn."""

    async def open(self) -> None:  # noqa: B027 # there may be nothing to open
        """Make ready to recall."""

    async def ready(self) -> None:
        """Let the first turn wait until all is open, so that it need not fit into the budget of one recall."""
        try:
            # Whoever waits no longer does not stop it.
            async with asyncio.timeout(OPENING):
                await asyncio.shield(asyncio.ensure_future(self.open()))
        finally:
            self.is_new = False

    @abstractmethod
    async def learn(self, turn: Turn, messages: Sequence[dict[str, Any]]) -> Ticket | None:
        """Write the turn down."""

    def who(self, named: Mapping[str, str | None], fixed: Mapping[str, str | None]) -> Identity:
        """Who is talking: as the call names them, else the scope around it, else as fixed; empty ids are nobody."""
        around = self.around()
        if named["user_id"] is not None and around.user_id not in (None, named["user_id"]):
            around = Identity(tenant=around.tenant)  # another user's session is not this one's
        ids: dict[str, Any] = {name: _first(given, getattr(around, name), fixed[name]) for name, given in named.items()}
        return replace(Identity(tenant=around.tenant), **ids)

    def around(self) -> Identity:
        """Who is talking by the scope around the call."""
        return Identity()

    def scope(self, who: Identity) -> AbstractContextManager[None]:
        """A scope for what is called inside the turn."""
        return nullcontext()


class MemorySource(Source):
    """A memory of ours. `asked` says how to recall, `selector` chooses among all facts."""

    def __init__(self, memory: AsyncMemory, asked: Question, selector: Selector | None = None) -> None:
        self._memory = memory
        self._asked = asked
        self._selector = selector
        self.name = memory.runtime.name
        self.home = memory.runtime.home
        self.faults = faults_of(memory.runtime)

    async def open(self) -> None:
        """Open the database."""
        await self._memory.runtime.open()

    async def recall(self, turn: Turn) -> Memories:
        """What matters for the turn."""
        asked = replace(self._asked, query=turn.query, who=turn.who)
        if self._selector is not None:
            asked = replace(asked, strategy=partial(self._selected, self._selector, turn))
        runtime = self._memory.runtime
        return Memories.of(await runtime.run(runtime.recalling.recall(asked)))

    async def learn(self, turn: Turn, messages: Sequence[dict[str, Any]]) -> Ticket | None:
        """Write the turn down; it is learned in the background."""
        work = self._memory._observe(messages, turn.who, self._asked.namespace, turn.turn_id)
        return await self._memory.runtime.run(work)

    def around(self) -> Identity:
        """Who is talking by `memory.scope`."""
        nothing = {"user_id": None, "session_id": None, "agent_id": None}
        return identity(self.name, self._memory.runtime.tenant, **nothing)

    def scope(self, who: Identity) -> AbstractContextManager[None]:
        """The scope of those who talk in the turn."""
        return scoped(self.name, user_id=who.user_id, session_id=who.session_id, agent_id=who.agent_id)

    def _selected(self, selector: Selector, turn: Turn, given: Ranking) -> Sequence[Ranked]:
        ranked = self._memory.runtime.policies.rank(given)
        dicts = [_ranked_dict(each) for each in ranked]
        places = {one["id"]: place for place, one in enumerate(dicts)}
        return [ranked[places[one["id"]]] for one in selector(turn.context, dicts)]


_FAULTS: WeakKeyDictionary[Runtime, Faults] = WeakKeyDictionary()
_OPEN: ContextVar[tuple[Turn, ...]] = ContextVar("ltm_turns", default=())


def faults_of(runtime: Runtime) -> Faults:
    """The faults of one memory, whoever uses it."""
    return _FAULTS.setdefault(runtime, Faults())


def failures(memory: Memory | AsyncMemory) -> dict[str, int]:
    """How often agents had to do without this memory in this process, by step and kind of error."""
    return dict(faults_of(memory_of(memory).runtime).counts)


class Turn:
    """One turn: what is remembered before the answer, and what is learned after it.

    Used as `with` or `async with`, it recalls at the start and learns at the end, unless the block raises. A turn
    inside a turn of the same people recalls and learns nothing, nor does one inside our own model calls or where
    nobody is named. Memory that fails is logged once and counted; with `strict` it raises.

    Attributes:
        query: What is asked of the memory; a hook may change it.
        said: What the user said, as role messages; these are learned.
        reply: What was answered, as text; this is learned too.
        memories: What was recalled, as dicts and as text.
        ticket: The promise that the turn will be learned, once it is over.
        context: What a selector is given: a `ctx` argument of the wrapped callable, or the turn itself.
    """

    def __init__(
        self,
        source: Source,
        prompt: Prompt | None,
        who: Identity,
        *,
        recalls: bool = True,
        learns: bool = True,
        budget_ms: float | None = RECALL_BUDGET_MS,
        strict: bool = False,
        turn_id: str | None = None,
    ) -> None:
        self.who = who
        self.query = prompt.query if prompt else ""
        self.said = list(prompt.said) if prompt else []
        self.reply = ""
        self.memories = Memories()
        self.ticket: Ticket | None = None
        self.turn_id = turn_id
        self.context: Any = self
        self.partial = False
        self._source = source
        self._prompt = prompt
        self._recalls = recalls
        self._learns = learns
        self._budget = None if budget_ms is None else budget_ms / 1000
        self._strict = strict
        self._inside: Inside | None = None
        self.is_open = prompt is not None and self._begins()

    @property
    def text(self) -> str:
        """The recalled block for a prompt; empty where nothing is known."""
        return self.memories.text

    @property
    def facts(self) -> list[Fact]:
        """The recalled facts, best first."""
        return self.memories.recalled.facts if self.memories.recalled else []

    def prompt(self) -> Any:
        """A copy of what was said with the memories in it: in front of a text, in the system message of a list."""
        if self._prompt is None or not self.text:
            return self._prompt.value if self._prompt else ""
        return self._prompt.with_system(self.text)

    def answer(self, reply: Any) -> None:
        """Tell what was answered: a text, a message, or a reply as model clients give it."""
        self.reply = reply_text(reply)

    def skip(self) -> None:
        """Learn nothing from this turn."""
        self._learns = False

    async def begin(self) -> Self:
        """Recall, within the budget."""
        if self.is_open and self._recalls:
            with self.tolerance("recall"):
                if self._source.is_new:
                    await self._source.home.run(self._source.ready())
                async with asyncio.timeout(self._budget):
                    self.memories = await self._source.recall(self)
        return self

    def begin_now(self) -> Self:
        """The same as `begin`, blocking."""
        if self.is_open and self._recalls:
            with self.tolerance("recall"):
                if self._source.is_new:
                    self._source.home.wait(self._source.ready())
                self.memories = self._source.home.wait(self._source.recall(self), self._budget)
        return self

    async def finish(self) -> None:
        """Write down what was said and answered, once."""
        writing = self._writing()
        if writing is not None:
            with self.tolerance("learn"):
                done = asyncio.shield(asyncio.wrap_future(writing))
                async with asyncio.timeout(self._patience):
                    self.ticket = await done

    def finish_now(self) -> None:
        """The same as `finish`, blocking; on the memory's own thread it does not wait."""
        writing = self._writing()
        if writing is not None and not self._source.home.is_here():
            with self.tolerance("learn"):
                self.ticket = writing.result(self._patience)

    def finish_soon(self) -> None:
        """The same as `finish`, without waiting."""
        self._writing()

    def close(self) -> None:
        """End the turn; nothing is learned from it."""
        self.is_open = False

    def inside(self) -> Inside:
        """A block in which the turn is going on: what is called there is nested, and knows who is talking."""
        return Inside(self, self._source.scope(self.who) if self.is_open else None)

    @contextmanager
    def tolerance(self, step: str) -> Iterator[None]:
        """Keep what goes wrong with the memory from the agent, unless strict."""
        try:
            yield
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            self._fault(step, error)
        except Exception as error:
            self._fault(step, error)

    async def __aenter__(self) -> Self:
        await self.begin()
        return self._enter()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._leave(kind)
        await self.finish()

    def __enter__(self) -> Self:
        self.begin_now()
        return self._enter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._leave(kind)
        self.finish_now()

    def _enter(self) -> Self:
        self._inside = self.inside()
        self._inside.__enter__()
        return self

    def _leave(self, kind: type[BaseException] | None) -> None:
        if self._inside is not None:
            with suppress(ValueError):  # left in another context than entered, as fixtures do
                self._inside.__exit__(None, None, None)
        if kind is not None:
            self.close()

    def _begins(self) -> bool:
        if LEARNING.get():
            return False
        if self.who.user_id is None and self.who.session_id is None:
            self._nobody()
            return False
        outer = next((turn for turn in _OPEN.get() if turn.is_open and turn._key == self._key), None)
        if outer is not None:
            self.memories = outer.memories
        return outer is None

    @property
    def _patience(self) -> float | None:
        """Who is strict waits to be certain."""
        return None if self._strict else self._source.patience

    @property
    def _key(self) -> tuple[str, str | None, str | None]:
        return self._source.name, self.who.user_id, self.who.session_id

    def _writing(self) -> Future[Ticket | None] | None:
        """Start to write the turn down, unless that is done or not wanted."""
        wanted = self.is_open and self._learns and any(one["content"].strip() for one in self.said)
        self.is_open = False
        if not wanted:
            return None
        with self.tolerance("learn"):
            return self._source.home.submit(self._source.learn(self, self._told()))
        return None

    def _told(self) -> list[dict[str, Any]]:
        flag = {"metadata": {"partial": True}} if self.partial else {}
        answered = [{"role": "assistant", "content": self.reply, **flag}] if self.reply else []
        said = [{**one, **flag} for one in self.said] if flag and not answered else self.said
        return [*said, *answered]

    def _nobody(self) -> None:
        error = ScopeError("Nobody is named. Pass user_id= (or thread_id=), or call inside memory.scope(user_id=…).")
        if self._strict:
            raise error
        self._source.faults.note("nobody", str(error))

    def _fault(self, step: str, error: BaseException) -> None:
        if self._strict:
            raise _ours(step, error) from error
        self._source.faults.note(f"{step}: {type(error).__name__}", f"{error} strict=True raises it.".lstrip())


class Inside:
    """The time in which a turn is going on, for the current context."""

    __slots__ = ("_scope", "_token", "_turn")

    def __init__(self, turn: Turn, scope: AbstractContextManager[None] | None) -> None:
        self._turn = turn
        self._scope = scope

    def __enter__(self) -> None:
        if self._scope is not None:
            self._token = _OPEN.set((*_OPEN.get(), self._turn))
            self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The block's error is none of the scope's business, and must come out as it went in.
        if self._scope is not None:
            self._scope.__exit__(None, None, None)
            _OPEN.reset(self._token)


class Recalling(TypedDict, total=False):
    """How a turn recalls; as in `memory.recall`."""

    strategy: str | Strategy
    limit: int | None
    max_tokens: int | None
    min_relevance: float
    include: Sequence[str]
    filters: Mapping[str, Any] | None
    namespace: str


class TurnOptions(Recalling, total=False):
    """Who talks in a turn, and how it goes; `AsyncMemory.turn` explains each."""

    user_id: str | int | None
    session_id: str | int | None
    agent_id: str | int | None
    turn_id: str | None
    learn: bool
    recall_budget_ms: float | None
    strict: bool


def turn_of(memory: AsyncMemory, said: Any, **options: Unpack[TurnOptions]) -> Turn:
    """A turn of a memory, for a text or for role messages. Raises `InvalidInput` for what is neither."""
    prompt = Prompt.of(said)
    if prompt is None:
        raise InvalidInput(f"A {type(said).__name__} is no prompt. Pass a text, or role messages with one of a user.")
    how = {name: value for name, value in options.items() if name in Recalling.__optional_keys__}
    source = MemorySource(memory, question(**how))  # type: ignore[arg-type] # the same names
    named = {name: as_id(options.get(name)) for name in ("user_id", "session_id", "agent_id")}
    return Turn(
        source,
        prompt,
        source.who(named, dict.fromkeys(named)),
        learns=options.get("learn", True),
        budget_ms=options.get("recall_budget_ms", RECALL_BUDGET_MS),
        strict=options.get("strict", False),
        turn_id=options.get("turn_id"),
    )


def question(**how: Unpack[Recalling]) -> Question:
    """What each turn asks of the memory, but for the query and who asks. Raises `InvalidInput`."""
    given: Any = {**how, "filters": condition(how.get("filters"))}
    return Question("", Identity(), **given)


def memory_of(memory: Memory | AsyncMemory) -> AsyncMemory:
    """The async face of a memory."""
    inner: Any = memory.as_async() if hasattr(memory, "as_async") else memory
    if not hasattr(inner, "runtime"):
        raise ConfigurationError(f"A {type(memory).__name__} is no memory. Pass a Memory or an AsyncMemory.")
    return inner  # type: ignore[no-any-return]


def _first(*ids: str | None) -> str | None:
    found = next((one for one in ids if one is not None), None)
    return found if found and found.strip() else None


def _is_cancelled() -> bool:
    """Whether it is this task that is cancelled, and not the memory's work."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _ours(step: str, error: BaseException) -> BaseException:
    if isinstance(error, LTMError) or not isinstance(error, TimeoutError | asyncio.CancelledError):
        return error
    return StoreUnavailable(f"The memory took too long ({step}). Raise recall_budget_ms or look at the database.")
