"""One call of a wrapped callable: what it asks and who asks, the memories put in, the answer taken out."""

from __future__ import annotations

import inspect
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

from ..errors import ConfigurationError
from ..scope import Identity
from ..turn import Turn
from .durable import RUN_ID, Started
from .input import NAMES, Prompt, prompt_in, system_text
from .messages import is_conversation
from .output import piece_text, reply_text
from .people import context_of
from .signatures import IDS, Arguments, Parameters, Place
from .wiring import Hook, Wiring

SYSTEM = ("system", "system_prompt", "instructions", "system_message")
MEMORIES = "memories"
_NO_PROMPT = frozenset({*IDS, RUN_ID, *SYSTEM, "self", "cls", "model"})
_NOBODY = Identity()


class Call:
    """One call: `args` and `kwargs` for the callable, and the turn that it is."""

    def __init__(self, wiring: Wiring, parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._wiring = wiring
        self._parameters = parameters
        self._pieces: list[str] = []
        self.arguments = Arguments(parameters, args, kwargs, IDS if wiring.durable is None else (*IDS, RUN_ID))
        self._run = None if wiring.durable is None else Started(wiring.durable, self.arguments, parameters, self._who())
        self._place: Place | None = None
        self._key: str | None = None
        self.turn = Turn(wiring.source, None, _NOBODY, strict=wiring.strict)
        with self.turn.tolerance("input"):
            self.turn = self._turn(self._prompt())

    @property
    def args(self) -> tuple[Any, ...]:
        """What to call with, by place."""
        return self.arguments.args

    @property
    def kwargs(self) -> dict[str, Any]:
        """What to call with, by name."""
        return self.arguments.kwargs

    async def begin(self) -> None:
        """Recall, and put what is remembered into the arguments; before that, a durable call takes its run up."""
        if self._run is not None:
            await self._run.begin()
        await self.turn.begin()
        if self.turn.is_open and self._wiring.pre is not None:
            with self.turn.tolerance("pre"):
                result = self._wiring.pre(self.turn)
                if inspect.isawaitable(result):
                    await result
        self._inject()

    def begin_now(self) -> None:
        """The same as `begin`, blocking."""
        if self._run is not None:
            self._run.begin_now()
        self.turn.begin_now()
        self._hook("pre", self._wiring.pre)
        self._inject()

    def inside(self) -> AbstractContextManager[None]:
        """A block in which the callable runs."""
        return self.turn.inside() if self._run is None else self._run.inside(self.turn.inside())

    async def finish(self, reply: Any) -> None:
        """Learn from the turn, given the whole answer."""
        self._answered(reply)
        if self.turn.is_open and self._wiring.post is not None:
            with self.turn.tolerance("post"):
                result = self._wiring.post(self.turn)
                if inspect.isawaitable(result):
                    await result
        await self.turn.finish()

    def finish_now(self, reply: Any) -> None:
        """The same as `finish`, blocking."""
        self._answered(reply)
        self._hook("post", self._wiring.post)
        self.turn.finish_now()

    def finish_soon(self, future: Future[Any]) -> None:
        """The same as `finish` for an answer that came by a future, without waiting."""
        if future.cancelled() or future.exception() is not None:
            self.close()
        self._answered(None if not self.turn.is_open else future.result())
        self._hook("post", self._wiring.post)
        self.turn.finish_soon()

    def collect(self, piece: Any) -> None:
        """Take in a chunk of a streamed answer."""
        if self.turn.is_open:
            with self.turn.tolerance("output"):
                self._pieces.append(piece_text(piece, self._wiring.output))

    def abandon(self) -> None:
        """The stream was left before its end: learn what came of it, or nothing."""
        if self._left():
            self._hook("post", self._wiring.post)
            self.turn.finish_now()

    async def leave(self) -> None:
        """The same as `abandon`, for an async stream."""
        if self._left():
            await self.finish(None)

    def forsake(self) -> None:
        """The same as `abandon` for a stream that nobody holds any more, without waiting."""
        if self._left():
            self._hook("post", self._wiring.post)
            self.turn.finish_soon()

    def close(self) -> None:
        """The callable failed or was cancelled: that teaches nothing."""
        self.turn.close()

    def _turn(self, prompt: Prompt | None) -> Turn:
        wiring = self._wiring
        if prompt is None and wiring.inject is not None and not wiring.keyword:
            return self.turn
        turn = Turn(
            wiring.source,
            prompt or Prompt("", ()),
            self._who(),
            recalls=wiring.inject != "none",
            learns=wiring.learn,
            budget_ms=wiring.recall_budget_ms,
            strict=wiring.strict,
            turn_id=None if self._run is None else self._run.id,
        )
        turn.context = context_of(self.arguments.named(), turn)
        return turn

    def _who(self) -> Identity:
        people = self._wiring.people
        return self._wiring.source.who(people.named(self.arguments), people.fixed())

    def _prompt(self) -> Prompt | None:
        """Find the prompt, and remember where it stands."""
        asked = self._wiring.input
        if isinstance(asked, str):
            place = self.arguments.place(asked)
            return None if place is None else self._at(place)
        found = self._usual() or self._first()
        return Prompt.of(self.arguments.ask(asked)) if asked is not None else found

    def _usual(self) -> Prompt | None:
        for name in NAMES:
            place = self.arguments.place(name)
            found = None if place is None else self._at(place)
            if found is not None:
                return found
        return None

    def _first(self) -> Prompt | None:
        found = (self._at(place) for place, name, _ in self.arguments.places() if name not in _NO_PROMPT)
        return next((prompt for prompt in found if prompt is not None), None)

    def _at(self, place: Place) -> Prompt | None:
        value = self.arguments.at(place)
        prompt = Prompt.of(value)
        if prompt is not None:
            self._place, self._key = place, None
            return prompt
        inner = prompt_in(value)
        if inner is None:
            return None
        self._place, (self._key, prompt) = place, inner
        return prompt

    def _inject(self) -> None:
        with self.turn.tolerance("inject"):
            if not self._given() and self.turn.is_open and self.turn.text and self._wiring.inject != "none":
                self._put_in(self.turn.text)

    def _given(self) -> bool:
        """Hand the memories over where the callable takes them as such; whether it does."""
        anywhere = self._wiring.inject is None
        context: Any = context_of(self.arguments.named(), None) if anywhere else None
        if hasattr(context, "memories"):
            context.memories = self.turn.memories
        keyword = self._wiring.keyword or (MEMORIES if anywhere and MEMORIES in self._parameters.names else "")
        if keyword and self.arguments.place(keyword) is None:
            self.arguments.put_named(keyword, self.turn.memories)
        return bool(keyword) or hasattr(context, "memories")

    def _put_in(self, text: str) -> None:
        if self._place is None:
            raise ConfigurationError(
                "No argument can take memories. Name one as input=, or use inject='kwarg:memories'."
            )
        value = self.arguments.at(self._place)
        prompt = Prompt.of(value if self._key is None else value[self._key])
        if prompt is None or (self._wiring.inject == "system" and self._into_system(prompt, text)):
            return
        new = prompt.in_front(text) if self._wiring.inject == "prepend" else prompt.with_system(text)
        self.arguments.put(self._place, new if self._key is None else {**value, self._key: new})

    def _into_system(self, prompt: Prompt, text: str) -> bool:
        """Use the argument that the callable has for system text, unless the conversation brings its own."""
        name = next((name for name in SYSTEM if name in self._parameters.names), None)
        if name is None or (is_conversation(prompt.value) and prompt.has_system):
            return False
        self.arguments.put_named(name, system_text(self.arguments.named().get(name), text))
        return True

    def _answered(self, reply: Any) -> None:
        if self.turn.is_open:
            with self.turn.tolerance("output"):
                self.turn.reply = "".join(self._pieces) or reply_text(reply, self._wiring.output)

    def _left(self) -> bool:
        self.turn.partial = True
        self.turn.reply = "".join(self._pieces)
        if self._wiring.on_partial == "skip":
            self.close()
        return self.turn.is_open

    def _hook(self, step: str, hook: Hook | None) -> None:
        if hook is not None and self.turn.is_open:
            with self.turn.tolerance(step):
                hook(self.turn)
