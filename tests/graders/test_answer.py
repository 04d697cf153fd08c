from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from verifine.config.graders import AnswerGraderConfig
from verifine.graders import build_grader
from verifine.types import Grade, GradeFault, Json, Sample

Compare = Literal["exact", "number", "countdown"]


def grade(text: str, *, compare: Compare = "exact", tolerance: float = 0, **item: Json) -> Grade:
    grader = build_grader(AnswerGraderConfig(type="answer", compare=compare, tolerance=tolerance))
    (result,) = grader.grade([Sample(output_text=text, item=item)])
    return result


def test_right_answer_in_the_right_format_scores_one() -> None:
    assert grade("<answer> 31 </answer>", gt_answer="31") == Grade(
        score=1.0, parts={"format": 1.0, "answer": 1.0}, format_ok=True, answer_ok=True
    )


def test_wrong_answer_in_the_right_format_scores_the_weight_of_the_format() -> None:
    assert grade("<answer>30</answer>", gt_answer="31") == Grade(
        score=0.1, parts={"format": 1.0, "answer": 0.0}, format_ok=True, answer_ok=False
    )


def test_right_answer_in_the_wrong_format_scores_nothing() -> None:
    assert grade("<answer>31</answer> 31", gt_answer="31") == Grade(
        score=0.0, parts={"format": 0.0, "answer": 0.0}, format_ok=False, answer_ok=False
    )


def test_an_empty_reference_has_no_right_answer() -> None:
    assert grade("nothing", gt_answer="").score is None
    assert grade("<answer></answer>", gt_answer="").score is None


@given(st.floats(min_value=0, max_value=1))
def test_a_perfect_answer_scores_exactly_one_whatever_the_weight(weight: float) -> None:
    grader = build_grader(AnswerGraderConfig(type="answer", format_weight=weight))
    (result,) = grader.grade([Sample(output_text="<answer>x</answer>", item={"gt_answer": "x"})])
    assert result.score == 1.0


@pytest.mark.parametrize(
    ("answer", "reference", "tolerance", "is_right"),
    [
        ("31.0", "31", 0, True),
        ("0.75", "3/4", 0, True),
        ("1,000", 1000, 0, True),
        ("31.1", "31", 0, False),
        ("31.3", "31", 0.3, True),
        ("30.7", "31", 0.3, True),
        ("31.31", "31", 0.3, False),
        ("about 31", "31", 5, False),
        ("\u22123", "-3", 0, True),
        ("\u22123", "3", 0, False),
        ("$1,600", "1600", 0, True),
        ("1600", "$1,600", 0, True),
        ("50%", "50%", 0, True),
        ("**31**", "31", 0, True),
        ("Answer: 31", "31", 0, True),
        ("x = 31", "31", 0, True),
        (r"$\boxed{31}$", "31", 0, True),
        ("2 1/2", "2.5", 0, True),
        ("30 or 31", "31", 0, False),
        ("30\u201331", "31", 0, False),
        ("not 31", "31", 0, False),
    ],
)
def test_numbers_are_compared_by_value(answer: str, reference: Json, tolerance: float, is_right: bool) -> None:
    result = grade(f"<answer>{answer}</answer>", compare="number", tolerance=tolerance, gt_answer=reference)
    assert result.answer_ok is is_right


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("(5-3)*8", True),
        ("8*(5-3)", True),
        ("(5\u22123)\u00d78", True),
        (r"Answer: $(5-3) \times 8$", True),
        ("8+8", False),  # the value, with other numbers
        ("8*5-3", False),  # the numbers, with another value
        ("(5-3)*8*(3-2)", False),  # the value, with a number too many
        ("16", False),
        ("(5-3)*8=16", True),
        ("(5-3)*8=17", False),
        ("(5-3) x 8", True),
        ("x = 8*(5-3)", True),
        ("5-3*8 = 16", False),
        ("", False),
    ],
)
def test_countdown_wants_the_value_from_each_number_once(answer: str, is_right: bool) -> None:
    result = grade(f"<answer>{answer}</answer>", compare="countdown", gt_answer="16", numbers=[3, 5, 8])
    assert (result.format_ok, result.answer_ok) == (True, is_right)


def test_countdown_counts_equal_numbers() -> None:
    assert grade("<answer>4+4+2</answer>", compare="countdown", gt_answer=10, numbers=[4, 2, 4]).answer_ok is True
    assert grade("<answer>4+2+4</answer>", compare="countdown", gt_answer=10, numbers=[4, 2, 2]).answer_ok is False


def assert_broken(grade: Grade, word: str) -> None:
    """Nothing but a reason with the word, and the fault of a row."""
    assert grade.reason is not None
    assert word in grade.reason
    assert grade == Grade.unscorable(grade.reason, GradeFault.INVALID_VARIABLE)


@pytest.mark.parametrize("text", ["<answer>31</answer>", "no tags at all"])
def test_a_broken_row_is_unscorable_whatever_the_answer(text: str) -> None:
    assert_broken(grade(text, compare="number", gt_answer="thirty"), "thirty")
    assert_broken(grade(text), "item.gt_answer")
    for numbers in ([], "3, 5", [3, "5"], None):
        broken = grade(text, compare="countdown", gt_answer="8", numbers=numbers)  # type: ignore[arg-type]
        assert_broken(broken, '"numbers"')


def test_another_tag_is_possible() -> None:
    grader = build_grader(AnswerGraderConfig(type="answer", tag="solution", reference="7"))
    texts = ["<solution>7</solution>", "<answer>7</answer>"]
    assert [each.score for each in grader.grade([Sample(output_text=text, item={}) for text in texts])] == [1.0, 0.0]


def test_a_grader_that_cannot_be_used_is_refused_by_the_schema() -> None:
    with pytest.raises(ValidationError, match="finite"):
        AnswerGraderConfig(type="answer", tolerance=float("inf"))
    with pytest.raises(ValidationError, match="not closed"):
        AnswerGraderConfig(type="answer", reference="{{ item.x")


SOLUTION = "There are 3*4=<<3*4=12>>12 pears.\nTwo are eaten.\n#### 1,012"


@pytest.mark.parametrize("compare", ["exact", "number"])
@pytest.mark.parametrize(
    ("answer", "is_right"), [("1012", True), ("1,012", True), ("Answer: 1012", True), ("12", False), ("-1012", False)]
)
def test_the_answer_of_a_worked_solution_is_the_reference(answer: str, compare: Compare, is_right: bool) -> None:
    assert grade(f"<answer>{answer}</answer>", compare=compare, gt_answer=SOLUTION).answer_ok is is_right


def test_exact_compares_the_answer_that_a_reference_marks_or_all_of_it() -> None:
    for reference in (r"It is \boxed{Paris}.", "We know it.\nAnswer: Paris", "<answer>Paris</answer>"):
        assert grade("<answer>Paris</answer>", gt_answer=reference).answer_ok is True
        assert grade("<answer>Rome</answer>", gt_answer=reference).answer_ok is False
    lines = "red\ngreen\nblue"
    assert grade(f"<answer>{lines}</answer>", gt_answer=lines).answer_ok is True
    assert grade("<answer>blue</answer>", gt_answer=lines).answer_ok is False
    assert grade("<answer>1.0</answer>", gt_answer="1").answer_ok is False


def test_units_that_the_grader_names_stand_beside_numbers() -> None:
    grader = build_grader(AnswerGraderConfig(type="answer", compare="number", units=("km", "m")))
    texts = [f"<answer>{answer}</answer>" for answer in ("5 km", "5", "5 m", "5 kg")]
    grades = grader.grade([Sample(output_text=text, item={"gt_answer": "5 km"}) for text in texts])
    assert [each.answer_ok for each in grades] == [True, True, False, False]


@pytest.mark.parametrize(
    "end", ["\u200b", "<|im_end|>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<turn|>", "<end_of_turn>"]
)
def test_an_unseen_end_inside_the_tag_or_behind_it_does_not_matter(end: str) -> None:
    for compare in ("exact", "number"):
        assert grade(f"<answer>5{end}</answer>", compare=compare, gt_answer="5").score == 1
        assert grade(f"<answer>5</answer>{end}", compare=compare, gt_answer="5").score == 1
        assert grade(f"<answer>6{end}</answer>", compare=compare, gt_answer="5").score == 0.1


def test_the_numbers_of_countdown_may_be_json_text() -> None:
    def score(numbers: Json) -> float | None:
        return grade("<answer>(1+2)*3</answer>", compare="countdown", gt_answer="9", numbers=numbers).score

    assert [score(numbers) for numbers in ("[1, 2, 3]", "[1, 2]", "1, 2, 3", "{}")] == [1.0, 0.1, None, None]


@pytest.mark.parametrize("reference", ["Answer:\n\n5", "The answer is:\n5"])
def test_a_label_on_a_line_of_its_own_is_no_part_of_the_reference(reference: str) -> None:
    assert grade("<answer>5</answer>", gt_answer=reference).score == 1
    assert grade("<answer>6</answer>", gt_answer=reference).score == 0.1


def test_a_sentence_before_the_last_line_of_a_reference_is_part_of_it() -> None:
    assert grade("<answer>5</answer>", gt_answer="Not the answer:\n\nI do not know\n5").score == 0.1
