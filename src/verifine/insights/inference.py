"""What chance alone can do: intervals, the tests that a verdict rests on, and what is then said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

import numpy as np

SIGNIFICANCE = 0.05
"""Above this, a difference is said to be within chance."""

RESAMPLES = 2000
"""How often a bootstrap draws its values anew."""

_Z_95 = 1.959963984540054
"""The normal quantile that leaves 2.5 % on either side."""

_DRAWS_AT_ONCE = 1 << 20
_MOST_UNITS = 1 << 17
"""Into at most so many parts the sizes of differences are divided to be counted."""
_LARGEST_DENOMINATOR = 10_000


class Conclusion(StrEnum):
    """What can be said of one thing beside another."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence"
    NOT_COMPARED = "not compared"
    """They have no held-out problem in common, or not yet."""


def conclude(difference: float, p_value: float) -> Conclusion:
    """What follows from a difference that chance alone brings about as often as `p_value` says."""
    if p_value > SIGNIFICANCE or not difference:
        return Conclusion.NO_EVIDENCE
    return Conclusion.BETTER if difference > 0 else Conclusion.WORSE


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval for a share of `n` trials (Wilson 1927).

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n): unlike p ± z √(p(1-p)/n) it is right near 0 and 1, and
    never leaves [0, 1].
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials")
    share, z = successes / n, _Z_95
    centre = share + z**2 / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean by the percentile bootstrap (Efron 1979): of at least one value.

    A value is all that is known of one prompt, such as the average of its answers: prompts are drawn anew, and their
    answers go with them, for answers to one prompt are not independent. Where all values are one, so is the interval.
    The same values give the same interval.
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
    """How often |T| is at least |t|, with `freedom` degrees of freedom.

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
    """The t that |T| stays below with probability `level`, by halving."""
    low, high = 0.0, 1.0
    while student_two_sided(high, freedom) > 1 - level:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_two_sided(middle, freedom) > 1 - level else (low, middle)
    return high


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean that at least two values were drawn around."""
    n, mean = len(values), math.fsum(values) / len(values)
    margin = student_quantile(n - 1) * math.sqrt(_variance(values) / n)
    return mean - margin, mean + margin


def welch_test(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided test that two means are equal where the spreads may differ (Welch 1947).

    Each side needs two values. The degrees of freedom are rounded down, which errs towards "can be chance".
    """
    a, b = _variance(first) / len(first), _variance(second) / len(second)
    difference = math.fsum(first) / len(first) - math.fsum(second) / len(second)
    if a + b == 0:
        return 1.0 if difference == 0 else 0.0
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    return student_two_sided(difference / math.sqrt(a + b), max(1, math.floor(freedom)))


def sign_flip_test(differences: Sequence[int]) -> float:
    """The two-sided paired test that differences are as likely to be d as -d (Fisher's, exact).

    Of all 2^n ways to choose the signs, the share whose sum is at least as far from 0. Counted, not sampled: with S
    the sum of the sizes and T that of the sizes chosen to be positive, the sum is 2T - S, and one array holds how
    likely each T is. Differences of one size make it the sign test (for right and wrong answers: McNemar's).
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

    It is exact where they are fractions, as averages of a few answers are. Else their sizes are rounded to whole parts
    of their sum, of which there are 131072.
    """
    fractions = [Fraction(each).limit_denominator(_LARGEST_DENOMINATOR) for each in differences]
    scale = math.lcm(*(each.denominator for each in fractions))
    are_fractions = all(abs(a - b) < 1e-9 for a, b in zip(fractions, differences, strict=True))
    if are_fractions and scale * sum(map(abs, fractions)) <= _MOST_UNITS:
        return sign_flip_test([int(each * scale) for each in fractions])
    parts = _MOST_UNITS / math.fsum(map(abs, differences))
    return sign_flip_test([round(each * parts) for each in differences])


def holm(chances: Sequence[float]) -> list[float]:
    """Probabilities of several tests, raised so that all of them together stay below a limit (Holm 1979)."""
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
