from __future__ import annotations

from typing import Literal

import pytest

from verifine.config.graders import NumberGraderConfig
from verifine.graders import build_grader
from verifine.types import Grade, GradeFault, Json, Sample


def grade(
    text: str,
    *,
    take: Literal["whole", "last"] = "last",
    tolerance: float = 0,
    relative_tolerance: float = 0,
    units: tuple[str, ...] = (),
    **item: Json,
) -> Grade:
    config = NumberGraderConfig(
        type="number",
        name="value",
        take=take,
        tolerance=tolerance,
        relative_tolerance=relative_tolerance,
        units=units,
    )
    (result,) = build_grader(config).grade([Sample(output_text=text, item=item)])
    return result


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("31", True),
        (" 31.0\n", True),
        ("1e1", False),
        ("31 apples", False),
        ("Answer: **31**", True),
        ("x = 31", True),
        ("30 or 31", False),
    ],
)
def test_a_whole_text_must_be_the_number_and_nothing_else(text: str, is_right: bool) -> None:
    result = grade(text, take="whole", gt_answer=31)
    assert result == Grade(score=float(is_right), parts={"value": float(is_right)}, answer_ok=is_right)


@pytest.mark.parametrize(
    ("answer", "reference", "tolerance", "relative", "is_right"),
    [
        ("31.3", "31", 0.3, 0, True),
        ("30.7", "31", 0.3, 0, True),
        ("31.31", "31", 0.3, 0, False),
        ("31", "31.0", 0, 0, True),
        ("0.75", "3/4", 0, 0, True),
        ("1.1", "1", 0, 0.1, True),
        ("1.11", "1", 0, 0.1, False),
        ("-1.1", "-1", 0, 0.1, True),
        ("0.1", "0", 0, 1, False),  # a share of nothing
        ("110", "100", 5, 0.1, True),  # the wider of the two
        ("105", "100", 5, 0.01, True),
        ("106", "100", 5, 0.01, False),
        ("1,000", 1000, 0, 0, True),
        ("none", "31", 1000, 0, False),
    ],
)
def test_numbers_are_compared_within_the_wider_tolerance(
    answer: str, reference: Json, tolerance: float, relative: float, is_right: bool
) -> None:
    result = grade(answer, tolerance=tolerance, relative_tolerance=relative, gt_answer=reference)
    assert (result.score, result.answer_ok, result.format_ok) == (float(is_right), is_right, None)


@pytest.mark.parametrize("text", ["31", "no number"])
def test_a_broken_row_is_unscorable_whatever_the_answer(text: str) -> None:
    broken, missing = grade(text, gt_answer="thirty"), grade(text)
    assert (broken.score, missing.score) == (None, None)
    assert '"thirty"' in (broken.reason or "")
    assert "item.gt_answer" in (missing.reason or "")
    assert missing.faults == {GradeFault.INVALID_VARIABLE}


def test_an_answer_without_the_field_that_is_read_scores_nothing() -> None:
    config = NumberGraderConfig(type="number", input="{{ sample.output_json.price }}", reference="3")
    texts = ['{"price": 3}', '{"price": "3.0"}', "three"]
    grades = build_grader(config).grade([Sample(output_text=text, item={}) for text in texts])
    assert [each.score for each in grades] == [1, 1, 0]
    assert grades[2].faults == {GradeFault.SAMPLE_PARSE}


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("It falls to \u22123.", "-3", 1),
        ("It falls to \u22123.", "3", 0),
        ("The balance is -$5.", -5, 1),
        ("The balance is -$5.", 5, 0),
        ("between 3\u20137", "-7", 0),
        ("$1,600.00 in all", "1600", 1),
        ("It costs 1600", "1,600", 1),
        ("It costs 1600", "$1,600", 1),
        ("It costs $1,600", "\u20ac1,600", 0),
        ("It is 18", " 18 ", 1),
        ("It is -18", "\u221218", 1),
        ("It is 18", "\u221218", 0),
        ("It is -0.75.", "-3/4", 1),
        ("It is 2.5", r"2\frac{1}{2}", 1),
        ("It is 50%", "50%", 1),
        ("It is 0.5", "50%", 1),
        ("It is 5", "50%", 0),
        ("It is 5", "5 km", None),
        ("It is 5", "3\u20137", None),
        ("It is 5", "3 to 7", None),
    ],
)
def test_signs_and_what_a_reference_carries_are_read(answer: str, reference: Json, score: float | None) -> None:
    assert grade(answer, gt_answer=reference).score == score


def test_units_that_the_grader_names_are_read_and_compared() -> None:
    for text, score in (("5 km", 1), ("5", 1), ("5 m", 0), ("5 kg", 0)):
        assert grade(text, take="whole", units=("km", "m"), gt_answer="5 km").score == score
    assert grade("It is 5 m long", units=("km", "m"), gt_answer="5 km").score == 0
    unknown = grade("5", gt_answer="5 km")
    assert unknown.score is None
    assert "`units`" in (unknown.reason or "")


SOLUTION = "There are 3*4=<<3*4=12>>12 pears.\nAfter lunch 12-2=<<12-2=10>>10 are left.\n#### 10"


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("So 10 are left.", SOLUTION, 1),
        ("So 12 are left.", SOLUTION, 0),
        ("#### 10\nThis follows from the steps above.", SOLUTION, 1),
        ("It is -10 degrees.", "It is 12-22=<<12-22=-10>>-10 degrees.\n#### -10", 1),
        ("It is 10 degrees.", "It is 12-22=<<12-22=-10>>-10 degrees.\n#### -10", 0),
        ("She has $1800.", "Together 1000+800=1800.\n#### 1,800", 1),
        ("It is 10", r"Twelve less two is $\boxed{10}$.", 1),
        ("It is 10", "Twelve less two.\nAnswer: 10 apples", None),
        (
            "It is 10",
            "Take two away from the twelve that there were.\nThen count what is left over for the next day.",
            None,
        ),
    ],
)
def test_the_number_of_a_worked_solution_is_the_reference(answer: str, reference: str, score: float | None) -> None:
    assert grade(answer, gt_answer=reference).score == score
