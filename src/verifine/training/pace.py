"""How long training may still take."""

from __future__ import annotations

from collections.abc import Callable

from verifine.training.run import Plan

REPORT_S = 5.0
"""Kept of a time limit for writing the report."""
SAVED_PARAMETERS_PER_S = 5e7
"""How fast a model is saved, on the safe side."""
RECENT = 10
"""Steps that the pace is taken from."""


class Pace:
    """Estimates from recent steps how long training takes."""

    def __init__(
        self,
        *,
        plan: Plan,
        clock: Callable[[], float],
        began: float,
        first_step_s: float,
        reserve_s: Callable[[], float],
    ) -> None:
        """`began` is when the run would have begun without interruptions, on the clock.

        `first_step_s` is an estimate for the first step, `reserve_s` what is needed after the last one.
        """
        self._plan = plan
        self._clock = clock
        self._began = began
        self._first_step_s = first_step_s
        self._reserve_s = reserve_s
        self._recent: list[float] = []

    def note(self, step_s: float) -> None:
        self._recent = [*self._recent[1 - RECENT :], step_s]

    def spent_s(self) -> float:
        """Seconds that the run has taken so far, without those between its sessions."""
        return self._clock() - self._began

    def has_time_for_a_step(self) -> bool:
        left = self._left_s()
        return left is None or self._slowest_s() <= left

    def has_budget_for_a_step(self) -> bool:
        """Whether the run need not pause before the next step, which is the time to save a checkpoint."""
        most = self._plan.max_seconds
        return most is None or self.spent_s() + self._slowest_s() <= most

    def share_done(self, step: int) -> float:
        """How much of the run is over after `step` steps: of its steps or of its time, whichever is more; 0 to 1."""
        left = self._left_s()
        in_steps = 0.0 if self._plan.steps is None else step / self._plan.steps
        spent = self.spent_s()
        in_time = 0.0 if left is None else spent / max(spent + left, 1e-9)
        return min(max(in_steps, in_time), 1.0)

    def eta_s(self, step: int) -> float | None:
        """Seconds until the time limit or the last step at the recent pace, whichever comes first; None: unknown."""
        left = self._left_s()
        estimates = [] if left is None else [left]
        if self._plan.steps is not None and self._recent:
            estimates.append((self._plan.steps - step) * sum(self._recent) / len(self._recent))
        return max(min(estimates), 0.0) if estimates else None

    def _slowest_s(self) -> float:
        """Of the recent steps: an estimate on the safe side."""
        return max(self._recent, default=self._first_step_s)

    def _left_s(self) -> float | None:
        """What the time limit leaves for steps; None: there is no limit."""
        if self._plan.seconds is None:
            return None
        return self._plan.seconds - self._reserve_s() - self.spent_s()
