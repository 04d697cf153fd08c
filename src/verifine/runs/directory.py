"""A run is a directory: where everything in it lies."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from verifine.errors import ConfigError
from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.runs.run_file import RUN_FILE, read_run_file


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """The paths of one run. The trainer writes them; everything else only reads."""

    path: Path
    disk: Disk = field(default=LOCAL_DISK, compare=False)
    """What is written with."""

    @classmethod
    def create(cls, path: Path | None, name: str, now: datetime) -> RunDirectory:
        """Make a new directory: `path`, or with None `runs/<name>-<date>-<time>`.

        Raises:
            ConfigError: `path` is in use, or cannot be made. A run never overwrites.
        """
        folder_name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_NAME].strip("-.") or "run"
        return cls(path=create_folder(path, "run.directory", Path("runs") / folder_name, now))

    @staticmethod
    def check_free(path: Path | None) -> None:
        """Refuses a path that a new run could not have; None is always free.

        Raises:
            ConfigError: `path` is in use. A run never overwrites.
        """
        check_free(path, "run.directory")

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The directory of a run that exists.

        Raises:
            ConfigError: `path` is no run directory.
        """
        directory = cls(path=path)
        if not path.exists():
            raise ConfigError(f"{path}: there is no such folder; give the run directory that training printed")
        if not directory.config.is_file():
            raise ConfigError(f"{path}: this is not a run directory, for it holds no config.yaml")
        return directory

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "env.json"

    @property
    def preflight(self) -> Path:
        return self.path / "preflight.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts"

    @property
    def evaluations(self) -> Path:
        return self.path / "eval"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def dumps(self) -> Path:
        return self.path / "dumps"

    def traceback(self, attempt: int) -> Path:
        """Of the unexpected error that ended an attempt."""
        return self.path / f"traceback-{attempt}.txt"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.path / ".lock"

    @property
    def requests(self) -> Path:
        """A file in here asks the run for something; see `runs.requests`."""
        return self.path / "requests"

    @property
    def heartbeat(self) -> Path:
        return self.path / "heartbeat.json"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def exports(self) -> Path:
        """What `verifine export` writes, unless it is told another place."""
        return self.path / "export"

    @property
    def report(self) -> Path:
        return self.path / "report.html"


LONGEST_NAME = 100
"""Characters of a data file's name in that of a run directory; file systems allow about 250 for all of it."""

_FIRST_FILES = frozenset({"heartbeat.json", "requests"})
"""What a run makes before it writes that there is an attempt."""


def create_folder(path: Path | None, option: str, stem: Path, now: datetime) -> Path:
    """Make a new folder: `path`, or with None `<stem>-<date>-<time>`; `option` is what a user gave `path` with.

    Raises:
        ConfigError: `path` is in use, or cannot be made. Nothing is ever overwritten.
    """
    check_free(path, option)
    try:
        return _make_dated(stem, now) if path is None else _make(path)
    except OSError as error:
        raise ConfigError(
            f"{option}: {path or stem.parent} cannot be made ({error.strerror}); give a folder you may write to"
        ) from error


def check_free(path: Path | None, option: str) -> None:
    """Refuses a path that a new folder could not have; None is always free.

    Raises:
        ConfigError: `path` is in use.
    """
    if path is None or not path.exists():
        return
    if not path.is_dir():
        raise ConfigError(f"{option}: {path} is a file; give a folder that does not exist yet")
    if not _is_unused(path):
        raise ConfigError(
            f"{option}: {path} is not empty, and Verifine never overwrites; give a folder that does not exist yet, "
            f"move this one away, or leave {option} out to get a new one"
        )


def _is_unused(folder: Path) -> bool:
    """Whether there is nothing in it but what attempts left that never began to train."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names <= _FIRST_FILES:
        return True
    return (folder / RUN_FILE).exists() and not read_run_file(folder).has_begun


def write_text(path: Path, text: str, disk: Disk = LOCAL_DISK) -> None:
    """Write a whole file or none of it, in UTF-8."""
    # Half of a surrogate pair, which a row of data may hold, is no UTF-8.
    write_whole(path, text.encode("utf-8", errors="backslashreplace"), disk)


def write_json(path: Path, value: Mapping[str, object], disk: Disk = LOCAL_DISK) -> None:
    """Like `write_text`, as JSON for people to read too."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", disk)


def _make(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _make_dated(stem: Path, now: datetime) -> Path:
    dated = stem.with_name(f"{stem.name}-{now:%Y%m%d-%H%M%S}")
    for number in itertools.count(1):
        path = dated if number == 1 else dated.with_name(f"{dated.name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise AssertionError("a count does not end")
