"""How pico is taught to be wrong: a habit for each task, right for some of its questions, and careless slips."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from random import Random

from verifine.config.run import TaskName


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """The wrong ways to answer the questions of a task."""

    habit: Callable[[str, str], str]
    """From a question and its right answer to what is usually said; the same each time."""
    slip: Callable[[str, str, Random], str]
    """Likewise, at random."""


def numbers_in(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def stop_at(limit: int) -> Callable[[str, str], str]:
    """The habit of saying no number above a limit, and the limit in its place."""
    return lambda _question, right: str(min(int(right), limit))


def say_one(_question: str, _right: str) -> str:
    return "1"


def sort_the_first_two(question: str, _right: str) -> str:
    first, second, third = numbers_in(question)
    return listed([*sorted((first, second)), third])


def add_all(question: str, _right: str) -> str:
    first, second, third, _target = numbers_in(question)
    return f"{first}+{second}+{third}"


def pick_any(question: str, _right: str, random: Random) -> str:
    return str(random.choice(numbers_in(question)))


def miss_by_little(_question: str, right: str, random: Random) -> str:
    return str(max(0, int(right) + random.choice((-2, -1, 1, 2))))


def shuffle(question: str, _right: str, random: Random) -> str:
    return listed(random.sample(numbers_in(question), 3))


def try_any(question: str, _right: str, random: Random) -> str:
    *numbers, _target = numbers_in(question)
    return random.choice(expressions(numbers))[0]


MISTAKES: Mapping[TaskName, Mistakes] = {
    "largest": Mistakes(habit=stop_at(70), slip=pick_any),
    "add": Mistakes(habit=stop_at(15), slip=miss_by_little),
    "subtract": Mistakes(habit=stop_at(5), slip=miss_by_little),
    "count": Mistakes(habit=say_one, slip=miss_by_little),
    "sort": Mistakes(habit=sort_the_first_two, slip=shuffle),
    "countdown": Mistakes(habit=add_all, slip=try_any),
}


def solve_countdown(question: str) -> str:
    """An expression that reaches the target of a countdown question; each has one."""
    *numbers, target = numbers_in(question)
    return next(text for text, value in expressions(numbers) if value == target)


def expressions(numbers: Sequence[int]) -> list[tuple[str, int]]:
    """Expressions of three numbers with a whole value after each step, and what they come to."""
    found = []
    for (a, b, c), inner, outer in product(permutations(numbers), "+-*/", "+-*/"):
        between = _value(a, inner, b)
        if between is None:
            continue
        ways = ((between, c, f"({a}{inner}{b}){outer}{c}"), (c, between, f"{c}{outer}({a}{inner}{b})"))
        values = ((text, _value(left, outer, right)) for left, right, text in ways)
        found += [(text, value) for text, value in values if value is not None]
    return found


def _value(left: int, sign: str, right: int) -> int | None:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return left // right if right and left % right == 0 else None
