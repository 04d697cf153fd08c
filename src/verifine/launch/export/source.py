"""The weights to export, as a folder that plain transformers loads."""

from __future__ import annotations

from pathlib import Path

from verifine.launch.export.target import ExportTarget
from verifine.launch.run_base import load_checkpoint
from verifine.machine.disk import Disk
from verifine.models.export import save_model
from verifine.runs.events import Listener, StageBegan


def find_source(target: ExportTarget, scratch: Path, tell: Listener, disk: Disk) -> Path:
    """The folder of the model that the run has saved, or `scratch`, with the weights of a checkpoint.

    Raises:
        CheckpointError: the checkpoint is damaged.
        ModelError: the starting model is not there, or its files have changed.
        DiskError: `scratch` cannot be written.
    """
    if target.checkpoint is None:
        return target.run.model
    model = load_checkpoint(target.run, target.checkpoint, "float32", tell)
    tell(StageBegan(text=f"writing the weights of step {target.step}"))
    save_model(model, scratch, disk)
    return scratch
