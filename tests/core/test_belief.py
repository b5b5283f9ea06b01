from hypothesis import given
from hypothesis import strategies as st

from ltm_core import AsyncMemory
from ltm_core.knowledge.belief import believed
from ltm_core.testing.fakes import Clock

shares, counts = st.floats(0, 1), st.integers(0, 1000)


@given(shares, counts, counts)
def test_belief_is_a_share_that_repetition_raises_and_contradiction_lowers(sure: float, more: int, less: int) -> None:
    now = believed(sure, more, less)
    assert 0 <= now <= 1
    assert believed(sure, more + 1, less) >= now >= believed(sure, more, less + 1)


async def test_turns_that_repeat_a_fact_make_it_surer_and_change_nothing_stored() -> None:
    clock = Clock()
    async with AsyncMemory("memory://", background=False, clock=clock) as memory:
        for text in ("I live in Oslo.", "I live in Oslo, you know.", "As I said, I live in Oslo."):
            clock.advance(days=1)
            await memory.remember(text, user_id="ann")
        fact = await memory.facts.get("location", scope_id="ann")
        assert fact is not None
        assert (fact.version, fact.confidence) == (1, 0.9)
        assert await memory.facts.confidence("location", scope_id="ann") == believed(0.9, 2, 0)
        clock.advance(days=1)
        await memory.remember("I moved to Rome.", user_id="ann")
        assert await memory.facts.confidence("location", scope_id="ann") == believed(0.9, 0, 1)


async def test_a_repetition_that_is_undone_makes_nothing_surer() -> None:
    async with AsyncMemory("memory://", background=False) as memory:
        await memory.remember("I live in Oslo.", user_id="ann")
        ticket = await memory.observe("I live in Oslo, you know.", user_id="ann")
        await ticket
        assert ticket.id is not None
        assert await memory.facts.confidence("location", scope_id="ann") == believed(0.9, 1, 0)
        await memory.jobs.undo(ticket.id)
        assert await memory.facts.confidence("location", scope_id="ann") == believed(0.9, 0, 0)
