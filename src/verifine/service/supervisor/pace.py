"""How far a run has come with its work, and when it will be over: pure functions of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from verifine.service.supervisor.progress import JobProgress
from verifine.types import StepReport

SMOOTHING = 0.2
"""The weight of a step in the average of those before it."""


def note_pace(progress: JobProgress, reports: Sequence[StepReport], at: float) -> JobProgress:
    """What is known after these steps, of which the last ended at `at`, in seconds since 1970."""
    step_s = progress.step_s
    for report in reports:
        seconds = report.metrics.get("step_time")
        if seconds is not None:
            step_s = seconds if step_s is None else step_s + SMOOTHING * (seconds - step_s)
    if not reports:
        return progress
    last = reports[-1]
    finish = None
    if progress.total_steps is not None and step_s is not None:
        finish = round(at + step_s * max(progress.total_steps - last.step, 0))
    tokens = last.metrics.get("num_tokens")
    trained = progress.trained_tokens if tokens is None else int(tokens)
    return replace(progress, step_s=step_s, estimated_finish=finish, trained_tokens=trained)
