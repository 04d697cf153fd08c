from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from verifine.errors import DataError, DiskError, StoppedError
from verifine.runs.events import (
    CheckpointSaved,
    EvaluationDone,
    EventRecord,
    EventSink,
    FindingRaised,
    OtherEvent,
    RunEnded,
    RunEvent,
    StageBegan,
    TrainingStarted,
    ended_by,
    last_end,
    read_events,
)
from verifine.runs.status import Status

NOON_IN_VIENNA = datetime(2026, 1, 2, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))


def make_sink(folder: Path, *listeners: list[RunEvent]) -> EventSink:
    return EventSink(folder / "events.jsonl", lambda: NOON_IN_VIENNA, listeners=[each.append for each in listeners])


def test_an_event_is_a_row_with_its_time_in_utc(tmp_path: Path) -> None:
    make_sink(tmp_path).emit(CheckpointSaved(step=20))
    row = json.loads((tmp_path / "events.jsonl").read_text())
    assert row == {"time": "2026-01-02T11:00:00.250+00:00", "type": "saved", "step": 20}


def test_events_are_readable_while_the_sink_is_open(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    assert read_events(sink.path) == []
    event = TrainingStarted(model="a", steps=3)
    sink.emit(event)
    time = datetime(2026, 1, 2, 11, 0, 0, 250_000, tzinfo=UTC)
    assert read_events(sink.path) == [EventRecord(time=time, event=event)]


@pytest.mark.parametrize(
    "event",
    [
        EvaluationDone(name="final", numbers={"reward": 0.5}),
        FindingRaised(name="x", severity="note", what="y", steps=(1, 2), numbers={"kl": 1.0}, remedies=("z",)),
        RunEnded(status=Status.PAUSED, reason="disk_full", error="full", steps=3),
    ],
)
def test_an_event_reads_back_as_it_was(event: RunEvent, tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    sink.emit(event)
    assert [record.event for record in read_events(sink.path)] == [event]


def test_listeners_are_told_after_the_file_and_in_their_order(tmp_path: Path) -> None:
    first: list[RunEvent] = []
    second: list[RunEvent] = []
    sink = make_sink(tmp_path, first, second)
    stage, saved = StageBegan(text="loading"), CheckpointSaved(step=1)
    sink.emit(stage)
    sink.emit(saved)
    assert first == second == [stage, saved]
    assert [record.event for record in read_events(sink.path)] == [saved]


def test_a_sink_continues_after_a_half_written_line(tmp_path: Path) -> None:
    sink = make_sink(tmp_path)
    sink.emit(TrainingStarted())
    with sink.path.open("a") as file:
        file.write('{"time": "2026-01-02T11:0')
    assert [record.event.kind for record in read_events(sink.path)] == ["started"]
    make_sink(tmp_path).emit(RunEnded(status=Status.FINISHED))
    assert [record.event.kind for record in read_events(sink.path)] == ["started", "ended"]


def test_the_end_of_a_run_of_the_first_format_is_read(tmp_path: Path) -> None:
    row = {"time": "2026-01-02T11:00:00.250+00:00", "type": "failed", "error": "no"}
    (tmp_path / "events.jsonl").write_text(json.dumps(row) + "\n")
    assert last_end(read_events(tmp_path / "events.jsonl")) == RunEnded(status=Status.FAILED, error="no")


def test_a_kind_that_is_not_known_is_kept(tmp_path: Path) -> None:
    row = {"time": "2026-01-02T11:00:00.250+00:00", "type": "later", "x": 1}
    (tmp_path / "events.jsonl").write_text(json.dumps(row) + "\n")
    assert read_events(tmp_path / "events.jsonl")[0].event == OtherEvent(name="later", fields={"x": 1})


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), Status.INTERRUPTED, None),
        (StoppedError("stopped"), Status.INTERRUPTED, None),
        (DiskError("full", is_full=True), Status.PAUSED, "disk_full"),
        (DataError("bad"), Status.FAILED, "data"),
        (ZeroDivisionError("x"), Status.FAILED, "internal"),
    ],
)
def test_an_error_becomes_an_end(error: BaseException, status: Status, reason: str | None) -> None:
    end = ended_by(error)
    assert (end.status, end.reason) == (status, reason)
