"""The sign of life of a trainer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from verifine.errors import DiskError
from verifine.machine.blocks import Content
from verifine.machine.disk import LocalDisk
from verifine.runs.heartbeat import HeartbeatWriter, find_process_start, is_alive, read_heartbeat

START = datetime(2026, 1, 1, tzinfo=UTC)
NEVER_S = 3600.0


class CountingDisk(LocalDisk):
    """Says when it has been written to so many times."""

    def __init__(self, writes: int) -> None:
        self._left = writes
        self.reached = Event()

    def write(self, path: Path, content: Iterable[Content]) -> None:
        super().write(path, content)
        self._left -= 1
        if self._left == 0:
            self.reached.set()


class BrokenDisk(LocalDisk):
    def write(self, path: Path, content: Iterable[Content]) -> None:
        raise DiskError(f"{path} cannot be written", is_full=True)


def test_a_heartbeat_names_a_process_that_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    writer = HeartbeatWriter(path, attempt=2, now=lambda: START, interval_s=NEVER_S)
    beat = read_heartbeat(path)
    assert beat is not None
    assert (beat.pid, beat.attempt, beat.step, beat.since, beat.written) == (os.getpid(), 2, 0, START, START)
    assert is_alive(beat, find_process_start, START)
    writer.close()


def test_a_process_that_let_go_of_the_run_does_not_train_it(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    HeartbeatWriter(path, attempt=1, now=lambda: START, interval_s=NEVER_S).close()
    beat = read_heartbeat(path)
    assert beat is not None
    assert find_process_start(beat.pid) is not None
    assert not is_alive(beat, find_process_start, START)


def test_the_trainer_sets_what_the_thread_writes(tmp_path: Path) -> None:
    path, moments = tmp_path / "heartbeat.json", [START]
    writer = HeartbeatWriter(path, attempt=1, now=lambda: moments[-1], interval_s=NEVER_S)
    moments.append(START + timedelta(seconds=9))
    writer.note("training", 4)
    before = read_heartbeat(path)
    moments.append(START + timedelta(seconds=20))
    writer.close()
    after = read_heartbeat(path)
    assert before is not None
    assert after is not None
    assert (before.step, after.step, after.stage) == (0, 4, "training")
    assert (after.since, after.written) == (moments[1], moments[2])


def test_the_thread_writes_though_the_trainer_is_busy(tmp_path: Path) -> None:
    disk = CountingDisk(writes=3)
    writer = HeartbeatWriter(tmp_path / "heartbeat.json", attempt=1, disk=disk, interval_s=0.001)
    assert disk.reached.wait(60)
    writer.close()


def test_a_disk_that_is_full_does_not_end_the_run(tmp_path: Path) -> None:
    writer = HeartbeatWriter(tmp_path / "heartbeat.json", attempt=1, disk=BrokenDisk(), interval_s=NEVER_S)
    writer.close()
    assert read_heartbeat(tmp_path / "heartbeat.json") is None


def test_what_is_no_heartbeat_is_none(tmp_path: Path) -> None:
    (tmp_path / "heartbeat.json").write_text('{"pid": 3')
    assert read_heartbeat(tmp_path / "heartbeat.json") is None
