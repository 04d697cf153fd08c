"""The runs of the command line in a folder. Nothing is kept of them: the directories are the index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from verifine.errors import ConfigError
from verifine.runs.directory import RunDirectory
from verifine.runs.events import read_events
from verifine.runs.metrics import read_metrics
from verifine.runs.record import find_model_name
from verifine.runs.status import RunStatus, find_status
from verifine.types import StepReport

PREFIX = "run-"
DEPTH = 3
"""How many folders deep runs are looked for: those of a sweep lie in a folder of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedRun:
    """A run as far as it has come."""

    id: str
    name: str
    """Its folder, from the folder of all runs."""
    status: RunStatus | None
    """None: its files cannot be read."""
    model: str | None
    """None: training has not begun."""
    began: datetime | None
    last: StepReport | None
    """Its last step; None: it has taken none."""


class RunIndex:
    """The runs in a folder and the folders in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, run_id: str) -> RunDirectory | None:
        """None: there is none of this id."""
        return next((run for run in self._directories() if self._id(run) == run_id), None)

    def list(self) -> list[IndexedRun]:
        """Those that began last come first."""
        runs = [self._read(run) for run in self._directories()]
        return sorted(runs, key=lambda run: (run.began is not None, run.began, run.name), reverse=True)

    def _read(self, run: RunDirectory) -> IndexedRun:
        run_id, name = self._id(run), self._name(run)
        try:
            events, metrics, status = read_events(run.events), read_metrics(run.metrics), find_status(run)
        except (ConfigError, OSError):
            return IndexedRun(id=run_id, name=name, status=None, model=None, began=None, last=None)
        return IndexedRun(
            id=run_id,
            name=name,
            status=status,
            model=find_model_name(events),
            began=events[0].time if events else None,
            last=metrics[-1] if metrics else None,
        )

    def _directories(self) -> Iterator[RunDirectory]:
        return (RunDirectory(path=path) for path in sorted(_find(self._folder, DEPTH)))

    def _name(self, run: RunDirectory) -> str:
        return run.path.relative_to(self._folder).as_posix()

    def _id(self, run: RunDirectory) -> str:
        """The same after every restart, and no path."""
        return PREFIX + hashlib.sha256(self._name(run).encode(errors="surrogateescape")).hexdigest()[:24]


def _find(folder: Path, depth: int) -> Iterator[Path]:
    """Links are not followed."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            is_run = is_folder and RunDirectory(path=path).config.is_file() and RunDirectory(path=path).events.is_file()
        except OSError:  # it may not be entered, and hides none of the others
            continue
        if is_run:
            yield path
        elif is_folder and depth > 1 and not entry.name.startswith("."):
            yield from _find(path, depth - 1)
