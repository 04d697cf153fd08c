"""Rewinding a run to a step: what was written after it is removed, because it is done again."""

from __future__ import annotations

import re
from pathlib import Path

from verifine.machine.disk import remove_drafts
from verifine.runs.directory import RunDirectory
from verifine.runs.jsonl import keep_rows

_STEP = re.compile(r"step-([0-9]+)")


def rewind(directory: RunDirectory, step: int) -> None:
    """Afterwards the directory says what it said after `step`; step 0 is before the first evaluation.

    Events stay, since they are history. So does a saved model, until there is another.
    """
    disk = directory.disk
    remove_drafts(directory.path, disk)
    keep_rows(directory.metrics, lambda row: int(str(row["step"])) <= step, disk)
    for path in [*directory.rollouts.glob("step-*"), *directory.evaluations.glob("*.json")]:
        if not belongs_to(path, step):
            disk.remove(path)


def belongs_to(path: Path, step: int) -> bool:
    """Whether a file of rollouts or of an evaluation was written up to `step`: `final` never was."""
    name = _STEP.fullmatch(path.stem)
    return int(name[1]) <= step if name else path.stem == "baseline" and step > 0
