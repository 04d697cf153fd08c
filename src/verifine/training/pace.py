"""How long training may still take."""

from __future__ import annotations

from verifine.training.run import Run
from verifine.training.state import RunState

REPORT_S = 5.0
"""Kept of a time limit for writing the report."""
SAVED_PARAMETERS_PER_S = 5e7
"""How fast a model is saved, on the safe side."""


class Pace:
    """Tells how long training may still take."""

    def __init__(self, run: Run, state: RunState) -> None:
        self._plan = run.plan
        self._saver = run.saver
        self._clock = run.trainer.clock
        self._began = run.began - state.seconds
        saving_s = run.model.parameter_count / SAVED_PARAMETERS_PER_S
        self._evaluation_s = state.evaluation_s
        self._reserve_s = 1.2 * state.evaluation_s + saving_s + REPORT_S
        self._recent: list[float] = []

    def note(self, step_s: float) -> float:
        """Returns the seconds that the run has taken so far."""
        self._recent = [*self._recent[-9:], step_s]
        return self._clock() - self._began

    def has_time_for_a_step(self) -> bool:
        left = self._left_s()
        # The slowest recent step is a guess on the safe side; before the first one, sampling is all there is to go by.
        return left is None or max(self._recent, default=self._evaluation_s) <= left

    def eta_s(self, step: int) -> float | None:
        """The sooner of the time limit and the last step at the recent pace."""
        left = self._left_s()
        guesses = [] if left is None else [left]
        if self._plan.steps is not None and self._recent:
            guesses.append((self._plan.steps - step) * sum(self._recent) / len(self._recent))
        return max(min(guesses), 0.0) if guesses else None

    def _left_s(self) -> float | None:
        """What the time limit leaves for steps; None: there is none."""
        if self._plan.seconds is None:
            return None
        reserve_s = self._reserve_s + self._saver.cost_s
        return self._plan.seconds - reserve_s - (self._clock() - self._began)
