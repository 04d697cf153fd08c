from __future__ import annotations

from fractions import Fraction
from typing import Any, NoReturn

import pytest

from verifine.config.graders import (
    GRADER_PRESETS,
    AnswerGrader,
    FormatGrader,
    GraderConfig,
    PythonGrader,
    StringCheckGrader,
    WeightedGrader,
)
from verifine.graders import CallableGrader, build_grader
from verifine.types import Grade, Json, Sample


def call(function: Any, text: str = "hello", **item: Json) -> Grade:
    (grade,) = CallableGrader(function, name="mine").grade([Sample(output_text=text, item=item)])
    return grade


def test_callable_sees_the_answer_and_the_item() -> None:
    seen: list[object] = []
    call(lambda sample, item: seen.append((sample, item)), text="[1]", gt_answer="2")
    assert seen == [({"output_text": "[1]", "output_json": [1]}, {"gt_answer": "2"})]


@pytest.mark.parametrize("value", [1, 0.25, -3, Fraction(1, 4)])
def test_a_number_is_the_score(value: float) -> None:
    assert call(lambda sample, item: value) == Grade(score=float(value), parts={"mine": float(value)})


def test_a_grade_is_passed_on() -> None:
    grade = Grade(score=0.5, parts={"tests": 0.5}, format_ok=True)
    assert call(lambda sample, item: grade) is grade
    assert call(lambda sample, item: Grade.unscorable("no tests")).reason == "no tests"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "grade returned bool, not a number; return a float such as 1.0"),
        (None, "grade returned NoneType, not a number; return a float such as 1.0"),
        ("1", "grade returned str, not a number; return a float such as 1.0"),
        (float("nan"), "grade returned nan, which is not finite"),
        (float("-inf"), "grade returned -inf, which is not finite"),
        (10**400, "grade returned a number that is too large"),
        (Grade(score=float("nan")), "grade returned a Grade with the score nan, which is not finite"),
    ],
)
def test_anything_else_is_unscorable(value: object, reason: str) -> None:
    assert call(lambda sample, item: value) == Grade.unscorable(reason)


@pytest.mark.parametrize("error", [KeyError("gt_answer"), SystemExit(3)])
def test_an_exception_is_unscorable_with_its_text(error: BaseException) -> None:
    def fail(sample: dict[str, Any], item: dict[str, Any]) -> NoReturn:
        raise error

    assert call(fail) == Grade.unscorable(f"{type(error).__name__}: {error}")


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupt(sample: dict[str, Any], item: dict[str, Any]) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(interrupt)


def test_a_callable_that_changes_its_item_does_not_change_the_next_samples() -> None:
    def pop(sample: dict[str, Any], item: dict[str, Any]) -> float:
        return float(item["list"].pop())

    samples = [Sample(output_text="", item={"list": [1, 2]})] * 2
    assert [grade.score for grade in CallableGrader(pop).grade(samples)] == [2.0, 2.0]


_SAMPLE = Sample(output_text="<answer>7</answer>", item={"gt_answer": "7"})


@pytest.mark.parametrize(
    "config",
    [
        *GRADER_PRESETS.values(),
        AnswerGrader(type="answer"),
        FormatGrader(type="format", pattern="<.*>"),
        StringCheckGrader(type="string_check", input="{{ sample.output_text }}", reference="7", operation="like"),
        PythonGrader(type="python", source="def grade(sample, item):\n    return len(item)"),
        WeightedGrader(type="weighted", graders={"right": AnswerGrader(type="answer")}, weights={"right": 1}),
    ],
)
def test_every_kind_of_config_builds_a_grader_that_grades_in_order(config: GraderConfig) -> None:
    grader = build_grader(config)
    try:
        grades = grader.grade([_SAMPLE, Sample(output_text="8", item={}), _SAMPLE])
        assert [grade.score for grade in grades] in ([1, 0, 1], [1, None, 1])
        assert grader.grade([]) == []
    finally:
        grader.close()
