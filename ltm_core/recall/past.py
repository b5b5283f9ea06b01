"""Facts as they were at a moment, read out of the history, as a store that knows nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..knowledge.versions import Moment, as_it_was
from ..model import Fact
from ..records import fact_of, fact_record, stored_version_of
from ..scope import Scope
from ..stores.base import All, Compare, Condition, Put, Store, Where
from ..stores.memory import DictStore
from ..stores.tags import tags_of


async def as_they_were(
    store: Store, scopes: tuple[Scope, ...], namespace: str, moment: Moment, *, fact_id: str | None = None
) -> list[Fact]:
    """The facts of these scopes that answer at `moment`, or the one of that id.

    Reads every version that was stored until then: what it costs grows with the history.
    """
    until = moment.known_at
    one = [] if fact_id is None else [Compare("id", "eq", fact_id)]
    its = [] if fact_id is None else [Compare("fact_id", "eq", fact_id)]
    facts = await store.scan(_until("fact", scopes, "updated_at", until).also(*one))
    past = await store.scan(_until("version", scopes, "recorded_at", until).also(*its))
    told = [*map(stored_version_of, past), *map(fact_of, facts)]
    found = (as_it_was(versions, moment) for versions in _by_fact(told))
    return [fact for fact in found if fact is not None and fact.namespace == namespace]


async def past_store(facts: Iterable[Fact]) -> DictStore:
    """A store that holds these facts and nothing else. Each is its own subject: nothing is asked by subject there."""
    store = DictStore()
    records = [fact_record(fact, fact.owner) for fact in facts]
    await store.apply([Put(one) for record in records for one in (record, *tags_of(record))])
    return store


def _until(kind: str, scopes: tuple[Scope, ...], column: str, until: datetime | None) -> Where:
    test: Condition = Compare(column, "lte", until) if until is not None else All()
    return Where(kind, scopes, test=test)


def _by_fact(told: Iterable[Fact]) -> Iterable[Sequence[Fact]]:
    """The versions of each fact, oldest first; where a change came in between two reads, one is there twice."""
    every: dict[str, dict[int, Fact]] = {}
    for fact in told:
        every.setdefault(fact.id, {})[fact.version] = fact
    return ([versions[number] for number in sorted(versions)] for versions in every.values())
