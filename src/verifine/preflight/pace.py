"""How long a step and a run will take, estimated from what the check measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.insights.findings import Finding, Severity
from verifine.insights.outcome import describe_duration

UPDATE_FORWARDS = (2.5, 4.0)
"""What an update costs in forward passes over the same tokens: one forward, about two backward, and the optimiser."""

SPARED_UPDATE = 0.5
"""The least that updates may cost over a whole run: the more a model has learned, the fewer groups have signal."""

QUICK_S = 1.0
"""Grading that takes no more seconds than this in a step is not reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The least and the most that something is expected to take."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(low=self.low + other.low, high=self.high + other.high)

    def times(self, low: float, high: float) -> Span:
        return Span(low=self.low * low, high=self.high * high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What was measured in the check, in seconds."""

    groups: int
    answers: int
    """The number that was sampled and graded."""
    sampling_s: float
    grading_s: float
    forward_s: float
    """The time of a forward pass over all groups, estimated from some of them."""
    signal_share: float
    """The share of groups with signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of a step, in rounds of sampling and passes over its groups."""

    rounds: int
    """The most times that prompts are sampled, where others take the place of groups that are left out."""
    estimates: int
    """Forward passes before the update: old log-probabilities, the reference, a critic."""
    updates: int
    """Forward and backward passes."""
    is_saving: bool
    """Whether groups without signal are left out of the update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceEstimate:
    """Estimated times, in seconds."""

    sampling: Span
    grading: Span
    update: Span
    evaluation: Span
    """The time of one evaluation."""
    total: Span | None
    """The time of all steps and evaluations; None: `run.steps` is null, and only the time limit ends the run."""

    @property
    def step(self) -> Span:
        return self.sampling + self.grading + self.update


def estimate_pace(config: RunConfig, timings: Timings, work: Work, held_out: int) -> PaceEstimate:
    """Scales the measured times to a step of the run, and then to the whole run."""
    prompts, run = config.sampling.prompts_per_step, config.run
    fewest, most = config.sampling.answers_per_prompt
    size = prompts * fewest / timings.answers
    forward = timings.forward_s * prompts / timings.groups
    low, high = UPDATE_FORWARDS
    rounds = work.rounds * most / fewest
    sampling = _scaled(timings.sampling_s, size).times(1, rounds)
    grading = _scaled(timings.grading_s, size).times(1, rounds)
    update = Span(
        low=forward * (work.estimates + work.updates * low * (timings.signal_share if work.is_saving else 1)),
        high=forward * (work.estimates + work.updates * high),
    )
    answers = held_out * config.evaluation.samples
    evaluation = _scaled(timings.sampling_s + timings.grading_s, answers / timings.answers)
    total = None
    if run.steps is not None:
        between = (run.steps - 1) // run.eval_interval if run.eval_interval else 0
        spared = SPARED_UPDATE if work.is_saving else 1.0
        steps = sampling + grading + update.times(spared, 1)
        total = steps.times(run.steps, run.steps) + evaluation.times(2 + between, 2 + between)
    return PaceEstimate(sampling=sampling, grading=grading, update=update, evaluation=evaluation, total=total)


def _scaled(seconds: float, factor: float) -> Span:
    """The range for `factor` times as many answers: from all at once, in the same time, to one after the other."""
    return Span(low=seconds * min(factor, 1.0), high=seconds * max(factor, 1.0))


def judge_pace(pace: PaceEstimate, config: RunConfig) -> list[Finding]:
    return [*_slow_grading(pace), *_time_limit(pace, config)]


def _slow_grading(pace: PaceEstimate) -> Iterator[Finding]:
    if pace.grading.high <= max(pace.sampling.high, QUICK_S):
        return
    yield Finding(
        severity=Severity.WARNING,
        name="slow_grading",
        what="Grading a step takes longer than sampling it.",
        evidence=f"grading {describe_span(pace.grading)}, sampling {describe_span(pace.sampling)}",
        remedies=(
            "Grade more answers at a time (grading.workers, grading.judge.max_concurrency, or max_concurrency of "
            "the grader), or use a faster grader.",
        ),
    )


def _time_limit(pace: PaceEstimate, config: RunConfig) -> Iterator[Finding]:
    minutes, steps = config.run.minutes, config.run.steps
    if minutes is None:
        return
    left = Span(low=60 * minutes - 2 * pace.evaluation.low, high=60 * minutes - 2 * pace.evaluation.high)
    if left.low < pace.step.low:
        yield Finding(
            severity=Severity.WARNING,
            name="no_time",
            what=f"The time limit of {minutes:g} min is hardly enough for a step between two evaluations.",
            evidence=f"an evaluation takes {describe_span(pace.evaluation)}, a step {describe_span(pace.step)}",
            remedies=("Raise run.minutes (--minutes), or ask fewer held-out problems (data.eval_size).",),
        )
    elif steps is not None and pace.total is not None and pace.total.low > 60 * minutes:
        yield Finding(
            severity=Severity.NOTE,
            name="time_ends_first",
            what=f"The time limit will end the run before its {steps} steps.",
            evidence=f"all steps would take {describe_span(pace.total)}, the limit is {minutes:g} min",
            remedies=(),
        )


def describe_span(span: Span) -> str:
    """`4 to 7 s`, `1 min 5 s to 2 h 3 min`, and one value where both are the same."""
    if span.high < 10:
        low, high = f"{span.low:.1f}", f"{span.high:.1f}"
        return f"{high} s" if low == high else f"{low} to {high} s"
    low, high = describe_duration(span.low), describe_duration(span.high)
    return high if low == high else f"{low} to {high}"
