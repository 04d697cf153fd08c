"""Tensors to and from safetensors files, without a second copy of them in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from verifine.errors import CheckpointError
from verifine.machine.blocks import BLOCK_BYTES, new_block

SHARDS = 4
"""Files that are hashed and written in parallel: sha256 takes 1.3 GB/s, which would keep a fast disk waiting."""

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class TensorSnapshot:
    """Tensors as they are now, written in place; what is not written yet can be copied before the tensors change.

    `safetensors.torch.save_file` copies everything first, which for a model and its optimiser takes several times the
    model's memory. A snapshot copies only what is not written when the tensors are about to change.
    """

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] = MappingProxyType({})) -> None:
        self._parts = [_header(tensors, metadata), *(tensor.detach().contiguous() for tensor in tensors.values())]
        self._done = 0
        """How many parts are read to their end."""
        self._lock = Lock()

    @property
    def remaining_bytes(self) -> int:
        """What `copy_remaining` would copy."""
        return sum(map(_size, self._parts[self._done :]))

    def copy_remaining(self) -> None:
        """Copies into main memory what is not written yet. When this returns, the tensors may change."""
        with self._lock:
            for index in range(self._done, len(self._parts)):
                self._parts[index] = self._parts[index].to("cpu", copy=True)

    def encode(self, block_bytes: int = BLOCK_BYTES) -> Iterator[memoryview]:
        """The content of a safetensors file, block by block. Each block is overwritten by the next."""
        block, filled = new_block(block_bytes), 0
        for index, size in enumerate(map(_size, self._parts)):
            start = 0
            while start < size:
                count = min(size - start, len(block) - filled)
                self._read(index, start, block[filled : filled + count])
                start, filled = start + count, filled + count
                if filled == len(block):
                    yield block
                    filled = 0
            self._done = index + 1
        yield block[:filled]

    def _read(self, index: int, start: int, buffer: memoryview) -> None:
        """Fills `buffer` with the bytes of a part, from `start` on."""
        with self._lock:
            content = self._parts[index].flatten().view(torch.uint8)[start : start + len(buffer)].cpu()
            # numpy releases the GIL while it copies, a memoryview does not, and torch would start threads of its own.
            np.copyto(np.frombuffer(buffer, np.uint8), content.numpy())


def snapshot(tensors: Mapping[str, Tensor]) -> list[TensorSnapshot]:
    """Divides tensors into SHARDS files of about the same size, fewer where there are fewer tensors."""
    shards: list[dict[str, Tensor]] = [{} for _ in range(SHARDS)]
    sizes = [0] * SHARDS
    for name in sorted(tensors, key=lambda name: -_size(tensors[name])):
        lightest = sizes.index(min(sizes))
        shards[lightest][name] = tensors[name]
        sizes[lightest] += _size(tensors[name])
    return [TensorSnapshot(shard) for shard in shards if shard]


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Tensor:
    """The header of a safetensors file, as bytes.

    Raises:
        CheckpointError: a tensor is of a type that the format does not have.
    """
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise CheckpointError(
                f"{name} is of type {tensor.dtype}, which a checkpoint cannot hold; use another model"
            )
        start, end = end, end + _size(tensor)
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # aligns the tensors
    return torch.frombuffer(bytearray(len(header).to_bytes(8, "little") + header), dtype=torch.uint8)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads what `TensorSnapshot.encode` wrote. The file is memory-mapped: only what is used is read."""
    tensors: dict[str, Tensor] = load_file(path)
    return tensors
