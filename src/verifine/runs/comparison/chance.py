"""What chance alone can do: Student's t, and the tests that a verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


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
