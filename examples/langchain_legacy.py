"""A chain of old that remembers: `LongTermMemory` in place of `ConversationBufferMemory`.

python examples/langchain_legacy.py
"""

from __future__ import annotations

import warnings

from langchain_classic.chains import ConversationChain
from langchain_model import chat_model

from ltm_core import Memory
from ltm_langchain.classic import LongTermMemory

warnings.simplefilter("ignore", DeprecationWarning)  # chains are deprecated; this is for those that are still there


def main() -> None:
    with Memory("memory://") as memory:
        model = chat_model("Noted!", "Rex, your dog.")
        first = ConversationChain(llm=model, memory=LongTermMemory(memory=memory, user_id="ana", session_id="monday"))
        print(first.invoke({"input": "I have a dog named Rex."})["response"])
        memory.flush()
        later = ConversationChain(llm=model, memory=LongTermMemory(memory=memory, user_id="ana", session_id="friday"))
        print(later.invoke({"input": "Who waits for me at home, my dog?"})["response"])


if __name__ == "__main__":
    main()
