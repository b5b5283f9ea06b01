"""Batches of steps: one script where the server allows it, else prepared in each slot and then committed in each."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from time import time
from typing import Any
from uuid import uuid4

from ...errors import ConflictError, StoreUnavailable
from .layout import Keys
from .server import Server
from .steps import Step

ABANDONED = 5.0  # seconds after which the batch of another process counts as left behind
PATIENCE = 2 * ABANDONED
_PAUSE = 0.02


class Batches:
    """Does steps, all of them or none.

    On a cluster, steps of several subjects are prepared in each slot, then the decision is written down, then they are
    committed in each. Whoever meets a batch that was left behind finishes it: forward if it was decided, else back.
    """

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server, self._keys = server, keys

    async def do(self, steps: Sequence[Step]) -> None:
        """Do `steps`. Raises `ConflictError` for the first that may not be done."""
        subjects = sorted({step.subject for step in steps})
        if self._server.is_cluster and len(subjects) > 1:
            await self._do_apart(subjects, steps)
        else:
            await self._patiently("apply", uuid4().hex, steps)

    async def finish_left(self) -> None:
        """Finish the batches that processes left behind."""
        if self._server.is_cluster:
            for transaction, told in _pairs(await self._server.do("HGETALL", self._keys.batches)):
                if time() - json.loads(told)["at"] > ABANDONED:
                    await self._finish(transaction.decode())

    async def _do_apart(self, subjects: Sequence[str], steps: Sequence[Step]) -> None:
        transaction = uuid4().hex
        told = json.dumps({"at": time(), "subjects": subjects})
        await self._server.do("HSET", self._keys.batches, transaction, told)
        whose = defaultdict[str, list[Step]](list)
        for step in steps:
            whose[step.subject].append(step)
        try:
            for subject in subjects:
                await self._patiently("prepare", transaction, whose[subject])
        except BaseException:
            await asyncio.shield(self._end(transaction, subjects, "abort"))
            raise
        decision = await asyncio.shield(self._end(transaction, subjects, "commit"))
        if decision != "commit":
            raise ConflictError("Another process gave this batch up, because it took too long. Retry the change.")

    async def _end(self, transaction: str, subjects: Sequence[str], wish: str) -> str:
        """Write the decision down, unless there is one, and carry it out."""
        key = self._keys.decision(transaction)
        await self._server.do("SET", key, wish, "NX")
        decision: str = (await self._server.do("GET", key)).decode()
        await asyncio.gather(*(self._run(decision, transaction, [subject]) for subject in subjects))
        await self._server.do("HDEL", self._keys.batches, transaction)
        await self._server.do("EXPIRE", key, 3600)
        return decision

    async def _finish(self, transaction: str, subjects: Sequence[str] = ()) -> None:
        """Carry out what was decided, or decide against it, in all its subjects; `subjects` if these are not known."""
        told = await self._server.do("HGET", self._keys.batches, transaction)
        await self._end(transaction, json.loads(told)["subjects"] if told is not None else subjects, "abort")

    async def _patiently(self, mode: str, transaction: str, steps: Sequence[Step]) -> None:
        """Check and write, or prepare; wait for batches of others that are under way."""
        subjects, waited = sorted({step.subject for step in steps}), 0.0
        arguments = [part for step in steps for part in step.arguments]
        while (reply := await self._run(mode, transaction, subjects, arguments))[0] == b"busy":
            await asyncio.sleep(_PAUSE)
            waited += _PAUSE
            if waited > ABANDONED:
                await self._finish(reply[1].decode(), subjects)
            if waited > PATIENCE:
                raise StoreUnavailable("Batches of other processes are in the way. Try again.")
        if reply[0] != b"done":
            raise _conflict(reply, steps)

    async def _run(
        self, mode: str, transaction: str, subjects: Sequence[str], arguments: Sequence[str | bytes] = ()
    ) -> Any:
        keys = [self._keys.about(subject) for subject in subjects]
        return await self._server.run("write", keys, [self._keys.prefix, mode, transaction, *arguments])


def _conflict(reply: Sequence[Any], steps: Sequence[Step]) -> ConflictError:
    step = steps[reply[1] - 1]
    if reply[0] == b"owner":
        return ConflictError(f"Record {step.id} belongs to another owner. Use ids made for this scope.")
    return ConflictError(
        f"A {step.kind} is at version {reply[2]}, not {step.expect}. Read it again and retry the change."
    )


def _pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    """Names and values, from the dict or the flat list that drivers give."""
    return list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))
