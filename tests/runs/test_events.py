from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from verifine.runs.events import Event, EventLog, read_events

NOON_IN_VIENNA = datetime(2026, 1, 2, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))


def test_an_event_is_a_row_with_its_time_in_utc(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", clock=lambda: NOON_IN_VIENNA)
    log.emit("saved", step=20, loss=math.nan)
    row = json.loads((tmp_path / "events.jsonl").read_text())
    assert row == {"time": "2026-01-02T11:00:00.250+00:00", "type": "saved", "step": 20, "loss": None}


def test_events_are_readable_while_the_log_is_open(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, clock=lambda: NOON_IN_VIENNA)
    assert read_events(path) == []
    log.emit("started", name="a")
    time = datetime(2026, 1, 2, 11, 0, 0, 250_000, tzinfo=UTC)
    assert read_events(path) == [Event(time=time, type="started", fields={"name": "a"})]


def test_a_log_continues_after_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, clock=lambda: NOON_IN_VIENNA).emit("started")
    with path.open("a") as file:
        file.write('{"time": "2026-01-02T11:0')
    assert [event.type for event in read_events(path)] == ["started"]
    EventLog(path, clock=lambda: NOON_IN_VIENNA).emit("finished")
    assert [event.type for event in read_events(path)] == ["started", "finished"]


@pytest.mark.parametrize("name", ["time", "type"])
def test_an_event_cannot_replace_its_own_time_or_type(tmp_path: Path, name: str) -> None:
    log = EventLog(tmp_path / "events.jsonl", clock=lambda: NOON_IN_VIENNA)
    with pytest.raises(AssertionError):
        log.emit("started", **{name: "x"})
