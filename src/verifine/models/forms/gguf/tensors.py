"""Tensors as GGUF files hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, get_tensor_name_map
from gguf.quants import quantize
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from verifine.errors import ModelError
from verifine.models.forms.files import WEIGHTS_SUFFIX, model_files
from verifine.models.forms.gguf.family import GgufFamily, rope_divisors

GgufType = Literal["f16", "q8_0"]
GGUF_TYPES: tuple[GgufType, ...] = get_args(GgufType)

_TYPES: Mapping[GgufType, GGMLQuantizationType] = {
    "f16": GGMLQuantizationType.F16,
    "q8_0": GGMLQuantizationType.Q8_0,
}
_LARGEST_F16 = 65504.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """A tensor of the file; its numbers are read when they are written."""

    name: str
    """The one in the file."""
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    _source: str
    """The name in the folder; empty: the numbers are `_numbers`."""
    _path: Path
    _heads: int | None
    _numbers: Tensor | None = None

    @property
    def byte_count(self) -> int:
        block, size = _block(self.kind)
        return prod(self.shape) // block * size

    def encode(self) -> NDArray[Any]:
        """The bytes, or numbers, of the file.

        Raises:
            ModelError: a number is too large for float16.
        """
        values = self._numbers
        if values is None:
            with safe_open(self._path, "pt") as file:
                values = file.get_tensor(self._source)
        values = values.to(torch.float32)
        if self._heads is not None:
            values = neighbouring_pairs(values, self._heads)
        if self.kind is GGMLQuantizationType.F16 and values.abs().max() > _LARGEST_F16:
            raise ModelError(
                f"{self._source} has numbers beyond {_LARGEST_F16:g}, which float16 cannot hold; export q8_0 (--dtype)"
            )
        encoded: NDArray[Any] = quantize(values.numpy(), self.kind)
        return encoded


def neighbouring_pairs(rows: Float[Tensor, "n ..."], heads: int) -> Float[Tensor, "n ..."]:
    """Orders the rows of each head so that those which rotary embedding turns together are neighbours.

    transformers pairs row i of a head with row i + d/2, llama.cpp's Llama pairs 2i with 2i + 1.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)


def find_gguf_tensors(folder: Path, family: GgufFamily, numbers: GgufType) -> list[GgufTensor]:
    """Every tensor of the model in a folder.

    Raises:
        ModelError: one has no place in GGUF.
    """
    found = [*_of_folder(folder, family, numbers)]
    divisors = rope_divisors(family)
    if divisors is None:
        return found
    kind = GGMLQuantizationType.F32
    extra = GgufTensor(
        name="rope_freqs.weight",
        shape=tuple(divisors.shape),
        kind=kind,
        _source="",
        _path=folder,
        _heads=None,
        _numbers=divisors,
    )
    return [extra, *found]


def _of_folder(folder: Path, family: GgufFamily, numbers: GgufType) -> Iterator[GgufTensor]:
    names = get_tensor_name_map(family.architecture, family.config.num_hidden_layers)
    for path in model_files(folder):
        if not path.name.endswith(WEIGHTS_SUFFIX):
            continue
        with safe_open(path, "pt") as file:
            for source in sorted(file.keys()):
                name = names.get_name(source, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise ModelError(f"{path}: GGUF has no place for the tensor {source}; export it as merged")
                shape = tuple(file.get_slice(source).get_shape())
                yield GgufTensor(
                    name=name,
                    shape=shape,
                    kind=_kind(shape, numbers),
                    _source=source,
                    _path=path,
                    _heads=family.heads_of(source) if family.pairs_neighbours else None,
                )


def _kind(shape: tuple[int, ...], numbers: GgufType) -> GGMLQuantizationType:
    """Norms and biases stay as they are; rows that blocks do not divide are float16."""
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    block, _ = _block(_TYPES[numbers])
    return _TYPES[numbers] if shape[-1] % block == 0 else GGMLQuantizationType.F16


def _block(kind: GGMLQuantizationType) -> tuple[int, int]:
    """How many numbers a block has, and how many bytes."""
    numbers, size = GGML_QUANT_SIZES[kind]
    return int(numbers), int(size)
