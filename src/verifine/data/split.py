"""Holds examples out of training, for evaluation."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from verifine.data.randomness import random_for

SMALLEST_TO_SPLIT = 20
"""With fewer examples than this, all of them are needed for training."""


def hold_out(hashes: Sequence[int], seed: int, size: int) -> tuple[Sequence[int], Sequence[int]]:
    """The indices of the examples to train on and to hold out, both in ascending order.

    A tenth is held out, but at most `size`, and nothing of fewer than 20 examples. Examples with equal hashes stay
    together, so that no held-out question is trained on; groups that do not fit stay in training.
    """
    left = min(size, len(hashes) // 10) if len(hashes) >= SMALLEST_TO_SPLIT else 0
    _, group, sizes = np.unique(np.array(hashes, dtype=np.uint64), return_inverse=True, return_counts=True)
    is_held = np.zeros(len(sizes), dtype=bool)
    for index in _shuffled(len(hashes), seed) if left else ():
        if not is_held[group[index]] and sizes[group[index]] <= left:
            is_held[group[index]] = True
            left -= sizes[group[index]]
        if not left:
            break
    return _indices(~is_held[group]), _indices(is_held[group])


def _shuffled(size: int, seed: int) -> Sequence[int]:
    order = array("Q", range(size))
    random_for("hold out", seed).shuffle(order)
    return order


def _indices(mask: NDArray[np.bool_]) -> Sequence[int]:
    """The indices where the mask is true."""
    return array("Q", np.flatnonzero(mask).astype(np.uint64).tobytes())
