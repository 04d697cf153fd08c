"""The numbers of an evaluation with their 95 % intervals over problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verifine.insights.attempts import ladder, pass_at_k
from verifine.insights.inference import bootstrap_interval, wilson_interval
from verifine.runs.evaluations import NAMES, EvaluatedProblem, Evaluation, Measure
from verifine.types import Json

Interval = tuple[float, float]
"""A 95 % interval over problems."""

_LABELS: Mapping[Measure, str] = {
    "second_answer": "Answer accuracy, second grader",
    "second_score": "Average score, second grader",
    "answer": "Answer accuracy",
    "format": "Format accuracy",
    "reward": "Average reward",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricWithInterval:
    """One number of an evaluation, as people read it."""

    name: str
    value: float
    interval: Interval | None


def metrics_with_intervals(evaluation: Evaluation) -> list[MetricWithInterval]:
    """All known numbers, the decisive ones first; pass@k only where there are several answers to a problem."""
    found = [
        MetricWithInterval(name=label, value=value, interval=interval_of(evaluation, measure))
        for measure, label in _LABELS.items()
        if (value := evaluation.average(measure)) is not None
    ]
    steps = ladder(evaluation.answers_each) if evaluation.answers_each > 1 else []
    return found + [
        MetricWithInterval(name=f"pass@{k}", value=value, interval=pass_interval(evaluation, k))
        for k in steps
        if (value := pass_at(evaluation, k)) is not None
    ]


def evaluation_numbers(evaluation: Evaluation) -> dict[str, Json]:
    """All numbers, for programs; null: not judged."""
    intervals = {name: interval_of(evaluation, measure) for measure, name in NAMES.items()}
    passed = {k: value for k in ladder(evaluation.answers_each) if (value := pass_at(evaluation, k)) is not None}
    return {
        **{name: evaluation.average(measure) for measure, name in NAMES.items()},
        "parts": dict(evaluation.part_averages),
        "pass_at": {str(k): value for k, value in passed.items()},
        "intervals": {
            **{name: list(interval) for name, interval in intervals.items() if interval is not None},
            **{f"pass_at_{k}": list(each) for k in passed if (each := pass_interval(evaluation, k)) is not None},
        },
        "problems": len(evaluation.problems),
        "samples": len(evaluation.samples),
        "temperature": evaluation.temperature,
    }


def interval_of(evaluation: Evaluation, measure: Measure = "answer") -> Interval | None:
    """The interval of an average; None: not known."""
    values = evaluation.averages(measure)
    return over_problems(values) if measure in ("reward", "second_score") else _of_shares(values)


def pass_at(evaluation: Evaluation, k: int) -> float | None:
    """The probability that one of k answers solves a problem; None: no problem has k answers that were judged."""
    values = _pass_rates(evaluation, k)
    return sum(values) / len(values) if values else None


def pass_interval(evaluation: Evaluation, k: int) -> Interval | None:
    return _of_shares(_pass_rates(evaluation, k))


def pass_at_of_problem(problem: EvaluatedProblem, k: int) -> float | None:
    """The pass@k of one problem; None: fewer than k of its answers were judged."""
    verdicts = [sample.passed for sample in problem.samples if sample.passed is not None]
    return None if len(verdicts) < k else pass_at_k(len(verdicts), sum(verdicts), k)


def over_problems(values: Sequence[float]) -> Interval | None:
    """The bootstrap interval of the mean over problems; None: all values are equal, so resampling says nothing."""
    return bootstrap_interval(values) if len(set(values)) > 1 else None


def _of_shares(values: Sequence[float]) -> Interval | None:
    """For numbers from 0 to 1: Wilson's interval if every one is 0 or 1, as with one answer a problem."""
    if values and all(value in (0.0, 1.0) for value in values):
        return wilson_interval(round(sum(values)), len(values))
    return over_problems(values)


def _pass_rates(evaluation: Evaluation, k: int) -> list[float]:
    return [value for problem in evaluation.problems if (value := pass_at_of_problem(problem, k)) is not None]
