from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.numerals import parse_number

NO_NUMBERS = """. - 1,23 1234,567 ,123 3/0 1/2/3 1.5/2 inf nan 0x10 1_000 five 2+2 1e9999 ٣"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("31", Fraction(31)),
        (" 31\n", Fraction(31)),
        ("+31", Fraction(31)),
        ("-0.5", Fraction(-1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("1,234,567.25", Fraction(4938269, 4)),
        ("3/4", Fraction(3, 4)),
        ("-6 / 8", Fraction(-3, 4)),
        ("1e-07", Fraction(1, 10_000_000)),
        ("2.5E3", Fraction(2500)),
        ("007", Fraction(7)),
    ],
)
def test_number_is_read_exactly(text: str, value: Fraction) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 000", "5 apples", "9" * 101, *NO_NUMBERS.split()],
)
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_integers_are_read_with_and_without_commas(number: int) -> None:
    assert parse_number(str(number)) == number
    assert parse_number(f"{number:,}") == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_as_json_writes_it_is_read(number: float) -> None:
    value = parse_number(repr(number))
    assert value is not None
    assert float(value) == number
