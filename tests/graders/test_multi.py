from __future__ import annotations

from typing import Any

import psutil
import pytest

from verifine.config.graders import (
    FormatGraderConfig,
    MultiGraderConfig,
    PythonGraderConfig,
    StringCheckGraderConfig,
    TextSimilarityGraderConfig,
)
from verifine.errors import GraderError
from verifine.graders import GradeFunction, build_grader, callable_grader
from verifine.graders.combined import CombinedGrader
from verifine.graders.multi import MultiGrader
from verifine.types import Grade, GradeFault, Sample, TokenUsage

SAMPLE = Sample(output_text="a", item={})


def combine(formula: str, **grades: Grade) -> Grade:
    """The grade of the formula, with graders that give any answer these grades."""
    config = MultiGraderConfig(
        type="multi",
        graders={name: FormatGraderConfig(type="format", pattern=".") for name in grades},
        calculate_output=formula,
    )
    graders = {name: callable_grader(always(grade)) for name, grade in grades.items()}
    first, second = CombinedGrader(graders, MultiGrader(config).combine).grade([SAMPLE, SAMPLE])
    assert (first.score, first.faults, first.usage) == (second.score, second.faults, second.usage)
    return first


def always(grade: Grade) -> GradeFunction:
    return lambda sample, item: grade


def scored(score: float, **judgement: bool | None) -> Grade:
    return Grade(score=score, **judgement)  # type: ignore[arg-type]


def test_the_score_is_the_value_of_the_formula() -> None:
    grade = combine("0.5 * right + min(style, 1) ^ 2 - length / 10", right=scored(1), style=scored(3), length=scored(2))
    assert grade.score == pytest.approx(0.5 + 1 - 0.2)
    assert grade.parts == {"right": 1, "style": 3, "length": 2}
    assert grade.reason is None


def test_a_part_is_the_score_of_its_grader_not_the_parts_of_that() -> None:
    assert combine("a", a=Grade(score=1.0, parts={"format": 0.5})).parts == {"a": 1.0}


def test_an_answer_that_a_part_cannot_score_is_unscorable_by_the_name_of_that_part() -> None:
    broken = Grade.unscorable("no reference", GradeFault.INVALID_VARIABLE)
    slow = Grade.unscorable("too slow", GradeFault.UNRESPONSIVE_REWARD)
    failed = Grade.failed("no JSON", GradeFault.SAMPLE_PARSE)
    grade = combine("a + b + c", a=broken, b=slow, c=failed)
    assert (grade.score, grade.reason) == (None, "a: no reference; b: too slow")
    assert grade.faults == {GradeFault.INVALID_VARIABLE, GradeFault.UNRESPONSIVE_REWARD, GradeFault.SAMPLE_PARSE}
    assert combine("1", a=broken).score is None


def test_an_answer_that_lacks_what_a_part_reads_scores_nothing_whatever_the_formula() -> None:
    failed = Grade.failed("no JSON", GradeFault.SAMPLE_PARSE)
    grade = combine("1 - json + right", json=failed, right=scored(1, answer_ok=True))
    assert (grade.score, grade.reason, grade.faults) == (0, "json: no JSON", frozenset({GradeFault.SAMPLE_PARSE}))
    assert grade.parts == {"json": 0, "right": 1}
    assert grade.answer_ok is None


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("1 / a", "the formula divides by zero"),
        ("log(a)", "the formula has no finite value"),
        ("exp(1000 * b)", "the formula has no finite value"),
        ("(a - b) ^ 0.5", "the formula has no finite value"),
    ],
)
def test_a_formula_without_a_finite_value_makes_the_answer_unscorable(formula: str, reason: str) -> None:
    grade = combine(formula, a=scored(0), b=scored(1))
    assert (grade.score, grade.faults) == (None, frozenset({GradeFault.FORMULA_PARSE}))
    assert str(grade.reason).startswith(reason)


@pytest.mark.parametrize(
    ("judgements", "together"),
    [
        ((None, None), None),
        ((True, None), True),
        ((None, False), False),
        ((True, True), True),
        ((False, False), False),
        ((True, False), None),
    ],
)
def test_a_judgement_stands_if_all_who_judge_agree(
    judgements: tuple[bool | None, bool | None], together: bool | None
) -> None:
    first, second = judgements
    formats = combine("a - b", a=scored(1, format_ok=first), b=scored(0, format_ok=second))
    assert (formats.format_ok, formats.answer_ok) == (together, None)
    answers = combine("a - b", a=scored(1, answer_ok=first), b=scored(0, answer_ok=second))
    assert (answers.format_ok, answers.answer_ok) == (None, together)


def test_tokens_add_up_and_the_slowest_part_is_the_time() -> None:
    judge = Grade(score=1.0, seconds=2.0, usage={"judge": TokenUsage(prompt=5, completion=1)})
    grade = combine("a + b", a=judge, b=judge)
    assert grade.usage == {"judge": TokenUsage(prompt=10, completion=2)}
    assert grade.seconds == 2.0


def check(name: str, operation: str) -> StringCheckGraderConfig:
    values: dict[str, Any] = {"input": "{{ sample.output_text }}", "reference": "{{ item.gt_answer }}"}
    return StringCheckGraderConfig.model_validate(
        {"type": "string_check", "name": name, "operation": operation, **values}
    )


def test_graders_are_built_and_asked_in_the_order_of_the_samples() -> None:
    config = MultiGraderConfig.model_validate(
        {
            "type": "multi",
            "graders": [
                check("exact", "eq").model_dump(),
                check("contained", "ilike").model_dump(),
                {
                    "type": "text_similarity",
                    "name": "alike",
                    "input": "{{ sample.output_text }}",
                    "reference": "{{ item.gt_answer }}",
                    "evaluation_metric": "rouge_1",
                },
            ],
            "calculate_output": "max(exact, 0.5 * contained, 0.25 * alike)",
        }
    )
    assert isinstance(config.graders["alike"], TextSimilarityGraderConfig)
    grader = build_grader(config)
    texts = ["Paris", "It is paris", "paris!", "Rome"]
    grades = grader.grade([Sample(output_text=text, item={"gt_answer": "Paris"}) for text in texts])
    grader.close()
    assert [grade.score for grade in grades] == [1, 0.5, 0.5, 0]
    assert grades[1].parts == {"exact": 0, "contained": 1, "alike": 0.5}
    (missing,) = grader.grade([Sample(output_text="Paris", item={})])
    assert missing.score is None
    assert str(missing.reason).startswith("exact: item.gt_answer does not exist")


def test_a_grader_that_cannot_be_built_is_named_and_the_others_are_closed() -> None:
    before = psutil.Process().children()
    config = MultiGraderConfig(
        type="multi",
        graders={
            "short": PythonGraderConfig(type="python", source="def grade(sample, item):\n    return 1.0"),
            "near": TextSimilarityGraderConfig(
                type="text_similarity", input="a", reference="b", evaluation_metric="cosine"
            ),
        },
        calculate_output="short + near",
    )
    with pytest.raises(GraderError, match=r"^graders\.near: .* cosine"):
        build_grader(config)
    assert psutil.Process().children() == before, "the sandbox goes on"
