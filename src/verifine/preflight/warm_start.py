"""Beginning a run with the weights that another one had reached."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from verifine.checkpoints.manifest import MANIFEST
from verifine.checkpoints.store import CheckpointStore, read_checkpoint
from verifine.errors import CheckpointError
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory

_PREFIX = "policy/weights/"


def find_start(path: Path) -> Path:
    """The folder of a checkpoint: `path`, or the newest undamaged one of the run directory that it is.

    Raises:
        CheckpointError: there is none.
    """
    if (path / MANIFEST).is_file():
        return path.resolve()
    store = CheckpointStore(RunDirectory(path=path.resolve()).checkpoints, LOCAL_DISK)
    found = store.newest()
    if found.checkpoint is None:
        damage = f" that is undamaged ({'; '.join(found.damaged)})" if found.damaged else ""
        raise CheckpointError(
            f"{path} holds no checkpoint{damage}; give a run directory, or checkpoints/step-N in one (model.start_from)"
        )
    return store.path(found.checkpoint.step)


def take_over_weights(network: nn.Module, folder: Path) -> None:
    """Gives `network` the weights of a checkpoint.

    Raises:
        CheckpointError: it is damaged, or of another model.
    """
    tensors = read_checkpoint(folder).tensors
    saved = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
    parameters = {name: each for name, each in network.named_parameters() if each.requires_grad}
    shapes = {name: each.shape for name, each in parameters.items()}
    if {name: tensor.shape for name, tensor in saved.items()} != shapes:
        raise CheckpointError(
            f"{folder} holds the weights of another model, or of other adapters, than this run trains; give the run's "
            "model.name and model.lora, or name the run's model/ folder as model.name"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])


def hash_checkpoint(folder: Path) -> str:
    """The sha256 of a checkpoint: its manifest holds the hashes of everything else."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
