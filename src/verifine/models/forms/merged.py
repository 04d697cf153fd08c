"""A whole model in transformers' form, with its weights in a chosen type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor

from verifine.checkpoints.tensors import TensorSnapshot
from verifine.machine.disk import Disk
from verifine.models.forms.files import (
    CONFIG_FILE,
    INDEX_SUFFIX,
    WEIGHTS_SUFFIX,
    copy_file,
    model_files,
    read_json,
    write_settings,
)

MergedType = Literal["float32", "bfloat16", "float16"]
MERGED_TYPES: tuple[MergedType, ...] = get_args(MergedType)

_TYPES: Mapping[MergedType, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def write_merged(source: Path, folder: Path, numbers: MergedType, disk: Disk, without: tuple[str, ...] = ()) -> None:
    """Copies the model that a run has saved in `source`, which is in float32. Files named `without` are left out.

    Raises:
        DiskError: it cannot be written.
        ModelError: a file of `source` is damaged.
    """
    for path in model_files(source, without):
        target = folder / path.name
        if numbers == "float32" or not path.name.endswith((CONFIG_FILE, WEIGHTS_SUFFIX, INDEX_SUFFIX)):
            copy_file(path, target, disk)
        elif path.name.endswith(WEIGHTS_SUFFIX):
            tensors = {name: _cast(tensor, _TYPES[numbers]) for name, tensor in load_file(path).items()}
            disk.write(target, TensorSnapshot(tensors, {"format": "pt"}).encode())
        elif path.name == CONFIG_FILE:
            write_settings(target, read_json(path) | {"dtype": numbers}, disk)
        else:
            copy_file(path, target, disk)


def bytes_per_weight(numbers: MergedType) -> int:
    return _TYPES[numbers].itemsize


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
