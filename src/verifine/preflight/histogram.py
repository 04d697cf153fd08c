"""How many prompts the model finds easy or hard, as bars of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verifine.insights.scores import Bins
from verifine.insights.text_table import text_table

WIDEST_BAR = 30
_BAR = "█"
_RANGES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The number of prompts of one kind."""

    label: str
    prompts: int


def share_bars(shares: Sequence[float]) -> list[Bar]:
    """Prompts by their share of right answers; prompts that are never or always right have their own bars."""
    labels = ("never right", "up to 25 %", "up to 50 %", "up to 75 %", "below 100 %", "always right")
    counts = [0] * len(labels)
    for share in shares:
        counts[5 if share >= 1 else math.ceil(4 * share)] += 1
    return [Bar(label=label, prompts=number) for label, number in zip(labels, counts, strict=True)]


def mean_bars(means: Sequence[float], low: float, high: float) -> list[Bar]:
    """Prompts by their mean score, in ranges of equal width over the scores that were given."""
    if low == high:
        return [Bar(label=f"all {low:.2f}", prompts=len(means))]
    bins = Bins.between(low, high, _RANGES)
    return [
        Bar(label=f"{start:.2f} to {end:.2f}", prompts=number)
        for (start, end), number in zip(bins.ranges, bins.count(means), strict=True)
    ]


def draw_bars(bars: Sequence[Bar]) -> list[str]:
    """A line for each bar; the longest is WIDEST_BAR wide."""
    widest = max((bar.prompts for bar in bars), default=0)
    scale = min(1.0, WIDEST_BAR / widest) if widest else 0.0
    rows = [(bar.label, f"{_BAR * math.ceil(bar.prompts * scale)} {bar.prompts or ''}") for bar in bars]
    return text_table(rows, right_aligned=(0,))
