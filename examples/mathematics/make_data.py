"""Writes word problems, with the formula and the number that solve each.

python make_data.py [FOLDER]

train.jsonl and held-out.jsonl have problems of one step. hard.jsonl and hard-held-out.jsonl have problems of two steps
after the same solved examples, and worked.jsonl and worked-held-out.jsonl the same problems after one example more, of
two steps.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Stories = Mapping[str, Sequence[str]]
Solved = Sequence[tuple[str, str]]

NAMES = "Ana Ben Cem Dora Emil Fay Gus Hana Ivo Jana Kim Leo Mia Noor Otto Pia".split()
THINGS = "apples books cards coins eggs flowers marbles pencils shells stamps".split()
ONE_STEP: Stories = {
    "{a} + {b}": (
        "{name} has {a} {thing} and finds {b} more. How many {thing} does {name} have now?",
        "There are {a} {thing} in one box and {b} in another. How many {thing} are there in all?",
        "{name} bought {a} {thing} in the morning and {b} in the evening. How many {thing} are that together?",
        "A shelf holds {a} {thing}. {name} puts {b} more on it. How many {thing} are on the shelf?",
    ),
    "{a} - {b}": (
        "{name} has {a} {thing} and gives {b} away. How many {thing} are left?",
        "There were {a} {thing} in a box. {name} took {b} out. How many {thing} are in the box now?",
        "{name} needs {a} {thing} and has {b}. How many {thing} are missing?",
        "Of {a} {thing}, {b} broke. How many {thing} are whole?",
    ),
    "{a} * {b}": (
        "{name} has {a} boxes with {b} {thing} in each. How many {thing} does {name} have?",
        "Each of {a} children brings {b} {thing}. How many {thing} do they bring?",
        "A bag of {thing} costs {b} euros. What do {a} bags cost?",
        "{name} collects {b} {thing} a day. How many {thing} are that in {a} days?",
    ),
}
TWO_STEPS: Stories = {
    "{a} + {b} - {c}": (
        "{name} has {a} {thing}, finds {b} more and gives {c} away. How many {thing} are left?",
        "There were {a} {thing} in a box. {name} put {b} in and took {c} out. How many {thing} are in the box now?",
    ),
    "{a} - {b} - {c}": (
        "Of {a} {thing}, {b} broke on Monday and {c} on Tuesday. How many {thing} are whole?",
        "{name} has {a} {thing} and gives {b} to one friend and {c} to another. How many {thing} are left?",
    ),
    "{a} * {b} + {c}": (
        "{name} has {a} boxes with {b} {thing} in each, and {c} more {thing}. How many {thing} does {name} have?",
        "Each of {a} children brings {b} {thing}. There were {c} already. How many {thing} are there now?",
    ),
}
SOLVED: Solved = (
    ("Tim has 5 hats and buys 4 more. How many hats does Tim have?", "5 + 4 = 9"),
    ("There were 9 birds. 3 flew away. How many birds are left?", "9 - 3 = 6"),
    ("Eva has 3 bowls with 7 nuts in each. How many nuts does Eva have?", "3 * 7 = 21"),
)
WORKED: Solved = (("Tim has 8 hats, buys 3 more and sells 5. How many hats are left?", "8 + 3 - 5 = 6"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A story, the formula that solves it, and the value of that formula."""

    story: str
    formula: str
    value: int

    def row(self, solved: Solved) -> dict[str, object]:
        """A line of a data file: the chat, which shows solved problems first, and what the grader reads."""
        turns = [{"role": "system", "content": "Solve the problem. Write the formula and its value."}]
        for question, answer in solved:
            turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        messages = [*turns, {"role": "user", "content": self.story}]
        return {"messages": messages, "formula": self.formula, "gt_answer": str(self.value)}


def is_held_out(a: int, b: int) -> bool:
    """Whether problems with these two numbers are for the held-out files; all others are trained on."""
    return (a + b) % 7 == 3


def problems(stories: Stories, seed: int, size: int, *, held_out: bool) -> Iterator[Problem]:
    """`size` different problems."""
    draw = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < size:
        formula = draw.choice(list(stories))
        small = "*" in formula
        a, b = (draw.randint(2, 9), draw.randint(2, 9)) if small else (draw.randint(21, 60), draw.randint(3, 10))
        values = {"a": a, "b": b, "c": draw.randint(2, 9)}
        story = draw.choice(stories[formula]).format(**values, name=draw.choice(NAMES), thing=draw.choice(THINGS))
        if is_held_out(a, b) is held_out and story not in seen:
            seen.add(story)
            filled = formula.format(**values)
            yield Problem(story=story, formula=filled, value=value_of(filled))


def value_of(formula: str) -> int:
    """Of numbers with +, - and * between them, and blanks around these."""
    terms = formula.replace(" - ", " + -").split(" + ")
    return sum(math.prod(map(int, term.split(" * "))) for term in terms)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for prefix, stories, solved in (
        ("", ONE_STEP, SOLVED),
        ("hard-", TWO_STEPS, SOLVED),
        ("worked-", TWO_STEPS, [*SOLVED, *WORKED]),
    ):
        for name, seed, size in ((prefix.rstrip("-") or "train", 1, 1600), (f"{prefix}held-out", 2, 160)):
            chosen = problems(stories, seed, size, held_out=name.endswith("held-out"))
            lines = [json.dumps(problem.row(solved)) + "\n" for problem in chosen]
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
