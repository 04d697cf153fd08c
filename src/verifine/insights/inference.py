"""Confidence intervals, the tests that verdicts are based on, and the conclusions from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

import numpy as np

SIGNIFICANCE = 0.05
"""The significance level: a difference with a larger p-value counts as chance."""

RESAMPLES = 2000
"""Resamples of a bootstrap."""

_Z_95 = 1.959963984540054
"""The normal quantile that leaves 2.5 % on either side."""

_DRAWS_AT_ONCE = 1 << 20
_MOST_UNITS = 1 << 17
"""The most units that the sizes of the differences are counted in."""
_LARGEST_DENOMINATOR = 10_000


class Conclusion(StrEnum):
    """The conclusion about one thing compared with another."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence"
    NOT_COMPARED = "not compared"
    """They have no held-out problem in common, or not yet."""


def conclude(difference: float, p_value: float) -> Conclusion:
    """The conclusion from a difference and its p-value."""
    if p_value > SIGNIFICANCE or not difference:
        return Conclusion.NO_EVIDENCE
    return Conclusion.BETTER if difference > 0 else Conclusion.WORSE


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval for a share of `n` trials (Wilson 1927).

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n): unlike p ± z √(p(1-p)/n) it holds near 0 and 1 as well, and
    stays within [0, 1].
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials")
    share, z = successes / n, _Z_95
    centre = share + z**2 / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of at least one value, by the percentile bootstrap (Efron 1979).

    There is one value for each prompt, such as the average of its answers: prompts are resampled, not answers, since
    answers to one prompt are not independent. If all values are equal, the interval is that value. The same values
    give the same interval.
    """
    known, generator = np.asarray(values, dtype=np.float64), np.random.default_rng(seed)
    rounds = max(1, _DRAWS_AT_ONCE // len(known))
    means: list[float] = []
    while len(means) < RESAMPLES:
        drawn = generator.integers(len(known), size=(min(rounds, RESAMPLES - len(means)), len(known)))
        means += known[drawn].mean(axis=1).tolist()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def student_two_sided(t: float, freedom: int) -> float:
    """The probability that |T| is at least |t|, with `freedom` degrees of freedom.

    The finite series of Abramowitz and Stegun 26.7.3 (odd) and 26.7.4 (even), with theta = arctan(t / sqrt(freedom)).
    """
    if math.isinf(t):
        return 0.0
    theta = math.atan(abs(t) / math.sqrt(freedom))
    cosine_squared = math.cos(theta) ** 2
    is_odd = freedom % 2
    term = math.cos(theta) if is_odd else 1.0
    total = term if freedom > 1 else 0.0
    for factor in range(2 + is_odd, freedom - 1, 2):
        term *= cosine_squared * (factor - 1) / factor
        total += term
    inside = math.sin(theta) * total
    if is_odd:
        inside = 2 / math.pi * (theta + inside)
    return min(1.0, max(0.0, 1 - inside))


def student_quantile(freedom: int, level: float = 0.95) -> float:
    """The t for which |T| < t has probability `level`, by bisection."""
    low, high = 0.0, 1.0
    while student_two_sided(high, freedom) > 1 - level:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_two_sided(middle, freedom) > 1 - level else (low, middle)
    return high


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of a normal distribution, from at least two values."""
    n, mean = len(values), math.fsum(values) / len(values)
    margin = student_quantile(n - 1) * math.sqrt(_variance(values) / n)
    return mean - margin, mean + margin


def welch_test(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided test that two means are equal, with possibly different variances (Welch 1947).

    Each side needs two values. The degrees of freedom are rounded down, which makes the p-value larger.
    """
    a, b = _variance(first) / len(first), _variance(second) / len(second)
    difference = math.fsum(first) / len(first) - math.fsum(second) / len(second)
    if a + b == 0:
        return 1.0 if difference == 0 else 0.0
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    return student_two_sided(difference / math.sqrt(a + b), max(1, math.floor(freedom)))


def sign_flip_test(differences: Sequence[int]) -> float:
    """The two-sided paired test that differences are as likely to be d as -d (Fisher's, exact).

    The p-value is the share of all 2^n choices of signs with a sum at least as far from 0. Counted, not sampled: with S
    the sum of the sizes and T that of the sizes chosen to be positive, the sum is 2T - S, and one array holds the
    probability of each T. Differences of one size make it the sign test (for right and wrong answers: McNemar's).
    """
    divisor = math.gcd(*differences) or 1
    sizes = [abs(difference) // divisor for difference in differences if difference]
    total = sum(sizes)
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for size in sizes:
        flipped = chances.copy()
        flipped[size:] += chances[:-size]
        chances = flipped / 2
    distances = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chances[distances >= abs(sum(differences)) // divisor].sum()))


def paired_test(differences: Sequence[float]) -> float:
    """The sign-flip test of any numbers, such as the differences of scores.

    It is exact if they are fractions with small denominators, such as averages of a few answers. Otherwise their sizes
    are rounded to multiples of 1/131072 of their sum.
    """
    fractions = [Fraction(each).limit_denominator(_LARGEST_DENOMINATOR) for each in differences]
    scale = math.lcm(*(each.denominator for each in fractions))
    are_fractions = all(abs(a - b) < 1e-9 for a, b in zip(fractions, differences, strict=True))
    if are_fractions and scale * sum(map(abs, fractions)) <= _MOST_UNITS:
        return sign_flip_test([int(each * scale) for each in fractions])
    parts = _MOST_UNITS / math.fsum(map(abs, differences))
    return sign_flip_test([round(each * parts) for each in differences])


def holm(chances: Sequence[float]) -> list[float]:
    """P-values of several tests, corrected so that one significance level holds for all together (Holm 1979)."""
    order = sorted(range(len(chances)), key=lambda position: chances[position])
    raised = [0.0] * len(chances)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[position]))
        raised[position] = largest
    return raised


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
