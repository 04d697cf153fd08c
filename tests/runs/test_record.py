from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.events import EventLog
from verifine.runs.record import read_run

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_lies_between_two_sittings_is_no_part_of_a_runs_time(tmp_path: Path) -> None:
    run = RunDirectory(path=tmp_path)
    write_text(run.config, "data: {task: largest}")
    moments = {"started": 0, "saved": 50, "paused": 60, "resumed": 3600, "finding": 3610, "finished": 3630}
    times = iter(moments.values())
    log = EventLog(run.events, lambda: BEGIN + timedelta(seconds=next(times)))
    assert read_run(run).duration_s is None
    for kind in moments:
        log.emit(kind)
    assert read_run(run).duration_s == 60 + 30


def test_a_sitting_that_was_killed_counts_up_to_what_it_wrote_last(tmp_path: Path) -> None:
    run = RunDirectory(path=tmp_path)
    write_text(run.config, "data: {task: largest}")
    times = iter((0, 40, 1000, 1005))
    log = EventLog(run.events, lambda: BEGIN + timedelta(seconds=next(times)))
    for kind in ("checked", "saved", "resumed", "finished"):
        log.emit(kind)
    assert read_run(run).duration_s == 40 + 5
