"""Tools with which a model itself remembers, recalls and forgets; whose memory it is, the run decides."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field

from ltm_core import AsyncMemory, ExtractionError, Fact, Memory, ScopeError

from .faces import apart, async_face, wait
from .people import Ids, People, Who

Action = Literal["remember", "recall", "forget"]
ACTIONS: tuple[Action, ...] = ("remember", "recall", "forget")

Verb = Callable[..., Coroutine[Any, Any, str]]


class Remember(BaseModel):
    """What `remember` takes."""

    content: str = Field(description="One thing to remember, as a whole sentence in the user's words: 'I am vegan.'")


class Recall(BaseModel):
    """What `recall` takes."""

    query: str = Field(description="What you want to know, in a few words or as a question.")
    limit: int = Field(default=10, ge=1, le=50, description="Most memories to return.")


class Forget(BaseModel):
    """What `forget` takes."""

    key: str = Field(description="The key of the memory, as recall shows it.")


class Manage(BaseModel):
    """What `manage_memory` takes."""

    content: str | None = Field(default=None, description="What to remember; needed to create and to update.")
    action: Literal["create", "update", "delete"] = Field(default="create", description="What to do.")
    id: str | None = Field(default=None, description="Id of the memory to update or delete, as search shows it.")


class Search(BaseModel):
    """What `search_memory` takes."""

    query: str = Field(description="What to look for.")
    limit: int = Field(default=10, ge=1, le=50, description="Most memories to return.")


def create_memory_tools(
    memory: Memory | AsyncMemory,
    *,
    actions: Sequence[Action] = ACTIONS,
    names: Mapping[str, str] | None = None,
    user_id: Who = None,
    session_id: Who = None,
    agent_id: Who = None,
    user_id_key: str = "user_id",
) -> list[BaseTool]:
    """The tools `remember`, `recall` and `forget`, for an agent or a `ToolNode`.

    The user comes from the run, never from the model: see `LongTermMemoryMiddleware`. What goes wrong is told to the
    model as the tool's answer and ends no run.

    Args:
        actions: Which of the tools.
        names: Other names for them: `{"recall": "search_notes"}`.
    """
    verbs = _Verbs(async_face(memory))
    people = People(user_id, session_id, agent_id, user_id_key)
    made: dict[Action, tuple[Verb, type[BaseModel], str]] = {
        "remember": (verbs.remember, Remember, "Keep something about the user for later conversations."),
        "recall": (verbs.recall, Recall, "Look up what is remembered about the user from earlier conversations."),
        "forget": (verbs.forget, Forget, "Forget something about the user that is wrong or no longer wanted."),
    }
    return [_tool(verbs.memory, people, (names or {}).get(action, action), *made[action]) for action in actions]


def create_manage_memory_tool(memory: Memory | AsyncMemory, *, name: str = "manage_memory", **who: Any) -> BaseTool:
    """One tool that creates, updates and deletes, named as in langmem. `who` is as in `create_memory_tools`."""
    verbs = _Verbs(async_face(memory))
    return _tool(verbs.memory, People(**who), name, verbs.manage, Manage, "Create, update or delete a memory.")


def create_search_memory_tool(memory: Memory | AsyncMemory, *, name: str = "search_memory", **who: Any) -> BaseTool:
    """The tool that searches, named as in langmem. `who` is as in `create_memory_tools`."""
    verbs = _Verbs(async_face(memory))
    return _tool(verbs.memory, People(**who), name, verbs.search, Search, "Search what is remembered of the user.")


@dataclass(frozen=True, slots=True)
class _Verbs:
    """What the tools do, once it is known for whom."""

    memory: AsyncMemory

    async def remember(self, who: Ids, content: str) -> str:
        try:
            return f"Remembered: {await self._add(who, content)}"
        except ExtractionError:
            return "Noted. It is kept and will be learned later."

    async def recall(self, who: Ids, query: str, limit: int) -> str:
        recalled = await self.memory.recall(query, **who, limit=limit)
        told = [{"said, not yet confirmed": message.text} for message in recalled.pending]
        return _json([*map(_shown, recalled.facts), *told]) if recalled else "Nothing is remembered about this."

    async def forget(self, who: Ids, key: str) -> str:
        count = await self.memory.forget(key, user_id=who["user_id"], session_id=who["session_id"])
        return f"Forgotten: {key}" if count else f"There is no memory {key!r}. Use a key that recall shows."

    async def manage(self, who: Ids, content: str | None, action: str, id: str | None) -> str:  # noqa: A002 # langmem's
        if action != "delete" and not content:
            raise ToolException("There is nothing to remember. Pass content.")
        if action != "create" and not id:
            raise ToolException(f"To {action} a memory, pass its id, as search shows it.")
        if action == "create":
            return await self.remember(who, str(content))
        if action == "update":
            await self.memory.provider().update(_user(who), str(id), content)
        else:
            await self.memory.provider().delete(_user(who), str(id))
        return f"{action}d memory {id}"

    async def search(self, who: Ids, query: str, limit: int) -> str:
        found = await self.memory.provider().search(_user(who), query, limit)
        return _json([{"id": one["id"], "content": one["content"]} for one in found])

    async def _add(self, who: Ids, content: str) -> str:
        provider = self.memory.provider()
        found = await provider.get(_user(who), await provider.add(_user(who), content))
        return str(found["content"]) if found else content


def _tool(
    memory: AsyncMemory, people: People, name: str, verb: Verb, schema: type[BaseModel], description: str
) -> BaseTool:
    def run(**given: Any) -> str:
        with _told():
            return wait(memory, verb(_somebody(people), **schema(**given).model_dump()))

    async def arun(**given: Any) -> str:
        with _told():
            who = _somebody(people)
            with apart():
                return await verb(who, **schema(**given).model_dump())

    return StructuredTool.from_function(
        run, arun, name=name, description=description, args_schema=schema, handle_tool_error=True
    )


class _told:  # noqa: N801 # reads as the function that it is used as
    """Tells the model what went wrong, as the answer of the tool."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, ToolException):
            raise ToolException(f"The memory could not do this: {error}") from error


def _somebody(people: People) -> Ids:
    who = people.find()
    if who["user_id"] == "":
        raise ScopeError("Nobody is named. Pass user_id in the context or the config of the run.")
    return who


def _user(who: Ids) -> str:
    if who["user_id"] is None:
        raise ScopeError("No user is named. Pass user_id in the context or the config of the run.")
    return who["user_id"]


def _shown(fact: Fact) -> dict[str, str]:
    return {"key": fact.key, "memory": fact.text or f"{fact.key}: {_json(fact.value)}"}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
