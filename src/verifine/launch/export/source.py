"""The weights to export, as a folder that plain transformers loads."""

from __future__ import annotations

from pathlib import Path

from verifine.config import RunConfig
from verifine.errors import CheckpointError
from verifine.launch.build import fetch_model, load_policy
from verifine.launch.export.target import ExportTarget
from verifine.launch.warm_start import find_start
from verifine.machine.disk import Disk
from verifine.models.export import save_model
from verifine.models.provision.folder import hash_model_folder
from verifine.runs.events import Listener, StageBegan
from verifine.runs.run_config import load_run_config
from verifine.runs.run_file import read_run_file


def find_source(target: ExportTarget, scratch: Path, tell: Listener, disk: Disk) -> Path:
    """The folder of the model that the run has saved, or `scratch`, with the weights of a checkpoint.

    Raises:
        CheckpointError: the checkpoint is damaged, or its starting model has changed.
        ModelError: the starting model is not there.
        DiskError: `scratch` cannot be written.
    """
    if target.checkpoint is None:
        return target.run.model
    config = load_run_config(target.run)
    start = find_start(target.checkpoint)
    files = fetch_model(config, tell)
    _refuse_other_base(target, config, hash_model_folder(files.folder))
    tell(StageBegan(text=f"loading {files.name}"))
    model = load_policy(files, config, "float32", start)
    tell(StageBegan(text=f"writing the weights of step {start.checkpoint.step}"))
    save_model(model, scratch, disk)
    return scratch


def _refuse_other_base(target: ExportTarget, config: RunConfig, found: str) -> None:
    provenance = read_run_file(target.run.path).provenance
    if provenance is not None and provenance.model != found:
        raise CheckpointError(
            f"{target.checkpoint}: {config.model.name} has other files than when this run began, so the checkpoint "
            "does not belong to it; bring back the model that it was trained from (model.name)"
        )
