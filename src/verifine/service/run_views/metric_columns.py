"""The numbers of a run as columns; of a long run, fewer points that still show every outlier."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from pydantic import BaseModel

from verifine.runs.metrics import explain_metrics
from verifine.types import StepReport


class MetricColumn(BaseModel):
    """One metric: a value for each point; null where it was not reported."""

    meaning: str
    unit: str
    values: list[float | None]
    """Of the step, or the mean of the steps that a point stands for."""
    low: list[float | None] | None
    """The smallest value of those steps; null: a point is a step."""
    high: list[float | None] | None


class MetricColumns(BaseModel):
    """The metrics of a run on one axis of steps."""

    steps: list[int]
    """The step of each point, or the last one that it stands for."""
    total: int
    """How many steps there are."""
    metrics: dict[str, MetricColumn]


def reduce_metrics(reports: Sequence[StepReport], names: Collection[str], points: int) -> MetricColumns:
    """At most `points` points of the metrics `names`, all of them if there are no names."""
    found = dict.fromkeys(name for report in reports for name in report.metrics if not names or name in names)
    parts = _divide(reports, points)
    columns = {}
    for metric in explain_metrics(found):
        values = [[each.metrics[metric.name] for each in part if metric.name in each.metrics] for part in parts]
        is_reduced = len(parts) < len(reports)
        columns[metric.name] = MetricColumn(
            meaning=metric.meaning,
            unit=metric.unit,
            values=[sum(each) / len(each) if each else None for each in values],
            low=[min(each, default=None) for each in values] if is_reduced else None,
            high=[max(each, default=None) for each in values] if is_reduced else None,
        )
    return MetricColumns(steps=[part[-1].step for part in parts], total=len(reports), metrics=columns)


def _divide(reports: Sequence[StepReport], parts: int) -> list[Sequence[StepReport]]:
    """Into at most so many parts of about the same length."""
    count = min(parts, len(reports))
    edges = [place * len(reports) // count for place in range(count + 1)] if count else []
    return [reports[start:end] for start, end in pairwise(edges)]
