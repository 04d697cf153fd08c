from __future__ import annotations

from fractions import Fraction

import pytest

from verifine.graders.number import read_value
from verifine.graders.numerals import find_last_number, is_near, parse_number


def last_value(text: str) -> Fraction | None:
    number = find_last_number(text)
    return None if number is None else number.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 Million", 5_000_000),
        ("5 MILLION", 5_000_000),
        ("$5 Billion", 5_000_000_000),
        ("5 millions", 5_000_000),
        ("5  million", 5_000_000),
        ("5~million", 5_000_000),
        (r"5\text{ million}", 5_000_000),
        ("**5** million", 5_000_000),
        ("$5$ million", 5_000_000),
        ("5-million", 5_000_000),
        ("5 hundred thousand", 500_000),
        ("5 dozen", 60),
        ("5 lakh", 500_000),
        ("5 bn", 5_000_000_000),
        ("5bn", 5_000_000_000),
        ("5 millionaires", 5),
        ("5 min", 5),
    ],
)
def test_a_magnitude_is_read_in_every_spelling(text: str, value: int) -> None:
    assert last_value(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "The change is - 3 degrees",
        "x = \u2212\u00a03",
        "-\u20093",
        "-\u200b3",
        "-(3)",
        r"-\(3\)",
        "-{3}",
        r"-\text{3}",
        r"-\left(3\right)",
        "is \u20143",
        "\u207b3",
        "Minus  3",
        "NEGATIVE 3",
        "MINUS 3",
    ],
)
def test_a_sign_may_stand_apart_from_its_number(text: str) -> None:
    assert last_value(text) == -3


def test_a_sign_may_stand_before_a_fraction_in_brackets() -> None:
    assert last_value(r"-\left(\frac34\right)") == Fraction(-3, 4)


@pytest.mark.parametrize(
    "text", ["- 3", "It is:\n- 3", "10 - 3", "x - 3", "x -\u00a03", "10-(3)", "x\u20143", "5 \u2014 3", "Total - 3"]
)
def test_a_dash_that_is_no_sign_leaves_the_number_positive(text: str) -> None:
    assert last_value(text) == 3


@pytest.mark.parametrize("text", ["10^{-3}", "e^{-3}", "10^3", "1.5^2", "x^{3}"])
def test_a_base_and_its_exponent_are_no_numbers(text: str) -> None:
    assert last_value(text) is None
    assert last_value(f"7 is {text}") == 7


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("5 MW", "5 MW", True),
        ("5 mW", "5 MW", False),
        ("5 MB", "5 Mb", False),
        ("5 KM", "5 km", True),
        ("5", "5 MW", True),
        ("5 pounds", "\u00a35", True),
        ("5 pounds", "$5", False),
        ("50 Percent", "50%", True),
    ],
)
def test_units_are_compared_as_the_grader_names_them(answer: str, reference: str, is_right: bool) -> None:
    units = ("MW", "km", "Mb")
    given, wanted = find_last_number(answer, units), parse_number(reference, units)
    assert given is not None
    assert wanted is not None
    assert is_near(given, wanted, Fraction(0)) is is_right


@pytest.mark.parametrize(
    "text",
    [
        r"\neq = 5",
        r"\ne=5",
        "not = 5",
        "-answer = 5",
        "#### #### 5",
        "01,600",
        "$5 euros",
        "$5\u20ac",
        r"\phantom{5}",
        "**5** million people",
    ],
)
def test_a_value_with_more_than_a_label_is_none(text: str) -> None:
    assert read_value(text) is None


@pytest.mark.parametrize("text", ["n = 5", "next = 5", r"\nu = 5", "- answer = 5", "### Answer: 5", "#### 5"])
def test_a_label_or_a_name_is_no_part_of_a_value(text: str) -> None:
    number = read_value(text)
    assert number is not None
    assert number.value == 5
