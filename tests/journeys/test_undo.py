"""Jobs taken back on the servers: their facts, their runs of maintenance, and two processes at once."""

from __future__ import annotations

import asyncio

import pytest

from ltm_core import AsyncMemory
from ltm_core.stores.schema import Extras, bring_up_to_date
from tests.conftest import told
from tests.stores.test_postgres import ROLE, Database, as_role, make_role

SERVERS = {"redis": "redis_url", "mariadb": "mysql_url", "postgres": "one_postgres_url", "policies": "one_postgres_url"}


@pytest.fixture(params=list(SERVERS))
async def url(request: pytest.FixtureRequest) -> str:
    url = str(request.getfixturevalue(SERVERS[request.param]))
    if request.param != "policies":
        return url
    make_role(Database(url))
    await bring_up_to_date(url, Extras(row_security=ROLE))
    return as_role(url, row_security="on")


async def values(memory: AsyncMemory, user: str = "ann") -> dict[str, object]:
    return {fact.key: fact.value for fact in await memory.facts.get_all(scope_id=user)}


async def test_jobs_are_undone_by_two_processes_at_once_and_nobody_else_is_touched(url: str) -> None:
    async with (
        AsyncMemory(url, extract=told, background=False) as one,
        AsyncMemory(url, extract=told, background=False) as other,
    ):
        await one.remember("set location Rome", user_id="bob")
        said = (
            "set location Rome\nset name Ann",
            "set location Oslo\nset pet#rex dog",
            "set location Bern\nset name Anna",
        )
        tickets = [await one.observe(text, user_id="ann", session_id="s") for text in said]
        assert await one.flush()
        jobs = [str(ticket.id) for ticket in tickets]
        assert [left.key for left in (await other.jobs.undo(jobs[0])).left] == ["location", "name"]
        for job, left in (
            (jobs[2], {"location": "Oslo", "name": "Ann", "pet#rex": "dog"}),
            (jobs[1], {"location": "Rome", "name": "Ann"}),
            (jobs[0], {}),
        ):
            both = await asyncio.gather(one.jobs.undo(job), other.jobs.undo(job))
            assert sorted(map(bool, both)) == [False, True]
            assert await values(other) == left
        assert [fact.version for fact in await one.facts.history("location", scope_id="ann")] == [1, 2, 3, 4, 5, 6]
        assert await values(one, "bob") == {"location": "Rome"}
        assert [job.undone is not None for job in await one.jobs.list(user_id="ann")] == [True] * 3


async def test_a_run_of_maintenance_is_undone(url: str) -> None:
    async with AsyncMemory(url, extract=told, background=False) as memory:
        for number, text in enumerate(["Likes strong coffee", "likes strong coffee.", "Likes strong black coffee"]):
            await memory.facts.add(f"note#{number}", text, scope_id="ann")
        before = await values(memory)
        report = await memory.maintain(["deduplicate", "merge"], user_id="ann")
        assert len(await values(memory)) == 1
        undone = await memory.jobs.undo(report.job_ids[0])
        assert (bool(undone), undone.left) == (True, [])
        assert await values(memory) == before
