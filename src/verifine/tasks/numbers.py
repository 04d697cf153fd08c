"""Tasks on whole numbers: largest, add, subtract, sort."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import AnswerGraderConfig
from verifine.tasks.task import ProblemSet, TaskProblem

_SYSTEM = "Answer with a number inside <answer></answer>."
_TRIPLES = 99 * 98 * 97
"""Ways to write down three different numbers from 1 to 99."""
_TERMS = 21
"""Terms run from 0 to 20."""
_FALLING_PAIRS = tuple((larger, smaller) for larger in range(_TERMS) for smaller in range(larger + 1))
"""Only these are subtracted, so that no difference is negative."""


def largest() -> ProblemSet:
    return ProblemSet(
        system=_SYSTEM,
        shot_question="Largest of 4, 17, 9",
        shot_answer="17",
        size=_TRIPLES,
        problem=_largest,
        grader=AnswerGraderConfig(type="answer", name="largest", compare="number"),
        max_new_tokens=16,
    )


def add() -> ProblemSet:
    return ProblemSet(
        system=_SYSTEM,
        shot_question="What is 7 + 5?",
        shot_answer="12",
        size=_TERMS * _TERMS,
        problem=_add,
        grader=AnswerGraderConfig(type="answer", name="add", compare="number"),
        max_new_tokens=16,
    )


def subtract() -> ProblemSet:
    return ProblemSet(
        system=_SYSTEM,
        shot_question="What is 12 - 5?",
        shot_answer="7",
        size=len(_FALLING_PAIRS),
        problem=_subtract,
        grader=AnswerGraderConfig(type="answer", name="subtract", compare="number"),
        max_new_tokens=16,
    )


def sort() -> ProblemSet:
    return ProblemSet(
        system="Answer with the numbers in rising order inside <answer></answer>.",
        shot_question="Sort 17, 4, 9",
        shot_answer="4, 9, 17",
        size=_TRIPLES,
        problem=_sort,
        grader=AnswerGraderConfig(type="answer", name="sort", compare="exact"),
        # A tokenizer that takes digits and blanks one by one needs 17 for three numbers of two digits.
        max_new_tokens=24,
    )


def _largest(index: int) -> TaskProblem:
    numbers = _triple(index)
    return TaskProblem(question=f"Largest of {_listed(numbers)}", answer=str(max(numbers)))


def _add(index: int) -> TaskProblem:
    first, second = divmod(index, _TERMS)
    return TaskProblem(question=f"What is {first} + {second}?", answer=str(first + second))


def _subtract(index: int) -> TaskProblem:
    larger, smaller = _FALLING_PAIRS[index]
    return TaskProblem(question=f"What is {larger} - {smaller}?", answer=str(larger - smaller))


def _sort(index: int) -> TaskProblem:
    numbers = _triple(index)
    return TaskProblem(question=f"Sort {_listed(numbers)}", answer=_listed(sorted(numbers)))


def _triple(index: int) -> list[int]:
    """The digits of the index, with the bases 99, 98 and 97, say which of the numbers left comes next."""
    left = list(range(1, 100))
    numbers = []
    for _ in range(3):
        index, place = divmod(index, len(left))
        numbers.append(left.pop(place))
    return numbers


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
