"""Tensors to and from safetensors files, without a second copy of them in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

PIECE_BYTES = 16 << 20
"""Written at a time: hashing a piece that was just written finds it in the processor's cache."""

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


def encode(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The content of a safetensors file, piece by piece; what is yielded is the tensors' own memory.

    `safetensors.torch.save_file` copies everything first, which for a model and its optimiser is several times the
    model.
    """
    entries, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # what follows is then aligned
    yield len(header).to_bytes(8, "little") + header
    for tensor in tensors.values():
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What `encode` wrote. Memory holds the parts that are used: the file is mapped, not read."""
    tensors: dict[str, Tensor] = load_file(path)
    return tensors
