from __future__ import annotations

import pytest

from verifine.config.graders import ChoiceGraderConfig
from verifine.graders import build_grader
from verifine.types import Grade, GradeFault, Json, Sample


def grade(text: str, *, format_weight: float = 0.0, **item: Json) -> Grade:
    (result,) = build_grader(ChoiceGraderConfig(type="choice", format_weight=format_weight)).grade(
        [Sample(output_text=text, item=item)]
    )
    return result


@pytest.mark.parametrize(
    ("text", "score", "format_ok", "answer_ok"),
    [
        ("The answer is B.", 1.0, True, True),
        ("The answer is C.", 0.25, True, False),
        ("B or C", 0.0, False, False),
        ("", 0.0, False, False),
    ],
)
def test_deciding_is_the_format_and_deciding_right_is_the_answer(
    text: str, score: float, format_ok: bool, answer_ok: bool
) -> None:
    assert grade(text, format_weight=0.25, gt_answer="B") == Grade(
        score=score,
        parts={"format": float(format_ok), "answer": float(answer_ok)},
        format_ok=format_ok,
        answer_ok=answer_ok,
    )


@pytest.mark.parametrize("reference", ["B", "b", " (B)\n"])
def test_the_reference_is_read_as_a_choice(reference: str) -> None:
    assert grade("B", gt_answer=reference).score == 1


@pytest.mark.parametrize("text", ["B", "nothing"])
def test_a_broken_row_is_unscorable_whatever_the_answer(text: str) -> None:
    unknown = grade(text, gt_answer="E")
    assert unknown.score is None
    assert '"E" is not one of A, B, C, D' in (unknown.reason or "")
    assert grade(text, gt_answer="").score is None
    assert grade(text).faults == {GradeFault.INVALID_VARIABLE}


def test_choices_and_places_are_those_of_the_config() -> None:
    config = ChoiceGraderConfig(
        type="choice", choices=("left", "right"), input="{{ sample.output_json.turn }}", reference="Left"
    )
    texts = ['{"turn": "left"}', '{"turn": "right"}', "left"]
    grades = build_grader(config).grade([Sample(output_text=text, item={}) for text in texts])
    assert [each.score for each in grades] == [1, 0, 0]
    assert [each.faults for each in grades] == [set(), set(), {GradeFault.SAMPLE_PARSE}]


@pytest.mark.parametrize(
    "reference", ["A is too small.\n#### B", r"So it is \boxed{B}.", "The answer is (B).", "No.\nAnswer: B"]
)
def test_the_choice_of_a_worked_solution_is_the_reference(reference: str) -> None:
    assert [grade(text, gt_answer=reference).score for text in ("B", "A")] == [1, 0]
