"""Writes train.jsonl and held-out.jsonl: sentences about orders, and what is to be read from them.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

NAMES = "Maria Tom Aisha Chen Olga Pedro Lena Kofi Ines Ravi Emma Yuki Omar Nina Paul Zoe".split()
HELD_OUT_NAMES = "Alba Dirk Femi Greta Hugo Mira".split()
CITIES = "Lisbon Oslo Cairo Lima Quito Delhi Turin Perth Accra Dublin Seoul Porto Malmo Graz Tunis Osaka".split()
HELD_OUT_CITIES = "Bergen Nantes Tampa Krakow Hanoi Dakar".split()
THINGS = "lamps chairs books tables mirrors carpets vases clocks shelves pillows".split()
FORMS = (
    "{name} from {city} ordered {count} {thing}.",
    "We sent {count} {thing} to {name} in {city}.",
    "{count} {thing} were bought by {name}, who lives in {city}.",
    "In {city}, {name} is waiting for {count} {thing}.",
)
SOLVED = (
    {"role": "system", "content": "Read the order and answer with JSON."},
    {"role": "user", "content": "Ben from Rome ordered 7 cups."},
    {"role": "assistant", "content": '{"name": "Ben", "city": "Rome", "count": 7}'},
)


def rows(seed: int, size: int, names: Sequence[str], cities: Sequence[str]) -> Iterator[dict[str, object]]:
    draw = random.Random(seed)
    for _ in range(size):
        fields = {"name": draw.choice(names), "city": draw.choice(cities), "count": draw.randint(2, 99)}
        order = draw.choice(FORMS).format(**fields, thing=draw.choice(THINGS))
        messages = [*SOLVED, {"role": "user", "content": order}]
        yield {"messages": messages, "fields": fields, "gt_answer": json.dumps(fields)}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, names, cities in (
        ("train", 1, 800, NAMES, CITIES),
        ("held-out", 2, 160, HELD_OUT_NAMES, HELD_OUT_CITIES),
    ):
        lines = [json.dumps(row) + "\n" for row in rows(seed, size, names, cities)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
