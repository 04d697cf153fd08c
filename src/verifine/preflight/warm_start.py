"""Beginning a run with the weights that another one had reached."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from verifine.checkpoints.manifest import MANIFEST
from verifine.checkpoints.store import Checkpoint, CheckpointStore, read_checkpoint
from verifine.errors import CheckpointError
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory

_PREFIX = "policy/weights/"


def take_over_weights(network: nn.Module, path: Path) -> None:
    """Gives `network` the weights of a checkpoint, or of the newest one of a run directory.

    Raises:
        CheckpointError: there is none, it is damaged, or it is of another model.
    """
    saved = {
        name.removeprefix(_PREFIX): tensor for name, tensor in _find(path).tensors.items() if name.startswith(_PREFIX)
    }
    parameters = {name: each for name, each in network.named_parameters() if each.requires_grad}
    shapes = {name: each.shape for name, each in parameters.items()}
    if {name: tensor.shape for name, tensor in saved.items()} != shapes:
        raise CheckpointError(
            f"{path} holds the weights of another model, or of other adapters, than this run trains; give the run's "
            "model.name and model.lora, or name the run's model/ folder as model.name"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])


def hash_checkpoint(path: Path) -> str:
    """The sha256 of what `take_over_weights` reads: a manifest holds the hashes of everything."""
    folder = path if _is_checkpoint(path) else _store(path).path(_find(path).step)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _find(path: Path) -> Checkpoint:
    if _is_checkpoint(path):
        return read_checkpoint(path)
    found = _store(path).newest()
    if found.checkpoint is None:
        damage = f" that is undamaged ({'; '.join(found.damaged)})" if found.damaged else ""
        raise CheckpointError(
            f"{path} holds no checkpoint{damage}; give a run directory, or checkpoints/step-N in one (model.start_from)"
        )
    return found.checkpoint


def _is_checkpoint(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _store(path: Path) -> CheckpointStore:
    return CheckpointStore(RunDirectory(path=path).checkpoints, LOCAL_DISK)
