"""The before and after of one turn, which every adapter calls: recall, let somebody answer, learn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from .ambient import LEARNING
from .errors import ConfigurationError, InvalidInput, LTMError, ScopeError, StoreUnavailable
from .model import Fact
from .scope import Identity
from .ticket import Ticket
from .wrapping.faults import faults_of
from .wrapping.input import Prompt
from .wrapping.memories import Memories
from .wrapping.output import reply_text
from .wrapping.people import as_id
from .wrapping.sources import MemorySource, Recalling, Source, question

if TYPE_CHECKING:
    from .memory import AsyncMemory
    from .sync import Memory

RECALL_BUDGET_MS = 500.0
_OPEN: ContextVar[tuple[Turn, ...]] = ContextVar("ltm_turns", default=())


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
        turn_id: By which parts of one turn are known to belong together.
        is_written: Whether what was said is stored already and only the answer is left to write.
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
        self.is_written = False
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
        """A copy of what was said with the memories in it: in front of a text, in the system message of a list.

        With `context_tokens`, all that belongs into the prompt of the session, as role messages, what was said last.
        """
        if self._source.context_tokens is not None:
            return [*self.memories.context, *self.said]
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

    async def open(self) -> None:
        """Write down what was said before it is answered, so that it is not lost if it never is; needs a `turn_id`.

        It is learned with the answer that `finish` adds, here or in a turn of the same `turn_id` in another process,
        or alone if that takes minutes.
        """
        await self._written(self._writing(opening=True))

    def open_now(self) -> None:
        """The same as `open`, blocking."""
        self._written_now(self._writing(opening=True))

    async def finish(self) -> None:
        """Write down what was said and answered, once."""
        await self._written(self._writing())

    def finish_now(self) -> None:
        """The same as `finish`, blocking; on the memory's own thread it does not wait."""
        self._written_now(self._writing())

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

    async def _written(self, writing: Future[Ticket | None] | None) -> None:
        if writing is not None:
            with self.tolerance("learn"):
                done = asyncio.shield(asyncio.wrap_future(writing))
                async with asyncio.timeout(self._patience):
                    self.ticket = await done

    def _written_now(self, writing: Future[Ticket | None] | None) -> None:
        if writing is not None and not self._source.home.is_here():
            with self.tolerance("learn"):
                self.ticket = writing.result(self._patience)

    def _writing(self, *, opening: bool = False) -> Future[Ticket | None] | None:
        """Start to write the turn down, unless that is done or not wanted."""
        wanted = self.is_open and self._learns and any(one["content"].strip() for one in self.said)
        self.is_open = self.is_open and opening
        if not wanted:
            return None
        with self.tolerance("learn"):
            writing = self._source.home.submit(self._source.learn(self, self._told(), opening=opening))
            self.is_written = self.is_written or opening
            return writing
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


class TurnOptions(Recalling, total=False):
    """Who talks in a turn, and how it goes; `AsyncMemory.turn` explains each."""

    user_id: str | int | None
    session_id: str | int | None
    agent_id: str | int | None
    turn_id: str | None
    learn: bool
    recall_budget_ms: float | None
    strict: bool
    context_tokens: int | None
    summary: bool


def turn_of(memory: AsyncMemory, said: Any, **options: Unpack[TurnOptions]) -> Turn:
    """A turn of a memory, for a text or for role messages. Raises `InvalidInput` for what is neither."""
    prompt = Prompt.of(said)
    if prompt is None:
        raise InvalidInput(f"A {type(said).__name__} is no prompt. Pass a text, or role messages with one of a user.")
    how = {name: value for name, value in options.items() if name in Recalling.__optional_keys__}
    asked = question(**how)  # type: ignore[arg-type] # the same names
    tokens, summary = options.get("context_tokens"), options.get("summary", False)
    source = MemorySource(memory, asked, context_tokens=tokens, summary=summary)
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


def memory_of(memory: Memory | AsyncMemory) -> AsyncMemory:
    """The async face of a memory."""
    inner: Any = memory.as_async() if hasattr(memory, "as_async") else memory
    if not hasattr(inner, "runtime"):
        raise ConfigurationError(f"A {type(memory).__name__} is no memory. Pass a Memory or an AsyncMemory.")
    return inner  # type: ignore[no-any-return]


def _is_cancelled() -> bool:
    """Whether it is this task that is cancelled, and not the memory's work."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _ours(step: str, error: BaseException) -> BaseException:
    if isinstance(error, LTMError) or not isinstance(error, TimeoutError | asyncio.CancelledError):
        return error
    return StoreUnavailable(f"The memory took too long ({step}). Raise recall_budget_ms or look at the database.")
