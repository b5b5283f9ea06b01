"""The `BaseStore` of LangGraph, kept in a memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from threading import Event, Thread
from typing import Any, Protocol, Self
from urllib.parse import quote, unquote

from langchain_core.embeddings import Embeddings
from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
    validate_op_namespace,
)

from ltm_core import AsyncMemory, Memory

from .faces import apart, async_face, tolerance, wait
from .facts_view import FactsView, is_facts
from .filters import beginning, checked, matches, passes, ranked, split
from .people import People, Who

Namespace = tuple[str, ...]
Place = tuple[Namespace, str]


class Stored(Protocol):
    """An item as the memory keeps it."""

    @property
    def namespace(self) -> Namespace: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102
    @property
    def updated_at(self) -> datetime: ...  # noqa: D102


class LongTermMemoryStore(BaseStore):
    """Key-value pairs of graphs and their tools, in the database of a memory; sync and async, on any loop or thread.

    An item is found by namespace and key alone. It is about the user that `subject_of` names for its namespace, else
    about the user of the run that writes it, else about nobody: erasing a user reaches the items about that user.
    Namespaces `("ltm", "user", label)` show the facts of that user live: what is put there is remembered, a search
    recalls.

    Args:
        memory: Where to keep the items.
        index: For search by meaning, as in `InMemoryStore`: `embed`, `dims`, `fields`.
        ttl: Defaults in minutes, as `TTLConfig` names them. A read counts as use unless `refresh_on_read` is False;
            what has expired is not shown, and removed by `sweep_ttl`.
        subject_of: Takes a namespace and gives the id of the user that its items are about, or None.
        user_id: Who is talking, as in `LongTermMemoryMiddleware`.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        subject_of: Callable[[Namespace], str | None] | None = None,
        user_id: Who = None,
        user_id_key: str = "user_id",
    ) -> None:
        self._memory = async_face(memory)
        self._items = self._memory.items
        self._facts = FactsView(self._memory)
        self._people = People(user_id, user_id_key=user_id_key)
        self._subject_of = subject_of or (lambda _: None)
        self._sweeper: tuple[Event, Thread] | None = None
        self.ttl_config = ttl
        self.index_config = index
        self.embeddings = ensure_embeddings(index["embed"]) if index else None
        named: Mapping[str, Any] = index or {}
        fields = named.get("fields") or named.get("text_fields") or ["$"]
        self._fields = [tokenize_path(field) if field != "$" else "$" for field in fields]

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str, **options: Any) -> Iterator[Self]:
        """A store with a memory of its own at this URL, closed at the end."""
        with Memory(conn_string) as memory:
            yield cls(memory, **options)

    @classmethod
    @asynccontextmanager
    async def afrom_conn_string(cls, conn_string: str, **options: Any) -> AsyncIterator[Self]:
        """The same for `async with`, as the Agent Server wants it."""
        async with AsyncMemory(conn_string) as memory:
            yield cls(memory, **options)

    @staticmethod
    def label(user_id: str) -> str:
        """Any id as a label of a namespace, which may hold no period.

        >>> LongTermMemoryStore.label("sarah@example.com")
        'sarah%40example%2Ecom'
        """
        return quote(user_id, safe="").replace(".", "%2E")

    @staticmethod
    def id_of(label: str) -> str:
        """The id that `label` was made from."""
        return unquote(label)

    def setup(self) -> None:
        """Make the tables ready now rather than at the first call."""
        wait(self._memory, self._memory.runtime.open())

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run operations together: reads see what was there before the writes.

        Items are written all or none; facts, in the namespaces that show them, before them and one by one.
        """
        todo = _checked(ops)
        vectors = self._embedded(todo)
        return wait(self._memory, self._run(todo, vectors, self._user()))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same as `batch`, without blocking the loop."""
        todo, user = _checked(ops), self._user()
        vectors = await self._aembedded(todo)
        with apart():
            return await self._run(todo, vectors, user)

    def sweep_ttl(self) -> int:
        """Remove what has expired; returns how many items."""
        return wait(self._memory, self._items.sweep())

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweep now and then on a thread of its own, until `stop_ttl_sweeper`."""
        self.stop_ttl_sweeper()
        minutes = sweep_interval_minutes or (self.ttl_config or {}).get("sweep_interval_minutes") or 5
        stop, done = Event(), Future[None]()

        def sweep() -> None:
            while not stop.wait(minutes * 60):
                with tolerance(self._memory, "sweep"):
                    self.sweep_ttl()
            done.set_result(None)

        self._sweeper = stop, Thread(target=sweep, name="ltm-sweep", daemon=True)
        self._sweeper[1].start()
        return done

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """End the sweeping; False if it did not end in time."""
        if self._sweeper is None:
            return True
        stop, thread = self._sweeper
        stop.set()
        thread.join(timeout)
        return not thread.is_alive()

    async def _run(self, ops: Sequence[Op], vectors: Mapping[str, list[float]], user: str | None) -> list[Result]:
        gets = [(op.namespace, op.key) for op in ops if isinstance(op, GetOp) and not is_facts(op.namespace)]
        found = await self._items.get(gets)
        results = [await self._read(op, found, vectors) for op in ops]
        await self._items.touch(_used(ops, results))
        await self._write({(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}.values(), vectors, user)
        return results

    async def _write(self, puts: Iterable[PutOp], vectors: Mapping[str, list[float]], user: str | None) -> None:
        entries = []
        for op in puts:
            if is_facts(op.namespace):
                await self._facts.put(op)
            else:
                about, embedded = self._subject_of(op.namespace) or user, [vectors[text] for text in self._texts(op)]
                entries.append(self._items.entry(op.namespace, op.key, op.value, op.ttl, embedded, about))
        await self._items.write(entries)

    async def _read(self, op: Op, found: Mapping[Place, Stored], vectors: Mapping[str, list[float]]) -> Result:
        if isinstance(op, GetOp):
            if is_facts(op.namespace):
                return await self._facts.get(op)
            item = found.get((op.namespace, op.key))
            return Item(**_common(item)) if item else None
        if isinstance(op, SearchOp):
            return await (self._facts.search(op) if is_facts(op.namespace_prefix) else self._search(op, vectors))
        if isinstance(op, ListNamespacesOp):
            return await self._namespaces(op)
        return None

    async def _search(self, op: SearchOp, vectors: Mapping[str, list[float]]) -> list[SearchItem]:
        tests, rest = split(checked(op.filter))
        query = vectors.get(f"?{op.query}") if op.query else None
        if query is None and not rest:
            page = await self._items.under(op.namespace_prefix, tests, op.limit, op.offset)
            return [SearchItem(**_common(item)) for item in page]
        items = [item for item in await self._items.under(op.namespace_prefix, tests) if passes(item.value, rest)]
        found = ranked(items, query) if query is not None else [(item, None) for item in items]
        return [SearchItem(**_common(item), score=score) for item, score in found[op.offset : op.offset + op.limit]]

    async def _namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        conditions = op.match_conditions or ()
        every = {item.namespace for item in await self._items.under(beginning(conditions))}
        wanted = (one for one in every if all(matches(condition, one) for condition in conditions))
        return sorted({one[: op.max_depth] for one in wanted})[op.offset : op.offset + op.limit]

    def _user(self) -> str | None:
        with tolerance(self._memory, "who"):
            return self._people.find()["user_id"] or None
        return None

    def _texts(self, op: PutOp) -> list[str]:
        if self.embeddings is None or op.value is None or op.index is False or is_facts(op.namespace):
            return []
        paths: Sequence[Any] = self._fields if op.index is None else [tokenize_path(path) for path in op.index]
        return [text for path in paths for text in get_text_at_path(op.value, path)]

    @property
    def _embedder(self) -> Embeddings:
        assert self.embeddings is not None
        return self.embeddings

    def _queries(self, ops: Sequence[Op]) -> list[str]:
        asked = {op.query for op in ops if isinstance(op, SearchOp) and op.query and not is_facts(op.namespace_prefix)}
        return sorted(asked) if self.embeddings else []

    def _embedded(self, ops: Sequence[Op]) -> dict[str, list[float]]:
        texts, queries = self._all_texts(ops), self._queries(ops)
        found = dict(zip(texts, self._embedder.embed_documents(texts), strict=True)) if texts else {}
        return found | {f"?{query}": self._embedder.embed_query(query) for query in queries}

    async def _aembedded(self, ops: Sequence[Op]) -> dict[str, list[float]]:
        texts, queries = self._all_texts(ops), self._queries(ops)
        found = dict(zip(texts, await self._embedder.aembed_documents(texts), strict=True)) if texts else {}
        return found | {f"?{query}": await self._embedder.aembed_query(query) for query in queries}

    def _all_texts(self, ops: Sequence[Op]) -> list[str]:
        return list(dict.fromkeys(text for op in ops if isinstance(op, PutOp) for text in self._texts(op)))


def _checked(ops: Iterable[Op]) -> list[Op]:
    todo = list(ops)
    for op in todo:
        if not isinstance(op, GetOp | SearchOp | PutOp | ListNamespacesOp):
            raise ValueError(f"Unknown operation type: {type(op)}. Pass a GetOp, SearchOp, PutOp or ListNamespacesOp.")
        validate_op_namespace(op)
    return todo


def _common(item: Stored) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("namespace", "key", "value", "created_at", "updated_at")}


def _used(ops: Sequence[Op], results: Sequence[Any]) -> list[tuple[Namespace, str]]:
    """Where the items are whose time to live begins again."""
    reads = [(op, result) for op, result in zip(ops, results, strict=True) if isinstance(op, GetOp | SearchOp)]
    shown = [result if isinstance(op, SearchOp) else [result] for op, result in reads if op.refresh_ttl]
    return [(item.namespace, item.key) for items in shown for item in items if item and not is_facts(item.namespace)]
