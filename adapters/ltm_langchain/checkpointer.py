"""The checkpointer of LangGraph, kept in a memory."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.runtime import Runtime

from ltm_core import AsyncMemory, InvalidInput, Memory, Snapshot, TaskWrites

from .faces import apart, async_face, wait
from .people import People, Who, as_id

_RUNTIME = "__pregel_runtime"
_COUNTERS = "counters_since_delta_snapshot"
_EPOCH = 0x01B21DD213814000  # 100 nanoseconds from the Gregorian calendar, from which a UUID counts, to 1970


class LongTermCheckpointer(BaseCheckpointSaver[int]):
    """The state of threads in the database of a memory; sync and async, on any loop or thread.

    A thread is the session of that id. It belongs to the first user who is named, by the run or by what the memory
    stores of the session, and its state is about that user: erasing the user reaches it. Another user's id on it raises
    `ScopeError`. Where nobody is ever named, the state is about the thread alone.

    Args:
        memory: Where to keep it.
        user_id: Who is talking, as in `LongTermMemoryMiddleware`.
        serde: How state becomes bytes; an `EncryptedSerializer` encrypts it.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        user_id: Who = None,
        user_id_key: str = "user_id",
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(serde=serde)
        self._memory = async_face(memory)
        self._threads = self._memory.threads
        self._people = People(user_id, user_id_key=user_id_key)

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str, **options: Any) -> Iterator[Self]:
        """A checkpointer with a memory of its own at this URL, closed at the end."""
        with Memory(conn_string) as memory:
            yield cls(memory, **options)

    @classmethod
    @asynccontextmanager
    async def afrom_conn_string(cls, conn_string: str, **options: Any) -> AsyncIterator[Self]:
        """The same for `async with`."""
        async with AsyncMemory(conn_string) as memory:
            yield cls(memory, **options)

    def setup(self) -> None:
        """Make the tables ready now rather than at the first call."""
        wait(self._memory, self._memory.runtime.open())

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names, or the latest of its thread, with what is pending after it."""
        thread, namespace, checkpoint_id = _place(config)
        with apart():
            found = await self._threads.get(thread, namespace, checkpoint_id, self._user(config))
        return None if found is None else self._tuple(found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, the latest first, read page by page.

        Without a thread in `config`, those of the user whom it names or, for operators, of everybody. `filter` compares
        metadata.
        """
        configured = (config or {}).get("configurable") or {}
        quick = {name: value for name, value in (filter or {}).items() if _is_label(name, value)}
        rest = {name: value for name, value in (filter or {}).items() if name not in quick}
        snapshots = self._threads.walk(
            as_id(configured.get("thread_id")),
            configured.get("checkpoint_ns"),
            snapshot_id=configured.get("checkpoint_id"),
            before=_before(before),
            labels=quick,
            limit=None if rest else limit,
            user_id=self._user(config or {}),
        )
        left = limit
        async for snapshot in snapshots:
            found = self._tuple(snapshot)
            if left is not None and left <= 0:
                break
            if all(found.metadata.get(name) == value for name, value in rest.items()):
                left = None if left is None else left - 1
                yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, durable on return."""
        thread, namespace, parent = _place(config)
        told = get_serializable_checkpoint_metadata(config, metadata)
        state = {"checkpoint": self._packed(checkpoint), "metadata": self._packed(told)}
        labels = {name: value for name, value in told.items() if value is not None and _is_label(name, value)}
        number = _number(checkpoint["id"])
        snapshot = Snapshot(thread, namespace, checkpoint["id"], number, parent, state, labels)
        with apart():
            await self._threads.put(snapshot, self._user(config))
        return _config(thread, namespace, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task has written since a checkpoint."""
        thread, namespace, checkpoint_id = _place(config)
        if checkpoint_id is None:
            raise InvalidInput("Writes belong to a checkpoint. Pass the config that put() gave.")
        packed = {
            WRITES_IDX_MAP.get(channel, place): [channel, self._packed(value)]
            for place, (channel, value) in enumerate(writes)
        }
        after = Snapshot(thread, namespace, checkpoint_id, _number(checkpoint_id))
        with apart():
            await self._threads.put_writes(after, TaskWrites(task_id, task_path, packed), self._user(config))

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove the state of a thread for good. Messages and facts that the memory has of it stay."""
        with apart():
            await self._threads.delete(thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints whose metadata name these runs; looks through everybody's threads."""
        with apart():
            await self._threads.delete_labelled("run_id", run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread with all its checkpoints; the copy is the same user's."""
        with apart():
            await self._threads.copy(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all but the latest checkpoint of each namespace, or with `delete` all.

        What channels that store their changes need of earlier checkpoints stays.
        """
        if strategy not in ("keep_latest", "delete"):
            raise InvalidInput(f"There is no strategy {strategy!r}. Use 'keep_latest' or 'delete'.")
        for thread_id in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread_id)
                continue
            with apart():
                for namespace in await self._threads.namespaces(thread_id):
                    await self._threads.keep(thread_id, namespace, await self._needed(thread_id, namespace))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The same as `aget_tuple`, blocking."""
        return wait(self._memory, self.aget_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The same as `alist`, blocking."""
        found = self.alist(config, filter=filter, before=before, limit=limit)
        while (one := wait(self._memory, _next(found))) is not None:
            yield one

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """The same as `aput`, blocking."""
        return wait(self._memory, self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """The same as `aput_writes`, blocking."""
        wait(self._memory, self.aput_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """The same as `adelete_thread`, blocking."""
        wait(self._memory, self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """The same as `adelete_for_runs`, blocking."""
        wait(self._memory, self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """The same as `acopy_thread`, blocking."""
        wait(self._memory, self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """The same as `aprune`, blocking."""
        wait(self._memory, self.aprune(thread_ids, strategy=strategy))

    async def _needed(self, thread_id: str, namespace: str) -> Sequence[str]:
        """The latest checkpoint, and those before it back to where each channel of changes was last stored whole."""
        latest = await self.aget_tuple(_config(thread_id, namespace))
        counters: Any = latest.metadata.get(_COUNTERS) if latest is not None else None
        needed, missing, one = [], set(counters or ()), latest
        while one is not None:
            needed.append(one.checkpoint["id"])
            missing -= one.checkpoint["channel_values"].keys()
            if not missing or one.parent_config is None:
                break
            one = await self.aget_tuple(one.parent_config)
        return needed

    def _user(self, config: RunnableConfig) -> str | None:
        runtime = (config.get("configurable") or {}).get(_RUNTIME)
        known = runtime if isinstance(runtime, Runtime) else None
        return self._people.find(known, config)["user_id"] or None

    def _packed(self, value: Any) -> dict[str, str]:
        """A value as JSON: the name of its form, and its bytes in base64, which is a third longer."""
        form, content = self.serde.dumps_typed(value)
        return {"type": form, "data": b64encode(content).decode()}

    def _unpacked(self, packed: Mapping[str, str]) -> Any:
        return self.serde.loads_typed((packed["type"], b64decode(packed["data"])))

    def _tuple(self, found: Snapshot) -> CheckpointTuple:
        thread, namespace, parent = found.thread_id, found.namespace, found.parent
        return CheckpointTuple(
            config=_config(thread, namespace, found.id),
            checkpoint=self._unpacked(found.state["checkpoint"]),
            metadata=self._unpacked(found.state["metadata"]),
            parent_config=None if parent is None else _config(thread, namespace, parent),
            pending_writes=[write for task in found.writes for write in self._pending(task)],
        )

    def _pending(self, task: TaskWrites) -> Iterator[PendingWrite]:
        for channel, packed in task.writes.values():
            yield task.task_id, channel, self._unpacked(packed)


def _place(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Thread, namespace and checkpoint that a config names."""
    configured = config.get("configurable") or {}
    thread = as_id(configured.get("thread_id"))
    if thread is None:
        raise InvalidInput("A checkpointer needs a thread. Pass config={'configurable': {'thread_id': …}}.")
    return thread, configured.get("checkpoint_ns") or "", configured.get("checkpoint_id") or None


def _config(thread: str, namespace: str, checkpoint_id: str | None = None) -> RunnableConfig:
    named = {} if checkpoint_id is None else {"checkpoint_id": checkpoint_id}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, **named}}


def _before(config: RunnableConfig | None) -> tuple[int, str] | None:
    before = ((config or {}).get("configurable") or {}).get("checkpoint_id")
    return None if before is None else (_number(before), before)


def _number(checkpoint_id: str) -> int:
    """Microseconds since 1970, by which ids of LangGraph sort, from such an id; 0 for any other."""
    try:
        made = UUID(checkpoint_id)
    except ValueError:
        return 0
    ticks = (made.int >> 96 << 28) | ((made.int >> 80 & 0xFFFF) << 12) | (made.int >> 64 & 0xFFF)
    return max(0, ticks - _EPOCH) // 10 if made.version == 6 else 0


def _is_label(name: str, value: object) -> bool:
    """Whether the database can look for a value; under a name with a quotation mark SQLite cannot."""
    return '"' not in name and (value is None or isinstance(value, str | int | float))


async def _next(found: AsyncIterator[CheckpointTuple]) -> CheckpointTuple | None:
    return await anext(found, None)
