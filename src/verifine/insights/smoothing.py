"""Smoothing of curves."""

from __future__ import annotations

from collections.abc import Sequence

SMOOTHING = 0.8
"""The weight of the past in each value of a smoothed curve."""


def smoothed(values: Sequence[float | None], weight: float = SMOOTHING) -> list[float | None]:
    """A running mean in which the past fades by `weight` a step; the first value counts fully. Gaps stay gaps."""
    result: list[float | None] = []
    total = mass = 0.0
    for value in values:
        if value is None:
            result.append(None)
            continue
        total, mass = weight * total + value, weight * mass + 1
        result.append(total / mass)
    return result
