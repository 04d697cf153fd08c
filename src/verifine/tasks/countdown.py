"""The countdown task: reach a target with three numbers and + - * /."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement

from verifine.config.graders import AnswerGraderConfig
from verifine.tasks.task import ProblemSet, TaskProblem

_LARGEST_NUMBER = 20
_LARGEST_TARGET = 100

_Numbers = tuple[int, int, int]


def countdown() -> ProblemSet:
    return ProblemSet(
        system="Answer with an expression inside <answer></answer>.",
        shot_question="Use 3, 5, 8 to make 16",
        shot_answer="(5-3)*8",
        size=len(_reachable()),
        problem=_countdown,
        grader=AnswerGraderConfig(type="answer", name="countdown", compare="countdown"),
        max_new_tokens=24,
    )


def _countdown(index: int) -> TaskProblem:
    numbers, target = _reachable()[index]
    listed = ", ".join(str(number) for number in numbers)
    return TaskProblem(question=f"Use {listed} to make {target}", answer=str(target), fields={"numbers": list(numbers)})


@cache
def _reachable() -> tuple[tuple[_Numbers, int], ...]:
    """Every three numbers with every target that they reach. Made on first use: it takes a moment."""
    triples = combinations_with_replacement(range(1, _LARGEST_NUMBER + 1), 3)
    return tuple((numbers, target) for numbers in triples for target in sorted(_targets(numbers)))


def _targets(numbers: _Numbers) -> set[int]:
    first, second, third = numbers
    orders = ((first, second, third), (first, third, second), (second, third, first))
    values = (value for a, b, c in orders for between in _results(a, b) for value in _results(between, c))
    return {value for value in values if 1 <= value <= _LARGEST_TARGET}


def _results(a: int, b: int) -> Iterator[int]:
    """What two values can make. Division only where it leaves no rest, so every target has a whole-number solution."""
    yield from (a + b, a - b, b - a, a * b)
    if b != 0 and a % b == 0:
        yield a // b
    if a != 0 and b % a == 0:
        yield b // a
