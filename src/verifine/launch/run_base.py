"""The model that a run began with, and the models that its checkpoints made of it."""

from __future__ import annotations

from pathlib import Path

from verifine.config import RunConfig
from verifine.config.memory import Precision
from verifine.errors import CheckpointError, ModelError
from verifine.launch.build import fetch_model, load_policy
from verifine.launch.warm_start import Start, find_start
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.folder import hash_model_folder
from verifine.models.provision.stored import ProvisionedModel
from verifine.runs.directory import RunDirectory
from verifine.runs.events import Listener, StageBegan
from verifine.runs.run_config import load_run_config
from verifine.runs.run_file import Provenance, read_run_file


def load_checkpoint(run: RunDirectory, checkpoint: Path, precision: Precision, tell: Listener) -> LanguageModel:
    """The model with the weights of a checkpoint of `run`.

    Raises:
        CheckpointError: the checkpoint is damaged.
        ModelError: the starting model is not there, or its files have changed.
    """
    config = load_run_config(run)
    start = find_start(checkpoint)
    files = _fetch_base(run, config, tell)
    tell(StageBegan(text=f"loading {files.name}"))
    return load_policy(files, config, precision, start)


def load_base(run: RunDirectory, precision: Precision, tell: Listener) -> LanguageModel:
    """The model as it was before the first step, under the switches of its chat template.

    Raises:
        CheckpointError: it began with a checkpoint, which is damaged or is not that one any more.
        ModelError: the starting model is not there, or its files have changed.
    """
    config = load_run_config(run)
    files = _fetch_base(run, config, tell)
    tell(StageBegan(text=f"loading {files.name}"))
    if config.model.start_from is None:
        return load_model(files, precision, template_values=config.model.chat_template_kwargs)
    return load_policy(files, config, precision, _find_first_weights(run, config.model.start_from))


def refuse_other_base(run: RunDirectory, files: ProvisionedModel) -> None:
    """Refuses files that are not those of the run's starting model.

    Raises:
        ModelError: they are others.
    """
    provenance = _provenance(run)
    if provenance is not None and provenance.model != hash_model_folder(files.folder):
        raise ModelError(
            f"{files.name} has other files than the model that {run.path} was trained from, so what the run learned "
            "does not belong to it; bring back that model"
        )


def _fetch_base(run: RunDirectory, config: RunConfig, tell: Listener) -> ProvisionedModel:
    files = fetch_model(config, tell)
    refuse_other_base(run, files)
    return files


def _find_first_weights(run: RunDirectory, given: Path) -> Start:
    start, provenance = find_start(given), _provenance(run)
    if provenance is not None and provenance.start not in (None, start.sha256):
        raise CheckpointError(
            f"{given}: this checkpoint is not the one that {run.path} began with, which is not there any more "
            "(model.start_from)"
        )
    return start


def _provenance(run: RunDirectory) -> Provenance | None:
    """None: a run of an earlier version, which did not record it."""
    return read_run_file(run.path).provenance
