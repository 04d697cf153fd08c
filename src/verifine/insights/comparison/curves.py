"""The runs of a variant as one curve: their mean and their range at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifine.insights.smoothing import smoothed
from verifine.runs.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A step of a variant, after smoothing."""

    step: int
    mean: float
    low: float
    """The smallest of the runs."""
    high: float
    """The largest of the runs."""
    runs: int
    """How many runs have this step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric of a variant over the steps."""

    points: tuple[Point, ...]
    common_until: int
    """The last step that every run of the variant has reached; later points are the mean of the longer runs."""


def draw_together(runs: Sequence[RunRecord], metric: str) -> Curve | None:
    """The curve of a metric: each run is smoothed on its own, then they are averaged; None: no run has the metric."""
    by_step: dict[int, list[float]] = {}
    for run in runs:
        for report, value in zip(run.metrics, smoothed(run.series(metric)), strict=True):
            if value is not None:
                by_step.setdefault(report.step, []).append(value)
    if not by_step:
        return None
    points = tuple(
        Point(step=step, mean=sum(values) / len(values), low=min(values), high=max(values), runs=len(values))
        for step, values in sorted(by_step.items())
    )
    return Curve(points=points, common_until=min(run.steps for run in runs))
