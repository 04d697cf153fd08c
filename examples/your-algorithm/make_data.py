"""Writes train.jsonl and held-out.jsonl: problems of the built-in task largest, `Largest of 28, 3, 74`.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from verifine.tasks import load_task


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    task = load_task("largest", seed=1, train_size=2000, held_out_size=160)
    for name, examples in (("train", task.train), ("held-out", task.held_out)):
        lines = [
            json.dumps(
                {"messages": [_turn(message.role, message.content) for message in example.messages], **example.item}
            )
            + "\n"
            for example in examples
        ]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _turn(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


if __name__ == "__main__":
    main()
