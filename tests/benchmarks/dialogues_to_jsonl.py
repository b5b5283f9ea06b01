"""Turn a file of dialogues into one JSONL per conversation, as `ltm ingest` reads it.

    python tests/benchmarks/dialogues_to_jsonl.py dialogues.json folder/

The file is a list of {id, speakers, turns: [{id, session, when, speaker, text}]}; `when` is ISO 8601 or null.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROLES = {"assistant": "assistant"}


def message(turn: dict[str, Any]) -> dict[str, Any]:
    return {
        "role": ROLES.get(turn["speaker"], "user"),
        "name": turn["speaker"],
        "content": turn["text"],
        "created_at": turn["when"],
        "metadata": {"id": turn["id"], "session": turn["session"]},
    }


def convert(source: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for dialogue in json.loads(source.read_text(encoding="utf-8")):
        target = folder / f"{dialogue['id']}.jsonl"
        lines = [json.dumps(message(turn), ensure_ascii=False) for turn in dialogue["turns"]]
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield target


def main() -> None:
    parser = argparse.ArgumentParser(description="One JSONL per conversation of a file of dialogues.")
    parser.add_argument("source", type=Path, help="the file of dialogues")
    parser.add_argument("folder", type=Path, help="where the JSONL files go")
    given = parser.parse_args()
    for _ in convert(given.source, given.folder):
        pass


if __name__ == "__main__":
    main()
