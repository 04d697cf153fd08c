from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.insights.inference import (
    Conclusion,
    bootstrap_interval,
    conclude,
    holm,
    paired_test,
    sign_flip_test,
    student_interval,
    student_quantile,
    student_two_sided,
    welch_test,
    wilson_interval,
)


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
    ("differences", "p_value"),
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
def test_the_sign_flip_test_counts_what_is_counted_by_hand(differences: list[int], p_value: float) -> None:
    assert sign_flip_test(differences) == pytest.approx(p_value)


@given(st.lists(st.integers(-6, 6), max_size=9))
def test_the_sign_flip_test_is_all_choices_of_signs(differences: list[int]) -> None:
    sums = [
        abs(sum(sign * difference for sign, difference in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    share = sum(each >= abs(sum(differences)) for each in sums) / len(sums)
    assert sign_flip_test(differences) == pytest.approx(share)


@pytest.mark.parametrize(
    ("won", "lost", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (0, 6, 2 / 64),
        (3, 1, 2 * (1 + 4) / 16),
        (2, 2, 1.0),
        # 26 won, 2 lost: 2 (1 + 28 + 378) / 2^28
        (26, 2, 814 / 2**28),
        (600, 600, 1.0),
    ],
)
def test_of_right_and_wrong_answers_it_is_the_sign_test(won: int, lost: int, p_value: float) -> None:
    assert sign_flip_test([2520] * won + [-2520] * lost + [0] * 5) == pytest.approx(p_value)
    assert paired_test([1.0] * won + [-1.0] * lost + [0.0] * 5) == pytest.approx(p_value)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        # in tenths 3 -1 2, of which half of the eight sums are at least 4 away; 0.1 + 0.2 is not 0.3 to a computer
        ([0.3, -0.1, 0.1 + 0.1], 4 / 8),
        # thirds and quarters, as averages over three and four answers are: 8 -3 3 of 24 parts; 14 8 8 2 and back
        ([2 / 3, -1 / 4, 1 / 4], 6 / 8),
        # beyond what can be counted exactly: all one sign is 2 of 2^6
        ([math.sqrt(prime) * 1e-7 for prime in (2, 3, 5, 7, 11, 13)], 2 / 64),
        ([math.sqrt(prime) * 1e7 for prime in (2, 3, 5, 7, 11, 13)], 2 / 64),
    ],
)
def test_the_paired_test_counts_fractions_and_other_numbers(differences: list[float], p_value: float) -> None:
    assert paired_test(differences) == pytest.approx(p_value)


@given(st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=1, max_size=8))
def test_the_paired_test_of_any_numbers_is_close_to_all_choices_of_signs(differences: list[float]) -> None:
    observed, slack = abs(sum(differences)), 1e-3 * sum(map(abs, differences)) + 1e-6
    sums = [
        abs(sum(sign * difference for sign, difference in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    surely = sum(each >= observed + slack for each in sums) / len(sums)
    perhaps = sum(each >= observed - slack for each in sums) / len(sums)
    assert surely - 1e-9 <= paired_test(differences) <= perhaps + 1e-9


def test_the_bootstrap_of_a_mean_is_the_one_worked_by_hand() -> None:
    # Of two values, 0 and 1, two draws have the mean 0, 1/2, 1/2 or 1, a quarter each: 2.5 % and 97.5 % are the ends.
    assert bootstrap_interval([0.0, 1.0]) == (0.0, 1.0)
    # Of 100 values, half 0 and half 1, it is a binomial share: 0.5 -+ 1.96 sqrt(0.25 / 100) = 0.402 to 0.598.
    assert bootstrap_interval([0.0, 1.0] * 50) == pytest.approx((0.402, 0.598), abs=0.011)
    assert bootstrap_interval([0.25] * 7) == (0.25, 0.25)
    assert bootstrap_interval([3.0]) == (3.0, 3.0)


def test_the_bootstrap_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = random.Random(1)
    held = 0
    for _ in range(200):
        low, high = bootstrap_interval([generator.gauss(0.5, 0.2) for _ in range(40)])
        held += low <= 0.5 <= high
    # Binomial: 190 of 200 expected, and fewer than 178 less than once in a thousand times even for 93.5 %.
    assert 178 <= held <= 199


def test_the_bootstrap_of_the_same_values_is_the_same_and_of_another_seed_another() -> None:
    values = [0.1 * (number % 7) for number in range(30)]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values)


def test_the_bootstrap_of_many_values_needs_no_more_room_at_once() -> None:
    low, high = bootstrap_interval([float(number % 2) for number in range(3000)])
    assert (low, high) == pytest.approx((0.482, 0.518), abs=0.004)


@pytest.mark.parametrize(
    ("difference", "p_value", "conclusion"),
    [
        (0.2, 0.05, Conclusion.BETTER),
        (-0.2, 0.01, Conclusion.WORSE),
        (0.2, 0.051, Conclusion.NO_EVIDENCE),
        (0.0, 0.0, Conclusion.NO_EVIDENCE),
    ],
)
def test_a_verdict_needs_a_difference_that_chance_does_not_explain(
    difference: float, p_value: float, conclusion: Conclusion
) -> None:
    assert conclude(difference, p_value) is conclusion


def test_several_verdicts_share_one_limit() -> None:
    # 3 * 0.01, 2 * 0.03, and no less than that for 0.04
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # z² = 3.841459. For 32 of 64: 0.5 ± 1.959964 √(0.25/64 + 3.841459/16384) / (1 + 3.841459/64) = 0.5 ± 0.118979.
        (32, 64, 0.381021, 0.618979),
        # For 0 of 10 the lower end is 0 and the upper (z²/10) / (1 + z²/10) = 0.3841459 / 1.3841459.
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        # For 1 of 1 the lower end is 1 / (1 + z²).
        (1, 1, 0.206549, 1.0),
    ],
)
def test_wilson_interval_is_the_one_worked_by_hand(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-6)


@given(counts=st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    mirrored = wilson_interval(n - successes, n)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_interval_refuses_counts_that_cannot_be(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(successes, n)


@pytest.mark.parametrize(
    ("t", "freedom", "p_value"),
    # SciPy 1.17.1: 2 * stats.t.sf(t, freedom)
    [
        (0.5, 1, 0.7048327646991335),
        (1.3, 4, 0.2634515964712241),
        (2.1, 7, 0.07387119621292265),
        (2.75, 16, 0.014234068001936323),
        (3.4, 39, 0.0015669224337322807),
        (5.0, 250, 1.0798110762243637e-06),
    ],
)
def test_students_t_is_that_of_scipy(t: float, freedom: int, p_value: float) -> None:
    assert student_two_sided(t, freedom) == pytest.approx(p_value, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    # SciPy 1.17.1: stats.ttest_1samp(values, 0).confidence_interval(0.95)
    [
        ([0.61, 0.58, 0.66, 0.57, 0.63], 0.5643783515862509, 0.655621648413749),
        ([0.1, 0.25, 0.2], -0.006395818346504628, 0.3730624850131713),
        ([0.31 + 0.01 * (number**2 % 17) for number in range(40)], 0.3691816070522074, 0.40581839294779265),
    ],
)
def test_the_interval_of_a_mean_is_that_of_scipy(values: list[float], low: float, high: float) -> None:
    assert student_interval(values) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    # SciPy 1.17.1: test = stats.ttest_ind(first, second, equal_var=False), whose degrees of freedom are 5.14, 7.40 and
    # 2.43; then 2 * stats.t.sf(abs(test.statistic), floor(test.df))
    [
        ([0.61, 0.58, 0.66, 0.57, 0.63], [0.52, 0.55, 0.49], 0.01302713443451446),
        ([0.30, 0.41, 0.38, 0.35], [0.36, 0.37, 0.52, 0.45, 0.40, 0.39, 0.44], 0.10568602570249945),
        ([0.5, 0.7], [0.1, 0.2, 0.4], 0.11070270820011249),
    ],
)
def test_welchs_test_is_that_of_scipy_with_whole_degrees_of_freedom(
    first: list[float], second: list[float], p_value: float
) -> None:
    assert welch_test(first, second) == pytest.approx(p_value, abs=1e-9)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    # SciPy 1.17.1: stats.permutation_test((differences,), mean, permutation_type="samples"), all 2^n of them
    [
        ([4, -3, 2, 2, 0, 1, -1, 3, 5, -2, 4, 1], 0.1162109375),
        ([0.25, -0.5, 0.75, 0.125, 1.0, -0.25, 0.5, 0.375, 0.625, -0.125], 0.1171875),
        ([0.31, -0.12, 0.53, 0.27, 0.44, -0.05, 0.19, 0.61, 0.08], 0.0234375),
    ],
)
def test_the_paired_test_is_the_permutation_test_of_scipy(differences: list[float], p_value: float) -> None:
    assert paired_test(differences) == pytest.approx(p_value, abs=1e-9)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # SciPy 1.17.1: stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    [
        (3, 7, 0.1582198552514697, 0.7495416354723428),
        (17, 64, 0.17296379074222615, 0.38482873728565137),
        (199, 200, 0.972226295602107, 0.999116831284399),
        (123, 1319, 0.07871923465420178, 0.11014803825651154),
    ],
)
def test_wilson_interval_is_that_of_scipy(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-9)
