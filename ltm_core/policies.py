"""What may be replaced: plain callables, each given one context value that can grow.

Any of them may be passed to `Memory(…)` by keyword. They may be async where the type says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from .llm import Complete
from .llm.embedding import Embedder, embedded_text
from .model import Candidate, Fact, FactUpdate, LeftOut, Message, Remembered, Summary, Usage
from .scope import Identity, Scope
from .text.words import Wording

MODEL_TIMEOUT = 90.0  # seconds; longer than clients of models wait by themselves
ALL_OPERATIONS = frozenset({"ADD", "UPDATE", "DELETE"})

Clock = Callable[[], datetime]
Redact = Callable[[str], str]
CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Extracting:
    """What an extractor is given.

    Attributes:
        messages: The new messages, oldest first, each with an id.
        earlier: Some messages before them, for context only: nothing is to be extracted from them.
        known: Stored facts that may be meant, for `Candidate.replaces`.
        allow: Which of ADD, UPDATE and DELETE are wanted.
        instructions: What to capture, in the words of the developer.
    """

    messages: Sequence[Message]
    identity: Identity
    now: datetime
    earlier: Sequence[Message] = ()
    known: Sequence[Fact] = ()
    allow: frozenset[str] = ALL_OPERATIONS
    instructions: str = ""


class Extract(Protocol):
    """Reads facts out of a conversation. Raises `ExtractionError` where it could not: never an empty list then."""

    def __call__(self, given: Extracting, /) -> Sequence[Candidate] | Awaitable[Sequence[Candidate]]:
        """The candidates, in the order in which they were said."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciling:
    """What reconciling is given.

    Attributes:
        candidates: What was said, in order.
        current: Stored facts of the same subject and attributes, deleted ones included.
        fact: Makes a new fact of a candidate, in the scope that is learned into.
    """

    candidates: Sequence[Candidate]
    current: Sequence[Fact]
    fact: Callable[[Candidate], Fact]
    now: datetime
    allow: frozenset[str] = ALL_OPERATIONS


Reconcile = Callable[[Reconciling], Sequence[FactUpdate]]


@dataclass(frozen=True, slots=True)
class Summarising:
    """What summarising is given.

    Attributes:
        messages: What was said since the last summary, oldest first; all of it where there was none.
        previous: The last summary, whose place the new one takes.
        max_tokens: How long the new one may be.
    """

    messages: Sequence[Message]
    previous: Summary | None
    max_tokens: int
    now: datetime
    count_tokens: CountTokens


@dataclass(frozen=True, slots=True)
class Summarised:
    """A new summary: its text, what was talked about, and what is still open."""

    text: str
    topics: Sequence[str] = ()
    open_questions: Sequence[str] = ()


Summarise = Callable[[Summarising], Summarised | Awaitable[Summarised]]


@dataclass(frozen=True, slots=True)
class Item:
    """One candidate for recall, as ranking sees it.

    Attributes:
        terms: Analysed words, the attribute's own words included.
        layer: 0 for the most specific scope of the identity.
        thread, number: Of a message, the conversation and its place in it.
        wording: Of its text, where that is known already.
        signals: What speaks for it, comparable with the other items of its kind; `ltm_core.recall.signals` names them.
    """

    content: Remembered
    terms: Sequence[str]
    at: datetime
    layer: int = 0
    importance: float = 0.5
    confidence: float = 1.0
    signals: Mapping[str, float] = field(default_factory=dict)
    thread: Scope | None = None
    number: int = 0
    wording: Wording | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """What ranking is given.

    Attributes:
        terms: Analysed words of the query.
        items: The best candidates by the built-in formula, the newest and the most important among them.
        total: How many memories there are in all.
        has_vectors: Whether meanings were compared too.
    """

    query: str
    terms: Sequence[str]
    items: Sequence[Item]
    total: int
    now: datetime
    has_vectors: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """An item with its score (higher is better), its relevance to the query (0 to 1) and what each signal added."""

    item: Item
    score: float
    relevance: float
    parts: Mapping[str, float] = field(default_factory=dict)


Rank = Callable[[Ranking], Sequence[Ranked]]
Rerank = Callable[[str, Sequence[str]], Sequence[float] | Awaitable[Sequence[float]]]
"""Takes a query and texts, gives how relevant each is, the higher the better. May block or be async."""
Strategy = Callable[[Ranking], Sequence[Ranked]]


@dataclass(frozen=True, slots=True)
class Rendering:
    """What rendering is given: facts of the stable block, then what was ranked for this query."""

    stable: Sequence[Fact]
    facts: Sequence[Fact]
    messages: Sequence[Message]
    pending: Sequence[Message]
    now: datetime
    summaries: Sequence[Summary] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text for a prompt, in its two blocks."""

    stable: str
    late: str


Render = Callable[[Rendering], Rendered]


Vectors = Callable[[Sequence[Fact]], Awaitable[Mapping[str, Sequence[float]]]]


@dataclass(frozen=True, slots=True)
class Maintaining:
    """What a maintenance strategy is given.

    Attributes:
        facts: The current facts of one owner and namespace, by key, as the strategies before this one leave them.
        importance: How much a fact matters now, from 0 to 1; see `ltm_core.maintain.importance`.
        used_at: When a fact was told or used last.
        vectors: Unit vectors of facts, by id, as far as there are any; none without an embedder.
        complete: The model, if there is one.
    """

    facts: Sequence[Fact]
    owner: Scope
    namespace: str
    now: datetime
    usage: Mapping[str, Usage]
    importance: Callable[[Fact], float]
    used_at: Callable[[Fact], datetime]
    count_tokens: CountTokens
    vectors: Vectors
    complete: Complete | None = None

    def tokens(self, fact: Fact) -> int:
        """What `fact` costs in a prompt."""
        return self.count_tokens(embedded_text("fact", {"key": fact.key, "value": fact.value, "text": fact.text}))


class MaintenanceStrategy(Protocol):
    """Keeps facts in order.

    It is given current facts and returns what is to become of some of them; `put_aside`, `joined` and `changed` of
    `ltm_core.knowledge.lifecycle` and `upkept` of `ltm_core.knowledge.edits` make that. Times, version numbers and job
    ids are set when all strategies are done. Pinned facts stay as they are, and so does what it does not mention.
    Nothing is stored by it.
    """

    @property
    def name(self) -> str:
        """What reports and reasons call it."""
        ...

    async def maintain(self, given: Maintaining, /) -> Sequence[FactUpdate]:
        """At most one update for each fact."""
        ...


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything that may be replaced, for one memory."""

    clock: Clock
    extract: Extract
    reconcile: Reconcile
    rank: Rank
    render: Render
    summarise: Summarise
    count_tokens: CountTokens
    redact: Redact | None = None
    instructions: str = ""
    allow: frozenset[str] = ALL_OPERATIONS
    embedder: Embedder | None = None
    rerank: Rerank | None = None
    complete: Complete | None = None
    model_timeout: float | None = MODEL_TIMEOUT


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits a budget, and what does not.

    Attributes:
        repeats: How many of a kind, at most, were left out because they say the same as something better.
    """

    stable: Sequence[Fact]
    ranked: Sequence[Ranked]
    left_out: Sequence[LeftOut]
    repeats: int = 0
