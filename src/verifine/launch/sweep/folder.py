"""The folder of a sweep: `sweep.json`, and a run directory for each run. What became of a run is in its directory."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.config import dump_config
from verifine.errors import ConfigError
from verifine.launch.sweep.planned import PlannedRun
from verifine.runs.directory import RunDirectory, write_json, write_text
from verifine.runs.lock import hold_file

RECORD = "sweep.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What `sweep.json` holds."""

    format: int = field(default=FORMAT)
    command: str
    """The one that began or last extended it."""
    runs: tuple[PlannedRun, ...]
    """In the order in which they are trained."""


_SWEEP = TypeAdapter(Sweep)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFolder:
    """The paths of a sweep."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / RECORD

    def run(self, run: PlannedRun) -> RunDirectory:
        return RunDirectory(path=self.path / "runs" / run.name)

    def log(self, run: PlannedRun) -> Path:
        """What the run's last process wrote to standard error."""
        return self._file("logs", run, "txt")

    def write_config(self, run: PlannedRun) -> Path:
        """The config as `verifine train` takes it."""
        path = self._file("configs", run, "yaml")
        write_text(path, dump_config(run.config))
        return path

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps other processes from continuing the sweep.

        Raises:
            ConfigError: another process does.
        """
        with hold_file(
            self.path / ".lock",
            f"{self.path}: another process continues this sweep; wait for its end, or look at the results so far with "
            f"`verifine compare {shlex.quote(str(self.path))}`",
        ):
            yield

    def _file(self, kind: str, run: PlannedRun, ending: str) -> Path:
        path = self.path / kind / f"{run.name}.{ending}"
        path.parent.mkdir(exist_ok=True)
        return path


def is_sweep(folder: Path) -> bool:
    return (folder / RECORD).is_file()


def read_sweep(folder: SweepFolder) -> Sweep:
    """Raises ConfigError: `sweep.json` was written by a later version, or is damaged."""
    try:
        content = json.loads(folder.record.read_bytes())
        if content["format"] > FORMAT:
            raise ConfigError(
                f"{folder.record}: the sweep has format {content['format']}, and this Verifine reads up to format "
                f"{FORMAT}; update Verifine"
            )
        return _SWEEP.validate_python(content)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ConfigError(
            f"{folder.record} cannot be read; restore it, or start the sweep in another folder"
        ) from error


def write_sweep(folder: SweepFolder, sweep: Sweep) -> None:
    write_json(folder.record, _SWEEP.dump_python(sweep, mode="json"))
