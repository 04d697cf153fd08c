from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from verifine.config.graders import StringCheckGraderConfig
from verifine.graders import Grader, build_grader
from verifine.types import Grade, GradeFault, Sample

Operation = Literal["eq", "ne", "like", "ilike"]


def string_check(operation: Operation, reference: str = "{{ item.gt_answer }}") -> Grader:
    return build_grader(
        StringCheckGraderConfig(
            type="string_check",
            name="check",
            input="{{ sample.output_text }}",
            reference=reference,
            operation=operation,
        )
    )


def answered(text: str) -> Sample:
    return Sample(output_text=text, item={"gt_answer": "Paris"})


@pytest.mark.parametrize(
    ("operation", "text", "score"),
    [
        ("eq", "Paris", 1),
        ("eq", "Paris ", 0),
        ("ne", "Paris", 0),
        ("ne", "paris", 1),
        ("like", "It is Paris.", 1),
        ("like", "It is PARIS.", 0),
        ("ilike", "It is PARIS.", 1),
        ("ilike", "Par is", 0),
    ],
)
def test_score_is_whether_the_comparison_holds(operation: Operation, text: str, score: int) -> None:
    (grade,) = string_check(operation).grade([answered(text)])
    assert grade == Grade(score=score, parts={"check": score}, answer_ok=bool(score))


def test_a_row_without_the_field_is_unscorable_and_the_others_keep_their_places() -> None:
    samples = [answered("Paris"), Sample(output_text="Paris", item={}), answered("Rome")]
    grades = string_check("eq").grade(samples)
    assert [grade.score for grade in grades] == [1, None, 0]
    assert grades[1].reason == "item.gt_answer does not exist: item has no fields"


def test_a_row_without_the_field_is_its_own_fault_and_an_answer_without_json_is_the_answers() -> None:
    check = build_grader(
        StringCheckGraderConfig(
            type="string_check", input="{{ sample.output_json.city }}", reference="{{ item.city }}", operation="eq"
        )
    )
    right, no_json, no_key, no_item = check.grade(
        [
            Sample(output_text='{"city": "Paris"}', item={"city": "Paris"}),
            Sample(output_text="Paris", item={"city": "Paris"}),
            Sample(output_text='{"town": "Paris"}', item={"city": "Paris"}),
            Sample(output_text='{"city": "Paris"}', item={}),
        ]
    )
    assert right.score == 1.0
    assert (no_json.score, set(no_json.faults)) == (0.0, {GradeFault.SAMPLE_PARSE})
    assert (no_key.score, set(no_key.faults)) == (0.0, {GradeFault.INVALID_VARIABLE})
    assert (no_item.score, set(no_item.faults)) == (None, {GradeFault.INVALID_VARIABLE})


def test_a_broken_template_is_refused_by_the_schema() -> None:
    with pytest.raises(ValidationError, match="not closed"):
        string_check("eq", reference="{{ item.x")
