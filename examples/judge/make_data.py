"""Writes train.jsonl and held-out.jsonl: what an invented shop tells its customers, and the facts that replies state.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

THINGS = "lamp chair table mirror carpet vase clock shelf pillow blanket kettle pan".split()
HELD_OUT_THINGS = "heater basket candle curtain stool tray".split()
PROBLEMS = (
    "arrived broken",
    "never arrived",
    "has the wrong colour",
    "is scratched",
    "came without screws",
    "does not work",
    "is too small",
    "smells of paint",
)
SOLVED = (
    ("Bicycle, has a flat tyre, refund 42 euros", "We pay back 42 euros because the bicycle has a flat tyre."),
    ("Piano, is out of tune, refund 57 euros", "We are sorry that the piano is out of tune and pay back 57 euros."),
    ("Tent, leaks, refund 19 euros", "Thank you for your message, we pay back 19 euros for the tent that leaks."),
)


def rows(seed: int, size: int, things: Sequence[str]) -> Iterator[dict[str, object]]:
    """`size` different messages about these things."""
    draw = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < size:
        thing, problem, euros = draw.choice(things), draw.choice(PROBLEMS), draw.randint(11, 99)
        task = f"{thing.capitalize()}, {problem}, refund {euros} euros"
        if task not in seen:
            seen.add(task)
            yield {"messages": chat(task), "task": task, "thing": thing, "facts": [thing, f"{euros} euros"]}


def chat(task: str) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": "Write the reply to the customer in one sentence."}]
    for solved, reply in SOLVED:
        turns += [{"role": "user", "content": solved}, {"role": "assistant", "content": reply}]
    return [*turns, {"role": "user", "content": task}]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, things in (("train", 1, 1600, THINGS), ("held-out", 2, 120, HELD_OUT_THINGS)):
        lines = [json.dumps(row) + "\n" for row in rows(seed, size, things)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
