from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.runs.comparison.chance import (
    holm,
    sign_flip_test,
    student_interval,
    student_quantile,
    student_two_sided,
    welch_test,
)
from verifine.runs.pairs import sign_test


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # The two-sided 5 % points of any table of Student's t.
    [(1, 12.706205), (2, 4.302653), (3, 3.182446), (4, 2.776445), (9, 2.262157), (10, 2.228139), (30, 2.042272)],
)
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=5e-7)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 4.0, 100.0])
def test_students_t_agrees_with_its_closed_forms(t: float) -> None:
    assert student_two_sided(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-12)
    assert student_two_sided(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t**2), abs=1e-12)
    x = t / math.sqrt(3)
    assert student_two_sided(t, 3) == pytest.approx(1 - 2 / math.pi * (x / (1 + x**2) + math.atan(x)), abs=1e-12)
    assert student_two_sided(-t, 5) == student_two_sided(t, 5)


def test_with_much_freedom_students_t_is_normal() -> None:
    assert student_two_sided(1.959964, 100_000) == pytest.approx(0.05, abs=1e-5)


def test_the_interval_of_a_mean_is_the_one_worked_by_hand() -> None:
    # mean 2, standard deviation 1: 2 -+ 4.302653 / sqrt(3)
    assert student_interval([1, 2, 3]) == pytest.approx((-0.484138, 4.484138), abs=1e-6)
    assert student_interval([0.5, 0.5]) == (0.5, 0.5)


def test_welchs_test_is_the_one_worked_by_hand() -> None:
    # variances 1/32 of two values each: t = 0.75 / sqrt(1/32) with 2 degrees of freedom, 1 - t / sqrt(2 + t^2)
    t = 0.75 / math.sqrt(1 / 32)
    assert welch_test([1.0, 0.75], [0.25, 0.0]) == pytest.approx(1 - t / math.sqrt(2 + t**2))
    # variances 0 and 1/32: 1 degree of freedom, t = 0.625 / sqrt(1/64) = 5
    assert welch_test([0.75, 0.75], [0.25, 0.0]) == pytest.approx(1 - 2 / math.pi * math.atan(5))


def test_seeds_without_any_spread_differ_or_do_not() -> None:
    assert welch_test([0.5, 0.5], [0.5, 0.5]) == 1.0
    assert welch_test([0.5, 0.5], [0.6, 0.6]) == 0.0


@pytest.mark.parametrize(
    ("differences", "chance"),
    [
        ([], 1.0),
        ([0, 0], 1.0),
        ([3], 1.0),
        # sums of +-1 +-2 +-3: 6 and -6 of eight
        ([1, 2, 3], 2 / 8),
        # 0 0 2 -2 4 -4 6 -6: at least 4 away
        ([3, -1, 2], 4 / 8),
        ([30, -10, 0, 20], 4 / 8),
    ],
)
def test_the_sign_flip_test_counts_what_is_counted_by_hand(differences: list[int], chance: float) -> None:
    assert sign_flip_test(differences) == pytest.approx(chance)


@given(st.lists(st.integers(-6, 6), max_size=9))
def test_the_sign_flip_test_is_all_choices_of_signs(differences: list[int]) -> None:
    sums = [
        abs(sum(sign * difference for sign, difference in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    share = sum(each >= abs(sum(differences)) for each in sums) / len(sums)
    assert sign_flip_test(differences) == pytest.approx(share)


@pytest.mark.parametrize(("won", "lost"), [(26, 2), (3, 1), (2, 2), (0, 6), (0, 0)])
def test_of_right_and_wrong_answers_it_is_the_sign_test(won: int, lost: int) -> None:
    assert sign_flip_test([2520] * won + [-2520] * lost + [0] * 5) == pytest.approx(sign_test(won, lost))


def test_several_verdicts_share_one_limit() -> None:
    # 3 * 0.01, 2 * 0.03, and no less than that for 0.04
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
