from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NoReturn

import pytest

from verifine.config.graders import (
    GRADER_PRESETS,
    AnswerGraderConfig,
    AnyGrader,
    CodeGraderConfig,
    MathGraderConfig,
    PythonGraderConfig,
    StringCheckGraderConfig,
    WeightedGraderConfig,
)
from verifine.errors import GraderError
from verifine.graders import Services, build_grader, callable_grader, grade_samples, sample_fields
from verifine.types import Grade, GradeFault, Json, Sample


def call(function: Any, text: str = "hello", **item: Json) -> Grade:
    """The grade, without the time it took."""
    (grade,) = grade_samples(callable_grader(function, name="mine"), [Sample(output_text=text, item=item)])
    return replace(grade, seconds=0.0)


class Short:
    """Gives one grade, however many samples there are."""

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [Grade(score=1.0)]

    def close(self) -> None: ...


def unscorable(reason: str) -> Grade:
    return Grade.unscorable(reason, GradeFault.PYTHON_RUNTIME)


def test_callable_sees_the_answer_and_the_item() -> None:
    seen: list[object] = []
    call(lambda sample, item: seen.append((sample, item)), text="[1]", gt_answer="2")
    assert seen == [(sample_fields(Sample(output_text="[1]", item={})), {"gt_answer": "2"})]


@pytest.mark.parametrize("value", [1, 0.25, -3, Fraction(1, 4)])
def test_a_number_is_the_score(value: float) -> None:
    assert call(lambda sample, item: value) == Grade(score=float(value), parts={"mine": float(value)})


def test_a_grade_is_passed_on() -> None:
    grade = Grade(score=0.5, parts={"tests": 0.5}, format_ok=True)
    assert call(lambda sample, item: grade) == grade
    assert call(lambda sample, item: Grade.unscorable("no tests")).reason == "no tests"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "grade returned bool, not a number; return a float such as 1.0"),
        (None, "grade returned NoneType, not a number; return a float such as 1.0"),
        ("1", "grade returned str, not a number; return a float such as 1.0"),
        (10**400, "grade returned a number that is too large"),
    ],
)
def test_anything_else_is_unscorable(value: object, reason: str) -> None:
    assert call(lambda sample, item: value) == unscorable(reason)


@pytest.mark.parametrize("score", ["nan", "inf", "-inf"])
def test_a_score_that_is_not_finite_is_none(score: str) -> None:
    expected = Grade.unscorable(f"the grader gave the score {score}, which is not finite")
    assert call(lambda sample, item: float(score)) == expected
    assert call(lambda sample, item: Grade(score=float(score))) == expected


def test_a_grader_that_gives_another_number_of_grades_is_broken() -> None:
    grader = Short()
    with pytest.raises(GraderError, match="1 grades for 2 answers"):
        grade_samples(grader, [Sample(output_text="", item={})] * 2)


@pytest.mark.parametrize("error", [KeyError("gt_answer"), SystemExit(3)])
def test_an_exception_is_unscorable_with_its_text(error: BaseException) -> None:
    def fail(sample: dict[str, Any], item: dict[str, Any]) -> NoReturn:
        raise error

    assert call(fail) == unscorable(f"{type(error).__name__}: {error}")


def test_the_time_it_took_is_told_unless_the_grade_tells_it() -> None:
    functions: list[Any] = [
        lambda sample, item: sum(range(10_000)),
        lambda sample, item: Grade(score=float(sum(range(10_000)))),
        lambda sample, item: "no number",
        lambda sample, item: item["nothing"],
    ]
    for function in functions:
        (grade,) = callable_grader(function).grade([Sample(output_text="", item={})])
        assert grade.seconds > 0
    (told,) = callable_grader(lambda sample, item: Grade(score=1.0, seconds=7.0)).grade(
        [Sample(output_text="", item={})]
    )
    assert told.seconds == 7.0


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupt(sample: dict[str, Any], item: dict[str, Any]) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(interrupt)


def test_a_callable_that_changes_its_item_does_not_change_the_next_samples() -> None:
    def pop(sample: dict[str, Any], item: dict[str, Any]) -> float:
        return float(item["list"].pop())

    samples = [Sample(output_text="", item={"list": [1, 2]})] * 2
    assert [grade.score for grade in callable_grader(pop).grade(samples)] == [2.0, 2.0]


_TESTS: dict[str, Json] = {"inputs": ["7"], "outputs": ["7"]}
_ITEM: dict[str, Json] = {"gt_answer": "7", "test_cases": _TESTS}
_RIGHT = "<think>```python\nprint(input())\n```</think> \\boxed{7} <answer>7</answer>"
_WRONG = "<think>```python\nprint(8)\n```</think> \\boxed{8} <answer>8</answer>"


@pytest.mark.parametrize(
    "config",
    [
        *GRADER_PRESETS.values(),
        StringCheckGraderConfig(
            type="string_check", input="{{ sample.output_text }}", reference="{{ item.gt_answer }}</a", operation="like"
        ),
        PythonGraderConfig(
            type="python",
            source="def grade(sample, item):\n    return float('boxed{' + item['gt_answer'] in sample['output_text'])",
        ),
        MathGraderConfig(type="math"),
        CodeGraderConfig(type="code"),
        WeightedGraderConfig(
            type="weighted", graders={"right": AnswerGraderConfig(type="answer")}, weights={"right": 1}
        ),
    ],
    ids=lambda config: config.name,
)
def test_every_kind_of_config_builds_a_grader_that_grades_in_order(config: AnyGrader) -> None:
    grader = build_grader(config, Services())
    right, wrong = (Sample(output_text=text, item=_ITEM) for text in (_RIGHT, _WRONG))
    broken = Sample(output_text=_RIGHT, item={})
    try:
        grades = grader.grade([right, wrong, broken, right])
        assert [grade.score is not None and grade.score > 0.5 for grade in grades] == [True, False, False, True]
        assert grades[2].score is None
        assert grader.grade([]) == []
    finally:
        grader.close()


def test_a_part_that_is_not_finite_is_left_out() -> None:
    parts = {"right": 0.5, "ratio": math.nan, "odds": math.inf}
    [grade] = grade_samples(
        callable_grader(lambda *_: Grade(score=1.0, parts=parts)), [Sample(output_text="", item={})]
    )
    assert (grade.score, grade.parts) == (1.0, {"right": 0.5})
