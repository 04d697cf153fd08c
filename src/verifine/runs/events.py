"""What happened in a run, in order: `events.jsonl`.

Any type of event may be logged. Those of `ENDINGS` have a meaning for readers as the last event of a run; `failed` has
the field `error`. A run whose last event is another one is still going, or was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.runs.jsonl import append_row, mend_end, read_rows
from verifine.types import Json

ENDINGS = ("finished", "out_of_time", "no_signal", "no_progress", "interrupted", "paused", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row of the log."""

    time: datetime
    type: str
    fields: Mapping[str, Json]


class EventLog:
    """Appends events, each readable by others as soon as `emit` returns."""

    def __init__(self, path: Path, clock: Callable[[], datetime], disk: Disk = LOCAL_DISK) -> None:
        """`clock` tells the time with its time zone."""
        self._path = path
        self._clock = clock
        self._disk = disk
        mend_end(path)

    def emit(self, type_: str, /, **fields: Json) -> None:
        assert not fields.keys() & {"time", "type"}, "an event's time and type are not fields"
        time = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
        append_row(self._path, {"time": time, "type": type_, **fields}, self._disk)


def ending_of(events: Sequence[Event]) -> str | None:
    """The event that ended the run; None: it is still going, or was killed."""
    last = events[-1].type if events else None
    return last if last in ENDINGS else None


def read_events(path: Path) -> list[Event]:
    """Every event of the file; none if there is no file. A half-written last line is left out."""
    return [
        Event(
            time=datetime.fromisoformat(str(row["time"])),
            type=str(row["type"]),
            fields={name: value for name, value in row.items() if name not in {"time", "type"}},
        )
        for row in read_rows(path)
    ]
