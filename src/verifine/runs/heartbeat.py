"""`heartbeat.json`: the sign of life of the process that trains, written by a thread of its own.

A step may take an hour, so the trainer only sets what the thread writes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread

import psutil
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.errors import DiskError
from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.runs.jsonl import rows_to_bytes

INTERVAL_S = 5.0
TRAINING = "training"
"""The stage in which steps are taken."""
LOST_AFTER_S = 60.0
"""A heartbeat from another host that is older than this belongs to a dead process."""
SAME_START_S = 2.0
"""Two readings of the start of one process differ by less: the system's idea of its boot time moves a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Which process trains, how far it is, and when it last said so."""

    host: str
    pid: int
    process_started: float
    """In seconds since 1970; with the pid it names one process even after the pid is used again."""
    attempt: int
    step: int
    """The last step that was completed."""
    stage: str
    """What it is doing, in words for people."""
    since: datetime
    """When the step was completed or the stage began, whichever is later."""
    written: datetime
    is_closed: bool = False
    """Whether the process has let go of the run, which it may outlive."""


_HEARTBEAT = TypeAdapter(Heartbeat)


class HeartbeatWriter:
    """Writes the heartbeat at once, and then every INTERVAL_S until it is closed."""

    def __init__(
        self,
        path: Path,
        attempt: int,
        step: int = 0,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        disk: Disk = LOCAL_DISK,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._path, self._now, self._disk, self._interval_s = path, now, disk, interval_s
        pid = os.getpid()
        self._lock, self._closed = Lock(), Event()
        self._beat = Heartbeat(
            host=socket.gethostname(),
            pid=pid,
            process_started=psutil.Process(pid).create_time(),
            attempt=attempt,
            step=step,
            stage="starting",
            since=now(),
            written=now(),
        )
        self.write()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def note(self, stage: str, step: int | None = None) -> None:
        """What it does now, and the step that it has completed; None: as before. The thread writes it later."""
        with self._lock:
            step = self._beat.step if step is None else step
            self._beat = replace(self._beat, stage=stage, step=step, since=self._now())

    def write(self) -> None:
        """Writes the heartbeat now. A disk that is full must not end a run, so a failure is left for the next try."""
        with self._lock:
            beat = replace(self._beat, written=self._now())
        with suppress(DiskError):
            write_whole(self._path, rows_to_bytes([_to_row(beat)]), self._disk)

    def close(self) -> None:
        """Writes the last heartbeat and ends the thread."""
        self._closed.set()
        self._thread.join()
        with self._lock:
            self._beat = replace(self._beat, is_closed=True)
        self.write()

    def _run(self) -> None:
        while not self._closed.wait(self._interval_s):
            self.write()


def read_heartbeat(path: Path) -> Heartbeat | None:
    """None: there is none that can be read."""
    try:
        return _HEARTBEAT.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_living_heartbeat(path: Path) -> Heartbeat | None:
    """The heartbeat of a process that is at the run; None: there is none."""
    beat = read_heartbeat(path)
    return beat if beat is not None and is_alive(beat, find_process_start, datetime.now(UTC)) else None


def is_alive(heartbeat: Heartbeat, process_start: Callable[[int], float | None], now: datetime) -> bool:
    """By the process on this host, and by the age of the heartbeat on another, unless the process let go of the run."""
    if heartbeat.is_closed:
        return False
    if heartbeat.host != socket.gethostname():
        return (now - heartbeat.written).total_seconds() <= LOST_AFTER_S
    started = process_start(heartbeat.pid)
    return started is not None and abs(started - heartbeat.process_started) < SAME_START_S


def find_process_start(pid: int) -> float | None:
    """When a process of this host started, in seconds since 1970; None: there is no such process."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _to_row(beat: Heartbeat) -> dict[str, object]:
    return asdict(beat) | {"since": beat.since.isoformat(), "written": beat.written.isoformat()}
