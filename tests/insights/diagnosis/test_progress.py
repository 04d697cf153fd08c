"""Runs whose process is alive and gets no further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from verifine.insights.diagnosis.diagnose import diagnose
from verifine.runs.heartbeat import TRAINING, Heartbeat
from verifine.runs.record import RunRecord
from verifine.runs.status import RunStatus, Status

MakeRun = Callable[..., RunRecord]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def running(record: RunRecord, waiting_s: float, status: Status = Status.RUNNING, stage: str = TRAINING) -> RunRecord:
    since = NOW - timedelta(seconds=waiting_s)
    heartbeat = Heartbeat(
        host="a", pid=7, process_started=0.0, attempt=1, step=3, stage=stage, since=since, written=NOW
    )
    return replace(record, status=RunStatus(status=status, heartbeat=heartbeat))


@pytest.mark.parametrize(
    ("step_s", "waiting_s", "is_stalled"),
    [(10.0, 201, True), (10.0, 199, False), (1.0, 121, True), (1.0, 119, False)],
)
def test_a_run_has_stalled_after_many_usual_steps_and_two_minutes(
    make_run: MakeRun, step_s: float, waiting_s: float, is_stalled: bool
) -> None:
    record = running(make_run({"step_time": step_s}, steps=3), waiting_s)
    found = [finding for finding in diagnose(record, NOW) if finding.name == "stalled"]
    assert bool(found) is is_stalled
    if found:
        assert found[0].numbers == {"seconds_since_progress": waiting_s, "step_time_usually": step_s}
        assert "process 7 on a" in found[0].remedies[1]


def test_only_a_process_that_trains_can_stall(make_run: MakeRun) -> None:
    record = make_run({"step_time": 1.0}, steps=3)
    for status in set(Status) - {Status.RUNNING}:
        assert "stalled" not in {finding.name for finding in diagnose(running(record, 9999, status), NOW)}


def test_an_evaluation_takes_as_long_as_it_does(make_run: MakeRun) -> None:
    record = running(make_run({"step_time": 1.0}, steps=3), 9999, stage="asking 64 held-out problems")
    assert "stalled" not in {finding.name for finding in diagnose(record, NOW)}


def test_a_run_without_a_step_is_not_judged(make_run: MakeRun) -> None:
    assert "stalled" not in {finding.name for finding in diagnose(running(make_run(steps=0), 9999), NOW)}
