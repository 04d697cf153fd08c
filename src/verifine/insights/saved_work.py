"""What of a run is safe on the disk, and the command that continues it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from verifine.runs.directory import RunDirectory
from verifine.runs.environment import read_environment
from verifine.runs.events import (
    AttemptBegan,
    CheckpointSaved,
    EventRecord,
    ModelSaved,
    TrainingResumed,
    TrainingStarted,
    last_end,
    read_events,
)
from verifine.runs.run_file import read_run_file
from verifine.runs.status import Status

_BROKEN_OFF = frozenset({Status.FAILED, Status.PAUSED, Status.INTERRUPTED, Status.KILLED})
"""Ends after which something of a run is still to be done."""


def describe_saved_work(directory: RunDirectory) -> str | None:
    """What a run that broke off has saved, and how to continue it. None: it has not begun to train."""
    if not read_run_file(directory.path).has_begun:
        return None
    events, command = read_events(directory.events), command_to_resume(directory)
    end, step = last_end(events), _last_checkpoint(events)
    if has_saved_model(events):
        if end is None or end.status in _BROKEN_OFF:
            return f"The trained model is saved in {directory.model}; {command} does what is missing."
        return f"The trained model is saved in {directory.model}; {command_for('report', directory)} writes the report."
    if step is None:
        return f"No checkpoint was written yet; {command} starts from the first step again."
    if step == _planned_steps(events):
        return f"The weights of all {step} steps are saved in {directory.checkpoints}; {command} saves the model again."
    return f"Step {step} is saved in {directory.checkpoints}; {command} continues from it."


def command_to_resume(directory: RunDirectory) -> str:
    """`verifine resume RUN_DIR`, or what a Python program calls if it brought the grader or the advantages."""
    if directory.environment.exists():
        brought = ", ".join(f"{name}=..." for name in read_environment(directory.environment).brought)
        if brought:
            return f'`verifine.resume(Path("{directory.path}"), {brought})`'
    return command_for("resume", directory)


def command_for(verb: str, directory: RunDirectory, options: str = "") -> str:
    """`verifine VERB RUN_DIR`, ready to be copied into a shell."""
    return f"`verifine {verb} {shlex.quote(str(directory.path))}{options}`"


def _last_checkpoint(events: Sequence[EventRecord]) -> int | None:
    """The newest step that was acknowledged. A resumed run goes back to a step, so it is not always the highest."""
    for record in reversed(events):
        match record.event:
            case CheckpointSaved(step=step) | TrainingResumed(step=step):
                return step
            case TrainingStarted():
                return None
    return None


def has_saved_model(events: Sequence[EventRecord]) -> bool:
    """Whether the latest attempt has saved the model."""
    for record in reversed(events):
        match record.event:
            case ModelSaved():
                return True
            case AttemptBegan():
                return False
    return False


def _planned_steps(events: Sequence[EventRecord]) -> int | None:
    for record in reversed(events):
        match record.event:
            case TrainingStarted(steps=steps) | TrainingResumed(steps=steps):
                return steps
    return None
