"""The history that rules read: the first, the best and the latest steps of a run, updated step by step.

A step costs the same however long the run is, and a finished run is judged exactly as it was while it ran.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.insights.diagnosis.held_out_change import HeldOutChanges, compare_held_out
from verifine.runs.evaluations import Evaluation
from verifine.types import StepReport

OPENING = 10
"""The number of first steps: the usual warm-up, in which little changes yet."""
RECENT = 20
"""The number of latest steps: as many as a run may continue without any signal."""
ENOUGH = 10
"""With fewer steps than this nothing is reported, since it could be chance."""
TREND = OPENING + RECENT
"""From here on the first and the latest steps do not overlap, so that they can be compared."""

FIRST = 3
"""The number of steps before the model has changed much: its entropy can collapse within ten."""

LARGEST = 1e100
"""Larger numbers carry no information, and their squares could overflow."""

JUMP = 10.0
"""A number this many times its rolling median is not just noise."""
WATCHED_FOR_JUMPS = ("grad_norm", "kl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Consecutive steps."""

    reports: tuple[StepReport, ...]

    def __len__(self) -> int:
        return len(self.reports)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last step; (0, 0): there are none."""
        return (self.reports[0].step, self.reports[-1].step) if self.reports else (0, 0)

    def values(self, name: str) -> list[float]:
        """The values of the steps that have one, without those that are not finite or exceed LARGEST."""
        return [value for report in self.reports if (value := _number(report, name)) is not None]

    def mean(self, name: str) -> float | None:
        values = self.values(name)
        return math.fsum(values) / len(values) if values else None

    def means(self, *names: str, suffix: str = "") -> dict[str, float]:
        """As evidence; metrics that no step has are left out."""
        return {f"{name}{suffix}": mean for name in names if (mean := self.mean(name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The change of an average from one window to another."""

    before: float
    after: float
    error: float
    """Standard error of the difference, from how much the steps of each window differ."""

    @property
    def rise(self) -> float:
        return self.after - self.before

    @property
    def has_risen(self) -> bool:
        """By more than two standard errors, which chance exceeds in 5 % of cases."""
        return self.rise > 2 * self.error

    @property
    def has_fallen(self) -> bool:
        return -self.rise > 2 * self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A number that was at least JUMP times its usual value just before."""

    step: int
    value: float
    usual: float


class RunHistory:
    """What is known of a run so far."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.steps = 0
        """The number of steps so far."""
        self.updates = 0.0
        self.not_finite: list[int] = []
        """Steps with an update that was skipped because the loss or its gradient was not finite."""
        self.jumps: Mapping[str, list[Jump]] = {name: [] for name in WATCHED_FOR_JUMPS}
        self.best = Window(reports=())
        """The RECENT consecutive steps with the highest `goal`, before the latest ones; empty: not yet."""
        self.held_out: HeldOutChanges | None = None
        """The latest evaluation compared with the first; None: there are not two."""
        self.recent = Window(reports=())
        self.earlier = Window(reports=())
        """The steps just before the recent ones."""
        self._opening: list[StepReport] = []
        self._tail: deque[StepReport] = deque(maxlen=2 * RECENT)
        self._first_evaluation: Evaluation | None = None

    def tell(self, report: StepReport) -> None:
        """Adds the next step."""
        self._note_jumps(report)
        if _is_not_finite(report):
            self.not_finite.append(report.step)
        if len(self._opening) < OPENING:
            self._opening.append(report)
        self._tail.append(report)
        latest = tuple(self._tail)
        self.recent, self.earlier = Window(reports=latest[-RECENT:]), Window(reports=latest[:-RECENT])
        self.steps += 1
        self.updates += _number(report, "updates") or 0.0
        self._note_best()

    def tell_evaluation(self, evaluation: Evaluation) -> None:
        """Adds an evaluation, made after the steps so far."""
        if self._first_evaluation is None:
            self._first_evaluation = evaluation
        else:
            reward = self.recent.mean("reward") if self.steps >= TREND else None
            self.held_out = compare_held_out(self._first_evaluation, evaluation, reward)

    @property
    def opening(self) -> Window:
        return Window(reports=tuple(self._opening))

    @property
    def goal(self) -> str:
        """The metric that training should raise: right answers if the grader judges them, else the reward."""
        return "answer_accuracy" if self.recent.values("answer_accuracy") else "reward"

    @property
    def level(self) -> float | None:
        """The current `goal` from 0 to 1; None: its maximum is not known."""
        values = self.recent.values(self.goal)
        return math.fsum(values) / len(values) if values and min(values) >= 0 and max(values) <= 1 else None

    @property
    def first(self) -> Window:
        """The steps before the model has changed much."""
        return Window(reports=tuple(self._opening[:FIRST]))

    @property
    def learning_rate(self) -> float | None:
        rate = self.config.optim.learning_rate
        return self.recent.mean("learning_rate") if rate == "auto" else rate

    @property
    def rises(self) -> bool:
        """Whether the goal has risen in the latest steps."""
        move = move_between(self.earlier, self.recent, self.goal)
        return move is not None and move.has_risen

    @property
    def stagnates(self) -> bool:
        """Whether there are enough steps, and the goal has not risen in the latest ones."""
        return move_between(self.earlier, self.recent, self.goal) is not None and not self.rises

    @property
    def has_improved(self) -> bool:
        """Whether there are enough steps, and the goal is higher than at the beginning."""
        move = self.move(self.goal)
        return move is not None and move.has_risen

    def move(self, name: str) -> Shift | None:
        """From the beginning to now; None: too few steps, or too few that have it."""
        return move_between(self.opening, self.recent, name) if self.steps >= TREND else None

    def _note_jumps(self, report: StepReport) -> None:
        for name, jumps in self.jumps.items():
            value, usual = _number(report, name), self.recent.values(name)
            if value is not None and len(usual) >= ENOUGH:
                median = statistics.median(usual)
                if value > JUMP * median > 0:
                    jumps.append(Jump(step=report.step, value=value, usual=median))

    def _note_best(self) -> None:
        candidate = self.earlier
        if len(candidate) == RECENT:
            old, new = self.best.mean(self.goal), candidate.mean(self.goal)
            if new is not None and (old is None or new > old):
                self.best = candidate


def move_between(before: Window, after: Window, name: str) -> Shift | None:
    """None: one of them has fewer than half of ENOUGH such numbers, or the second fewer than ENOUGH steps."""
    old, new = before.values(name), after.values(name)
    if len(after) < ENOUGH or min(len(old), len(new)) < ENOUGH // 2:
        return None
    error = math.sqrt(_variance(old) / len(old) + _variance(new) / len(new))
    return Shift(before=statistics.fmean(old), after=statistics.fmean(new), error=error)


def _variance(values: Sequence[float]) -> float:
    """Unbiased variance. The one of `statistics` computes in fractions, which is slow."""
    mean = statistics.fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _is_not_finite(report: StepReport) -> bool:
    """Whether a step processed a batch, but made no update since its loss or gradient was not finite."""
    has_batch = "memory/micro_batch_tokens" in report.metrics
    is_skipped = has_batch and (_number(report, "update_skipped") or 0.0) > 0
    return is_skipped and any(_number(report, name) is None for name in ("loss", "grad_norm"))


def _number(report: StepReport, name: str) -> float | None:
    value = report.metrics.get(name)
    return value if value is not None and abs(value) <= LARGEST else None
