"""Maintenance and sweeps as verbs: for some scopes, or for everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .journeys.maintaining import Maintained, Whose
from .policies import MaintenanceStrategy
from .reports import MaintenanceReport, Swept
from .runtime import Runtime
from .scope import Identity, MemoryScope, Scope

Strategies = Sequence[MaintenanceStrategy]


def owners_of(who: Identity, scope: MemoryScope | None) -> tuple[Scope, ...]:
    """The scopes that are meant: the one that is named, or all that have an id. Raises `ScopeError` for nobody."""
    if scope is not None:
        return (who.scope(MemoryScope(scope)),)
    named = tuple(one for one in who.scopes if one.level is not MemoryScope.GLOBAL)
    return named or (who.subject,)


async def maintained(
    runtime: Runtime, strategies: Strategies, owners: Sequence[Scope], namespace: str | None, *, dry_run: bool
) -> MaintenanceReport:
    """Maintain the facts of these owners. Runs on the learning loop."""
    await runtime.accesses.write()
    about: dict[Scope, list[Scope]] = {}
    for owner in owners:
        about.setdefault(await runtime.run(runtime.turns.subject(owner)), []).append(owner)
    done = [
        await _one(runtime, strategies, Whose(subject, tuple(its), namespace), dry_run)
        for subject, its in about.items()
    ]
    return _report(done, dry_run)


async def maintained_everybody(
    runtime: Runtime, strategies: Strategies, tell: Callable[[int], None], *, dry_run: bool
) -> MaintenanceReport:
    """Maintain the facts of everybody of the tenant; `tell` hears how many people were. Runs on the learning loop."""
    done: list[Maintained] = []

    def take(one: Maintained) -> None:
        done.append(one)
        tell(len(done))

    await runtime.maintenance.maintain_everybody(strategies, tell=take, tenant=runtime.tenant, dry_run=dry_run)
    return _report(done, dry_run)


async def swept(runtime: Runtime) -> Swept:
    """Remove what is over, of everybody."""
    return await runtime.sweeping.sweep()


async def _one(runtime: Runtime, strategies: Strategies, whose: Whose, dry_run: bool) -> Maintained:
    if dry_run:
        return await runtime.maintenance.preview(whose, strategies)
    done = await runtime.maintenance.maintain(whose, strategies)
    assert done is not None
    return done


def _report(done: Sequence[Maintained], dry_run: bool) -> MaintenanceReport:
    jobs = [one.job_id for one in done if one.job_id is not None]
    return MaintenanceReport.of_all([one.steps for one in done], jobs, dry_run=dry_run)
