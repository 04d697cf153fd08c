"""The results of a variant: held-out numbers with their intervals, and what they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from verifine.insights.comparison.variants import Variant
from verifine.insights.inference import student_interval
from verifine.insights.panels import ANSWER, FORMAT, LENGTH, REWARD, Panel
from verifine.insights.smoothing import smoothed
from verifine.runs.evaluations import Evaluation
from verifine.runs.record import RunRecord

HELD_OUT = (ANSWER, FORMAT, REWARD)
"""What evaluations measure."""


class Source(StrEnum):
    """The source of variation that an interval covers."""

    SEEDS = "seeds"
    """Student's t over seeds: other seeds on the same problems."""
    PROBLEMS = "problems"
    """Other problems for this one model: Wilson's interval, or the bootstrap if scores are not just 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedInterval:
    """A 95 % interval."""

    low: float
    high: float
    source: Source
    n: int
    """The number of seeds or problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeAfter:
    """A held-out number before training and after it, averaged over seeds."""

    before: float | None
    """None: not judged, or not evaluated yet; the same for `after`."""
    after: float | None
    interval: SourcedInterval | None
    """The interval of `after`; None: it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A number of the runs of a variant."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantResult:
    """The numbers of a variant at the end."""

    runs: int
    seeds: int
    evaluated: int
    """The number of runs with a held-out evaluation after training."""
    moves: Mapping[str, BeforeAfter]
    """By the metric of the panel."""
    length: Spread | None
    """The length of answers at the end of training, smoothed, in tokens; None: not measured."""
    steps: Spread
    minutes: Spread | None
    """None: no run says when it began and ended."""


def sum_up(variant: Variant) -> VariantResult:
    steps = _spread([float(run.steps) for run in variant.runs])
    assert steps is not None, "a variant has a run"
    return VariantResult(
        runs=len(variant.runs),
        seeds=len({run.config.run.seed for run in variant.runs}),
        evaluated=sum(run.final is not None for run in variant.runs),
        moves={panel.metric: _move(variant, panel) for panel in HELD_OUT},
        length=_spread([_last_length(run) for run in variant.runs]),
        steps=steps,
        minutes=_spread([None if run.duration_s is None else run.duration_s / 60 for run in variant.runs]),
    )


def _move(variant: Variant, panel: Panel) -> BeforeAfter:
    """Before and after for the same runs: the evaluated ones, or all of them if there are none."""
    evaluated = tuple(run for run in variant.runs if run.final is not None)
    variant = Variant(name=variant.name, runs=evaluated or variant.runs)
    before = variant.by_seed([_value(run.baseline, panel) for run in variant.runs])
    after = variant.by_seed([_value(run.final, panel) for run in variant.runs])
    return BeforeAfter(before=_mean(before), after=_mean(after), interval=_interval(variant.runs, after, panel))


def _interval(runs: Sequence[RunRecord], after: Sequence[float], panel: Panel) -> SourcedInterval | None:
    """Over seeds if there are several and their results differ; equal results give no interval."""
    if len(set(after)) > 1:
        low, high = student_interval(after)
        if panel.is_share:
            low, high = max(0.0, low), min(1.0, high)
        return SourcedInterval(low=low, high=high, source=Source.SEEDS, n=len(after))
    final = next((run.final for run in runs if run.final and panel.evaluated(run.final) is not None), None)
    over_problems = panel.interval(final) if final else None
    if final is None or over_problems is None:
        return None
    return SourcedInterval(low=over_problems[0], high=over_problems[1], source=Source.PROBLEMS, n=len(final.problems))


def _value(evaluation: Evaluation | None, panel: Panel) -> float | None:
    return None if evaluation is None else panel.evaluated(evaluation)


def _last_length(run: RunRecord) -> float | None:
    lengths = [value for value in smoothed(run.series(LENGTH.metric)) if value is not None]
    return lengths[-1] if lengths else None


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    mean = _mean(known)
    return None if mean is None else Spread(mean=mean, low=min(known), high=max(known))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
