"""What models are asked: each call counted, timed, and given up after a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..errors import ExtractionError


@dataclass(slots=True)
class Meter:
    """What was spent on models so far; `count` counts the tokens of a text where a model does not report them."""

    count: Callable[[str], int]
    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count here what is spent inside the block, in its threads too."""
        token = _METER.set(self)
        try:
            yield
        finally:
            _METER.reset(token)


@dataclass(slots=True)
class Call:
    """One call of a model: what was asked, what it said, and how many tokens it says it took."""

    prompt: Sequence[Mapping[str, Any]]
    reply: Any = ""
    tokens: int | None = None

    def counted(self, count: Callable[[str], int]) -> int:
        """The tokens of the call, in and out."""
        if self.tokens is not None:
            return self.tokens
        texts = [*(message.get("content") for message in self.prompt), self.reply]
        return sum(count(text) for text in texts if isinstance(text, str) and text)


@dataclass(frozen=True, slots=True)
class _Deadline:
    seconds: float
    timeout: asyncio.Timeout
    loop: asyncio.AbstractEventLoop

    def begin_anew(self) -> None:
        # An extractor may run a loop of its own in its thread; there the deadline of the whole stands.
        if asyncio.get_running_loop() is self.loop and not self.timeout.expired():
            self.timeout.reschedule(self.loop.time() + self.seconds)


_METER: ContextVar[Meter | None] = ContextVar("ltm_meter", default=None)
_CALL: ContextVar[Call | None] = ContextVar("ltm_model_call", default=None)
_DEADLINE: ContextVar[_Deadline | None] = ContextVar("ltm_deadline", default=None)


def report_tokens(tokens: int) -> None:
    """Tell how many tokens the present call took, in and out; for a `Complete` that knows. They are estimated else."""
    call = _CALL.get()
    if call is not None:
        call.tokens = tokens


def report_spent(tokens: int, calls: int = 1, seconds: float = 0.0) -> None:
    """Tell what was spent on models; for an `extract` or `summarise` of your own that asks them by itself."""
    meter = _METER.get()
    if meter is not None:
        meter.calls += calls
        meter.tokens += tokens
        meter.seconds += seconds


@contextmanager
def model_call(prompt: Sequence[Mapping[str, Any]]) -> Iterator[Call]:
    """Count a call, whether it succeeds or not: it was paid for. The deadline begins anew with it."""
    call, loop = Call(prompt), asyncio.get_running_loop()
    deadline, meter, began = _DEADLINE.get(), _METER.get(), loop.time()
    if deadline is not None:
        deadline.begin_anew()
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)
        if meter is not None:
            report_spent(call.counted(meter.count), seconds=loop.time() - began)


@asynccontextmanager
async def given_up_after(seconds: float | None) -> AsyncIterator[None]:
    """Raise `ExtractionError` when the block, or since its last model call, takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds) as timeout:
            token = _DEADLINE.set(None if seconds is None else _Deadline(seconds, timeout, asyncio.get_running_loop()))
            try:
                yield
            finally:
                _DEADLINE.reset(token)
    except TimeoutError as error:
        if not timeout.expired():
            raise
        raise ExtractionError(
            f"No answer came within {seconds:g} s. Look at the model, or raise model_timeout=."
        ) from error
