"""Held-out results before and after training as texts: what the report and the model card both show."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.insights.held_out import MetricWithInterval, metrics_with_intervals
from verifine.insights.outcome import describe_interval
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRow:
    """A row of the table of held-out results; texts, ready to print, and empty where something is not known."""

    name: str
    before: str
    before_interval: str
    after: str
    after_interval: str
    change: str


def measure_rows(before: Evaluation | None, after: Evaluation | None) -> list[MeasureRow]:
    old, new = (
        {each.name: each for each in metrics_with_intervals(given)} if given else {} for given in (before, after)
    )
    return [_row(name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new])]


def describe_manner(record: RunRecord) -> str:
    """How the held-out problems were answered."""
    last = record.evaluations[-1][1] if record.evaluations else None
    if last is None or last.answers_each <= 1:
        return "answered greedily"
    return f"answered {last.answers_each} times each at temperature {last.temperature:g}"


def describe_judgement(sample: EvaluatedSample) -> str:
    """`right, reward 1.00`."""
    if sample.score is None:
        return "unscorable"
    reward = f"reward {sample.score:.2f}"
    if sample.answer_ok is None:
        return reward
    return f"{'right' if sample.answer_ok else 'wrong'}, {reward}"


def _row(name: str, old: MetricWithInterval | None, new: MetricWithInterval | None) -> MeasureRow:
    return MeasureRow(
        name=name,
        before="" if old is None else f"{old.value:.2f}",
        before_interval=_interval(old),
        after="" if new is None else f"{new.value:.2f}",
        after_interval=_interval(new),
        change="" if old is None or new is None else f"{round(new.value - old.value, 2) + 0.0:+.2f}",
    )


def _interval(standing: MetricWithInterval | None) -> str:
    return "" if standing is None or standing.interval is None else describe_interval(standing.interval)
