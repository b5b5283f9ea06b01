"""The long-term memory of an agent made by `create_agent`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypedDict, Unpack

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime

from ltm_core import AsyncMemory, ConfigurationError, Identity, Memory, Message, Turn

from .faces import apart, async_face
from .history import restored
from .messages import answer_ids, last_answer, last_said, role_message
from .people import People, Who

MOST_TURNS = 1024


class Recalling(TypedDict, total=False):
    """How to recall; as in `memory.recall`."""

    strategy: Any
    limit: int | None
    max_tokens: int | None
    min_relevance: float
    include: Sequence[str]
    filters: dict[str, Any] | None
    namespace: str


@dataclass(frozen=True, slots=True)
class Recollection:
    """What was recalled for a turn.

    Attributes:
        text: For the system message; empty where nothing is known.
        earlier: What a model sees in front of the turn instead of the thread; None for the thread as it is.
    """

    turn_id: str | None
    text: str
    earlier: Sequence[BaseMessage] | None = None

    @classmethod
    def of(cls, turn: Turn) -> Recollection:
        """What a turn has recalled, and the prompt of its session, where that tells of an earlier turn at all."""
        if not turn.memories.has_talk:
            return cls(turn.turn_id, turn.text)
        context = turn.memories.context
        system = "".join(one["content"] for one in context if one["role"] == "system")
        return cls(turn.turn_id, system, [restored(Message.of(one)) for one in context if one["role"] != "system"])


class LongTermMemoryMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives an agent a long-term memory: it knows what matters before it answers, and learns from each turn.

    What is recalled goes into the system message of each model call and nowhere else: not into the state, a
    checkpoint or a stream. It is recalled once per turn. With `context_tokens` a model sees no more of a long thread
    than that: its summary and its last turns, as `memory.context` gives them, and all of the turn that it is in; the
    state keeps everything. The user's words are written down before the model is called,
    the answer when the agent is done; the turn is learned in the background, once. Put it last in the list.

    Args:
        memory: Where to remember. Whoever made it closes it.
        user_id, session_id, agent_id: Who is talking: an id, or a callable that takes the runtime and the config.
            Otherwise the authenticated user of the server, `context.user_id`, `configurable["user_id"]`; the session
            is the thread. Where there is no user, the agent runs without memory.
        user_id_key: Another name for `user_id` in context and config.
        context_tokens: The most that may be said in front of the answer: memories, summary and earlier turns (words, no
            calls of tools), and the user's message. Without, a model sees the thread as it is, and the memories. It is
            about what was said since the thread has this memory, and needs `learn`.
        learn: Whether to learn from what is said.
        learn_in_subagents: Whether also to learn where this agent is called by another one; its "user" is a program.
        recall_budget_ms: Milliseconds after which the model is called without memories; None waits for ever.
        strict: Raise what goes wrong with the memory, instead of logging and counting it.
        tools: Tools for the agent, such as `create_memory_tools(memory)`.
        name: Another name, for an agent with two memories.
        recalling: The options of `memory.recall`: `limit`, `max_tokens`, `strategy`, `filters`, …
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        user_id: Who = None,
        session_id: Who = None,
        agent_id: Who = None,
        user_id_key: str = "user_id",
        context_tokens: int | None = None,
        learn: bool = True,
        learn_in_subagents: bool = False,
        recall_budget_ms: float | None = 500.0,
        strict: bool = False,
        tools: Sequence[BaseTool] = (),
        name: str | None = None,
        **recalling: Unpack[Recalling],
    ) -> None:
        super().__init__()
        self.tools = list(tools)
        self._memory = async_face(memory)
        self._people = People(user_id, session_id, agent_id, user_id_key)
        self._learn = learn
        self._learn_in_subagents = learn_in_subagents
        self._name = name or type(self).__name__
        if context_tokens is not None and not learn:
            raise ConfigurationError("context_tokens= needs what was said before. Leave learn=True, or leave it out.")
        how = {"recall_budget_ms": recall_budget_ms, "strict": strict, "context_tokens": context_tokens}
        self._options: dict[str, Any] = {**how, **recalling}
        self._turns = _Recollections()
        # Refuses at once what could never work, and bears with what goes wrong later.
        self._nobody = self._memory.turn("", user_id="nobody", **self._options)

    @property
    def name(self) -> str:
        """The name of this middleware among the others of an agent."""
        return self._name

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Recall, write down what the user said, and call the model with what is remembered."""
        turn = self._turn(request.messages, request.runtime)
        known = self._turns.find(turn.who, request.messages)
        if known is None and _says_something(turn):
            with apart():
                turn.begin_now()
                known = self._turns.keep(turn, request.messages)
                turn.open_now()
        response = handler(_informed(request, known))
        self._turns.answered(turn.who, known, response)
        return response

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """The same as `wrap_model_call`, without blocking the loop."""
        turn = self._turn(request.messages, request.runtime)
        known = self._turns.find(turn.who, request.messages)
        if known is None and _says_something(turn):
            with apart():
                await turn.begin()
                known = self._turns.keep(turn, request.messages)
                await turn.open()
        response = await handler(_informed(request, known))
        self._turns.answered(turn.who, known, response)
        return response

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Write down what was answered."""
        turn = self._closing(state["messages"], runtime)
        with apart():
            turn.finish_now()

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """The same as `after_agent`, without blocking the loop."""
        turn = self._closing(state["messages"], runtime)
        with apart():
            await turn.finish()

    def _turn(self, messages: Sequence[BaseMessage], runtime: Runtime[Any]) -> Turn:
        """The turn that a conversation is in; a closed one where nobody is talking."""
        said = last_said(messages)
        learn = self._learn and (self._learn_in_subagents or not _is_nested(runtime))
        options = {**self._options, "learn": learn, "turn_id": said[-1].id if said else None}
        with self._nobody.tolerance("who"):
            who = self._people.find(runtime)
            return self._memory.turn([role_message(one) for one in said] or "", **who, **options)
        return self._memory.turn("", user_id="", **self._options)

    def _closing(self, messages: Sequence[BaseMessage], runtime: Runtime[Any]) -> Turn:
        """The same turn with nothing left to write but the answer: the user's words are written already."""
        turn, answer = self._turn(messages, runtime), last_answer(messages)
        known = self._turns.forget(turn.who, messages)
        turn.turn_id = turn.turn_id or (known.turn_id if known else None)
        if answer is None or turn.turn_id is None:
            turn.close()
        else:
            turn.is_written, turn.said = True, [role_message(answer)]
        return turn


class _Recollections:
    """What was recalled for turns that are not over, so that each is recalled for once.

    A turn is known by the user's message and, once a summary has taken its place, by what the model said since.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Identity, str], Recollection] = OrderedDict()
        self._lock = Lock()

    def keep(self, turn: Turn, messages: Sequence[BaseMessage]) -> Recollection:
        """Remember what was recalled for `turn`."""
        known = Recollection.of(turn)
        self._put(turn.who, next(_names(messages), None), known)
        return known

    def find(self, who: Identity, messages: Sequence[BaseMessage]) -> Recollection | None:
        """What was recalled for the turn that `messages` end in."""
        with self._lock:
            found = (self._known.get((who, name)) for name in _names(messages))
            return next((known for known in found if known is not None), None)

    def answered(self, who: Identity, known: Recollection | None, response: Any) -> None:
        """Know the turn also by what the model said."""
        if known is not None:
            for name in answer_ids(getattr(response, "result", ())):
                self._put(who, name, known)

    def forget(self, who: Identity, messages: Sequence[BaseMessage]) -> Recollection | None:
        """Let go of a turn that is over."""
        found = self.find(who, messages)
        with self._lock:
            for place in [place for place, known in self._known.items() if known is found]:
                del self._known[place]
        return found

    def _put(self, who: Identity, name: str | None, known: Recollection) -> None:
        if name is None:
            return
        with self._lock:
            self._known[who, name] = known
            while len(self._known) > MOST_TURNS:
                self._known.popitem(last=False)


def _names(messages: Sequence[BaseMessage]) -> Iterator[str]:
    said = last_said(messages)
    names = [said[-1].id] if said else reversed(answer_ids(messages))
    return (name for name in names if name)


def _says_something(turn: Turn) -> bool:
    return turn.is_open and any(one["content"].strip() for one in turn.said)


def _is_nested(runtime: Runtime[Any]) -> bool:
    """Whether another graph runs this one, as a node or from a tool."""
    return "|" in getattr(runtime.execution_info, "checkpoint_ns", "")


def _informed(request: ModelRequest[Any], known: Recollection | None) -> ModelRequest[Any]:
    """The request with what is remembered at the end of its system message; all that was there stays as it is."""
    if known is None:
        return request
    if known.earlier is not None:
        messages: list[Any] = [*known.earlier, *_of_turn(request.messages)]  # LangChain names each class of message
        request = request.override(messages=messages)
    if not known.text:
        return request
    system = request.system_message
    if system is None:
        return request.override(system_message=SystemMessage([_block(known.text)]))
    said = [_block(system.content)] if isinstance(system.content, str) else system.content
    content = [*said, _block(f"\n\n{known.text}")]
    return request.override(system_message=system.model_copy(update={"content": content}))


def _of_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The messages from what the user said last on; all, once something else has taken the place of that."""
    said = last_said(messages)
    return messages[messages.index(said[0]) :] if said else messages


def _block(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
