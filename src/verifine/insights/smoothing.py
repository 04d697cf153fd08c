"""A curve without its jitter."""

from __future__ import annotations

from collections.abc import Sequence

SMOOTHING = 0.8
"""How much of a curve's last value stays in its next."""


def smoothed(values: Sequence[float | None], weight: float = SMOOTHING) -> list[float | None]:
    """A running mean in which the past fades by `weight` a step; the first value counts in full. Gaps stay gaps."""
    result: list[float | None] = []
    total = mass = 0.0
    for value in values:
        if value is None:
            result.append(None)
            continue
        total, mass = weight * total + value, weight * mass + 1
        result.append(total / mass)
    return result
