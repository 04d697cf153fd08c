"""The finding about a process that trains and gets no further."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime

from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.runs.heartbeat import TRAINING
from verifine.runs.record import RunRecord
from verifine.runs.status import Status
from verifine.types import StepReport

STALLED_STEPS = 20
"""A step that takes longer than this many usual ones is no slow step any more."""
STALLED_S = 120.0
"""And longer than this: a judge that is retried takes its time, too."""
RECENT_STEPS = 20


def usual_step_s(reports: Sequence[StepReport]) -> float | None:
    """What a step usually takes, in seconds; None: there is none yet."""
    times = [report.metrics["step_time"] for report in reports[-RECENT_STEPS:] if "step_time" in report.metrics]
    return statistics.median(times) if times else None


def judge_progress(record: RunRecord, now: datetime) -> Iterator[Finding]:
    """No finding before the first step is complete, because it is not known how long a step takes.

    Nor while it evaluates or saves, which may take much longer than a step.
    """
    heartbeat, usual_s = record.status.heartbeat, usual_step_s(record.metrics)
    if record.status.status is not Status.RUNNING or heartbeat is None or usual_s is None:
        return
    waiting_s = (now - heartbeat.since).total_seconds()
    if heartbeat.stage != TRAINING:
        return
    if waiting_s <= max(STALLED_STEPS * usual_s, STALLED_S):
        return
    yield Finding(
        name=Topic.STALLED,
        severity=Severity.PROBLEM,
        what=f"The process is alive but has completed nothing for {waiting_s / 60:.0f} minutes, since step "
        f"{heartbeat.step} ({heartbeat.stage}).",
        numbers={"seconds_since_progress": waiting_s, "step_time_usually": usual_s},
        steps=(heartbeat.step, heartbeat.step),
        remedies=(
            "See what it waits for: a judge or an endpoint grader that does not answer, a disk, another process on its "
            "cores.",
            f"Kill process {heartbeat.pid} on {heartbeat.host}, then continue with `verifine resume`.",
        ),
    )
