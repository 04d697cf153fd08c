"""A fingerprint of weights: cheap enough to take after every update, and changed by each.

Of every tensor a few dozen numbers are looked at, spread over all of it. An update moves nearly every number of a
tensor, so it shows; a single number that was changed by hand need not.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from verifine.models.load import Weights

NUMBERS = 32
"""Looked at in each tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What weights look like. Equal weights have equal ones, wherever they lie."""

    digests: Mapping[str, int]
    """Of each tensor, by its name."""

    def differing(self, other: Fingerprint) -> tuple[str, ...]:
        """The names of this one's tensors that are others in `other`, or are not there."""
        return tuple(name for name, digest in self.digests.items() if other.digests.get(name) != digest)

    def missing(self, other: Fingerprint) -> tuple[str, ...]:
        """The names of this one's tensors that `other` does not have."""
        return tuple(name for name in self.digests if name not in other.digests)


@torch.no_grad()
def take_fingerprint(weights: Weights) -> Fingerprint:
    """Looks at `weights` as they are now, compared as float32."""
    if not weights:
        return Fingerprint(digests={})
    parts = [_spread(tensor) for tensor in weights.values()]
    # Together: an accelerator is asked once.
    numbers = torch.cat(parts).cpu().numpy()
    digests, start = {}, 0
    for (name, tensor), part in zip(weights.items(), parts, strict=True):
        stop = start + len(part)
        digests[name] = zlib.crc32(numbers[start:stop].tobytes(), zlib.crc32(repr(tuple(tensor.shape)).encode()))
        start = stop
    return Fingerprint(digests=digests)


def _spread(tensor: Tensor) -> Tensor:
    """Up to NUMBERS numbers of a tensor; an odd step meets every column of a matrix of even width."""
    step = max(tensor.numel() // NUMBERS, 1) | 1
    return tensor.detach().reshape(-1)[::step][:NUMBERS].float()
