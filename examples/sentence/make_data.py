"""Writes train.jsonl and held-out.jsonl: notices of an invented town and its pharmacy, a question, and one sentence.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A kind of notice. Texts have the names of `values`, and `subject`, in braces."""

    notice: str
    question: str
    reference: str
    claims: tuple[str, ...]
    """What an answer has to state, word for word."""
    subjects: tuple[str, ...]
    """Those at even places are trained on, those at odd places held out."""
    values: Values


NUMBERS = tuple(map(str, range(11, 99)))
TOPICS = (
    Topic(
        notice="A {subject} permit costs {fee} euros a year and is issued in room {room}.",
        question="What does a {subject} permit cost, and where is it issued?",
        reference="A {subject} permit costs {fee} euros a year and is issued in room {room}.",
        claims=("{fee} euros", "room {room}"),
        subjects=("parking", "fishing", "market", "camping", "busking", "mooring", "filming", "grazing"),
        values={"fee": NUMBERS, "room": NUMBERS},
    ),
    Topic(
        notice="For a {subject} register within {days} days; the office is at {street} Street.",
        question="By when do I register for a {subject}, and where?",
        reference="You register for a {subject} within {days} days at {street} Street.",
        claims=("{days} days", "{street} Street"),
        subjects=("move", "wedding", "birth", "business", "dog", "boat", "caravan", "beehive"),
        values={"days": NUMBERS, "street": ("Mill", "Oak", "River", "Hill", "Station", "Church", "Garden", "Bridge")},
    ),
    Topic(
        notice="{subject}: one tablet every {hours} hours, {meal}.",
        question="How often do I take {subject}, and when?",
        reference="You take one tablet of {subject} every {hours} hours, {meal}.",
        claims=("every {hours} hours", "{meal}"),
        subjects=("Amaril", "Bexol", "Corvan", "Dolmin", "Estrex", "Fenodal", "Gantrol", "Helvit"),
        values={"hours": ("4", "6", "8", "12", "24"), "meal": ("after a meal", "before a meal", "at bedtime")},
    ),
    Topic(
        notice="{subject} is for people over {age} years and is kept below {degrees} degrees.",
        question="Who is {subject} for, and how is it kept?",
        reference="{subject} is for people over {age} years and is kept below {degrees} degrees.",
        claims=("over {age} years", "below {degrees} degrees"),
        subjects=("Iprodan", "Jolvex", "Kelmin", "Lorvat", "Mentox", "Novaril", "Optrel", "Pantex"),
        values={"age": NUMBERS[:8], "degrees": NUMBERS[4:20]},
    ),
)
SOLVED = (
    "Notices:\nGlass is collected every 3 weeks on Friday.\nThe pool opens at 7 and costs 5 euros.\n\n"
    "When does the pool open, and what does it cost?",
    "The pool opens at 7 and costs 5 euros.",
)


def rows(seed: int, size: int, side: int) -> Iterator[dict[str, object]]:
    """`size` rows about the subjects at even (0) or odd (1) places."""
    draw = random.Random(seed)
    for _ in range(size):
        asked, *others = draw.sample(TOPICS, 3)
        filled = [(topic, _values(topic, draw, side)) for topic in (asked, *others)]
        notices = [topic.notice.format(**values) for topic, values in filled]
        draw.shuffle(notices)
        values = filled[0][1]
        claims = [claim.format(**values) for claim in asked.claims]
        false = [claim.format(**these) for topic, these in filled[1:] for claim in topic.claims]
        question = "Notices:\n" + "\n".join(notices) + "\n\n" + asked.question.format(**values)
        yield {
            "messages": [
                {"role": "system", "content": "Answer the question in one sentence, from the notices alone."},
                {"role": "user", "content": SOLVED[0]},
                {"role": "assistant", "content": SOLVED[1]},
                {"role": "user", "content": question},
            ],
            "subject": values["subject"],
            "claims": claims,
            "false_claims": false,
            "gt_answer": asked.reference.format(**values),
        }


def _values(topic: Topic, draw: random.Random, side: int) -> dict[str, str]:
    chosen = {name: draw.choice(values) for name, values in topic.values.items()}
    return {**chosen, "subject": draw.choice(topic.subjects[side::2])}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, side in (("train", 1, 1000, 0), ("held-out", 2, 160, 1)):
        lines = [json.dumps(row) + "\n" for row in rows(seed, size, side)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
