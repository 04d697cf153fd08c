"""The numbers of an evaluation as people read them: named, in order, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.insights.attempts import ladder
from verifine.insights.evaluation import Evaluation, Interval, Measure

_LABELS: Mapping[Measure, str] = {
    "truth_answer": "Answer accuracy, second grader",
    "truth": "Average score, second grader",
    "answer": "Answer accuracy",
    "format": "Format accuracy",
    "reward": "Average reward",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One number."""

    name: str
    value: float
    interval: Interval | None


def standings(evaluation: Evaluation) -> list[Standing]:
    """What is known, the deciding numbers first; pass@k only where there are several answers to a problem."""
    found = [
        Standing(name=label, value=value, interval=evaluation.interval(measure))
        for measure, label in _LABELS.items()
        if (value := evaluation.average(measure)) is not None
    ]
    steps = ladder(evaluation.answers_each) if evaluation.answers_each > 1 else []
    return found + [
        Standing(name=f"pass@{k}", value=value, interval=evaluation.pass_interval(k))
        for k in steps
        if (value := evaluation.pass_at(k)) is not None
    ]
