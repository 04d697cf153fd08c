"""Holding examples out of training, to be asked in evaluation."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from verifine.data.randomness import random_for

SMALLEST_TO_SPLIT = 20
"""With fewer examples than this every one is needed for training."""


def hold_out(fingerprints: Sequence[int], seed: int, size: int) -> tuple[Sequence[int], Sequence[int]]:
    """The indices of the examples to train on and of those to hold out, each rising.

    A tenth is held out, at most `size`; nothing, where there are fewer than 20 examples. Examples with the same
    fingerprint stay together, so what is held out is never trained on; those that do not fit stay in training.
    """
    room = min(size, len(fingerprints) // 10) if len(fingerprints) >= SMALLEST_TO_SPLIT else 0
    _, group, sizes = np.unique(np.array(fingerprints, dtype=np.uint64), return_inverse=True, return_counts=True)
    is_held = np.zeros(len(sizes), dtype=bool)
    for index in _shuffled(len(fingerprints), seed) if room else ():
        if not is_held[group[index]] and sizes[group[index]] <= room:
            is_held[group[index]] = True
            room -= sizes[group[index]]
        if not room:
            break
    return _indices(~is_held[group]), _indices(is_held[group])


def _shuffled(size: int, seed: int) -> Sequence[int]:
    order = array("Q", range(size))
    random_for("hold out", seed).shuffle(order)
    return order


def _indices(mask: NDArray[np.bool_]) -> Sequence[int]:
    """Where the mask is true, as an array of Python's own."""
    return array("Q", np.flatnonzero(mask).astype(np.uint64).tobytes())
