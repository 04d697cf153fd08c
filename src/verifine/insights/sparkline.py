"""A curve in one line of text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_MIDDLE = _BARS[3]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """At most `width` bars from the smallest value to the largest; a longer series is averaged, a gap is blank."""
    points = _resampled([value if value is not None and math.isfinite(value) else None for value in values], width)
    known = [point for point in points if point is not None]
    if not known:
        return " " * len(points)
    low, high = min(known), max(known)
    return "".join(" " if point is None else _bar(point, low, high) for point in points)


def _bar(value: float, low: float, high: float) -> str:
    span = high - low
    if span == 0:
        return _MIDDLE
    return _BARS[min(int((value - low) / span * len(_BARS)), len(_BARS) - 1)]


def _resampled(values: list[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return values
    edges = [len(values) * position // width for position in range(width + 1)]
    return [_mean(values[start:end]) for start, end in itertools.pairwise(edges)]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
