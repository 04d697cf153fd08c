"""A fingerprint of weights that is cheap enough to take after every update, and that every update changes.

It samples a few dozen numbers of each tensor. An update changes nearly every number of a tensor, so it shows; a change
of a single number may not.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from verifine.models.load import Weights

NUMBERS = 32
"""Sampled in each tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Equal weights have equal fingerprints, on any device."""

    digests: Mapping[str, int]
    """One for each tensor, by its name."""

    def differing(self, other: Fingerprint) -> tuple[str, ...]:
        """The names of tensors that are different or missing in `other`."""
        return tuple(name for name, digest in self.digests.items() if other.digests.get(name) != digest)

    def missing(self, other: Fingerprint) -> tuple[str, ...]:
        """The names of tensors that are missing in `other`."""
        return tuple(name for name in self.digests if name not in other.digests)


@torch.no_grad()
def take_fingerprint(weights: Weights) -> Fingerprint:
    """The fingerprint of `weights` as they are now, rounded to float32."""
    if not weights:
        return Fingerprint(digests={})
    parts = [_spread(tensor) for tensor in weights.values()]
    # Joined, so that only one transfer from an accelerator is needed.
    numbers = torch.cat(parts).cpu().numpy()
    digests, start = {}, 0
    for (name, tensor), part in zip(weights.items(), parts, strict=True):
        stop = start + len(part)
        digests[name] = zlib.crc32(numbers[start:stop].tobytes(), zlib.crc32(repr(tuple(tensor.shape)).encode()))
        start = stop
    return Fingerprint(digests=digests)


def _spread(tensor: Tensor) -> Tensor:
    """Up to NUMBERS numbers of a tensor; the step is odd, so that it reaches every column of a matrix of even width."""
    step = max(tensor.numel() // NUMBERS, 1) | 1
    return tensor.detach().reshape(-1)[::step][:NUMBERS].float()
