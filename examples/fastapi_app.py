"""A chat server whose agent remembers each of its users, also after a restart.

    pip install fastapi uvicorn
    uvicorn --app-dir examples fastapi_app:app

docs/howto/any-agent.md shows how to talk to it with curl. `agent` stands for yours.
"""

from __future__ import annotations

import os

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ltm_core import Memory, ScopeError
from ltm_middleware import MemoryASGI, with_memory

memory = Memory(os.environ.get("LTM_URL", "sqlite:///fastapi_app.db"))


class Said(BaseModel):
    message: str


@with_memory(memory)
async def agent(message: str) -> str:
    """An agent that says what it was given: the memories in front of the message."""
    known = [line.removeprefix("- ") for line in message.splitlines() if line.startswith("- ")]
    return " ".join(known) or "I know nothing of you yet."


api = FastAPI()


@api.post("/chat")
async def chat(said: Said) -> dict[str, str]:
    return {"answer": await agent(said.message)}


@api.exception_handler(ScopeError)
def nobody(request: Request, error: ScopeError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=401)


@api.get("/facts")
async def facts() -> list[str]:
    recalled = await memory.as_async().recall("", strategy="all", limit=None)
    return [fact.text for fact in recalled.facts]


# Who is talking comes from a header here so that curl can set it. A real server takes it from what its login proved,
# such as request.scope["user"].
app = MemoryASGI(api, memory, who=lambda request: {"user_id": request.headers.get("x-user")})
