from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.latex import (
    MAX_DEPTH,
    is_beyond_algebra,
    is_words,
    plain,
    same_ratio,
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
        ("__5__", "5"),
        ("*5*", "5"),
        ("`5`", "5"),
        (r"\textbf{5}", "5"),
        ("**5** or **6**", "**5** or **6**"),
        (r"\begin{pmatrix} 1 \\ 2 \\ \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"1, 2, \ldots, n", "1, 2, ..., n"),
        ("\u20135", "-5"),
        ("3\u20137", "3\u20137"),
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
        (r"\textcolor{red}{5}", "5"),
        (r"\color{red} 5", "5"),
        (r"\textcolor{5}{6}", r"\textcolor{5}{6}"),
        (r"{\Large 5}", "5"),
        (r"\fbox{\underline{\mathit{5}}}", "5"),
        (r"\sfrac{1}{2}", r"\frac{1}{2}"),
        (r"90\degree", r"90^\circ"),
        (r"90^\degree", r"90^\circ"),
        ("-\u221e", r"-\infty"),
        (r"\varnothing", r"\emptyset"),
        ("10\u221a3", r"10\sqrt{3}"),
        ("\u221a(1+2)", r"\sqrt(1+2)"),
        ("x\u00b2-1", "x^{2}-1"),
        ("x\u207b\u00b9\u2070", "x^{-10}"),
        ("\u00b2", "\u00b2"),
        (r"0.\overline{3}", r"\frac{1}{3}"),
        (r"0.\dot 6", r"\frac{2}{3}"),
        (r"-1.1\overline{6}", r"-\frac{7}{6}"),
        (r"0.\dot{1}4\dot{2}", r"0.\dot{1}4\dot{2}"),
        (r"0.\overline{3}4", r"0.\overline{3}4"),
        ("...", "..."),
        ("$", "$"),
        ("", ""),
    ],
)
def test_plain_text_has_no_dress(text: str, expected: str) -> None:
    assert plain(text) == expected


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
        ("3-7", "3\u20137", True),
        (r"x^{1}2", r"x^{12}", False),
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
    assert [is_beyond_algebra(text) for text in ("1 2", "101_2", "x = 1 000", "1, ..., n", "f'(x)", r"f^\prime")] == [
        True
    ] * 6
    assert is_beyond_algebra(r"\phantom{5}")
    assert [is_beyond_algebra(text) for text in ("x_1", r"1 & 2 \\ 3", "1, 2", "2 x")] == [False] * 4
    depths = [MAX_DEPTH, MAX_DEPTH + 1]
    assert [is_beyond_algebra("(" * depth + "x" + ")" * depth) for depth in depths] == [False, True]


@pytest.mark.parametrize(
    ("answer", "reference", "is_same"),
    [
        ("2:3", "2:3", True),
        ("4 : 6", "2:3", True),
        ("2/3", "2:3", True),
        ("2:3", r"\frac{2}{3}", True),
        ("3:2", "2:3", False),
        ("1:2:3", "1:2:3", True),
        ("2:4:6", "1:2:3", True),
        ("1:1:6", "1:2:3", False),  # algebra would divide twice
        ("1/6", "1:2:3", False),
        # times of day
        ("3:45", "3:45", True),
        ("3:45", "3:15", False),
        ("1:15", "3:45", False),
        ("12:00", "1:00", False),
        ("0:0", "1:2", False),
        ("5", "6", None),
    ],
)
def test_ratios_have_values_and_times_of_day_do_not(answer: str, reference: str, is_same: bool | None) -> None:
    assert same_ratio(answer, reference) is is_same


def test_what_is_not_shown_is_no_part_of_a_text() -> None:
    assert plain(r"\phantom{6}5") == "5"
    assert plain(r"\phantom{5}") == ""


def test_a_number_before_a_fraction_above_one_is_no_mixed_number() -> None:
    assert is_beyond_algebra(r"1\frac{8}{2}")
    assert not is_beyond_algebra(r"1\frac{1}{2}")
