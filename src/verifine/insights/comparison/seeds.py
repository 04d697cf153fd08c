"""A variant's held-out score over its seeds, and what it gains over the first variant with the same seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from verifine.insights.comparison.variants import Variant
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.findings import Severity
from verifine.insights.held_out import Interval
from verifine.insights.inference import bootstrap_interval
from verifine.runs.evaluations import Evaluation, Measure
from verifine.runs.record import RunRecord

FEW_SEEDS = 5
"""With fewer, a bootstrap interval is not much more than the lowest and the highest seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverSeeds:
    """A number that each of at least one seed has."""

    values: Mapping[int, float]
    """By seed, in the order in which the seeds were trained."""
    mean: float
    deviation: float | None
    """The unbiased standard deviation; None: there is one seed."""
    interval: Interval | None
    """The 95 % interval of the mean, by the bootstrap over seeds: seeds are resampled, and the problems stay. None: all
    values are equal, so resampling says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSeeds:
    """The held-out score of a variant."""

    before: float | None
    """Before training, averaged over the seeds with a score after it; None: there is none."""
    after: OverSeeds | None
    gain: OverSeeds | None
    """Each seed minus the same seed of the first variant; None: it is the first, or has no seed in common with it."""
    findings: Mapping[str, int]
    """Problems and warnings by name, and in how many runs each stands out."""


def sum_up_seeds(variants: Sequence[Variant], measure: Measure) -> list[VariantSeeds]:
    """The score `measure` of each variant, compared with the first."""
    first = _after(variants[0], measure)
    return [
        VariantSeeds(
            before=_before(variant, measure),
            after=over_seeds(_after(variant, measure)),
            gain=None if variant is variants[0] else over_seeds(_gains(_after(variant, measure), first)),
            findings=Counter(name for run in variant.runs for name in find_troubles(run)),
        )
        for variant in variants
    ]


def over_seeds(by_seed: Mapping[int, float]) -> OverSeeds | None:
    """None: there is no value."""
    values = list(by_seed.values())
    if not values:
        return None
    return OverSeeds(
        values=by_seed,
        mean=fmean(values),
        deviation=stdev(values) if len(values) > 1 else None,
        interval=bootstrap_interval(values) if len(set(values)) > 1 else None,
    )


def find_troubles(run: RunRecord) -> list[str]:
    """The names of a run's problems and warnings, each once, the most severe first."""
    return list(dict.fromkeys(str(each.name) for each in diagnose(run) if each.severity is not Severity.NOTE))


def _before(variant: Variant, measure: Measure) -> float | None:
    values = [None if run.final is None else _score(run.baseline, measure) for run in variant.runs]
    found = variant.by_seed(values)
    return fmean(found) if found else None


def _after(variant: Variant, measure: Measure) -> dict[int, float]:
    return variant.of_each_seed([_score(run.final, measure) for run in variant.runs])


def _gains(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[int, float]:
    return {seed: value - theirs[seed] for seed, value in ours.items() if seed in theirs}


def _score(evaluation: Evaluation | None, measure: Measure) -> float | None:
    return None if evaluation is None else evaluation.average(measure)
