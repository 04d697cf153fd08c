from __future__ import annotations

from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.graders import NumberGraderConfig
from verifine.graders import build_grader
from verifine.graders.number import find_last_number, read_plain_number
from verifine.types import Grade, GradeFault, Json, Sample


def grade(
    text: str,
    *,
    take: Literal["whole", "last"] = "last",
    tolerance: float = 0,
    relative_tolerance: float = 0,
    **item: Json,
) -> Grade:
    config = NumberGraderConfig(
        type="number", name="value", take=take, tolerance=tolerance, relative_tolerance=relative_tolerance
    )
    (result,) = build_grader(config).grade([Sample(output_text=text, item=item)])
    return result


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 apples and 4", 4),
        ("4 apples, no: 3.", 3),
        ("The answer is 31.", 31),
        ("it costs $1,234.50 in all", Fraction(2469, 2)),
        ("a loss of -$5", -5),
        ("50%", 50),
        ("5kg", 5),
        ("x=-5", -5),
        ("(-5)", -5),
        ("\\boxed{-5}", -5),
        ("<answer>-5</answer>", -5),
        ("**42**", 42),
        ("\N{MINUS SIGN}7", -7),
        ("+7", 7),
        (".5", Fraction(1, 2)),
        ("1e-3", Fraction(1, 1000)),
        ("2.5E3 metres", 2500),
        ("so 3/4", Fraction(3, 4)),
        ("-1/2", Fraction(-1, 2)),
        ("24/7 and 1/2.", Fraction(1, 2)),
        ("1,234,567", 1_234_567),
        # A minus behind a digit, a letter or a bracket takes away.
        ("10-5", 5),
        ("x-5", 5),
        ("(2)-3", 3),
        ("- 5", 5),
        # Commas that set off no thousands divide numbers, and blanks do.
        ("1,2,3", 3),
        ("2,5", 5),
        ("1,2345", 2345),
        ("1234,567", 567),
        ("1 000", 0),
        # What looks like a fraction and is none.
        ("6 / 8", 8),
        ("1/2/2024", 2024),
        ("1.5/2", 2),
        # A dot after a number that has one divides nothing: the rest of 1.2.3 is passed over.
        ("version 1.2.3", Fraction(6, 5)),
        ("10^5", 5),
    ],
)
def test_last_number_in_a_text(text: str, value: Fraction | int) -> None:
    assert find_last_number(text) == value


@pytest.mark.parametrize("text", ["", "none", "H2O", "v2", "x_2", "٣", "½", "1/0", "9" * 101, "five"])
def test_a_text_without_a_number(text: str) -> None:
    assert find_last_number(text) is None


def test_digits_inside_words_do_not_hide_the_number_before_them() -> None:
    assert find_last_number("4 litres of H2O") == 4


@given(
    st.integers(min_value=-(10**12), max_value=10**12), st.sampled_from(["{}", "{:,}", "is {}.", "({:,}) km", "${}"])
)
def test_any_integer_is_found_as_people_write_it(number: int, form: str) -> None:
    assert find_last_number("1, 2 or 3? " + form.format(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(alphabet="ab.,- \n", max_size=5))
def test_any_float_is_found(number: float, before: str) -> None:
    value = find_last_number(f"{before} {number!r}")
    assert value is not None
    assert float(value) == number


@given(st.text(alphabet="0123456789.,-+/eE$ a(", max_size=40))
def test_what_is_a_number_as_a_whole_is_the_last_number_too(text: str) -> None:
    value = read_plain_number(text)
    if value is not None and "/" not in text:
        assert find_last_number(text) == value


def test_a_long_answer_takes_one_look() -> None:
    for hostile in ("1,111" * 20_000, "1/" * 50_000, "-$" * 50_000, ".1" * 50_000, "1e+" * 30_000, "9" * 100_000):
        assert find_last_number(hostile + " 7") == 7


@pytest.mark.parametrize(("text", "is_right"), [("31", True), (" 31.0\n", True), ("1e1", False), ("31 apples", False)])
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
