from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.latex import (
    MAX_DEPTH,
    is_beyond_algebra,
    is_words,
    plain,
    read_latex_number,
    same_number,
    same_text,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$5$", "5"),
        (r"\(5\)", "5"),
        (r"\[ 5 \]", "5"),
        ("$$5$$.", "5"),
        ("**5**", "5"),
        (r"\boxed{\text{5}}", "5"),
        (r"\text{a} + \text{b}", r"\text{a} + \text{b}"),
        ("$5$ and $6$", "$5$ and $6$"),
        (r"{5}", "5"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\dfrac12", r"\frac12"),
        (r"1{,}000\,000\!", "1,000 000"),
        (r"1 & 2 \\ 3", r"1 & 2 \\ 3"),
        ("\u22125\u00b0", r"-5^\circ"),
        (r"50\%", "50%"),
        ("...", "..."),
        ("$", "$"),
        ("", ""),
    ],
)
def test_plain_text_has_no_dress(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("31", 31),
        ("-31", -31),
        ("+ 31", 31),
        ("007", 7),
        ("1,234,567.5", Fraction("1234567.5")),
        ("1 234 567", 1234567),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"-\frac34", Fraction(-3, 4)),
        (r"2\frac{3}{4}", Fraction(11, 4)),
        (r"-2 \frac34", Fraction(-11, 4)),
        ("2 3/4", Fraction(11, 4)),
        ("1.5e3", 1500),
        (r"1.5 \times 10^3", 1500),
        (r"1.5\cdot 10^{-3}", Fraction(15, 10000)),
        ("10^3", None),
        ("2 4/3", None),
        ("1/0", None),
        (r"\frac{1}{0}", None),
        ("1,2", None),
        ("1 2", None),
        ("1,2345", None),
        ("--1", None),
        ("+-1", None),
        ("1+1", None),
        ("50%", None),
        ("5 cm", None),
        ("\u0663", None),  # an Arabic 3
        ("\uff13", None),  # a wide 3
        ("\u00b2", None),  # a raised 2
        (r"1.5 \times 10^{9999}", None),
        ("1" * 200, None),
        ("", None),
        ("-", None),
    ],
)
def test_numbers_are_read_exactly(text: str, value: Fraction | int | None) -> None:
    number = read_latex_number(text)
    assert (None if number is None else number.value) == value


@pytest.mark.parametrize(
    ("answer", "reference", "is_same"),
    [
        ("0.5", "1/2", True),
        ("2/4", "1/2", True),
        ("5", "10/2", True),
        ("10/2", "5", False),  # still to be divided
        ("5/1", "5", False),
        ("0.333333", "1/3", True),
        ("0.33333", "1/3", False),  # too few digits
        ("0.333332", "1/3", False),  # not what 1/3 rounds to
        ("33.3333", "100/3", True),
        ("1/3", "0.333333", True),
        ("0.666666", "2/3", False),
        ("0.0000001", "0", False),
        ("2e-7", "1e-7", False),
        ("2.9999999", "3", False),
    ],
)
def test_a_number_is_the_same_if_it_is_worked_out_and_has_the_value(answer: str, reference: str, is_same: bool) -> None:
    given, wanted = read_latex_number(answer), read_latex_number(reference)
    assert given is not None
    assert wanted is not None
    assert same_number(given, wanted) is is_same


@given(st.fractions(), st.fractions())
def test_fractions_are_the_same_exactly_if_they_are_equal(left: Fraction, right: Fraction) -> None:
    one = read_latex_number(f"{left.numerator}/{left.denominator}")
    other = read_latex_number(f"{right.numerator}/{right.denominator}")
    if one is not None and other is not None and one.is_worked_out:
        assert same_number(one, other) is (left == right)
        assert same_number(one, one)


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ("New  York", "New York", True),
        ("x = 5", "x=5", True),
        ("x^{2}", "x^2", True),
        ("1,000 people", "1000 people", True),
        (r"\frac{1}{2", r"\frac{1}{2}", True),
        (r"\frac{1}{23}", r"\frac{12}{3}", False),
        ("1,2", "12", False),
        ("1, 2", "1 2", False),
        ("1 2", "12", False),
        ("NewYork", "New York", False),
        ("paris", "Paris", False),
        ("Paris", "Pari", False),
    ],
)
def test_blanks_and_braces_matter_only_where_they_separate(left: str, right: str, is_same: bool) -> None:
    assert same_text(left, right) is is_same
    assert same_text(right, left) is is_same


@given(st.from_regex(r"[0-9 ,{}]{1,8}", fullmatch=True), st.from_regex(r"[0-9 ,{}]{1,8}", fullmatch=True))
def test_texts_with_other_digits_are_never_the_same(left: str, right: str) -> None:
    def digits(text: str) -> str:
        return "".join(character for character in text if character.isdigit())

    assert digits(left) == digits(right) or not same_text(left, right)


def test_words_and_what_is_beyond_algebra_are_known() -> None:
    assert [is_words(text) for text in ("Paris", "New York", "d'Alembert", "Köln", "no")] == [True] * 5
    assert [is_words(text) for text in ("x", "x+y", "5 cm", r"\pi", "a, b", "")] == [False] * 6
    assert [is_beyond_algebra(text) for text in ("1 2", "101_2", "x = 1 000")] == [True] * 3
    assert [is_beyond_algebra(text) for text in ("x_1", r"1 & 2 \\ 3", "1, 2", "2 x")] == [False] * 4
    depths = [MAX_DEPTH, MAX_DEPTH + 1]
    assert [is_beyond_algebra("(" * depth + "x" + ")" * depth) for depth in depths] == [False, True]
