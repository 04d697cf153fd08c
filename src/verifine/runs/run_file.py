"""`run.json`: the format of the run directory, the attempts at the run, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.errors import ConfigError
from verifine.machine.disk import LOCAL_DISK, Disk, write_whole

RUN_FILE = "run.json"
FIRST_FORMAT_FILE = "origins.json"
"""What runs of format 0 have in its place: the provenance alone."""
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Each a sha256 in hexadecimal digits."""

    model: str
    """The hash of the starting model's files."""
    data: str
    """The hash of all examples, for training and held out."""
    grader: str | None
    """The hash of the grader; None: a Python program passed it in, and its source is not known."""
    start: str | None = None
    """The hash of the checkpoint with the starting weights; None: it began with the model's own."""
    template_values: str | None = None
    """The hash of the values for the chat template; None: there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What a run was made from, in words that others understand. None: not known."""

    hub_id: str | None = None
    """The starting model's name on the Hugging Face hub."""
    revision: str | None = None
    """The commit of the starting model's repository."""
    licence: str | None = None
    """The starting model's licence, as the hub abbreviates it, such as apache-2.0."""
    train_examples: int | None = None
    held_out_examples: int | None = None
    system_prompt: str | None = None
    """What the built-in task or the config puts before every prompt; None also: it is in the rows, or nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One process that took up the run."""

    number: int
    """From 1."""
    started: datetime
    host: str
    pid: int
    versions: Mapping[str, str | None]
    """The versions of Python and the packages that compute; None: not installed as a package."""
    from_step: int | None = None
    """The step that training continued from, 0 at first; None: it did not get to training."""
    kernels: Mapping[str, str] = field(default_factory=dict)
    """What the last bits of its results depend on; empty: it did not get to training, or is of an earlier version."""
    ended: datetime | None = None
    """None: it is alive, or was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What `run.json` holds."""

    format: int = FORMAT
    attempts: tuple[Attempt, ...] = field(default=())
    """Recorded since format 1."""
    provenance: Provenance | None = None
    """None: training has not begun."""
    inputs: InputFacts | None = None
    """None: training has not begun, or the run is of an earlier version."""

    @property
    def has_begun(self) -> bool:
        """Whether any attempt came to train."""
        return self.provenance is not None

    @property
    def training_attempts(self) -> tuple[Attempt, ...]:
        """Those that came to train: each begins by rewinding what was written after its `from_step`."""
        return tuple(attempt for attempt in self.attempts if attempt.from_step is not None)

    def with_latest(self, attempt: Attempt) -> RunFile:
        """With the attempt of that number as given: it is added, or takes the place of what was known of it."""
        others = tuple(each for each in self.attempts if each.number != attempt.number)
        return replace(self, format=FORMAT, attempts=(*others, attempt))


_RUN_FILE, _PROVENANCE = TypeAdapter(RunFile), TypeAdapter(Provenance)


def read_run_file(folder: Path) -> RunFile:
    """Reads `run.json` of this format or the first one; empty if it has not been written yet.

    Raises:
        ConfigError: it was written by a later version, or is damaged.
    """
    path = folder / RUN_FILE
    if not path.exists():
        return _read_first_format(folder / FIRST_FORMAT_FILE)
    try:
        content = json.loads(path.read_bytes())
        written = content["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read; restore it, or start a new run") from error
    if not isinstance(written, int) or written > FORMAT:
        raise ConfigError(
            f"{path}: the run has format {written}, and this Verifine reads up to format {FORMAT}; update Verifine"
        )
    try:
        return _RUN_FILE.validate_python(content)
    except ValidationError as error:
        raise ConfigError(f"{path} cannot be read; restore it, or start a new run") from error


def write_run_file(folder: Path, run_file: RunFile, disk: Disk = LOCAL_DISK) -> None:
    content = _RUN_FILE.dump_python(run_file, mode="json")
    write_whole(folder / RUN_FILE, (json.dumps(content, indent=2) + "\n").encode(), disk)


def _read_first_format(path: Path) -> RunFile:
    if not path.exists():
        return RunFile(format=0)
    try:
        return RunFile(format=0, provenance=_PROVENANCE.validate_json(path.read_bytes()))
    except ValidationError as error:
        raise ConfigError(f"{path} cannot be read; restore it, or start a new run") from error
