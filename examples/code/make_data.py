"""Writes train.jsonl and held-out.jsonl: what a short Python function should do, and tests for it.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Tests = dict[str, object]
Function = Callable[..., object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Functions that do two things, one after the other. `{n}` in a text is a number that is drawn for it."""

    name: str
    first: Mapping[str, Callable[..., object]]
    """What is done at first, by the words for it; functions of the input and of n."""
    then: Mapping[str, Function]
    """What is done with the result: in words with `{first}`, and as a function of it."""
    draw_input: Callable[[random.Random], object]
    largest: int
    """The largest n."""


def _numbers(draw: random.Random) -> list[int]:
    return [draw.randint(1, 20) for _ in range(draw.randint(4, 7))]


def _word(draw: random.Random) -> str:
    return "".join(draw.choice("abcdefgh") for _ in range(draw.randint(6, 9)))


KINDS = (
    Kind(
        name="numbers",
        first={
            "the numbers above {n}": lambda numbers, n: [each for each in numbers if each > n],
            "the numbers below {n}": lambda numbers, n: [each for each in numbers if each < n],
            "the first {n} numbers": lambda numbers, n: numbers[:n],
            "the last {n} numbers": lambda numbers, n: numbers[-n:],
            "the numbers without the first one": lambda numbers, _: numbers[1:],
            "the numbers times {n}": lambda numbers, n: [each * n for each in numbers],
            "the numbers plus {n}": lambda numbers, n: [each + n for each in numbers],
            "the even numbers": lambda numbers, _: [each for each in numbers if each % 2 == 0],
        },
        then={
            "{first}": lambda numbers: numbers,
            "the sum of {first}": sum,
            "the count of {first}": len,
            "{first}, sorted": sorted,
            "{first} in reverse": lambda numbers: numbers[::-1],
        },
        draw_input=_numbers,
        largest=12,
    ),
    Kind(
        name="text",
        first={
            "the first {n} letters": lambda text, n: text[:n],
            "the last {n} letters": lambda text, n: text[-n:],
            "the text without its first letter": lambda text, _: text[1:],
            "the text without its last letter": lambda text, _: text[:-1],
            "the text {n} times": lambda text, n: text * n,
            "the text with b for a": lambda text, _: text.replace("a", "b"),
        },
        then={
            "{first}": lambda text: text,
            "{first} in capitals": str.upper,
            "{first} in reverse": lambda text: text[::-1],
            "the length of {first}": len,
            "{first} between stars": lambda text: f"*{text}*",
        },
        draw_input=_word,
        largest=5,
    ),
    Kind(
        name="x",
        first={
            "x plus {n}": lambda x, n: x + n,
            "x minus {n}": lambda x, n: x - n,
            "x times {n}": lambda x, n: x * n,
            "x squared": lambda x, _: x * x,
            "the remainder of x divided by {n}": lambda x, n: x % n,
        },
        then={
            "{first}": lambda x: x,
            "{first}, negated": lambda x: -x,
            "{first}, as text": str,
            "{first}, in a list": lambda x: [x],
            "whether {first} is even": lambda x: x % 2 == 0,
        },
        draw_input=lambda draw: draw.randint(4, 40),
        largest=12,
    ),
)
SOLVED = {
    "f(numbers): the sum of the numbers above 6": "def f(numbers):\n    return sum([x for x in numbers if x > 6])",
    "f(text): the last 4 letters": "def f(text):\n    return text[-4:]",
    "f(x): x plus 6, in a list": "def f(x):\n    return [x + 6]",
    "f(numbers): the first 3 numbers in reverse": "def f(numbers):\n    return numbers[:3][::-1]",
    "f(text): the text 3 times between stars": "def f(text):\n    return '*' + text * 3 + '*'",
    "f(x): whether x times 7 is even": "def f(x):\n    return x * 7 % 2 == 0",
    "f(numbers): the count of the even numbers": "def f(numbers):\n    return len([x for x in numbers if x % 2 == 0])",
    "f(text): the text without its first letter in capitals": "def f(text):\n    return text[1:].upper()",
}
"""What the model is shown before each description. They are of pairs that are trained on, but not in the data."""


def is_held_out(kind: int, first: int, then: int) -> bool:
    """Whether this pair of things to do is for the held-out file; all others are trained on."""
    return (kind + first + 2 * then) % 5 == 4


def rows(seed: int, *, held_out: bool) -> Iterator[dict[str, object]]:
    """Every function of one side, in any order."""
    draw = random.Random(seed)
    functions = [
        (kind, first, then, n)
        for k, kind in enumerate(KINDS)
        for i, first in enumerate(kind.first)
        for j, then in enumerate(kind.then)
        for n in (range(2, kind.largest + 1) if "{n}" in first else (0,))
        if is_held_out(k, i, j) is held_out
    ]
    draw.shuffle(functions)
    for kind, first, then, n in functions:
        words = f"f({kind.name}): {then.format(first=first.format(n=n))}"
        if words in SOLVED:
            continue
        tests, more = ([kind.draw_input(draw) for _ in range(4)] for _ in range(2))
        yield {
            "messages": chat(words),
            "pair": f"{first} / {then}",
            "test_cases": _tests(kind, first, then, n, tests),
            "more_tests": _tests(kind, first, then, n, more),
        }


def _tests(kind: Kind, first: str, then: str, n: int, inputs: list[object]) -> Tests:
    outputs = [kind.then[then](kind.first[first](value, n)) for value in inputs]
    return {"fn_name": "f", "inputs": [[value] for value in inputs], "outputs": [json.dumps(each) for each in outputs]}


def chat(words: str) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": "Write the Python function."}]
    for solved, answer in SOLVED.items():
        turns += [
            {"role": "user", "content": solved},
            {"role": "assistant", "content": f"```python\n{answer}\n```"},
        ]
    return [*turns, {"role": "user", "content": words}]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, most in (("train", 1, None), ("held-out", 2, 120)):
        lines = [json.dumps(row) + "\n" for row in rows(seed, held_out=name == "held-out")][:most]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
