"""Starting a run with the weights of a checkpoint of another run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from verifine.checkpoints.manifest import MANIFEST
from verifine.checkpoints.store import Checkpoint, CheckpointStore, read_checkpoint
from verifine.errors import CheckpointError
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory

_PREFIX = "policy/weights/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The checkpoint that a run takes its weights from."""

    folder: Path
    checkpoint: Checkpoint
    sha256: str
    """The hash of its manifest, which has the hashes of everything else."""


def find_start(path: Path) -> Start:
    """The checkpoint at `path`; if that is a run directory, its newest undamaged checkpoint.

    Raises:
        CheckpointError: there is none, or it was removed while it was read.
    """
    try:
        return _find(path.resolve())
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint was removed while it was read ({error}); give one that stays (model.start_from)"
        ) from error


def _find(path: Path) -> Start:
    if (path / MANIFEST).is_file():
        return Start(folder=path, checkpoint=read_checkpoint(path), sha256=_hash_manifest(path))
    store = CheckpointStore(RunDirectory(path=path).checkpoints, LOCAL_DISK)
    found = store.newest()
    if found.checkpoint is None:
        damage = f" that is undamaged ({'; '.join(found.damaged)})" if found.damaged else ""
        raise CheckpointError(
            f"{path} holds no checkpoint{damage}; give a run directory, or checkpoints/step-N in one (model.start_from)"
        )
    folder = store.path(found.checkpoint.step)
    return Start(folder=folder, checkpoint=found.checkpoint, sha256=_hash_manifest(folder))


def _hash_manifest(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def load_start_weights(network: nn.Module, start: Start) -> None:
    """Gives `network` the weights of a checkpoint.

    Raises:
        CheckpointError: it is the checkpoint of another model.
    """
    tensors = start.checkpoint.tensors
    saved = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
    parameters = {name: each for name, each in network.named_parameters() if each.requires_grad}
    shapes = {name: each.shape for name, each in parameters.items()}
    if {name: tensor.shape for name, tensor in saved.items()} != shapes:
        raise CheckpointError(
            f"{start.folder} holds weights of a different model, or different adapters, than this run has; give that "
            "run's model.name and model.lora, or name the run's model/ folder as model.name"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
