"""How long the runs of a sweep take: by their time limit, and by the steps of runs that are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from verifine.config.run import RunSection


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTime:
    """What is known of the time of a run."""

    variant: str
    limits: RunSection
    steps: int = 0
    """So far; the same for seconds."""
    seconds: float = 0.0
    is_complete: bool = False


def expect_seconds(run: RunTime, runs: Sequence[RunTime]) -> float | None:
    """What a run still takes; None: that is not known before one is complete.

    A step takes as long as in the complete runs of its variant, or of all variants if there is none. A time limit is
    taken to be used up unless the steps end before it.
    """
    if run.is_complete:
        return 0.0
    complete = [each for each in runs if each.is_complete and each.steps]
    alike = [each for each in complete if each.variant == run.variant] or complete
    estimates = [] if run.limits.minutes is None else [60 * run.limits.minutes]
    if run.limits.steps is not None and alike:
        estimates.append(run.limits.steps * median(each.seconds / each.steps for each in alike))
    return max(0.0, min(estimates) - run.seconds) if estimates else None


def expect_all(runs: Sequence[RunTime]) -> float | None:
    """What all of them still take together; None: not known."""
    seconds = [expect_seconds(run, runs) for run in runs]
    known = [each for each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None
