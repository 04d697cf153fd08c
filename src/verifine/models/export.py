"""Saving a model so that plain transformers loads it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from verifine.errors import DiskError, ModelError
from verifine.machine.disk import LOCAL_DISK, Disk, draft_of, put_in_place, refuse_failure
from verifine.models.architectures import read_config
from verifine.models.generation import without_idle_flags
from verifine.models.load import LanguageModel
from verifine.models.network.lora import (
    AdapterBase,
    base_weights,
    has_adapters,
    merged_weights,
    save_adapter,
    save_adapter_config,
)
from verifine.models.network.quantized_linear import has_quantized_base
from verifine.models.network_files import read_network
from verifine.models.provision.cache import read_origin
from verifine.models.provision.shipped import shipped_name
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.quiet import no_progress_bars

_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
"""What Rust libraries quote when a disk is full: they raise errors of their own in place of OSError."""


_TOKENIZER = "tokenizer.json and tokenizer_config.json"


def save_model(model: LanguageModel, folder: Path, disk: Disk = LOCAL_DISK) -> None:
    """Writes weights, configuration, tokenizer and chat template; the folder appears when it is complete.

    The weights are saved in float32, as they were trained: updates of reinforcement learning are often smaller than the
    resolution of bfloat16, and rounding would undo part of them. LoRA adapters are merged into the saved weights, not
    into the network, and are also saved on their own, under `adapter/`. If the network holds its base in 8 or 4 bits,
    they are merged into the weights that it was made from, which are read again.

    Raises:
        DiskError: it cannot be written; what was there before is unchanged.
        ModelError: a part of the model cannot be saved; likewise.
    """
    _write_folder(folder, disk, lambda draft: _write_model(model, draft))


def rehearse_saving(model: LanguageModel, folder: Path, disk: Disk = LOCAL_DISK) -> None:
    """Writes what `save_model` writes, but of the tensors only the first number of each, and not into the folder.

    Raises:
        DiskError: it cannot be written.
        ModelError: a part of the model cannot be saved; the message names the file.
    """
    _write_folder(folder, disk, lambda draft: _rehearse_model(model, draft))


def _write_folder(folder: Path, disk: Disk, write: Callable[[Path], None]) -> None:
    draft = draft_of(folder)
    disk.remove(draft)
    try:
        with refuse_failure(folder), no_progress_bars():
            draft.mkdir(parents=True)
            write(draft)
        for path in sorted(draft.rglob("*")):
            disk.sync(path)
        put_in_place(draft, folder, disk)
    except (DiskError, ModelError):
        with suppress(DiskError):
            disk.remove(draft)
        raise


def _write_model(model: LanguageModel, folder: Path) -> None:
    _write_settings(model, folder)
    network, original = model.network, _original_weights(model)
    with _refuse_unsavable(model, folder, "model.safetensors"):
        network.save_pretrained(folder, state_dict=merged_weights(network, original))
    if has_adapters(network):
        with _refuse_unsavable(model, folder, "adapter_model.safetensors"):
            save_adapter(network, folder / "adapter", _base_of(model))


def _original_weights(model: LanguageModel) -> Mapping[str, Tensor] | None:
    """The weights of the starting model as its files have them. None: the network itself has them.

    Raises:
        ModelError: the files are not there any more.
    """
    network = model.network
    if not has_quantized_base(network):
        return None
    files = ProvisionedModel(name=model.name, folder=Path(network.name_or_path), source="files")
    original: Mapping[str, Tensor] = read_network(files, read_config(files.folder, files.name)).state_dict()
    return original


def _rehearse_model(model: LanguageModel, folder: Path) -> None:
    _write_settings(model, folder)
    network = model.network
    with _refuse_unsavable(model, folder, "model.safetensors"):
        weights = base_weights(network)
        save({name: tensor.flatten()[:1].clone() for name, tensor in weights.items()})
        # Every process but the main one looks for shared tensors and restores the original names, and writes nothing.
        network.save_pretrained(folder, state_dict=weights, is_main_process=False)
    if has_adapters(network):
        with _refuse_unsavable(model, folder, "adapter_config.json"):
            save_adapter_config(network, folder / "adapter", _base_of(model))


def _base_of(model: LanguageModel) -> AdapterBase:
    """The hub id of a model that was fetched from there, the name of one that comes with Verifine, else the folder."""
    folder = model.network.name_or_path
    origin = read_origin(Path(folder))
    if origin is None:
        return AdapterBase(name=shipped_name(Path(folder)) or folder, revision=None)
    return AdapterBase(name=origin.hub_id, revision=origin.revision)


def _write_settings(model: LanguageModel, folder: Path) -> None:
    """Everything but the weights and the adapter."""
    _prepare(model)
    with _refuse_unsavable(model, folder, "config.json"):
        model.network.config.save_pretrained(folder)
    if model.network.can_generate():
        with _refuse_unsavable(model, folder, "generation_config.json"):
            model.network.generation_config.save_pretrained(folder)
    with _refuse_unsavable(model, folder, _TOKENIZER):
        model.tokenizer.save_pretrained(folder)


def _prepare(model: LanguageModel) -> None:
    """Gives the network the settings that are saved with it."""
    network = model.network
    network.config.dtype = torch.float32
    if network.can_generate():
        network.generation_config = without_idle_flags(network.generation_config)


@contextmanager
def _refuse_unsavable(model: LanguageModel, folder: Path, file: str) -> Iterator[None]:
    """Turns whatever transformers, peft, tokenizers and safetensors raise into an error that names the file."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if any(words in str(error) for words in _FULL):
            raise DiskError(f"{folder} cannot be written ({error}); free some space", is_full=True) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(
            f"{model.name} can be trained but not saved: writing {file} fails ({reason}). Change what it names in "
            f"the model's own {file}, or take another model (model.name)."
        ) from error
