"""Checkpoints of runs: what a run of several steps had reached, for whoever goes on with it.

A run owns its records as a session does: one head, which says how far it is and who goes on with it, and one record for
each step. Both change in one `apply` that expects the head as it was read.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..ambient import identity
from ..errors import ConflictError, InvalidInput, ScopeError
from ..learn.turns import THREAD
from ..model import Checkpoint, valid_json
from ..runtime import Runtime
from ..scope import MemoryScope, Scope, check_id, digest
from ..stores.again import again
from ..stores.base import AnyOf, Compare, Delete, Put, Record, Where, Write

NAMESPACE = "run"
HEAD = "head"
LARGEST = 2**53

_OF_RUNS = Compare("namespace", "eq", NAMESPACE)
_ALONE = Compare("task", "exists", False)


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was taken up. Of several who take it up, only the last can save: `attempt` tells them apart."""

    run_id: str
    user_id: str | None
    attempt: int
    checkpoints: Sequence[Checkpoint]


@dataclass(frozen=True, slots=True)
class _Saving:
    run: Scope
    user: Scope | None
    step: int
    state: Any
    now: datetime
    keep: int | None = None
    attempt: int | None = None


class Checkpoints:
    """What runs have reached, by `run_id`.

    A run belongs to the first user that it is saved for; another user's id on it raises `ScopeError`. State is stored
    as it is given: redaction is for what people say.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def save(
        self, run_id: str, step: int, state: Any, user_id: str | None = None, *, keep: int | None = None
    ) -> Checkpoint:
        """Store what a run has reached after a step, durable on return.

        A step is saved once: the same state again changes nothing, another one raises `ConflictError`, and so does a
        step that is older than those that were kept. Steps may leave gaps. Without a user, here or in
        `memory.scope`, `delete_user` cannot reach the run.

        Args:
            step: A number from 0; `latest` gives the checkpoint with the highest.
            state: JSON data; anything else raises `InvalidInput`.
            keep: How many of the highest steps stay; older ones are removed.
        """
        if keep is not None and keep < 1:
            raise InvalidInput(f"keep={keep} keeps nothing. Pass 1 or more, or None to keep all steps.")
        run, user = self._run(run_id), self._user(user_id)
        saving = _Saving(run, user, _checked(step), valid_json(state), self._runtime.now(), keep)
        return await self._runtime.run(self._save(saving))

    async def latest(self, run_id: str, user_id: str | None = None) -> Checkpoint | None:
        """The checkpoint of the highest step that was saved; None where there is none."""
        found = await self._runtime.run(self._steps(self._run(run_id), self._user(user_id), 1))
        return found[-1] if found else None

    async def list(
        self, run_id: str | None = None, user_id: str | None = None, limit: int | None = None
    ) -> builtins.list[Checkpoint]:
        """The checkpoints of a run by step or, without `run_id`, those of all runs of a user, oldest first.

        With `limit`, the last ones. Raises `ScopeError` where neither is named.
        """
        user = self._user(user_id)
        if run_id is not None:
            return await self._runtime.run(self._steps(self._run(run_id), user, limit))
        if user is None:
            raise ScopeError("Whose checkpoints? Pass run_id= or user_id=, or call inside memory.scope(user_id=…).")
        return await self._runtime.run(self._of_user(user, limit))

    async def delete(self, run_id: str, user_id: str | None = None) -> int:
        """Remove a run for good; returns how many checkpoints. Who is still at work on it can save no more steps."""
        return await self._runtime.run(self._delete(self._run(run_id), self._user(user_id)))

    async def delete_user(self, user_id: str) -> int:
        """Remove all checkpoints of a user for good, those of graphs (`memory.threads`) too; returns how many.

        Runs that were saved without a user are not reached.
        """
        return await self._runtime.run(self._delete_user(Scope.user(user_id, self._runtime.tenant)))

    async def begin(self, run_id: str, user_id: str | None = None) -> Begun:
        """Take a run up, new or not. From now on, whoever took it up before can save no more steps of it."""
        return await self._runtime.run(self._begin(self._run(run_id), self._user(user_id)))

    async def save_step(self, begun: Begun, step: int, state: Any) -> Checkpoint:
        """The same as `save`, by somebody who took the run up. Raises `ConflictError` once somebody else did."""
        user = None if begun.user_id is None else Scope.user(begun.user_id, self._runtime.tenant)
        saving = _Saving(self._run(begun.run_id), user, step, state, self._runtime.now(), attempt=begun.attempt)
        return await self._runtime.run(self._save(saving))

    def _run(self, run_id: str) -> Scope:
        return Scope.session(check_id(run_id, "run_id"), self._runtime.tenant)

    def _user(self, user_id: str | None) -> Scope | None:
        named = identity(self._runtime.name, self._runtime.tenant, user_id=user_id).user_id
        return None if named is None else Scope.user(named, self._runtime.tenant)

    async def _save(self, saving: _Saving) -> Checkpoint:
        refusal, checkpoint = None, _step(saving, saving.run)
        async for attempt in again():
            with attempt:
                head, stored = await self._found(saving.run, saving.step)
                refusal = _refusal(saving, head, stored)
                checkpoint = stored or _step(saving, _owner(head, saving.user))
                if stored is None and refusal is None:
                    await self._runtime.store.apply(await self._writes(saving, head, checkpoint))
        if refusal is not None:
            raise ConflictError(refusal)
        return _checkpoint(checkpoint)

    async def _found(self, run: Scope, step: int) -> tuple[Record, Record | None]:
        """The head of a run, as it is or as it begins, and a step as far as it is stored."""
        ids = (_head_id(run), _step_id(run, step))
        found = {record.id: record for record in await self._runtime.store.scan(Where("checkpoint", (run,), ids=ids))}
        return found.get(ids[0]) or _new_head(run, self._runtime.now()), found.get(ids[1])

    async def _writes(self, saving: _Saving, head: Record, checkpoint: Record) -> builtins.list[Write]:
        gone = await self._surplus(saving)
        fields = {
            "step": max(saving.step, head.fields["step"] or 0),
            "removed": max([head.fields["removed"], *(record.fields["step"] for record in gone)]),
        }
        moved = await self._moved(head, checkpoint.subject, {record.id for record in gone})
        return [
            _advanced(head, checkpoint.subject, fields),
            Put(checkpoint, expect=0),
            *(Delete("checkpoint", record.id, record.scope, expect=record.version) for record in gone),
            *moved,
        ]

    async def _surplus(self, saving: _Saving) -> builtins.list[Record]:
        """The steps that are too old to stay once this one is there."""
        if saving.keep is None:
            return []
        kept = await self._runtime.store.scan(_steps_of(saving.run), order=[("step", "desc")])
        higher = sum(record.fields["step"] > saving.step for record in kept)
        return [record for record in kept[max(saving.keep - 1, higher) :] if record.fields["step"] < saving.step]

    async def _moved(self, head: Record, subject: Scope, but: set[str]) -> builtins.list[Write]:
        """What a run of nobody had saved before it became a user's."""
        if head.version == 0 or head.subject == subject:
            return []
        found = await self._runtime.store.scan(_steps_of(head.scope))
        return [_touched(record, subject) for record in found if record.id not in but]

    async def _steps(self, run: Scope, user: Scope | None, limit: int | None) -> builtins.list[Checkpoint]:
        found = await self._runtime.store.scan(_steps_of(run), order=[("step", "desc")], limit=limit)
        for record in found[:1]:
            _owner(record, user)
        return [_checkpoint(record) for record in reversed(found)]

    async def _of_user(self, user: Scope, limit: int | None) -> builtins.list[Checkpoint]:
        where = Where("checkpoint", subject=user).also(_OF_RUNS, _ALONE)
        order: Any = [("created_at", "desc"), ("step", "desc")]
        found = await self._runtime.store.scan(where, order=order, limit=limit)
        return [_checkpoint(record) for record in reversed(found)]

    async def _delete(self, run: Scope, user: Scope | None) -> int:
        steps = 0
        async for attempt in again():
            with attempt:
                found = await self._runtime.store.scan(Where("checkpoint", (run,), test=_OF_RUNS))
                for record in found[:1]:
                    _owner(record, user)
                steps = sum(_ALONE.admits(record) for record in found)
                gone = [Delete("checkpoint", record.id, run, expect=record.version) for record in found]
                await self._runtime.store.apply(gone)
        return steps

    async def _delete_user(self, user: Scope) -> int:
        of_graphs = Compare("namespace", "under", THREAD)
        everything = Where("checkpoint", subject=user, test=AnyOf(_OF_RUNS, of_graphs))
        count = await self._runtime.store.count(everything.also(_ALONE))
        await self._runtime.store.purge(everything)
        return count

    async def _begin(self, run: Scope, user: Scope | None) -> Begun:
        head, found = _new_head(run, self._runtime.now()), builtins.list[Record]()
        async for attempt in again():
            with attempt:
                found = await self._runtime.store.scan(Where("checkpoint", (run,), test=_OF_RUNS))
                stored = next((record for record in found if record.id == _head_id(run)), None)
                head = stored or _new_head(run, self._runtime.now())
                owner = _owner(head, user)
                moved = await self._moved(head, owner, set())
                taken = _advanced(head, owner, {"attempt": head.fields["attempt"] + 1})
                await self._runtime.store.apply([taken, *moved])
                head = taken.record
        steps = [_checkpoint(record) for record in found if _ALONE.admits(record)]
        return Begun(run.id, _user_id(head), head.fields["attempt"], steps)


def _checked(step: int) -> int:
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < LARGEST:
        raise InvalidInput(f"step={step!r} is no number of a step. Count the steps from 0 or 1 and pass an int.")
    return step


def _head_id(run: Scope) -> str:
    return digest("run", run.token)


def _step_id(run: Scope, step: int) -> str:
    return digest("run", run.token, str(step))


def _steps_of(run: Scope) -> Where:
    return Where("checkpoint", (run,)).also(_OF_RUNS, _ALONE)


def _new_head(run: Scope, now: datetime) -> Record:
    fields = {"namespace": NAMESPACE, "task": HEAD, "step": None, "removed": -1, "attempt": 0, "created_at": now}
    return Record("checkpoint", _head_id(run), run, run, 0, fields)


def _step(saving: _Saving, subject: Scope) -> Record:
    fields = {"namespace": NAMESPACE, "step": saving.step, "created_at": saving.now, "state": saving.state}
    return Record("checkpoint", _step_id(saving.run, saving.step), saving.run, subject, 1, fields)


def _advanced(head: Record, subject: Scope, fields: dict[str, Any]) -> Put:
    changed = replace(head, subject=subject, version=head.version + 1, fields={**head.fields, **fields})
    return Put(changed, expect=head.version)


def _touched(record: Record, subject: Scope) -> Put:
    return Put(replace(record, subject=subject, version=record.version + 1), expect=record.version)


def _owner(record: Record, user: Scope | None) -> Scope:
    """Whom a run is about when `user` comes to it. Raises `ScopeError` where that is another user."""
    if user is None or record.subject == user:
        return record.subject
    if record.subject.level is MemoryScope.USER:
        raise ScopeError(f"Run {record.scope.id!r} belongs to another user. Use a run_id of its own for each user.")
    return user


def _refusal(saving: _Saving, head: Record, stored: Record | None) -> str | None:
    """Why a step cannot be saved, if so."""
    _owner(head, saving.user)
    run, step = f"Run {saving.run.id!r}", saving.step
    if saving.attempt not in (None, head.fields["attempt"]):
        gone = "was deleted" if head.version == 0 else "was taken up by somebody else, who goes on with it"
        return f"{run} {gone}. Stop here; to take it up again, call with the same run_id."
    if stored is not None:
        same = Compare("state", "eq", saving.state).admits(stored)
        return None if same else f"{run} has saved step {step} with another state. Read latest() and go on from there."
    if step <= head.fields["removed"]:
        at = head.fields["step"]
        return f"{run} is at step {at} and no longer keeps step {step}. Read latest() and go on from there."
    return None


def _checkpoint(record: Record) -> Checkpoint:
    known: dict[str, Any] = {name: record.fields.get(name) for name in ("step", "state", "created_at")}
    return Checkpoint(run_id=record.scope.id, user_id=_user_id(record), **known)


def _user_id(record: Record) -> str | None:
    return record.subject.id if record.subject.level is MemoryScope.USER else None
