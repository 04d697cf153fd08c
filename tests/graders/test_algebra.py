"""The program that compares mathematics, outside its sandbox."""

from __future__ import annotations

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
