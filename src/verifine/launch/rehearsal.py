"""Before the first step: everything that the end of a run writes is written once, without the tensors.

What cannot be saved, or be shown, is then found in a second, and not after hours of training.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from verifine.checkpoints.store import CheckpointStore
from verifine.errors import DiskError
from verifine.insights.card.card import write_card
from verifine.insights.card.subject import CardSubject
from verifine.insights.report import render_report
from verifine.launch.build import BuiltRun
from verifine.machine.disk import draft_of, free_bytes
from verifine.models.export import rehearse_saving
from verifine.preflight.memory import describe_bytes
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import describe_environment
from verifine.runs.record import RunRecord, read_run
from verifine.runs.run_config import write_run_config
from verifine.training.state import RunState, from_checkpoint, to_draft
from verifine.types import StepReport

_FLOAT_BYTES = 4
_MOMENTS = 2
"""AdamW's, of each weight that is trained."""


def rehearse_ending(built: BuiltRun, directory: RunDirectory) -> None:
    """Writes the model's small files, its card, a checkpoint and the report into a folder that is removed again.

    Raises:
        ModelError: a part of the model cannot be saved.
        CheckpointError: a tensor does not fit a checkpoint.
        DiskError: the disk is too small, or cannot be written to.
    """
    refuse_small_disk(built, directory.path)
    _write_ending(built, directory)


def rehearse_elsewhere(built: BuiltRun) -> None:
    """As `rehearse_ending`, for a run that has no directory and writes nothing."""
    refuse_small_disk(built, built.config.run.directory or Path("runs"))
    with TemporaryDirectory(prefix="verifine-") as folder:
        directory = RunDirectory(path=Path(folder))
        write_run_config(directory, built.config, describe_environment())
        _write_ending(built, directory)


def _write_ending(built: BuiltRun, directory: RunDirectory) -> None:
    scratch = draft_of(directory.path / "rehearsal")
    directory.disk.remove(scratch)
    try:
        rehearse_saving(built.model, scratch / "model", directory.disk)
        _rehearse_checkpoint(built, CheckpointStore(scratch / "checkpoints", directory.disk))
        record = _after_a_step(read_run(directory))
        write_text(scratch / directory.report.name, render_report(record), directory.disk)
        write_card(scratch / "model", record, CardSubject(), directory.disk)
    except BaseException:
        with suppress(DiskError):
            directory.disk.remove(scratch)
        raise
    directory.disk.remove(scratch)


def refuse_small_disk(built: BuiltRun, folder: Path, free: Callable[[Path], int] = free_bytes) -> None:
    """Refuses a disk that cannot hold the model and one checkpoint.

    Raises:
        DiskError: it cannot.
    """
    needed, available = needed_bytes(built), free(folder)
    if available < needed:
        raise DiskError(
            f"{folder} has {describe_bytes(available)} of free space, and the model with one checkpoint takes "
            f"{describe_bytes(needed)}; free some space, or write to another disk (run.directory)",
            is_full=False,
        )


def needed_bytes(built: BuiltRun) -> int:
    """The size of the saved model and of one checkpoint."""
    tensors = built.trainer.learner.state().tensors
    trained = sum(tensor.numel() for name, tensor in tensors.items() if "/weights/" in name)
    return _FLOAT_BYTES * (built.model.parameter_count + trained * (1 + _MOMENTS))


def _rehearse_checkpoint(built: BuiltRun, store: CheckpointStore) -> None:
    state = RunState(memory=built.config.memory)
    draft = to_draft(state, built.trainer.learner.state())  # looks at the tensors' types
    store.save(replace(draft, tensors=()))
    from_checkpoint(store.load(draft.step))


def _after_a_step(record: RunRecord) -> RunRecord:
    """The record with its latest step only, or a step of our own, so that the figures are drawn."""
    made_up = StepReport(step=1, metrics={"reward": 0.0, "frac_reward_zero_std": 0.0})
    return replace(record, metrics=[*record.metrics[-1:]] or [made_up])
