"""The program that compares mathematics, outside its sandbox."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifine.graders.sandbox.programs.algebra import compare_all

NUMBERS = st.integers(min_value=1, max_value=10**30)
VALUES = st.sampled_from(
    [r"\frac{%d}{%d}\pi", r"\frac{%d}{%d} x", r"\frac{%d}{%d} \cdot 10^{-400} + x", r"\sqrt{\frac{%d}{%d}}"]
)


@settings(max_examples=30, deadline=None)
@given(VALUES, NUMBERS, NUMBERS, st.integers(min_value=-1, max_value=1), st.integers(min_value=1, max_value=10**6))
def test_values_are_equal_exactly_if_their_fractions_are(
    form: str, above: int, below: int, step: int, scale: int
) -> None:
    reference = form % (above, below)
    answer = form % ((above + step) * scale, below * scale)
    assert compare_all([(answer, reference)]) == ["different" if step else "equal"]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(min_value=-9, max_value=9), min_size=2, max_size=5))
def test_lists_are_equal_in_any_order_and_pairs_in_their_own(numbers: list[int]) -> None:
    listed, turned = ", ".join(map(str, numbers)), ", ".join(map(str, reversed(numbers)))
    assert compare_all([(turned, listed)]) == ["equal"]
    assert compare_all([(listed + ", 11", listed)]) == ["different"]
    is_palindrome = numbers == numbers[::-1]
    assert compare_all([(f"({turned})", f"({listed})")]) == ["equal" if is_palindrome else "different"]
    assert compare_all([(f"({listed})", listed)]) == ["different"]


@settings(max_examples=30, deadline=None)
@given(*[st.integers(min_value=1, max_value=99)] * 3, st.integers(min_value=-9, max_value=9).filter(bool))
def test_a_multiple_of_an_equation_is_the_same_and_no_other(x: int, y: int, constant: int, factor: int) -> None:
    reference = f"{x}x + {y}y = {constant}"
    multiple = f"{factor * x}x + {factor * y}y = {factor * constant}"
    other = f"{factor * x}x + {factor * y}y = {factor * constant + 1}"
    assert compare_all([(multiple, reference), (other, reference)]) == ["equal", "different"]


def test_what_cannot_be_read_is_told() -> None:
    assert compare_all([(r"\frac{1}{2", "1"), ("1", r"\frac{1}{2")]) == ["unreadable answer", "unreadable reference"]
    assert compare_all([(r"\{1\} \subseteq \{1, 2\}", r"\{1\} \subseteq \{1\}")]) == ["unreadable reference"]


@pytest.mark.parametrize(
    ("reference", "questions"),
    [
        ("1", [r"\sin^2 x+\cos^2 x", "(x+1)^2-x^2-2x", r"\frac{x^2-1}{x-1}-x", r"\sec^2 x-\tan^2 x", r"\frac{x}{x}"]),
        ("1", [r"(\sqrt{5}-2)(\sqrt{5}+2)", r"\sqrt{3+2\sqrt{2}}-\sqrt{2}", "e^0", r"\exp(0)", r"\Gamma(2)", "0!"]),
        ("120", [r"\binom{10}{3}", r"{10 \choose 3}", "C(10,3)", r"x = \binom{10}{3}", r"\text{C}(10, 3)"]),
        ("2", [r"\begin{vmatrix}1&0\\0&2\end{vmatrix}", r"\det\begin{pmatrix}1&0\\0&2\end{pmatrix}", "4^{0.5}"]),
        ("2", [r"\text{gcd}(4,6)", r"\gcd(4,6)", r"\phi(3)", "P(2,1)", r"e^{\ln 2}", r"\frac{\binom{4}{1}}{2}"]),
        ("7", [r"\frac{\ln 128}{\ln 2}", r"\log_2 128", "f(2)", "f(2) + 7"]),
        ("5", [r"10 \div 2", "(10)/(2)", r"\frac{10}{(2)}", r"1\frac{8}{2}", "x = 10/2"]),
        ("(1, 2)", [r"(1, \binom{2}{1})", r"(\sin^2 x+\cos^2 x, 2)", r"(e^0, 2)"]),
        (r"\infty", [r"\lim_{x \to \infty} x", r"\infty + 1"]),
        ("2, 3", [r"x = \binom{2}{1}, y = 3"]),
    ],
)
def test_a_question_is_no_answer_where_a_number_is_wanted(reference: str, questions: list[str]) -> None:
    assert compare_all([(question, reference) for question in questions]) == ["different"] * len(questions)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        # the steps may stand before the value
        (r"\binom{10}{3} = 120", "120"),
        (r"x = \binom{10}{3} = 120", "120"),
        ("C(10,3) = 120", "120"),
        ("P = C(10,3) = 120", "120"),
        (r"\gcd(4,6) = 2", "2"),
        ("f(1) = 2, f(2) = 3", "2, 3"),
        # constants and their decimals
        (r"\pi^2", "9.869604"),
        (r"\sqrt{2}+\sqrt{3}", "3.146264"),
        ("e^{-2}", "0.135335"),
        # where no number is wanted, any form is right
        ("1+x", "x+1"),
        (r"\frac{x^2-1}{x-1}", "x+1"),
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
        ("120", r"\binom{10}{3}"),
        (r"\begin{bmatrix}1&2\\\frac{1}{2}&4\end{bmatrix}", r"\begin{pmatrix}1&2\\0.5&4\end{pmatrix}"),
    ],
)
def test_values_are_right_in_every_form(answer: str, reference: str) -> None:
    assert compare_all([(answer, reference)]) == ["equal"]


@pytest.mark.parametrize(
    ("reference", "answers"),
    [
        ("[1,2]", [r"1 \le x \le 2", r"2 \ge x \ge 1", r"x \in [1,2]"]),
        (r"[0,\infty)", [r"x \ge 0", r"0 \le x", r"x \in [0,\infty)"]),
        (r"(-\infty,1)\cup(2,\infty)", [r"x \in (-\infty,1)\cup(2,\infty)"]),
        (r"x \in [2,5]", [r"2 \le x \le 5", "[2,5]"]),
        ("x > 3", ["3 < x", r"(3,\infty)", r"x \in (3,\infty)"]),
        ("x = 5", ["5", "x = 5"]),
        ("x + y = 1", ["-x-y = -1", "y = 1-x", "x+y-1 = 0"]),
        ("2x + 1 > y", ["4x + 2 > 2y", "y < 2x + 1"]),
        ("x > y", ["x - y > 0"]),
    ],
)
def test_a_solution_has_several_forms(reference: str, answers: list[str]) -> None:
    assert compare_all([(answer, reference) for answer in answers]) == ["equal"] * len(answers)


@pytest.mark.parametrize(
    ("reference", "problems"),
    [
        ("[1,2]", [r"x^2-3x+2 \le 0", r"|2x-3| \le 1", r"2 \le 2x \le 4", r"1 \le x \le 1+1", r"1 \le x < 2"]),
        (r"(-\infty,1)\cup(2,\infty)", ["x^2-3x+2 > 0"]),
        (r"\emptyset", ["x^2 = -1", "x < x", "x = x+1"]),
        (r"[0,\infty)", [r"\sqrt{x} \ge 0", r"2x \ge 0"]),
        (r"x \in [2,5]", [r"2 \le x < 5", r"2 \le y \le 5", r"4 \le 2x \le 10"]),
        ("x > 3", ["2x+1 > 7", "2x > 6", "x - 3 > 0", r"x \ge 3", r"y \in (3,\infty)"]),
        ("x = 5", ["2x+1 = 11", "3x-5 = 10", "2x = 10", "x-5 = 0", "10 = 2x", "x = 4", "y = 5"]),
        ("x = 1, y = 2", ["2x = 2, y = 2"]),
    ],
)
def test_an_unsolved_problem_is_not_its_solution(reference: str, problems: list[str]) -> None:
    assert compare_all([(problem, reference) for problem in problems]) == ["different"] * len(problems)
