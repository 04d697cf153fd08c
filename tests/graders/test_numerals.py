from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.numerals import WrittenNumber, find_last_number, is_near, parse_number, same_number

NO_NUMBERS = (
    """. - 1,23 1234,567 ,123 3/0 1/2/3 1.5/2 inf nan 0x10 1_000 five 2+2 1e9999 ٣ 10^3 1,2 1+1 --1 +-1 3-7 3--7"""
)


def value_of(text: str, *units: str) -> Fraction | None:
    number = parse_number(text, units)
    return None if number is None else number.value


def last_value(text: str, *units: str) -> Fraction | None:
    number = find_last_number(text, units)
    return None if number is None else number.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("31", Fraction(31)),
        (" 31\n", Fraction(31)),
        ("+31", Fraction(31)),
        ("+ 31", Fraction(31)),
        ("-0.5", Fraction(-1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("007", Fraction(7)),
        # thousands
        ("1,234,567.25", Fraction(4938269, 4)),
        ("1 234 567", 1234567),
        ("1\u2009234\u2009567", 1234567),
        ("1\u202f234.5", Fraction(2469, 2)),
        ("1'234'567", 1234567),
        ("1\u2019234", 1234),
        ("12,34,567", 1234567),
        (r"1{,}600", 1600),
        (r"1,\!600", 1600),
        (r"1\,600", 1600),
        # fractions and mixed numbers
        ("3/4", Fraction(3, 4)),
        ("-6 / 8", Fraction(-3, 4)),
        ("3\u20444", Fraction(3, 4)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"\dfrac{-3}{4}", Fraction(-3, 4)),
        (r"-\frac34", Fraction(-3, 4)),
        (r"2\frac{3}{4}", Fraction(11, 4)),
        (r"-2 \frac34", Fraction(-11, 4)),
        ("2 3/4", Fraction(11, 4)),
        ("-2 3/4", Fraction(-11, 4)),
        ("\u00bd", Fraction(1, 2)),
        ("1\u00bd", Fraction(3, 2)),
        ("-2\u2154", Fraction(-8, 3)),
        # powers of ten
        ("1e-07", Fraction(1, 10_000_000)),
        ("2.5E3", Fraction(2500)),
        (r"1.5 \times 10^3", 1500),
        (r"1.5\cdot 10^{-3}", Fraction(15, 10000)),
        ("3 x 10^12", 3 * 10**12),
        ("3 \u00d7 10\u2075", 300000),
        ("3\u00d710\u207b\u00b2", Fraction(3, 100)),
        ("3*10**4", 30000),
        ("2.5 million", 2_500_000),
        # signs, and the currency on either side of them
        ("\u22123", -3),
        ("\uff0d3", -3),
        ("\u20113", -3),
        ("\uff0b3", 3),
        ("\u20133", -3),
        ("\uff11\uff0c\uff16\uff10\uff10", 1600),
        ("minus 3", -3),
        ("negative 3/4", Fraction(-3, 4)),
        ("$1,600.00", 1600),
        ("-$5", -5),
        ("$-5", -5),
        ("\u2212$ 5", -5),
        (r"-\$5", -5),
        ("5 \u20ac", 5),
        ("-5\u20ac", -5),
        ("\u20ac5", 5),
        ("US$5", 5),
        ("5 dollars", 5),
        ("Rs. 1,00,000", 100000),
        ("USD 5", 5),
        ("50%", 50),
        (r"50\%", 50),
        ("-50 percent", -50),
    ],
)
def test_number_is_read_exactly(text: str, value: Fraction | int) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "5 apples", "9" * 101, "9" * 200, "2 4/3", r"\frac{1}{0}", r"\frac{1}{2", "5 cm"),
        *("\u00b2", r"1.5 \times 10^{9999}", "9e9999", "-$-5", "$", "%", "between 3 and 7", "3 to 7", "5 or 6"),
        "3\u20137",
        *NO_NUMBERS.split(),
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 apples and 4", 4),
        ("4 apples, no: 3.", 3),
        ("The answer is 31.", 31),
        ("it costs $1,234.50 in all", Fraction(2469, 2)),
        ("a loss of -$5", -5),
        ("a loss of $-5", -5),
        (r"a loss of -\$5", -5),
        ("a loss of \u2212$ 5", -5),
        ("a loss of -C$5", -5),
        ("a loss of \u2212**5**", -5),
        (r"a loss of -\text{\$}5", -5),
        (r"a loss of -$\$5$", -5),
        (r"a loss of $\text{-}5$", -5),
        ("a loss of ${\u2212}5$", -5),
        ("2 - **5**", 5),
        ("50%", 50),
        ("5kg", 5),
        ("x=-5", -5),
        ("(-5)", -5),
        ("\\boxed{-5}", -5),
        ("<answer>-5</answer>", -5),
        ("**42**", 42),
        ("**-42**", -42),
        ("\u22127", -7),
        ("it falls to \u20117", -7),
        ("it falls to \u20137.", -7),
        ("it falls to minus 7.", -7),
        ("it is negative 7", -7),
        ("+7", 7),
        (".5", Fraction(1, 2)),
        ("1e-3", Fraction(1, 1000)),
        ("2.5E3 metres", 2500),
        ("about 3 \u00d7 10^5 of them", 300000),
        (r"about $3 \times 10^{5}$ of them", 300000),
        ("about 3.5 million people", 3_500_000),
        ("so 3/4", Fraction(3, 4)),
        ("-1/2", Fraction(-1, 2)),
        ("24/7 and 1/2.", Fraction(1, 2)),
        ("it takes 2 1/2 hours", Fraction(5, 2)),
        ("it takes 2\u00bd hours", Fraction(5, 2)),
        (r"so $\frac{3}{4}$ of it", Fraction(3, 4)),
        (r"so $-2\frac{3}{4}$", Fraction(-11, 4)),
        ("1,234,567", 1_234_567),
        ("1\u202f600 km", 1600),
        ("1'600 km", 1600),
        ("12,34,567 rupees", 1_234_567),
        ("#### -1,800", -1800),
        # A minus behind a digit, a letter or a bracket takes away, and an en dash between numbers is a range.
        ("10-5", 5),
        ("x-5", 5),
        ("(2)-3", 3),
        ("- 5", 5),
        ("10 minus 5", 5),
        ("x minus 5", 5),
        ("3\u20137", 7),
        ("3 \u20137", 7),
        ("3 \u2013 7", 7),
        ("3%\u20137%", 7),
        ("$3\u2013$7", 7),
        ("3--7", 7),
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
        ("in 2024 1/2 of it", Fraction(1, 2)),
        ("20 24/7", Fraction(24, 7)),
        # A dot after a number that has one divides nothing: the rest of 1.2.3 is passed over.
        ("version 1.2.3", Fraction(6, 5)),
        ("8 of 10^5", 8),
        ("7 of 1_000", 7),
        ("7 of 1e9999", 7),
    ],
)
def test_last_number_in_a_text(text: str, value: Fraction | int) -> None:
    assert last_value(text) == value


@pytest.mark.parametrize("text", ["", "none", "H2O", "v2", "x_2", "٣", "1/0", "9" * 101, "five", "1_000", "1e9999"])
def test_a_text_without_a_number(text: str) -> None:
    assert find_last_number(text) is None


def test_digits_inside_words_do_not_hide_the_number_before_them() -> None:
    assert last_value("4 litres of H2O") == 4


def test_units_that_a_grader_names_are_read_in_any_case_and_on_either_side() -> None:
    for text in ("5 km", "5km", "5 KM", "km 5"):
        number = parse_number(text, ("km", "m"))
        assert number is not None
        assert (number.value, number.unit) == (Fraction(5), "km")
    assert parse_number("5 km", ("m",)) is None
    assert parse_number("5 mx", ("m",)) is None
    found = find_last_number("it is -5 km/h long", ("km/h",))
    assert found is not None
    assert (found.value, found.unit) == (Fraction(-5), "km/h")


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("50", "50%", True),
        ("0.5", "50%", True),
        ("0.5", "0.5%", True),  # of a question that asks for percent
        ("5", "50%", False),
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("0.5%", "0.5", False),
        ("-50%", "50", False),
        ("$5", "5", True),
        ("5", "$5", True),
        ("$5", "US$5", True),
        ("5 dollars", "$5", True),
        ("\u20ac5", "$5", False),
        ("C$5", "$5", False),
        ("C$5", "5", True),
        ("50 cents", "$50", False),
        ("-$5", "$5", False),
    ],
)
def test_percent_signs_and_currencies_are_compared(answer: str, reference: str, is_right: bool) -> None:
    given, wanted = parse_number(answer), parse_number(reference)
    assert given is not None
    assert wanted is not None
    assert is_near(given, wanted, Fraction(0)) is is_right
    assert same_number(given, wanted) is is_right


@pytest.mark.parametrize(
    ("answer", "reference", "is_same"),
    [
        ("0.5", "1/2", True),
        ("2/4", "1/2", True),
        ("2 1/2", "2.5", True),
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
        ("1e-300", "2e-300", False),
        ("1" + "0" * 50 + "1", "1" + "0" * 51, False),
    ],
)
def test_a_number_is_the_same_if_it_is_worked_out_and_has_the_value(answer: str, reference: str, is_same: bool) -> None:
    given, wanted = parse_number(answer), parse_number(reference)
    assert given is not None
    assert wanted is not None
    assert same_number(given, wanted) is is_same


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_integers_are_read_with_and_without_separators(number: int) -> None:
    for text in (str(number), f"{number:,}", *(f"{number:,}".replace(",", mark) for mark in "'\u2009\u202f\u00a0 ")):
        assert value_of(text) == number
        assert value_of(text.replace("-", "\u2212")) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_as_json_writes_it_is_read(number: float) -> None:
    value = value_of(repr(number))
    assert value is not None
    assert float(value) == number


@given(
    st.integers(min_value=-(10**12), max_value=10**12), st.sampled_from(["{}", "{:,}", "is {}.", "({:,}) km", "${}"])
)
def test_any_integer_is_found_as_people_write_it(number: int, form: str) -> None:
    assert last_value("1, 2 or 3? " + form.format(number)) == number


@given(st.integers(min_value=1, max_value=10**9), st.sampled_from(["{}", "${}", "{}%", "{} km", "**{}**", "({})"]))
def test_a_negative_number_is_never_the_positive_one(number: int, form: str) -> None:
    for minus in ("-", "\u2212", "\u2011", "\u2013", "minus "):
        assert last_value(f"It is {form.format(f'{minus}{number}')}") == -number


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(alphabet="ab.,- \n", max_size=5))
def test_any_float_is_found(number: float, before: str) -> None:
    value = last_value(f"{before} {number!r}")
    assert value is not None
    assert float(value) == number


@given(st.text(alphabet="0123456789.,-+eE$a(", max_size=40))
def test_what_is_a_number_as_a_whole_is_the_last_number_too(text: str) -> None:
    value = value_of(text)
    if value is not None:
        assert last_value(text) == value


@given(st.fractions(), st.fractions())
def test_fractions_are_the_same_exactly_if_they_are_equal(left: Fraction, right: Fraction) -> None:
    one, other = (parse_number(f"{each.numerator}/{each.denominator}") for each in (left, right))
    if one is not None and other is not None and one.is_worked_out:
        assert same_number(one, other) is (left == right)
        assert same_number(one, one)


HOSTILE = ("1,111", "1/", "-$", ".1", "1e+", "9", "11,", "1 1/", "minus ", "1\u00a0000", "$ ", "1 x 10^", r"\frac", "%")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_long_answer_takes_one_look(text: str) -> None:
    assert last_value(text * (100_000 // len(text)) + " so 7") == 7


def test_a_written_number_knows_its_digits() -> None:
    assert parse_number("-33.30%") == WrittenNumber(
        value=Fraction(-333, 10), is_decimal=True, places=2, digits=4, is_percent=True
    )
