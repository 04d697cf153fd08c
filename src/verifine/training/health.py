"""How long a run may continue without learning anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifine.insights.diagnosis.groups import EASY
from verifine.learner.learner import UpdateOutcome

NO_SIGNAL_LIMIT = 20
NOT_FINITE_LIMIT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCounters:
    """Counts steps without signal, and updates that were not finite."""

    silent_steps: int = 0
    """Steps in a row, up to now."""
    silent_and_right: float = 0.0
    """The sum of these steps' shares of groups that are all right."""
    not_finite: int = 0
    """Updates in a row, up to now."""
    is_not_finite: bool = False
    """Whether the gradient was not finite too often in a row."""

    def note(self, outcomes: Sequence[UpdateOutcome], *, has_signal: bool, all_right: float) -> HealthCounters:
        """The counters after the updates of a step.

        `has_signal` says whether they learned from rewards, `all_right` is the share of groups that are all right.
        """
        is_silent = not has_signal or all(outcome is UpdateOutcome.NO_SIGNAL for outcome in outcomes)
        count, is_not_finite = self.not_finite, self.is_not_finite
        for outcome in outcomes:
            if outcome is not UpdateOutcome.NO_SIGNAL:
                count = count + 1 if outcome is UpdateOutcome.NOT_FINITE else 0
            is_not_finite |= count >= NOT_FINITE_LIMIT
        return HealthCounters(
            silent_steps=self.silent_steps + 1 if is_silent else 0,
            silent_and_right=self.silent_and_right + all_right if is_silent else 0.0,
            not_finite=count,
            is_not_finite=is_not_finite,
        )

    @property
    def has_no_signal(self) -> bool:
        """Whether there has been nothing to learn from for too long."""
        return self.silent_steps >= NO_SIGNAL_LIMIT

    @property
    def is_solved(self) -> bool:
        """Whether there is nothing to learn from because nearly all answers are right."""
        return self.has_no_signal and self.silent_and_right >= EASY * self.silent_steps
