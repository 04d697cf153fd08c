from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.jsonl import append_row
from verifine.runs.record import read_run

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def write_events(run: RunDirectory, *moments: tuple[str, float]) -> None:
    """As they stand in `events.jsonl`."""
    for kind, seconds in moments:
        append_row(run.events, {"time": (BEGIN + timedelta(seconds=seconds)).isoformat(), "type": kind, "number": 1})


def test_what_lies_between_two_sessions_is_no_part_of_a_runs_time(tmp_path: Path) -> None:
    run = RunDirectory(path=tmp_path)
    write_text(run.config, "data: {task: largest}")
    moments = {"started": 0, "saved": 50, "paused": 60, "resumed": 3600, "finding": 3610, "finished": 3630}
    assert read_run(run).duration_s is None
    write_events(run, *moments.items())
    assert read_run(run).duration_s == 60 + 30


def test_a_session_that_was_killed_counts_up_to_what_it_wrote_last(tmp_path: Path) -> None:
    run = RunDirectory(path=tmp_path)
    write_text(run.config, "data: {task: largest}")
    write_events(run, ("checked", 0), ("saved", 40), ("resumed", 1000), ("finished", 1005))
    assert read_run(run).duration_s == 40 + 5


def test_the_time_of_the_check_is_no_part_of_a_runs_time(tmp_path: Path) -> None:
    run = RunDirectory(path=tmp_path)
    write_text(run.config, "data: {task: largest}")
    write_events(run, ("attempt", 0), ("checked", 100), ("started", 100), ("attempt", 500), ("resumed", 520))
    write_events(run, ("ended", 525))
    assert read_run(run).duration_s == 5
