"""What benchmarks/learning.py measures of one side and one seed: steps and held-out accuracy, by a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, get_args

Side = Literal["verifine", "trl"]
SIDES: tuple[Side, ...] = get_args(Side)

RECENT = 5
"""The steps whose rewards are averaged for what a person sees at a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What both sides are told."""

    task: str
    model: str
    """A catalogue name, a folder, or tiny."""
    problems: int
    """Held-out problems of each measurement."""
    marks: tuple[float, ...]
    """Seconds after which the held-out problems are asked, rising; training ends at the last."""
    trl_micro_batch: int
    """Rollouts that TRL reads at a time."""

    @property
    def minutes(self) -> float:
        return self.marks[-1] / 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """A step that was done."""

    seconds: float
    """When it ended."""
    reward: float | None
    """The mean of its answers; None: none could be scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A measurement on the held-out problems."""

    seconds: float
    """When the clock was stopped for it; 0 for the model that training begins with."""
    steps: int
    """Done before it."""
    accuracy: float
    """The share of right answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a person sees at a moment."""

    steps: int
    """Done by then."""
    reward: float | None
    """The mean of the last `RECENT` of them; None: there is none."""
    held_out: HeldOut
    """Of the weights there are then, or else the next measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """A side and a seed. Seconds are those since the process began, without those in which it was asked."""

    side: Side
    seed: int
    setup: Setup
    settings: str
    """Those of the quickstart, as YAML."""
    machine: str
    precision: str
    """What matrix products were computed in."""
    ready_s: float
    """When the first step began."""
    steps: list[TrainingStep]
    held_out: list[HeldOut]
    """Before training, and at the first end of a step after each mark: one for several marks that a step passes."""

    def at(self, mark: float) -> HeldOut:
        """The measurement that belongs to a mark."""
        return next(each for each in self.held_out if each.seconds >= mark)

    def seen_at(self, seconds: float) -> Moment:
        """What a person sees then."""
        done = [step for step in self.steps if step.seconds <= seconds]
        rewards = [step.reward for step in done[-RECENT:] if step.reward is not None]
        of_these_weights = (each for each in self.held_out if each.steps == len(done))
        return Moment(
            steps=len(done),
            reward=fmean(rewards) if rewards else None,
            held_out=next(of_these_weights, None) or self.at(seconds),
        )


def sides_of(curves: Sequence[LearningCurve]) -> list[Side]:
    """The sides that were measured."""
    return [side for side in SIDES if any(curve.side == side for curve in curves)]


def mean_curve(curves: Sequence[LearningCurve]) -> list[tuple[float, float]]:
    """Seconds and accuracy, both averaged over seeds: when training begins, and what belongs to each mark.

    Marks that no seed has a new measurement for are left out.
    """
    columns = zip(*([curve.at(mark) for mark in curve.setup.marks] for curve in curves), strict=True)
    means = [(fmean(each.seconds for each in column), fmean(each.accuracy for each in column)) for column in columns]
    begun = (fmean(curve.ready_s for curve in curves), fmean(curve.held_out[0].accuracy for curve in curves))
    return [begun, *dict.fromkeys(means)]


class Clock:
    """Seconds since a process began, without those in which it was stopped."""

    def __init__(self, now: Callable[[], float], age_s: float = 0.0) -> None:
        """`now` are seconds from any origin; the process is `age_s` old already."""
        self._now = now
        self._began = now() - age_s

    def seconds(self) -> float:
        return self._now() - self._began

    @contextmanager
    def stopped(self) -> Iterator[None]:
        stopped = self._now()
        try:
            yield
        finally:
            self._began += self._now() - stopped


class Recorder:
    """Notes the steps of a training run, and measures at the first end of a step after each mark, off the clock."""

    def __init__(self, clock: Clock, marks: Sequence[float], measure: Callable[[], float]) -> None:
        """`measure` gives the held-out accuracy of the weights there are."""
        self.ready_s = 0.0
        self.steps: list[TrainingStep] = []
        self.held_out: list[HeldOut] = []
        self._clock = clock
        self._end = marks[-1]
        self._marks = marks
        self._measure = measure

    @property
    def share_done(self) -> float:
        """How much of the time was over at the end of the last step; more than 1 after the last one."""
        return (self.steps[-1].seconds if self.steps else self.ready_s) / self._end

    def begin(self) -> None:
        """Measures the model that training begins with."""
        self._ask(0.0)
        self.ready_s = self._clock.seconds()

    def step_done(self, reward: float | None) -> bool:
        """Returns whether it was the last step."""
        seconds = self._clock.seconds()
        self.steps.append(TrainingStep(seconds=seconds, reward=reward))
        left = [mark for mark in self._marks if mark > seconds]
        if len(left) < len(self._marks):
            self._ask(seconds)
        self._marks = left
        return not left

    def _ask(self, seconds: float) -> None:
        with self._clock.stopped():
            self.held_out.append(HeldOut(seconds=seconds, steps=len(self.steps), accuracy=self._measure()))
