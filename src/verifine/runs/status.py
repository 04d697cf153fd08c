"""What a run is doing, or how it ended: the only place with these words.

The status follows from the events and the heartbeat. A reader never takes the run's lock, so looking at a run cannot
stop a trainer that starts at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from verifine.runs.directory import RunDirectory
from verifine.runs.heartbeat import Heartbeat, find_process_start, is_alive, read_heartbeat
from verifine.runs.jsonl import read_rows
from verifine.types import Json


class Status(StrEnum):
    """One word for where a run stands. All but the first two say how it ended."""

    CHECKING = "checking"
    """Data, grader and model are being tried; training has not begun."""
    RUNNING = "running"
    PAUSED = "paused"
    """By request, or because the disk is full. There is a checkpoint to resume from."""
    FINISHED = "finished"
    """All steps were taken."""
    OUT_OF_TIME = "out_of_time"
    """The next step would not have fitted the time limit."""
    NO_SIGNAL = "no_signal"
    """Too many steps in a row had nothing to learn from. That is a success if the reason is `solved`."""
    NO_PROGRESS = "no_progress"
    """Too many evaluations in a row were no better than the best one."""
    INTERRUPTED = "interrupted"
    """By request: with the model as it was (stop), or without one (cancel)."""
    FAILED = "failed"
    """An error; the reason says which."""
    KILLED = "killed"
    """The process ended without writing an end."""

    @property
    def has_ended(self) -> bool:
        return self not in (Status.CHECKING, Status.RUNNING)

    @property
    def is_complete(self) -> bool:
        """Whether the run has come to an end of its own, so that nothing of it is left to do."""
        return self in (Status.FINISHED, Status.OUT_OF_TIME, Status.NO_SIGNAL, Status.NO_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a run stands, and why."""

    status: Status
    reason: str | None = None
    """A word for programs, such as `disk_full`; None: the status says it all."""
    message: str | None = None
    """The error, for people; None: there was none."""
    heartbeat: Heartbeat | None = None
    """The last sign of life; None: there is none, as in runs of the first format."""


DISK_FULL, CANCELLED, SOLVED = "disk_full", "cancelled", "solved"
"""Reasons of a run that paused because nothing more could be written, of one that was interrupted, and of one without
signal because nearly all of its answers were right."""

MAX_STEPS, MAX_MINUTES = "max_steps", "max_minutes"
"""Reasons of a run that paused because it has used what it was allowed."""

_TRAINING = ("started", "resumed")
"""The events after which an attempt trains."""


def find_status(
    directory: RunDirectory,
    *,
    process_start: Callable[[int], float | None] = find_process_start,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> RunStatus:
    """The status of the latest attempt."""
    rows = read_rows(directory.events)
    heartbeat = read_heartbeat(directory.heartbeat)
    last = rows[-1] if rows else {"type": None}
    status = _ended_with(last)
    if status is not None:
        reason, message = (None if last.get(name) is None else str(last[name]) for name in ("reason", "error"))
        return RunStatus(status=status, reason=reason, message=message, heartbeat=heartbeat)
    if heartbeat is None or not is_alive(heartbeat, process_start, now()):
        return RunStatus(status=Status.KILLED, heartbeat=heartbeat)
    latest = next((row["type"] for row in reversed(rows) if row["type"] in ("attempt", *_TRAINING)), None)
    return RunStatus(status=Status.RUNNING if latest in _TRAINING else Status.CHECKING, heartbeat=heartbeat)


def _ended_with(row: Mapping[str, Json]) -> Status | None:
    """None: the row is not the end of an attempt. The first format wrote the end as an event of that name."""
    word = row.get("status") if row["type"] == "ended" else row["type"]
    return Status(word) if isinstance(word, str) and word in set(Status) else None
