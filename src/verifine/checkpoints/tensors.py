"""Tensors to and from safetensors files, without a second copy of them in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

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


class Lent:
    """Tensors that are written from where they are, and that their owner may want back before all of them are written.

    `safetensors.torch.save_file` copies everything first, which for a model and its optimiser is several times the
    model. Here only that is copied which has not been written when its owner is about to change it.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._names = list(tensors)
        self._tensors = list(tensors.values())
        self._written = 0
        self._turns = Condition()
        self._is_reading = False
        """Whether a piece is with whoever writes it."""
        self._is_wanted = False
        """Whether the owner waits: a lock alone would be taken again before it had its turn."""

    def take_back(self) -> None:
        """From now on the owner may change its tensors: what is left to be written is a copy."""
        with self._turns:
            self._is_wanted = True
            self._turns.wait_for(lambda: not self._is_reading)
            for index in range(self._written, len(self._tensors)):
                self._tensors[index] = self._tensors[index].detach().clone()
            self._is_wanted = False
            self._turns.notify_all()

    def encode(self) -> Iterator[bytes | memoryview]:
        """The content of a safetensors file, piece by piece. A piece must be done with before the next is asked for."""
        yield self._header()
        for index in range(len(self._tensors)):
            size = self._tensors[index].numel() * self._tensors[index].element_size()
            for start in range(0, size, PIECE_BYTES):
                with self._reading():
                    yield _bytes_of(self._tensors[index])[start : start + PIECE_BYTES]
            self._written = index + 1

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """From when a piece is given out until the next one is asked for."""
        with self._turns:
            self._turns.wait_for(lambda: not self._is_wanted)
            self._is_reading = True
        try:
            yield
        finally:
            with self._turns:
                self._is_reading = False
                self._turns.notify_all()

    def _header(self) -> bytes:
        entries, end = {}, 0
        for name, tensor in zip(self._names, self._tensors, strict=True):
            start, end = end, end + tensor.numel() * tensor.element_size()
            entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        header = json.dumps(entries, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)  # what follows is then aligned
        return len(header).to_bytes(8, "little") + header


def _bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's own memory where it is contiguous and in main memory, else that of a copy."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What `Lent.encode` gave. Memory holds the parts that are used: the file is mapped, not read."""
    tensors: dict[str, Tensor] = load_file(path)
    return tensors
