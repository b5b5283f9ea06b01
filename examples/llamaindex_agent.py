"""An agent whose memory outlives its context: written to JSON, read again, and it goes on.

python examples/llamaindex_agent.py
"""

from __future__ import annotations

import asyncio
import json

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.workflow import Context, JsonSerializer
from llamaindex_model import scripted

from ltm_core import AsyncMemory
from ltm_llamaindex import LongTermChatStore, LongTermMemory, memory_tools


async def main() -> None:
    async with AsyncMemory("memory://") as core:
        model = scripted("Noted, Sarah.", "In Lisbon, of course.")
        agent = FunctionAgent(llm=model, tools=memory_tools(core, user_id="sarah"))
        memory = LongTermMemory.from_defaults(
            memory=core,
            user_id="sarah",
            session_id="monday",
            chat_store=LongTermChatStore(core, user_id="sarah"),  # history and facts in one database
        )
        context = Context(agent)
        print("Agent:", await agent.run("I'm Sarah and I live in Lisbon.", ctx=context, memory=memory))
        await memory.aflush()  # for this script only: a server lets the worker learn in the background

        written = json.dumps(context.to_dict(serializer=JsonSerializer()))
        again = Context.from_dict(agent, json.loads(written), serializer=JsonSerializer())
        print("Agent:", await agent.run("Where do I live?", ctx=again))
        assert await again.store.get("memory") is memory


if __name__ == "__main__":
    asyncio.run(main())
