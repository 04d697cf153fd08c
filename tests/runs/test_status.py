"""What a run is doing, from what lies in its directory."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verifine.runs.directory import RunDirectory
from verifine.runs.events import (
    AttemptBegan,
    CheckpointSaved,
    EventSink,
    RunEnded,
    RunEvent,
    TrainingResumed,
    TrainingStarted,
)
from verifine.runs.heartbeat import LOST_AFTER_S, Heartbeat, find_process_start
from verifine.runs.jsonl import rows_to_bytes
from verifine.runs.lock import hold
from verifine.runs.status import RunStatus, Status, find_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGAN = 1000.0
BEAT = Heartbeat(
    host=socket.gethostname(),
    pid=17,
    process_started=BEGAN,
    attempt=1,
    step=3,
    stage="training",
    since=NOW,
    written=NOW,
)


def write_beat(directory: RunDirectory, beat: Heartbeat) -> None:
    row = {name: getattr(beat, name) for name in ("host", "pid", "process_started", "attempt", "step", "stage")}
    times = {"since": beat.since.isoformat(), "written": beat.written.isoformat()}
    directory.heartbeat.write_bytes(rows_to_bytes([{**row, **times}]))


def status_of(
    folder: Path,
    *events: RunEvent,
    beat: Heartbeat | None = BEAT,
    process_start: Callable[[int], float | None] = lambda pid: BEGAN,
    now: datetime = NOW,
) -> RunStatus:
    directory = RunDirectory(path=folder)
    sink = EventSink(directory.events, lambda: NOW)
    for event in events:
        sink.emit(event)
    if beat is not None:
        write_beat(directory, beat)
    return find_status(directory, process_start=process_start, now=lambda: now)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "checking"),
        ([AttemptBegan(number=1)], "checking"),
        ([AttemptBegan(number=1), TrainingStarted()], "running"),
        ([AttemptBegan(number=1), TrainingStarted(), CheckpointSaved(step=1)], "running"),
        ([TrainingStarted(), RunEnded(status=Status.NO_PROGRESS)], "no_progress"),
        ([TrainingStarted(), RunEnded(status=Status.PAUSED), AttemptBegan(number=2)], "checking"),
        ([TrainingStarted(), RunEnded(status=Status.PAUSED), AttemptBegan(number=2), TrainingResumed()], "running"),
        ([AttemptBegan(number=1), RunEnded(status=Status.FAILED), AttemptBegan(number=2)], "checking"),
    ],
)
def test_the_latest_attempt_decides(events: list[RunEvent], status: str, tmp_path: Path) -> None:
    assert status_of(tmp_path, *events).status == status


def test_an_end_brings_its_reason_and_its_message(tmp_path: Path) -> None:
    status = status_of(tmp_path, RunEnded(status=Status.PAUSED, reason="disk_full", error="no space"))
    assert (status.status, status.reason, status.message) == ("paused", "disk_full", "no space")


@pytest.mark.parametrize("start", [None, BEGAN + 100])
def test_a_process_that_is_gone_or_another_one_by_now_was_killed(start: float | None, tmp_path: Path) -> None:
    assert status_of(tmp_path, TrainingStarted(), process_start=lambda pid: start).status is Status.KILLED


def test_a_run_without_a_sign_of_life_was_killed(tmp_path: Path) -> None:
    assert status_of(tmp_path, TrainingStarted(), beat=None).status is Status.KILLED


@pytest.mark.parametrize(("age_s", "status"), [(LOST_AFTER_S, "running"), (LOST_AFTER_S + 1, "killed")])
def test_on_another_host_the_age_of_the_heartbeat_decides(age_s: float, status: str, tmp_path: Path) -> None:
    elsewhere = replace(BEAT, host="elsewhere")
    now = NOW + timedelta(seconds=age_s)
    found = status_of(tmp_path, TrainingStarted(), beat=elsewhere, process_start=lambda pid: None, now=now)
    assert found.status == status


def test_a_trainer_can_start_while_somebody_looks_at_the_run(tmp_path: Path) -> None:
    """Looking must take no lock: the trainer would be refused."""
    directory = RunDirectory(path=tmp_path)
    started = []

    def look_up(pid: int) -> float:
        with hold(directory):
            started.append(pid)
        return BEGAN

    assert status_of(tmp_path, TrainingStarted(), process_start=look_up).status is Status.RUNNING
    assert started == [17]


def test_a_look_leaves_no_trace(tmp_path: Path) -> None:
    assert find_status(RunDirectory(path=tmp_path)).status is Status.KILLED
    assert not list(tmp_path.iterdir())


def test_a_run_of_the_first_format_tells_its_end_by_the_last_event(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"time": "2026-01-01T00:00:00+00:00", "type": "out_of_time"}\n')
    assert find_status(RunDirectory(path=tmp_path)).status is Status.OUT_OF_TIME


def test_a_process_that_does_not_exist_has_no_start() -> None:
    assert find_process_start(2**22 + 1) is None
