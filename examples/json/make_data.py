"""Writes train.jsonl and held-out.jsonl: messages to an invented restaurant, and the booking that each asks for.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

Booking = dict[str, str | int | None]

NAMES = "Adler Birk Cordes Dahl Ekman Falk Grau Hult Ivens Jonck Kern Lund Moor Nagel Oberg Palm Quist Rask".split()
HELD_OUT_NAMES = "Stern Toft Ulm Voss Wirth Zorn".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NOTES = ("vegan", "window seat", "birthday", "high chair", "nut allergy", "quiet corner", "wheelchair", "dog")

WHO = (
    "It's {name} here.",
    "{name} speaking,",
    "My name is {name}.",
    "hi this is {name}!!",
    "Name: {name}",
    "{name} again",
)
WHAT = (
    "a table for {people} on {day} pls",
    "we are {people}, can we come {day}?",
    "{day}, {people} people, ok?",
    "need seats on {day} for {people} of us",
    "could you keep {people} places for us {day}",
    "book {people} for {day} please",
)
SMALL_TALK = (
    "Last time the soup was great.",
    "sorry for the late message",
    "we were 12 last year, not this time :)",
    "Parking is ok at your place, right?",
    "My phone broke so I write from my sister's.",
    "You were closed last Monday, what a pity.",
    "thx!!",
    "Is the terrace open",
)
PHONE = ("call me: {phone}", "my number is {phone}", "tel {phone}", "reach us at {phone}")
NOTE = ("({note})", "note: {note}", "important: {note}", "we need: {note}")

SOLVED: tuple[tuple[str, Booking], ...] = (
    (
        "hello, Vogt here. seats for 3 on Sunday? tel 555 10. it rains again",
        {"name": "Vogt", "people": 3, "day": "Sunday", "phone": "555 10", "note": None},
    ),
    (
        "Can we come Tuesday, 6 of us. Winter is my name (cake)",
        {"name": "Winter", "people": 6, "day": "Tuesday", "phone": None, "note": "cake"},
    ),
)


def bookings(seed: int, size: int, names: Sequence[str]) -> Iterator[tuple[str, Booking]]:
    """`size` messages with what they say: a name, a wish, small talk, and often a number and a note, in any order."""
    draw = random.Random(seed)
    for _ in range(size):
        booking: Booking = {
            "name": draw.choice(names),
            "people": draw.randint(2, 11),
            "day": draw.choice(DAYS),
            "phone": f"555 {draw.randint(11, 99)}" if draw.random() < 0.5 else None,
            "note": draw.choice(NOTES) if draw.random() < 0.5 else None,
        }
        forms = [WHO, WHAT, *([PHONE] if booking["phone"] else []), *([NOTE] if booking["note"] else [])]
        parts = [draw.choice(form).format(**booking) for form in forms] + [draw.choice(SMALL_TALK)]
        draw.shuffle(parts)
        yield " ".join(parts), booking


def row(message: str, booking: Booking) -> dict[str, object]:
    turns = [{"role": "system", "content": "Read the booking and write it as JSON. What is not said is null."}]
    for text, fields in SOLVED:
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": json.dumps(fields)}]
    messages = [*turns, {"role": "user", "content": message}]
    return {"messages": messages, "booking": booking, "gt_answer": json.dumps(booking)}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, names in (("train", 1, 1000, NAMES), ("held-out", 2, 160, HELD_OUT_NAMES)):
        lines = [json.dumps(row(message, booking)) + "\n" for message, booking in bookings(seed, size, names)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
